"""Parquet files in a folder or behind an fsspec URL: for analysts, and for whoever has neither Kudu nor Solr.

A file a batch, never changed: what is written again stands in a later file, and what is removed has a row there that
says so. Of the rows with one id the last that was written counts.
"""

from flumen.stores.files.migration import FilesMigration
from flumen.stores.files.options import FilesOptions
from flumen.stores.files.reader import FilesReader
from flumen.stores.files.sink import FilesSink
from flumen.stores.store import Store

__all__ = ["STORE", "FilesMigration", "FilesOptions", "FilesReader", "FilesSink"]

STORE = Store(
    name="files",
    options=FilesOptions,
    make_sink=FilesSink,
    make_reader=FilesReader,
    make_migration=FilesMigration,
)
