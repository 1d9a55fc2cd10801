"""The rows that belong to images: what finds them, and taking them out."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from flumen.stores.kudu.driver import Driver, Predicate, Write
from flumen.stores.kudu.rows import Part
from flumen.stores.kudu.schema import Table

_FEW = 16
_AT_ONCE = 1000
"""In one scan, which reads the ids of all rows."""
ROWS_A_LOOKUP = 500
"""A scan that compares the ids of so many rows takes as much of both machines as to look one image up."""


def finding(ids: Sequence[str]) -> Iterator[Predicate]:
    """Yield what finds the rows of images, a scan each: few of them one by one, which looks at no others.

    Ids that are not UTF-8 are left out: no row has one.
    """
    ids = [image_id for image_id in ids if is_text(image_id)]
    if len(ids) <= _FEW:
        yield from (Predicate("id", "=", (image_id,)) for image_id in ids)
        return
    for start in range(0, len(ids), _AT_ONCE):
        yield Predicate("id", "in", tuple(ids[start : start + _AT_ONCE]))


def is_text(image_id: str) -> bool:
    """Say whether an id can be written in UTF-8: what a shell or a file name gives need not be."""
    try:
        image_id.encode()
    except UnicodeEncodeError:
        return False
    return True


def deletion(driver: Driver, table: Table, ids: Iterable[str]) -> Iterator[Part]:
    """Yield what deletes every row of these images from a table whose key begins with their id."""
    wanted = sorted(filter(is_text, set(ids)))
    for start in range(0, len(wanted), _AT_ONCE):
        for keys in _keys(driver, table, wanted[start : start + _AT_ONCE]):
            yield Part(Write(table.name, keys, "delete"), range(keys.num_rows))


def _keys(driver: Driver, table: Table, ids: Sequence[str]) -> list[pa.RecordBatch]:
    """Read the keys of the rows of some images: by a scan of a small table, by look-ups in a large one."""
    rows = None if len(ids) <= _FEW else driver.row_count(table.name)
    if rows is None or rows > ROWS_A_LOOKUP * len(ids):
        return [driver.find(table.name, table.keys, ids)]
    return list(driver.scan(table.name, table.keys, [Predicate("id", "in", tuple(ids))]))
