"""Kudu as a store: the source of truth. Two drivers behind one interface, `jvm` and `native`."""

from stores.kudu.answers import KuduAnswers
from stores.kudu.driver import Predicate
from stores.kudu.lists import columns_of
from stores.kudu.migration import KuduMigration
from stores.kudu.options import KuduOptions
from stores.kudu.reader import KuduReader
from stores.kudu.sink import KuduSink

__all__ = ["KuduAnswers", "KuduMigration", "KuduOptions", "KuduReader", "KuduSink", "Predicate", "columns_of"]
