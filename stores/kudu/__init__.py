"""Kudu as a store: the source of truth. Two drivers behind one interface, `jvm` and `native`."""

from typing import TYPE_CHECKING

from flumen.stores.kudu.options import KuduOptions
from flumen.stores.later import imported_when_used, later
from flumen.stores.store import Store

if TYPE_CHECKING:
    from flumen.stores.kudu.answers import KuduAnswers
    from flumen.stores.kudu.chunks import KuduChunks
    from flumen.stores.kudu.corrections import KuduCorrections
    from flumen.stores.kudu.driver import Predicate
    from flumen.stores.kudu.hashes import KuduHashes
    from flumen.stores.kudu.labels import KuduLabels
    from flumen.stores.kudu.lists import columns_of
    from flumen.stores.kudu.migration import KuduMigration
    from flumen.stores.kudu.reader import KuduReader
    from flumen.stores.kudu.reclassifications import KuduReclassifications
    from flumen.stores.kudu.runs import KuduRuns
    from flumen.stores.kudu.sink import KuduSink
    from flumen.stores.kudu.token_threads import TokenRows

__all__ = [
    "STORE",
    "KuduAnswers",
    "KuduChunks",
    "KuduCorrections",
    "KuduHashes",
    "KuduLabels",
    "KuduMigration",
    "KuduOptions",
    "KuduReader",
    "KuduReclassifications",
    "KuduRuns",
    "KuduSink",
    "Predicate",
    "TokenRows",
    "columns_of",
]

__getattr__ = imported_when_used(
    __name__,
    {
        "answers": ["KuduAnswers"],
        "chunks": ["KuduChunks"],
        "corrections": ["KuduCorrections"],
        "driver": ["Predicate"],
        "hashes": ["KuduHashes"],
        "labels": ["KuduLabels"],
        "lists": ["columns_of"],
        "migration": ["KuduMigration"],
        "reader": ["KuduReader"],
        "reclassifications": ["KuduReclassifications"],
        "runs": ["KuduRuns"],
        "sink": ["KuduSink"],
        "token_threads": ["TokenRows"],
    },
)

STORE = Store(
    name="kudu",
    options=KuduOptions,
    make_sink=later(f"{__name__}.sink", "KuduSink"),
    make_reader=later(f"{__name__}.reader", "KuduReader"),
    make_answers=later(f"{__name__}.answers", "KuduAnswers"),
    make_migration=later(f"{__name__}.migration", "KuduMigration"),
    make_corrections=later(f"{__name__}.corrections", "KuduCorrections"),
    make_labels=later(f"{__name__}.labels", "KuduLabels"),
)
