"""Who gives a command."""

import getpass
import platform


def actor() -> str:
    """Return who it is, as it is written down beside what he changed: user@machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = "unknown"
    return f"{user}@{platform.node()}"
