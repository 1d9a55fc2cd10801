"""What a model, an alias and a version may be called; a command says `mnist`, `mnist@3` or `mnist@champion`.

Names become parts of paths, so what is allowed here is what keeps a repository within its root.
"""

import re

from flumen.models.errors import BadModelName

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,99}$"
MAX_VERSION = 999_999_999

_NAME = re.compile(NAME_PATTERN[:-1])
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def check_name(name: str, what: str = "model") -> str:
    """Return the name of a model or an alias, unchanged.

    Raises:
        BadModelName: it is not 1 to 100 lower-case letters, digits, `_` and `-`, or starts with `_` or `-`.
    """
    if not _NAME.fullmatch(name):
        raise BadModelName(
            f"{name!r} cannot name a {what}; allowed are 1 to 100 lower-case letters, digits, '_' and '-', "
            "starting with a letter or a digit"
        )
    return name


def check_version(version: int) -> int:
    """Return the version, unchanged.

    Raises:
        BadModelName: it is not an integer from 1 to 999,999,999.
    """
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= MAX_VERSION:
        raise BadModelName(f"{version!r} cannot be a version; allowed are integers from 1 to {MAX_VERSION:,}")
    return version


def as_version(text: str) -> int | None:
    """Return the version that a folder's name or a word stands for, or None: no sign, no leading zero."""
    return int(text) if _VERSION.fullmatch(text) else None


def parse_reference(reference: str) -> tuple[str, int | str | None]:
    """Split `NAME`, `NAME@VERSION` or `NAME@ALIAS` into the name and the version, the alias or None.

    Raises:
        BadModelName: a part of it is not allowed.
    """
    name, at, tail = reference.partition("@")
    check_name(name)
    if not at:
        return name, None
    version = as_version(tail)
    return name, version if version is not None else check_name(tail, "version or alias")
