"""What the README and the docs show can be copied: commands with their options, programs, files of settings."""

import ast
import configparser
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from command_lines import accept, accept_named, commands_in, without_settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("cli", "interceptor", "models", "replay", "stack", "stores", "streams")
CODE = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
LANGUAGES = {"", "sh", "toml", "json", "python", "yaml", "ini", "sql", "java"}
"""A block of none is a shell's if there is a command in it. `test_publish_page.py` reads the Java."""


def blocks(*languages: str) -> list[tuple[str, str]]:
    """Return the fenced blocks in these languages, each with its place."""
    return [
        (f"{page.name}:{text.count(chr(10), 0, found.start()) + 1}", found[2])
        for page in PAGES
        for text in [page.read_text()]
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        if found[1] in languages
    ]


def scripts() -> Iterator[tuple[str, str]]:
    yield from blocks("sh")
    for place, block in blocks(""):
        if re.search(
            r"^(?:\$ |[A-Z_]+=\S+ )*(?:\S*/)?(?:flumen|make|pip|pytest|docker) ", block, re.MULTILINE
        ):
            yield place, block


SCRIPTS = list(scripts())


def test_every_language_is_one_that_is_tried() -> None:
    shown = {found for page in PAGES for found in re.findall(r"^```(\w+)$", page.read_text(), re.MULTILINE)}
    assert shown <= LANGUAGES


@pytest.mark.parametrize(("place", "script"), SCRIPTS, ids=[place for place, _ in SCRIPTS])
def test_every_command_that_is_shown_is_taken_as_it_stands(place: str, script: str) -> None:
    for command in commands_in(script):
        _, words = without_settings(command)
        program = words[0].rpartition("/")[2] if words else ""
        if program == "flumen":
            accept(words[1:])
        elif program == "make":
            assert set(words[1:]) <= TARGETS
        elif program == "pytest":
            assert all((ROOT / word).exists() for word in words[1:] if not word.startswith("-"))
        elif words[:2] == ["docker", "compose"]:
            services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
            assert words[words.index("--profile") + 1] in services["worker"]["profiles"]
            assert words[words.index("--scale") + 1].partition("=")[0] in services


@pytest.mark.parametrize(("place", "script"), blocks("sh"), ids=[place for place, _ in blocks("sh")])
def test_every_script_is_one_to_a_shell(place: str, script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_commands_are_found() -> None:
    """What reads the pages would otherwise pass by finding nothing."""
    shown = [" ".join(words) for _, script in SCRIPTS for words in commands_in(script)]
    assert sum("flumen " in words for words in shown) > 60
    assert {".venv/bin/flumen up", "make demo", "flumen status --json"} <= set(shown)


@pytest.mark.parametrize("path", [*PAGES, *CODE], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_prose_names_is_there(path: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for named in re.findall(r"`(?:\S*/)?flumen ([a-z][^`\n]*)`", prose):
        for command in commands_in(f"flumen {named.partition('{')[0]}"):
            if command[0] == "flumen":
                accept_named([word.strip("[]") for word in command[1:] if word != "..."])
    for targets in re.findall(r"`make ([a-z -]+)`", prose):
        assert set(targets.split()) <= TARGETS


@pytest.mark.parametrize(("place", "program"), blocks("python"), ids=[place for place, _ in blocks("python")])
def test_every_program_finds_what_it_imports(place: str, program: str) -> None:
    compile(program, place, "exec")
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            assert all(find_spec(name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = import_module(node.module or "")
            assert all(hasattr(module, name.name) for name in node.names)


def test_every_file_that_is_shown_is_one() -> None:
    for _, block in blocks("json"):
        json.loads(block)
    for _, block in blocks("toml"):
        tomllib.loads(block)
    for _, block in blocks("yaml"):
        yaml.safe_load(block)


def test_the_unit_of_systemd_starts_a_command_that_is_there() -> None:
    [(_, block)] = blocks("ini")
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block)
    assert unit["Service"]["ExecStart"].split()[0].endswith("/bin/flumen")
    accept(unit["Service"]["ExecStart"].split()[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_ours_that_is_named_is_there(page: Path) -> None:
    for name in re.findall(rf"`((?:{'|'.join(PACKAGES)}|bench|tests|data|docs)/[\w./-]*)`", page.read_text()):
        assert (ROOT / name).exists(), name
