"""What to say of a setting that is unknown, out of bounds or of the wrong kind."""

from collections.abc import Iterable, Mapping
from typing import Any


def explain(detail: Mapping[str, Any], known: Iterable[str]) -> str:
    """Return one of pydantic's errors as a sentence that names the setting, its value and what is allowed."""
    if not detail["loc"]:
        return str(detail["msg"]).removeprefix("Value error, ")
    name = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        names = ", ".join(sorted(known))
        return f"there is no setting {name!r}; remove it from flumen.toml. Settings are: {names}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    allowed = message[0].lower() + message[1:]
    return (
        f"the setting {name} is {detail['input']!r}; allowed: {allowed}. "
        f"Set it in flumen.toml or as FLUMEN_{name.upper()}"
    )
