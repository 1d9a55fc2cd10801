"""Whether a store that exists has the columns that are to be written."""

from collections.abc import Sequence

from flumen.interceptor.columns import Column
from flumen.stores.errors import SchemaMismatch


def check_columns(found: Sequence[Column], expected: Sequence[Column]) -> None:
    """Compare the columns of a store with those to be written. One more is no matter.

    Raises:
        SchemaMismatch: they differ; names the columns.
    """
    kinds = {column.name: column.kind for column in found}
    differing = sorted(column.name for column in expected if kinds.get(column.name) is not column.kind)
    if differing:
        raise SchemaMismatch(f"the memory store has other columns: {', '.join(differing)}; make a new store")
