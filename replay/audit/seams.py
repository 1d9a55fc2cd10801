"""The seams between an audit and the stores; `flumen.replay.audit.memory` has their twins."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from flumen.interceptor import Batch
from flumen.replay.images.tables import ScannedTables
from flumen.stores.corrections import Standing
from flumen.stores.kudu import Predicate
from flumen.stores.solr.documents import Put

Document = Mapping[str, Any]
"""A document as Solr gives it, with its `_version_`."""


class AuditedTables(ScannedTables, Protocol):
    """What is read of Kudu. `flumen.stores.kudu.KuduReader` says what each method does."""

    def tables(self) -> Sequence[str]:
        """Return the names of the tables."""

    def scan(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read the rows that meet every predicate, as they are by now."""


class AuditedDocuments(Protocol):
    """The index. `flumen.stores.solr.documents.SolrDocuments` says what each method does."""

    def read(self, ids: Sequence[str]) -> Mapping[str, Document]:
        """Return the documents of these images, as they are by now."""

    def count(self) -> int:
        """Return how many documents queries find."""

    def ids(self) -> Iterator[Sequence[str]]:
        """Yield the ids of all documents that queries find."""

    def differing(self, batch: Batch, documents: Sequence[Document]) -> list[list[str]]:
        """Return for each row the columns in which its document is not what the row would make."""

    def refusals(self, batch: Batch) -> Mapping[int, str]:
        """Return why the documents of these rows would be refused, as far as it is known without writing them."""

    def put(self, batch: Batch, documents: Sequence[Document | None]) -> Put:
        """Write the document of each row in place of the one that was read."""

    def remove(self, documents: Sequence[Document]) -> None:
        """Delete these documents where they are still the ones that were read."""

    def commit(self) -> None:
        """Let queries find what was written so far."""


class ChunkTables(Protocol):
    """Changes tables of chunks. `flumen.stores.kudu.KuduChunks` says what each method does."""

    def remove(self, table: str, keys: pa.RecordBatch) -> None:
        """Delete chunks."""

    def put_back(self, table: str, chunks: pa.RecordBatch) -> None:
        """Insert chunks where none are."""


class Corrected(Protocol):
    """What corrections say of images. `flumen.replay.corrections.Corrector` says what each method does."""

    def look(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """Return what holds for these images at a moment after the call."""

    def settle(self, ids: Sequence[str]) -> None:
        """Let the stores say of these images what the corrections say."""


class NothingCorrected:
    """Corrections where there are none."""

    def look(self, ids: Iterable[str]) -> Mapping[str, Standing]:  # noqa: ARG002
        """Return nothing."""
        return {}

    def settle(self, ids: Sequence[str]) -> None:
        """Do nothing."""
