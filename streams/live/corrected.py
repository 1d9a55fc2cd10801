"""What the corrections of images do to a batch. `docs/corrections.md` says why that is enough."""

from collections.abc import Mapping, Sequence

from flumen.interceptor import Batch
from flumen.interceptor.batch import plain
from flumen.stores.corrections import Standing

_LABEL = "knownlabel"

Standings = Mapping[str, Standing]
"""What holds for images that have been corrected, by id."""


def rows_to_change(batch: Batch, stored_by: Standings, found: Standings) -> list[int]:
    """Return the rows for which something else holds now than when they were stored."""
    if not stored_by and not found:
        return []
    return [row for row, image in enumerate(batch.images) if stored_by.get(image.id) != found.get(image.id)]


def split(batch: Batch, rows: Sequence[int], standings: Standings) -> tuple[list[int], Sequence[int]]:
    """Return which of these rows are of deleted images, and the others."""
    if not standings:
        return [], rows
    deleted = [row for row in rows if is_deleted(standings, batch.images[row].id)]
    gone = set(deleted)
    return deleted, [row for row in rows if row not in gone] if gone else rows


def is_deleted(standings: Standings, image_id: str) -> bool:
    """Say whether an image is to be kept out."""
    standing = standings.get(image_id)
    return standing is not None and standing.deleted


def with_labels(batch: Batch, standings: Standings) -> Batch:
    """Return a batch in which images have their corrected labels."""
    if not standings or _LABEL not in batch.columns:
        return batch
    found = [standings.get(image.id) for image in batch.images]
    if not any(found):
        return batch
    labels = [
        given if standing is None else standing.knownlabel
        for given, standing in zip(plain(batch.columns[_LABEL]), found, strict=True)
    ]
    return batch.with_columns(knownlabel=labels)
