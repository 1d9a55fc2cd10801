"""Where results go: Kudu, Solr, and memory for tests. Same file names in each: schema, sink, reader."""

from flumen.stores.errors import (
    DriverMissing,
    SchemaMismatch,
    StoreClosed,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from flumen.stores.sink import AnswerSink, Failure, Reader, Sink

__all__ = [
    "AnswerSink",
    "DriverMissing",
    "Failure",
    "Reader",
    "SchemaMismatch",
    "Sink",
    "StoreClosed",
    "StoreError",
    "StoreRefused",
    "StoreUnavailable",
]
