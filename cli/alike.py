"""What `flumen search --like` finds, and prints."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flumen.cli.by import By
from flumen.cli.output import console, how_many, print_json, print_rows
from flumen.stores.errors import NoEmbedding, SchemaMismatch

if TYPE_CHECKING:
    from flumen.stores.neighbours import FoundNeighbours
    from flumen.stores.solr import SolrReader
    from flumen.stores.solr.alike import FoundAlike
    from flumen.stores.solr.search import Search

Rows = Sequence[Mapping[str, Any]]

WITHIN = 7
"""Bits that differ at most, unless others are asked for: a photo that was encoded anew, scaled or made brighter."""

_SHOWN = ("id", "name", "label", "knownlabel")
_LONGEST = 100
"""Signs of a cell: a name may have ten thousand."""


def show_like(
    reader: "SolrReader",
    image_id: str,
    search: "Search",
    by: By | None,
    within: int | None,
    shown: Callable[[Rows], Rows],
    as_json: bool,
) -> None:
    """Look for images like one, and print them: by its embedding where it has one, unless it is said by what.

    `shown` makes rows such as can be printed. Raises as the reader's `find_alike` and `find_neighbours`.
    """
    if by is not By.HASH:
        try:
            near = reader.find_neighbours(image_id, search.query, search.rows, search.fields)
        except (NoEmbedding, SchemaMismatch):
            if by is By.EMBEDDING:
                raise
        else:
            show_neighbours(replace(near, rows=shown(near.rows)), as_json)
            return
    bits = WITHIN if within is None else within
    alike = reader.find_alike(image_id, search, bits)
    show_alike(replace(alike, rows=shown(alike.rows)), bits, as_json)


def show_neighbours(found: "FoundNeighbours", as_json: bool) -> None:
    """Print the images that a model sees near one, the nearest first."""
    if as_json:
        made_by = {"model": found.model, "model_version": found.model_version}
        print_json({"by": By.EMBEDDING, **made_by, "images": found.rows})
        return
    if found.rows:
        print_rows([_cells(row, "similarity") for row in found.rows], as_json=False)
    console.print(
        f"{len(found.rows):,} images nearest to it by the embedding of {found.model}@{found.model_version} "
        "(--by hash: by how they look)",
        highlight=False,
    )


def show_alike(found: "FoundAlike", within: int, as_json: bool) -> None:
    """Print the images that differ in so many bits or fewer from one, the nearest first, and how many there are."""
    total = sum(found.counts.values())
    if as_json:
        asked: dict[str, Any] = {"by": By.HASH, "perceptual_hash": found.hash_, "within": within}
        answer = {**asked, "found": total, "distances": found.counts}
        print_json({**answer, "images": found.rows})
        return
    if found.rows:
        print_rows([_cells(row, "distance") for row in found.rows], as_json=False)
    console.print(
        f"{how_many(total, 'image looks', 'images look')} like it within {how_many(within, 'bit')}, "
        f"{len(found.rows):,} shown (by their hashes)",
        highlight=False,
    )


def _cells(row: Mapping[str, Any], measure: str) -> dict[str, Any]:
    # An id is shown whole: it is what the next command is given.
    return {name: row.get(name) if name == "id" else _short(row.get(name)) for name in (measure, *_SHOWN)}


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}…"
    return value
