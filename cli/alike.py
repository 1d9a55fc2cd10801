"""What `flumen search --like` prints."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flumen.cli.output import console, how_many, print_json, print_rows

if TYPE_CHECKING:
    from flumen.stores.solr.alike import FoundAlike

WITHIN = 7
"""Bits that differ at most, unless others are asked for: a photo that was encoded anew, scaled or made brighter."""

_SHOWN = ("distance", "id", "name", "label", "knownlabel")
_LONGEST = 100
"""Signs of a cell: a name may have ten thousand."""


def show_alike(found: "FoundAlike", within: int, as_json: bool) -> None:
    """Print the images that differ in so many bits or fewer from one, the nearest first, and how many there are."""
    total = sum(found.counts.values())
    if as_json:
        answer = {"perceptual_hash": found.hash_, "within": within, "found": total, "distances": found.counts}
        print_json({**answer, "images": found.rows})
        return
    if found.rows:
        print_rows([_cells(row) for row in found.rows], as_json=False)
    console.print(
        f"{how_many(total, 'image looks', 'images look')} like it within {how_many(within, 'bit')}, "
        f"{len(found.rows):,} shown",
        highlight=False,
    )


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    # An id is shown whole: it is what the next command is given.
    return {name: row.get(name) if name == "id" else _short(row.get(name)) for name in _SHOWN}


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}…"
    return value
