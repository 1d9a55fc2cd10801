"""The parameters of a trainer: declared once, with bounds and meaning, and read from a command line or a file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar, get_type_hints

from flumen.models.errors import BadParameters

Value = TypeVar("Value")
Values = TypeVar("Values")

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, as it is shown to people."""

    name: str
    kind: str
    default: str
    allowed: str
    meaning: str


def parameter(
    default: Value,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Value:
    """Declare a field of a trainer's parameters.

    `low` and `high`: the bounds, themselves allowed; they hold for each number of a tuple.
    """
    declared: Value = field(
        default=default, metadata={"meaning": meaning, "low": low, "high": high, "choices": choices}
    )
    return declared


def check_bounds(parameters: Any) -> None:
    """Check each parameter against its declaration.

    Raises:
        BadParameters: one is no number, or out of bounds.
    """
    for declared in fields(parameters):
        value = getattr(parameters, declared.name)
        low, high = declared.metadata.get("low"), declared.metadata.get("high")
        for one in value if isinstance(value, tuple) else (value,):
            outside = isinstance(one, (int, float)) and not (
                math.isfinite(one) and (low is None or one >= low) and (high is None or one <= high)
            )
            choices = declared.metadata.get("choices")
            if outside or (choices and one not in choices):
                raise BadParameters(f"{declared.name} is {_text(value)}; it has to be {_allowed(declared)}")


def with_values(parameters: Values, given: Mapping[str, object]) -> Values:
    """Return parameters with these values instead, which are of their own type or text.

    Text is as one types it: `0.01`, `15`, `yes`, `500,100`, or nothing for a tuple of none.

    Raises:
        BadParameters: there is no parameter of that name, or the value is not of its type or is out of bounds.
    """
    types = get_type_hints(type(parameters))
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in types:
            near = get_close_matches(name, types, n=1)
            raise BadParameters(
                f"there is no parameter {name!r}{f'; did you mean {near[0]!r}?' if near else '.'} "
                f"There are: {', '.join(types)}"
            )
        values[name] = _read(name, types[name], value)
    return replace(parameters, **values)  # type: ignore[type-var]


def declared_parameters(kind: type[Any]) -> tuple[Parameter, ...]:
    """Return what there is to set."""
    types = get_type_hints(kind)
    return tuple(
        Parameter(
            name=one.name,
            kind=_KINDS.get(types[one.name], "whole numbers"),
            default=_text(one.default),
            allowed=_allowed(one),
            meaning=one.metadata.get("meaning", ""),
        )
        for one in fields(kind)
    )


def plain_values(parameters: Any) -> dict[str, int | float | str]:
    """Return parameters as a manifest keeps them: numbers as they are, a tuple as `500-100`, a truth as yes or no."""
    values = {one.name: getattr(parameters, one.name) for one in fields(parameters)}
    return {
        name: value if type(value) in (int, float, str) else _text(value) for name, value in values.items()
    }


def _read(name: str, kind: Any, value: object) -> object:
    try:
        if kind is bool:
            return value if isinstance(value, bool) else _WORDS[str(value).lower()]
        if kind in (int, float):
            return _number(kind, value)
        if kind is str:
            return str(value)
        parts = _split(value) if isinstance(value, str) else value
        return tuple(_number(int, part) for part in parts)  # type: ignore[attr-defined]
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise BadParameters(f"{name} is {value!r}, and has to be {_KINDS.get(kind, _TUPLE)}") from error


def _split(text: str) -> list[str]:
    """Return the parts of `500,100`, or of `500-100`, as a manifest has it; of nothing, none."""
    return text.split("," if "," in text else "-") if text else []


def _number(kind: type[int] | type[float], value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(value)
    number = kind(value)
    if not isinstance(value, str) and number != value and not math.isnan(value):
        raise ValueError(value)  # 1.5 epochs
    return number


def _allowed(declared: Any) -> str:
    low, high = declared.metadata.get("low"), declared.metadata.get("high")
    if choices := declared.metadata.get("choices"):
        return " or ".join(choices)
    if low is None and high is None:
        return "any"
    if high is None:
        return f"{low:g} or more"
    return f"{high:g} or less" if low is None else f"{low:g} to {high:,g}"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


_TUPLE = "whole numbers with commas between them"
_KINDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "yes or no", str: "a text"}
