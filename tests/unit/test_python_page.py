"""docs/python.md: its examples run, one after another; of those that need servers all imports are there."""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import flumen
import flumen.cli.pytest_plugin
import flumen.stack.pytest_plugin

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
WITH_SERVERS = ("# needs ", "# test_")  # the tests among them run in tests/integration/test_stack_fixtures.py


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    run = [example for example in EXAMPLES if not example.startswith(WITH_SERVERS)]
    for example in run:
        exec(compile(example, "python.md", "exec"), names)
    assert len(run) >= 5
    assert names["manifest"].name == "mnist"


@pytest.mark.parametrize("example", [text for text in EXAMPLES if text.startswith(WITH_SERVERS)])
def test_what_the_others_import_is_there(example: str) -> None:
    for node in ast.walk(ast.parse(example)):
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            module = import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        elif isinstance(node, ast.Import):
            for alias in node.names:
                import_module(alias.name)


def test_every_public_name_is_told() -> None:
    section = PAGE.partition("## The public names")[2].partition("\n## ")[0]
    assert set(flumen.__all__) <= set(re.findall(r"`(\w+)`", section))


def test_every_fixture_is_told() -> None:
    fixtures = {
        name
        for plugin in (flumen.stack.pytest_plugin, flumen.cli.pytest_plugin)
        for name in vars(plugin)
        if name.startswith("flumen_")
    }
    assert fixtures == set(re.findall(r"\*\*`(flumen_\w+)`\*\*", PAGE))
