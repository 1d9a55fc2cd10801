"""Tables: nothing is cut, words stay whole, and a pipe gets the whole width."""

import io

import pytest
from rich.console import Console

from flumen.cli.output import print_facts, print_rows
from flumen.cli.rows import Rows

AT = "2026-11-28T02:50:01Z"
ID = "photos/2026/november/camera-17/a-very-long-name-of-a-file-0001.jpeg"


def printed(rows: Rows, width: int = 80, *, terminal: bool = True) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    console.print(rows, crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def history(reason: str = "") -> Rows:
    columns = ("revision", "at", "actor", "command", "change", "reason", "took effect on")
    row = (
        "12",
        AT,
        "alice@operations",
        "activate",
        "champion 1 -> 2",
        reason,
        "worker-7f9c4-0, worker-7f9c4-1",
    )
    return Rows(columns, [row, row], title="Changes of mnist", numeric=frozenset({"revision"}))


def test_at_80_columns_no_word_is_broken_and_no_time_is_cut() -> None:
    lines = printed(history("better on the photos of the north gate"))
    assert all(len(line.rstrip()) <= 80 for line in lines)
    words = " ".join(lines)
    for word in (AT, "alice@operations", "activate", "worker-7f9c4-0", "photos", "champion"):
        assert words.count(word) >= 2, (word, lines)
    assert "…" not in words


def test_a_table_that_fits_stays_a_table() -> None:
    lines = printed(history(), width=120)
    assert sum(AT in line for line in lines) == 2
    assert "reason" not in " ".join(lines), "a column without any value is left out"


def test_without_rows_every_column_is_named() -> None:
    assert "reason" in " ".join(printed(Rows(("at", "reason"), [])))


def test_an_id_is_folded_and_never_cut() -> None:
    rows = Rows(("id", "label", "confidence"), [(ID, "7", "0.98")])
    lines = printed(rows, width=60)
    joined = "".join(line.split("│")[1].strip() for line in lines if line.startswith("│"))
    assert joined == ID


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_pipe_gets_each_row_on_one_line(width: int) -> None:
    lines = printed(Rows(("id", "note"), [(ID, "x " * 200)]), width=width, terminal=False)
    assert sum(ID in line and "x " * 199 in line for line in lines) == 1


@pytest.mark.parametrize("width", [10, 20, 30])
def test_a_very_narrow_terminal_loses_nothing(width: int) -> None:
    lines = printed(history(), width=width)
    assert "".join("".join(lines).split()).count("2026") == 2


def test_a_columns_name_that_a_query_gave_is_as_harmless_as_a_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_rows([{"x\x1b[31m_y": 1}], as_json=False)
    shown = capsys.readouterr().out
    assert "\x1b[31m" not in shown
    assert r"x\x1b[31m y" in shown


def test_a_pipe_gets_facts_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("id", ID), ("sha256", "0123456789abcdef" * 4), ("why", f"it says {'so ' * 100}")])
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 5, shown
    assert f" {ID} " in shown
    assert f" {'0123456789abcdef' * 4} " in shown
