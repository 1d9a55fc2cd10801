"""What is printed of each measurement: numbers in, rows of a table out."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.looking_back.live import Found
from bench.looking_back.memory import Peak
from bench.looking_back.turns import Turns

_LIVE_LEAST = 0.7
_FLAT = 1.25
"""Times the memory over a tenth of the rows: pages that the system lends differ by as much from run to run."""

_UNHELD = ("SQL export",)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: what, how much, the turns or other words beside it, and what it is held to.

    `least` and `most` are the bounds; None where it is held to nothing.
    """

    what: str
    value: float | None
    beside: str = ""
    unit: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def held_to(self) -> str:
        """The bound, in words."""
        if self.least is not None:
            return f"{self.least} or more"
        return "" if self.most is None else f"{self.most} at most"

    @property
    def is_met(self) -> bool:
        """Whether it is within its bounds."""
        if self.value is None:
            return True
        return (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )


def rate_figures(
    turns: Turns, name: str, compared: Mapping[tuple[str, tuple[str, ...]], float | None]
) -> list[Figure]:
    """Return the share that one way's rate is of others', as each is held to at least; and the rates of all."""
    found = []
    for (words, others), least in compared.items():
        shares = turns.shares(name, *others)
        found.append(
            Figure(
                f"{name}, {words}",
                statistics.median(shares),
                " ".join(f"{share:.2f}" for share in shares),
                least=least,
            )
        )
        cpu = turns.cpu_shares(name, *others)
        found.append(
            Figure(
                "  the same by CPU of its own process",
                statistics.median(cpu),
                " ".join(f"{share:.2f}" for share in cpu),
            )
        )
    for way in turns.seconds:
        rows = [turns.rows / seconds for seconds in turns.seconds[way]]
        what = f"  {way}" if way == name else f"  {name}: {way}"
        found.append(Figure(what, turns.rate(way), " ".join(f"{rate:,.0f}" for rate in rows), unit="rows/s"))
    return found


def live_figures(found: Found) -> list[Figure]:
    """Return what a worker takes in beside a reclassification, of what it takes in alone."""
    windows = {"beside a reclassification": found.beside, "alone": found.alone}
    return [
        Figure("live, beside a reclassification, of alone", found.ratio, least=_LIVE_LEAST),
        *(
            Figure(
                f"  worker {name}",
                statistics.mean(rates),
                " ".join(f"{rate:,.0f}" for rate in rates),
                unit="images/s",
            )
            for name, rates in windows.items()
        ),
    ]


def memory_figures(found: Mapping[int, Mapping[str, Peak]]) -> list[Figure]:
    """Return each command's most memory over the most rows, by that over the fewest."""
    fewest, most = min(found), max(found)
    figures = []
    for name, peak in found[most].items():
        before = found[fewest][name]
        figures.append(
            Figure(
                f"memory of {name}, {most:,} rows by {fewest:,}",
                peak.bytes / before.bytes,
                f"{before.bytes / 2**20:,.0f} MiB, {peak.bytes / 2**20:,.0f} MiB; "
                f"{before.seconds:.0f} s, {peak.seconds:.0f} s",
                most=None if name in _UNHELD else _FLAT,
            )
        )
    return figures


def like_figures(milliseconds: Sequence[float], documents: int) -> list[Figure]:
    """Return how long questions for images alike took."""
    worst = f"worst {max(milliseconds):.1f} of {len(milliseconds)}"
    return [
        Figure(
            f"search --like over {documents:,} documents, median",
            statistics.median(milliseconds),
            worst,
            unit="ms",
        )
    ]


def table_rows(figures: Sequence[Figure]) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table at the end."""
    return [
        (each.what, _in_words(each), each.beside, each.held_to + ("" if each.is_met else "  MISSED"))
        for each in figures
    ]


def as_json(figures: Sequence[Figure]) -> dict[str, Any]:
    """Return the same for machines."""
    return {"figures": [{**asdict(each), "is_met": each.is_met} for each in figures]}


def _in_words(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    number = f"{figure.value:.2f}" if figure.value < 100 else f"{figure.value:,.0f}"
    return f"{number} {figure.unit}".rstrip()
