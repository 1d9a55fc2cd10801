"""Settings are declared in groups beside the code that they are for; their names are flat, and stay."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from typer.testing import CliRunner

from flumen.cli import main
from flumen.stores import find_store
from flumen.streams.settings import GROUPS, Settings, load_settings
from flumen.streams.settings.sinks import OF_SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
NAMES = Path(__file__).with_name("settings.json")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def default_of(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=True)
    return sorted(default) if isinstance(default, frozenset) else to_jsonable_python(default)


def test_names_and_defaults_are_those_that_files_and_environments_out_there_rely_on() -> None:
    """A name that goes or a default that changes is told in the changelog, and then in that file."""
    found = {name: default_of(field) for name, field in Settings.model_fields.items()}
    assert found == json.loads(NAMES.read_text())


def test_every_setting_is_in_one_group_and_they_are_in_the_order_of_the_groups() -> None:
    declared = [name for group in GROUPS.values() for name in group.model_fields]
    assert declared == list(Settings.model_fields)
    assert len(declared) == len(set(declared))
    bases = {base for base in Settings.__bases__ if base.__bases__ == (BaseModel,)}
    assert bases == set(GROUPS.values())


def test_settings_do_not_change() -> None:
    settings = load_settings()
    for group in GROUPS.values():
        name = next(iter(group.model_fields))
        with pytest.raises(ValueError, match="frozen"):
            setattr(settings, name, getattr(settings, name))


@pytest.mark.parametrize("store", OF_SETTINGS)
def test_the_settings_of_a_store_are_its_options_with_the_same_defaults(store: str) -> None:
    options = {field.name: field.default for field in dataclasses.fields(find_store(store).options)}
    for name, field in GROUPS[store].model_fields.items():
        option = name.removeprefix(f"{store}_")
        if option not in options:  # the file of a secret
            assert option.removesuffix("_file") in options
        elif options[option] is not dataclasses.MISSING:
            assert field.default == options[option], name


def test_the_command_shows_them_by_group() -> None:
    rows = json.loads(CliRunner().invoke(main.app, ["settings", "--json"]).stdout)
    assert [(row["group"], row["setting"]) for row in rows] == [
        (name, setting) for name, group in GROUPS.items() for setting in group.model_fields
    ]
    lines = CliRunner().invoke(main.app, ["settings"]).stdout.splitlines()
    assert [line.strip() for line in lines if line.strip() in GROUPS] == list(GROUPS)


def test_the_page_has_the_groups_and_their_settings_in_the_same_order() -> None:
    every = PAGE.read_text().partition("\n## Every setting\n")[2].partition("\n## ")[0]
    _, *parts = re.split(r"^### ", every, flags=re.MULTILINE)
    found = {
        part.partition("\n")[0].lower(): re.findall(r"^\| `(\w+)` ", part, re.MULTILINE) for part in parts
    }
    assert list(found.items()) == [(name, list(group.model_fields)) for name, group in GROUPS.items()]
