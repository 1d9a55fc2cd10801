"""The web page over what exists: images are seen, searched, corrected; it stores nothing of its own."""

from flumen.console.app import ConsoleOptions, make_app
from flumen.console.live import Live
from flumen.console.stores import Stores

__all__ = ["ConsoleOptions", "Live", "Stores", "make_app"]
