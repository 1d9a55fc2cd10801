"""The one error of this package; it never leaves it: an image is not rejected for what its metadata is like."""


class Unreadable(Exception):
    """A value, a directory or a block that cannot be read. Its message ends up in the column `metadata_errors`."""
