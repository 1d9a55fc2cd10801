"""The import rules leave nothing out: no package, no rule for a library that lists who may not instead of who may."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

import flumen

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RULES: list[dict[str, Any]] = PROJECT["tool"]["importlinter"]["contracts"]
PACKAGES = sorted(link.name for link in (ROOT / "flumen").iterdir() if link.is_symlink())
KNOWN_IN_ONE_PLACE = {
    *("faust", "aiokafka", "confluent_kafka", "onnxruntime", "duckdb", "pysolr", "kudu", "jpype", "pyspark"),
}


def test_every_folder_of_code_has_its_link_in_flumen_and_its_bare_name_refused() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"flumen", "bench", "tests"}
    assert folders == set(PACKAGES)
    refused = PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    assert refused.keys() == folders
    assert Path(flumen.__file__).parent == ROOT / "flumen"


def test_every_package_has_its_layer_or_stands_apart() -> None:
    [layers] = [rule for rule in RULES if rule.get("containers") == ["flumen"]]
    assert layers["exhaustive"] is True
    assert {name for layer in layers["layers"] for name in layer.split(" | ")} | {"stack"} == set(PACKAGES)


@pytest.mark.parametrize("library", sorted(KNOWN_IN_ONE_PLACE))
def test_a_library_that_is_known_in_one_place_is_forbidden_everywhere_else(library: str) -> None:
    """A list of those who may not would lack the next package."""
    rules = [rule for rule in RULES if rule["type"] == "forbidden" and library in rule["forbidden_modules"]]
    assert [rule["name"] for rule in rules if rule["source_modules"] == ["flumen"]]


def test_an_exception_that_nothing_needs_any_more_is_an_error() -> None:
    assert all(rule.get("unmatched_ignore_imports_alerting", "error") == "error" for rule in RULES)
