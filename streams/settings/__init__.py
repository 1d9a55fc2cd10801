"""The one settings object, and the one place it is read."""

from flumen.streams.settings.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
