"""Images like one: by what its model sees in them, else by how they look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flumen.console.images.finding import index_columns
from flumen.console.stores import ReadIndex, Stores
from flumen.stores.errors import NoEmbedding, NoSuchImage, SchemaMismatch, StoreError
from flumen.stores.neighbours import SIMILARITY
from flumen.stores.solr.alike import DISTANCE
from flumen.stores.solr.search import Search

ROWS = 12
WITHIN_BITS = 7
"""Of 63, as `flumen search --like`: a photo that was encoded anew, scaled or made brighter."""

_PATIENCE_S = 3.0
"""The page of an image is there without those like it."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Images like one, the nearest first, each with how near it is, in words; `by` says what was compared."""

    by: str
    images: Sequence[tuple[Mapping[str, Any], str]]
    wrong: str = ""


async def find_like(stores: Stores, image_id: str) -> Alike:
    """Return the images like one; where they cannot be looked for, why."""
    search = Search(rows=ROWS, fields=index_columns(stores))

    def ask(index: ReadIndex) -> Alike:
        try:
            near = index.find_neighbours(image_id, search.query, ROWS, search.fields)
        except (NoEmbedding, SchemaMismatch):
            alike = index.find_alike(image_id, search, WITHIN_BITS)
            rows = [(row, _bits(row[DISTANCE])) for row in alike.rows]
            return Alike(
                f"by how they look: hashes that differ in {WITHIN_BITS} of 63 bits at the most", rows
            )
        rows = [(row, f"cosine {row[SIMILARITY]:.3f}") for row in near.rows]
        return Alike(f"by what {near.model}@{near.model_version} sees in them", rows)

    try:
        return await stores.index.ask(ask, _PATIENCE_S)
    except NoSuchImage:
        return Alike("", (), "It has nothing that could be compared: no embedding, and no hash in the index.")
    except StoreError as error:
        return Alike("", (), str(error))


def _bits(count: int) -> str:
    return "1 bit differs" if count == 1 else f"{count} bits differ"
