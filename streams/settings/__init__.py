"""The one settings object, composed of the groups that each room declares, and the one place it is read."""

from flumen.streams.settings.settings import GROUPS, Settings, load_settings

__all__ = ["GROUPS", "Settings", "load_settings"]
