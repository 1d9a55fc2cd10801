"""The rows that belong to images: what finds them, and taking them out."""

from collections.abc import Iterable, Iterator, Sequence

from flumen.stores.kudu.driver import Driver, Predicate, Write
from flumen.stores.kudu.rows import Part
from flumen.stores.kudu.schema import Table

_FEW = 16
_AT_ONCE = 1000
"""In one scan, which reads the ids of all rows."""


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
    for predicate in finding(sorted(set(ids))):
        for keys in list(driver.scan(table.name, table.keys, [predicate])):
            yield Part(Write(table.name, keys, "delete"), range(keys.num_rows))
