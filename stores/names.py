"""Names that servers make folders of."""


def check_name(name: str) -> str:
    """Return a name that is more than dots: the others are folders already, and no server takes them.

    Raises:
        ValueError: it is `.` or `..`.
    """
    if name in (".", ".."):
        raise ValueError("that is a folder's name, and none that a server takes; name another")
    return name
