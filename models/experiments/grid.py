"""A grid file: which settings an experiment has, on which images. It is TOML."""

import difflib
import os
import sys
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from flumen.models.errors import BadModelName, GridInvalid
from flumen.models.names import check_name

METHODS = ("grid", "random", "sobol")
SCALES = ("linear", "log")
PREPROCESSES = ("own", "grey", "binary")
SHIPPED = ("article", "article-table")
MAX_SEED = 2**32 - 1

_KEYS = ("name", "trainer", "model", "outputs", "seeds", "repeats", "data", "parameters", "search", "halving")

_OPTIONS: Mapping[str, type] = {
    **dict.fromkeys(("from", "data", "where", "label", "group", "labels", "size", "resize", "like"), str),
    "colour": bool,
    **dict.fromkeys(("validation", "test"), float),
    "snapshot": int,
}
"""What `flumen train` has of the same name, and its type."""
_KINDS: Mapping[type, str] = {
    str: "a text in quotes",
    bool: "true or false",
    float: "a share, such as 0.1",
    int: "a whole number",
}


@dataclass(frozen=True, slots=True)
class Range:
    """Values between two bounds, both included. `steps`: how many the grid takes, evenly spaced on the scale."""

    low: float
    high: float
    scale: str = "linear"
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """The images of an experiment.

    `options`: those of `flumen train` that say which images, by name (`from`, `data`, `where`, ...), as far as they are
    given. `train_images`, `test_images`: how many there are to be at most, the first ones; None for all. `preprocess`:
    "own" is the data set's or the trainer's way, "grey" value / 255, "binary" the article's threshold.
    """

    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    train_images: int | None = None
    test_images: int | None = None
    preprocess: str = "own"


@dataclass(frozen=True, slots=True)
class Search:
    """How settings are made of the parameters. `settings`: how many, for "random" and "sobol"."""

    method: str = "grid"
    settings: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Halving:
    """Successive halving: all settings for few epochs, the best of them for more. `rungs`: epochs, rising.

    `keep`: the share that goes on from a rung to the next.
    """

    rungs: tuple[int, ...]
    keep: float = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """What an experiment consists of. `parameters`: by name, a list of values or a `Range` each.

    `model`: the name under which models are registered. `outputs` is empty for as many as there are labels.
    """

    name: str
    trainer: str
    model: str
    seeds: tuple[int, ...]
    outputs: tuple[int, ...] = ()
    repeats: int = 1
    data: Data = field(default_factory=Data)
    parameters: Mapping[str, list[Any] | Range] = field(default_factory=dict)
    search: Search = field(default_factory=Search)
    halving: Halving | None = None


def read_grid(source: str | os.PathLike[str]) -> Grid:
    """Read a grid file; `article` and `article-table` are the two that flumen brings.

    Raises:
        GridInvalid: it cannot be read, or has a key or value that may not be; the message names the nearest key.
    """
    path = Path(source)
    if str(source) in SHIPPED and not path.is_file():
        return parse_grid(shipped_grid(str(source)), f"the grid {source!r}")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise GridInvalid(
            f"the grid file {path} cannot be read: {error}. Name a TOML file, or one of: {', '.join(SHIPPED)}"
        ) from error
    return parse_grid(text, str(path))


def shipped_grid(name: str) -> str:
    """Return the text of a grid file that flumen brings."""
    return (files("flumen.models.experiments") / "grids" / f"{name}.toml").read_text("utf-8")


def parse_grid(text: str, where: str) -> Grid:
    """Return the grid that a TOML text describes. `where` begins the messages.

    Raises:
        GridInvalid: as `read_grid`.
    """
    try:
        return _grid(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise GridInvalid(f"{where} is not TOML: {error}") from error
    except GridInvalid as error:
        raise GridInvalid(f"{where}: {error}") from error


def check_keys(given: Collection[str], known: Collection[str], what: str) -> None:
    """Refuse a key that there is not.

    Raises:
        GridInvalid: names it, and the nearest that there is.
    """
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, cutoff=0.0)
            meant = f"did you mean {near[0]!r}? There are: {', '.join(known)}" if near else "take it out"
            raise GridInvalid(f"{what} has no {key!r}; {meant}")


def _grid(given: dict[str, Any]) -> Grid:
    check_keys(given, _KEYS, "a grid file")
    name = given.get("name")
    if not isinstance(name, str):
        raise GridInvalid('it has no name; add one, such as name = "rates"')
    model = _of_type(given, "model", str, name)
    try:
        check_name(name), check_name(model)
    except BadModelName as error:
        raise GridInvalid(str(error)) from error
    parameters = _table(given, "parameters")
    return Grid(
        name=name,
        trainer=_of_type(given, "trainer", str, "network"),
        model=model,
        outputs=_integers(given, "outputs", 1, 256),
        seeds=_integers(given, "seeds", 0, MAX_SEED) or (123,),
        repeats=_integer(given, "repeats", 1, 1, 1000),
        data=_data(_table(given, "data")),
        parameters={key: _values(key, value) for key, value in parameters.items()},
        search=_search(_table(given, "search")),
        halving=_halving(_table(given, "halving")) if "halving" in given else None,
    )


def _data(given: dict[str, Any]) -> Data:
    check_keys(given, (*_OPTIONS, "train_images", "test_images", "preprocess"), "[data]")
    return Data(
        options={name: _option(name, given[name]) for name in _OPTIONS if name in given},
        train_images=_integer(given, "train_images", None, 1, 10**9),
        test_images=_integer(given, "test_images", None, 1, 10**9),
        preprocess=_one_of(given, "preprocess", PREPROCESSES),
    )


def _option(name: str, value: Any) -> Any:
    kind = _OPTIONS[name]
    if kind is float and not isinstance(value, bool) and isinstance(value, int | float):
        return float(value)
    if type(value) is not kind:
        raise GridInvalid(f"[data] {name} = {value!r}: it has to be {_KINDS[kind]}")
    return value


def _search(given: dict[str, Any]) -> Search:
    check_keys(given, ("method", "settings", "seed"), "[search]")
    method = _one_of(given, "method", METHODS)
    settings = _integer(given, "settings", None, 1, 10**6)
    if method != "grid" and settings is None:
        raise GridInvalid(f"[search] with method = {method!r} has to say how many: add settings = 32")
    return Search(method, settings, _integer(given, "seed", 0, 0, MAX_SEED))


def _halving(given: dict[str, Any]) -> Halving:
    check_keys(given, ("rungs", "keep"), "[halving]")
    rungs = _integers(given, "rungs", 1, 10_000)
    keep = given.get("keep", 0.5)
    if not rungs or list(rungs) != sorted(set(rungs)):
        raise GridInvalid("[halving] needs rungs, epochs that rise: rungs = [1, 4, 15]")
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep < 1:
        raise GridInvalid(f"[halving] keep = {keep!r}: allowed is a share between 0 and 1")
    return Halving(rungs, float(keep))


def _values(key: str, value: Any) -> list[Any] | Range:
    if isinstance(value, dict):
        return _range(key, value)
    if key == "hidden" and isinstance(value, list) and value and not isinstance(value[0], list):
        value = [value]  # one network, and not a list of networks
    values = value if isinstance(value, list) else [value]
    if not values:
        raise GridInvalid(
            f"parameter {key!r} has no values, so that there is no setting; give one, or leave it out"
        )
    return [tuple(one) if isinstance(one, list) else one for one in values]


def _range(key: str, given: dict[str, Any]) -> Range:
    what = f"the range of {key!r}"
    check_keys(given, ("from", "to", "scale", "steps"), what)
    low, high = given.get("from"), given.get("to")
    numbers = all(type(one) in (int, float) and abs(one) <= sys.float_info.max for one in (low, high))  # type: ignore[arg-type]
    if not numbers or not low < high:  # type: ignore[operator]
        raise GridInvalid(f"{what} needs two numbers, the lower first: {{from = 0.001, to = 0.1}}")
    scale = _one_of(given, "scale", SCALES)
    if scale == "log" and not low > 0:  # type: ignore[operator]
        raise GridInvalid(f"{what} begins at {low}, and a scale of logarithms above 0; raise `from`")
    return Range(float(low), float(high), scale, _integer(given, "steps", None, 2, 10_000))  # type: ignore[arg-type]


def _table(given: dict[str, Any], key: str) -> dict[str, Any]:
    table: dict[str, Any] = _of_type(given, key, dict, {})
    return table


def _of_type(given: dict[str, Any], key: str, kind: type[Any], default: Any) -> Any:
    value = given.get(key, default)
    if not isinstance(value, kind):
        wanted = "a text in quotes" if kind is str else f"a table: [{key}]"
        raise GridInvalid(f"{key} = {value!r}: it has to be {wanted}")
    return value


def _one_of(given: dict[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    value = given.get(key, allowed[0])
    if value not in allowed:
        raise GridInvalid(f"{key} = {value!r}: allowed are {', '.join(allowed)}")
    return str(value)


def _integer(given: dict[str, Any], key: str, default: int | None, low: int, high: int) -> Any:
    value = given.get(key, default)
    if value is default:
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise GridInvalid(f"{key} = {value!r}: allowed are whole numbers from {low:,} to {high:,}")
    return value


def _integers(given: dict[str, Any], key: str, low: int, high: int) -> tuple[int, ...]:
    value = given.get(key, [])
    values = value if isinstance(value, list) else [value]
    if key in given and not values:
        raise GridInvalid(f"{key} is empty, so that there is no setting; give one, or leave it out")
    return tuple(_integer({key: one}, key, None, low, high) for one in values)
