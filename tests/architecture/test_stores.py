"""Every folder of stores/ that declares a store is registered, tried by the contract suite, and independent."""

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

from flumen.stores import find_store
from flumen.stores.kudu.migration import every_table
from flumen.stores.kudu.schema import Table
from flumen.stores.memory import STORE as MEMORY
from flumen.streams.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {
    path.parent.name for path in (ROOT / "stores").glob("*/__init__.py") if "\nSTORE = " in path.read_text()
}


def test_every_store_is_registered_but_that_of_the_tests() -> None:
    registered = PROJECT["project"]["entry-points"]["flumen.stores"]
    assert registered.keys() == FOLDERS - {MEMORY.name}
    assert {find_store(name).name for name in registered} == registered.keys()


def test_the_contract_suite_tries_every_store() -> None:
    suite = (ROOT / "tests" / "contract" / "conftest.py").read_text()
    [tried] = [line for line in suite.splitlines() if line.startswith("_FRESH = ")]
    assert all(f'"{name}": ' in tried for name in FOLDERS)


def test_every_store_is_independent() -> None:
    contracts = {contract["name"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    assert contracts["Stores are independent of one another"]["modules"] == sorted(
        f"flumen.stores.{name}" for name in FOLDERS
    )


def test_a_store_without_settings_of_its_own_is_known_by_its_name_alone() -> None:
    contracts = {contract["name"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    rule = contracts["Nothing but the pipeline of tests knows a store that has no settings of its own"]
    without = {
        name for name in FOLDERS if not any(one.startswith(f"{name}_") for one in Settings.model_fields)
    }
    assert rule["source_modules"] == ["flumen"]
    assert rule["forbidden_modules"] == sorted(f"flumen.stores.{name}" for name in without)


def test_every_store_has_the_same_files() -> None:
    for name in FOLDERS - {MEMORY.name}:
        files = {path.name for path in (ROOT / "stores" / name).glob("*.py")}
        assert files >= {"options.py", "schema.py", "sink.py", "reader.py"}, name


def test_every_table_of_kudu_is_migrated_and_described() -> None:
    known = [table.name for table in every_table("", ())]
    made = set()
    for path in (ROOT / "stores" / "kudu").glob("*.py"):
        for name in re.findall(r"^def (\w+_table)\(prefix", path.read_text(), re.MULTILINE):
            make = getattr(import_module(f"flumen.stores.kudu.{path.stem}"), name)
            if get_type_hints(make)["return"] is Table:
                made.add(make(*(("", ()) if name == "images_table" else ("",))).name)
    assert made <= set(known)
    assert len(set(known)) == len(known)
    headings = re.findall(r"^### (.*)", (ROOT / "docs" / "kudu.md").read_text(), re.MULTILINE)
    assert {name for line in headings for name in re.findall(r"`(\w+)`", line)} >= set(known)
