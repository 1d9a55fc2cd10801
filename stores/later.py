"""What a store's package offers, imported when it is used: whoever asks for its options alone needs no driver."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def later(module: str, name: str) -> Callable[..., Any]:
    """Return a function that imports a class, makes one of it, and returns that."""

    def make(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    return make


def imported_when_used(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose names have these homes, by module in it."""
    home_of = {name: f"{package}.{home}" for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home_of[name]), name)

    return find
