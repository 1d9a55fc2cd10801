"""Kudu as a store: the source of truth. Two drivers behind one interface, `jvm` and `native`."""

from flumen.stores.kudu.answers import KuduAnswers
from flumen.stores.kudu.driver import Predicate
from flumen.stores.kudu.lists import columns_of
from flumen.stores.kudu.migration import KuduMigration
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.reader import KuduReader
from flumen.stores.kudu.sink import KuduSink
from flumen.stores.store import Store

__all__ = [
    "STORE",
    "KuduAnswers",
    "KuduMigration",
    "KuduOptions",
    "KuduReader",
    "KuduSink",
    "Predicate",
    "columns_of",
]

STORE = Store(
    name="kudu",
    options=KuduOptions,
    make_sink=KuduSink,
    make_reader=KuduReader,
    make_answers=KuduAnswers,
    make_migration=KuduMigration,
)
