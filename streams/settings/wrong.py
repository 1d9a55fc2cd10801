"""What to say of a setting that is unknown, out of bounds or of the wrong kind."""

import json
import types
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from flumen.models.urls import SecretUrl, without_passwords
from flumen.streams.secrets import MASK, is_content

PREFIX = "FLUMEN_"

FORMER_NAMES: Mapping[str, str] = {"marks_topic": "resolutions_topic"}
"""Settings that have another name now, by the one that they had."""

_PRIVATE = "PRIVATE KEY"
_OF_VALIDATORS = ("value_error", "assertion_error")


def explain(detail: Mapping[str, Any], known: Mapping[str, FieldInfo]) -> str:
    """Return one of pydantic's errors as a sentence that names the setting, its value and what is allowed.

    A value that is secret, or may hold a secret, is not repeated.
    """
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        return (
            f"there is no setting {name!r}{meant(name, known)}; correct it in flumen.toml, or remove it. "
            f"Settings are: {', '.join(sorted(known))}"
        )
    field = known[name]
    if _is_private(detail["input"]):
        wrong = f"is {MASK}: it holds a private key, which belongs into a file of its own"
    elif detail["type"] in _OF_VALIDATORS:
        wrong = f"{_found(field, detail)}: {message}"
    else:
        wrong = f"{_found(field, detail)}; allowed: {allowed_values(field)}"
    return f"the setting {name} {wrong}. Set it in flumen.toml or as {PREFIX}{name.upper()}"


def explain_all(details: Iterable[Mapping[str, Any]], known: Mapping[str, FieldInfo]) -> str:
    """Return a line for each setting that is wrong: what is said of it first explains it."""
    first: dict[object, Mapping[str, Any]] = {}
    for detail in details:
        first.setdefault(detail["loc"][:1] or detail["msg"], detail)
    return "\n".join(explain(detail, known) for detail in first.values())


def meant(name: str, known: Iterable[str]) -> str:
    """Return ` (it is ... now)` for a former name, ` (did you mean ...?)` where a known name is near, else nothing."""
    if name in FORMER_NAMES:
        return f" (it is {FORMER_NAMES[name]} now)"
    nearest = get_close_matches(name, list(known), n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def is_secret(field: FieldInfo) -> bool:
    """Say whether a setting holds a secret, or may hold one: by its type."""
    return any(kind in (SecretStr, SecretUrl) for kind in _kinds(field.annotation))


def allowed_values(field: FieldInfo) -> str:
    """Return in words which values a setting takes."""
    kinds = [kind for kind in _union(field.annotation) if kind is not type(None)]
    kind = kinds[0]
    origin = get_origin(kind) or kind
    if origin is Literal:
        *most, last = map(str, get_args(kind))
        return f"{', '.join(most)} or {last}"
    if origin is dict:
        return _entries(kind)
    if origin in (tuple, frozenset):
        some = json.dumps(
            list(field.default if origin is tuple else sorted(field.default))[:2] or ["first", "second"]
        )
        return f"a list of texts: {some} in flumen.toml, and as JSON in the environment"
    if origin in (int, float):
        return f"a{' whole' if origin is int else ''} number{_bounds(field)}"
    if origin is Path:
        return "the name of a file or folder"
    return _texts(field)


def _entries(kind: Any) -> str:
    if _is_of_tables(kind):
        return (
            "texts, numbers and truth values by name, for each store: a table [stores.NAME] in flumen.toml; in the "
            'environment JSON, {"files": {"url": "/data/images"}}'
        )
    return 'texts by name: a table in flumen.toml; in the environment JSON, {"security.protocol": "SASL_SSL"}'


def _texts(field: FieldInfo) -> str:
    words = in_words(field) or "a text that is not empty"
    longest = next((part.max_length for part in field.metadata if hasattr(part, "max_length")), None)
    if longest:
        words += f", of at most {longest} characters"
    return (
        f"{words}, such as {field.default!r}" if isinstance(field.default, str) and field.default else words
    )


def in_words(field: FieldInfo) -> str | None:
    """Return what a setting's pattern asks for, as it is declared beside the pattern: under `allowed`."""
    nested = (part for kind in _kinds(field.annotation) for part in getattr(kind, "__metadata__", ()))
    for declared in (field, *nested):
        extra = getattr(declared, "json_schema_extra", None)
        if isinstance(extra, Mapping) and "allowed" in extra:
            return str(extra["allowed"])
    return None


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": "from {:,}", "gt": "above {:,}", "le": "up to {:,}"}
    found = [
        words.format(getattr(part, sign))
        for sign, words in signs.items()
        for part in field.metadata
        if hasattr(part, sign)
    ]
    return " " + ", ".join(found) if found else ""


def _found(field: FieldInfo, detail: Mapping[str, Any]) -> str:
    value, entries = detail["input"], detail["loc"][1:]
    kind = next(iter(_union(field.annotation)))
    if get_origin(kind) is dict and entries:
        if _is_of_tables(kind):
            return f"has no such option as {'.'.join(map(str, entries[:2]))}"
        return f"has no text as {entries[0]}"
    if is_secret(field) or (Path in _kinds(field.annotation) and is_content(value)):
        return f"is {MASK}"
    if entries:
        return f"has {_quoted(value)} in its list"
    return f"is {_quoted(value)}"


def _is_of_tables(kind: Any) -> bool:
    return get_origin(kind) is dict and get_origin(get_args(kind)[1]) is dict


def _quoted(value: object) -> str:
    return MASK if value == MASK else without_passwords(repr(value))


def _is_private(value: object) -> bool:
    return _PRIVATE in repr(value)


def _union(annotation: Any) -> Sequence[Any]:
    """Return the members of a union; of anything else, itself."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _kinds(annotation: Any) -> Iterable[Any]:
    """Return every type that an annotation is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)
