"""Where results go: Kudu, Solr, files, and memory for tests. Same file names in each: options, schema, sink, reader."""

from flumen.stores.errors import (
    DriverMissing,
    SchemaMismatch,
    StoreClosed,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    UnknownStore,
)
from flumen.stores.sink import AnswerSink, Failure, LabelSink, Reader, Sink
from flumen.stores.store import Store, find_store

__all__ = [
    "AnswerSink",
    "DriverMissing",
    "Failure",
    "LabelSink",
    "Reader",
    "SchemaMismatch",
    "Sink",
    "Store",
    "StoreClosed",
    "StoreError",
    "StoreRefused",
    "StoreUnavailable",
    "UnknownStore",
    "find_store",
]
