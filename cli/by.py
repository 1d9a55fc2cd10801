"""What images are alike by."""

from enum import StrEnum


class By(StrEnum):
    """A choice of `flumen search --like`."""

    HASH = "hash"
    EMBEDDING = "embedding"
