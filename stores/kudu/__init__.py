"""Kudu as a store: the source of truth. Two drivers behind one interface, `jvm` and `native`."""

from flumen.stores.kudu.answers import KuduAnswers
from flumen.stores.kudu.driver import Predicate
from flumen.stores.kudu.lists import columns_of
from flumen.stores.kudu.migration import KuduMigration
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.reader import KuduReader
from flumen.stores.kudu.sink import KuduSink

__all__ = ["KuduAnswers", "KuduMigration", "KuduOptions", "KuduReader", "KuduSink", "Predicate", "columns_of"]
