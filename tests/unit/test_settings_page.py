"""docs/settings.md has every setting with its default and its unit, and no other; so has a store's page its options."""

import re
import tomllib
from dataclasses import MISSING, fields
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from flumen.stores import find_store
from flumen.streams.settings import Settings
from flumen.streams.settings.environment import OTHER_NAMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "settings.md").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()
ROWS = {
    name: (default, unit, meaning)
    for name, default, unit, meaning in re.findall(
        r"^\| `([a-z_]+)` \| (.*?) ?\| (.*?) ?\| (.*?) \|$", PAGE, re.MULTILINE
    )
}
NAMES = dict(re.findall(r"^\| `(FLUMEN_\w+)` \| (.*?) ?\| .+ \|$", PAGE, re.MULTILINE))
ENDINGS = {"_s": "s", "_ms": "ms", "_bytes": "bytes", "_pixels": "pixels", "_frames": "frames"}
WORDS = {"s": "Seconds ", "ms": "Milliseconds ", "bytes": "Bytes "}
OF_STORES = [
    store.name
    for store in entry_points(group="flumen.stores")
    if not any(name.startswith(f"{store.name}_") for name in Settings.model_fields)
]


def as_toml(value: Any) -> Any:
    """Return a default as it stands in `flumen.toml`."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def shown(cell: str) -> Any:
    return tomllib.loads(f"value = {cell.strip('`')}")["value"] if cell else None


def test_the_page_has_every_setting_and_no_other() -> None:
    assert ROWS.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_default_on_the_page_is_the_default(name: str) -> None:
    default = as_toml(Settings.model_fields[name].get_default(call_default_factory=True))
    assert shown(ROWS[name][0]) == default
    assert type(shown(ROWS[name][0])) is type(default) or isinstance(default, float)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_number_has_its_unit_and_nothing_else_has_one(name: str) -> None:
    """The unit is that of the setting's name, where that has one, and of what `flumen settings` says."""
    _, unit, meaning = ROWS[name]
    assert meaning
    assert bool(unit) == (Settings.model_fields[name].annotation in (int, float, int | None))
    for ending, named in ENDINGS.items():
        if name.endswith(ending) and unit:
            assert unit == named
    description = Settings.model_fields[name].description or ""
    for written, word in WORDS.items():
        assert (unit == written) == description.startswith(word)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_of_a_few_values_names_them_all(name: str) -> None:
    annotation = Settings.model_fields[name].annotation
    if get_origin(annotation) is Literal:
        assert {f"`{value}`" for value in get_args(annotation)} <= set(re.findall(r"`\w+`", ROWS[name][2]))


def test_the_page_has_every_other_name_of_the_environment() -> None:
    assert NAMES.keys() == OTHER_NAMES.keys()
    for name, default in re.findall(r"\$\{(FLUMEN_\w+):-([^}]*)\}", COMPOSE):
        if name in NAMES:
            assert NAMES[name] == f"`{default}`"


@pytest.mark.parametrize("name", OF_STORES)
def test_the_page_of_a_store_has_its_options_with_their_defaults(name: str) -> None:
    page = (ROOT / "docs" / f"{name}.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \| .* \|$", page, re.MULTILINE))
    defaults = {one.name: one.default for one in fields(find_store(name).options)}
    assert rows.keys() == defaults.keys()
    for option, default in defaults.items():
        assert rows[option] == "none" if default is MISSING else shown(rows[option]) == default


def test_there_is_a_store_with_a_page_of_its_own() -> None:
    assert "files" in OF_STORES
