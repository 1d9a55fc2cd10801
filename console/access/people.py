"""People, and what they may."""

import re
from dataclasses import dataclass
from enum import StrEnum

from flumen.console.errors import BadPerson

_NAME = re.compile(r"[\w.@+-]{1,100}", re.ASCII)


class Role(StrEnum):
    """What somebody may: a viewer looks, an operator changes what is stored and what runs as well."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, by the name that stands beside what they change."""

    name: str
    role: Role

    @property
    def may_change(self) -> bool:
        """Whether they may change what is stored and what runs."""
        return self.role is Role.OPERATOR


def make_person(name: str, role: str) -> Person:
    """Return a person of that name and role.

    Raises:
        BadPerson: there is no such role, or nobody can be called so.
    """
    if not _NAME.fullmatch(name):
        raise BadPerson(
            f"{name[:100]!r} is no name for a person here: use up to 100 letters, digits and . @ + - _"
        )
    try:
        return Person(name, Role(role))
    except ValueError:
        raise BadPerson(f"there is no role {role[:100]!r}; there are: {', '.join(Role)}") from None
