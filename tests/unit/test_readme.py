"""The README's table has every command, and its links lead somewhere; so do those of the docs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_lines import ROOT_COMMAND

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(command: Any, *above: str) -> Iterator[tuple[str, ...]]:
    if not hasattr(command, "commands"):
        yield above
        return
    for name, each in command.commands.items():
        if not each.hidden:
            yield from commands(each, *above, name)


@pytest.mark.parametrize("words", list(commands(ROOT_COMMAND)), ids=" ".join)
def test_the_table_has_every_command(words: tuple[str, ...]) -> None:
    rows = re.findall(r"^\| (`.*?`.*?) \|", README, re.MULTILINE)
    named = [set(re.findall(r"[a-z]+", row)) for row in rows]
    assert any(set(words) <= row for row in named)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]*)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), target


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_of_the_docs_is_in_the_readme() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages <= set(re.findall(r"\((docs/\w+\.md)\)", README))
