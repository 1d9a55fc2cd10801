"""The seams under answers that become the current ones: the table they stand in, and the index that shows them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from flumen.stores.results import Result


class ResultTable(Protocol):
    """The rows of images. One thread at a time uses it; `flumen.stores.kudu.KuduResults` says what each method does."""

    def read(self, ids: Sequence[str]) -> dict[str, Result]:
        """Return delivery and answer of the images that are there, by id, as they are by now."""

    def keep(self, former: pa.RecordBatch) -> None:
        """Keep answers that are about to be replaced."""

    def write_views(self, views: Mapping[str, bytes]) -> None:
        """Write what a model saw of images, by id, where that does not fit into their rows."""

    def remove_views(self, ids: Sequence[str]) -> None:
        """Delete what `write_views` has written for these images."""

    def update(self, rows: pa.RecordBatch) -> None:
        """Change the columns that `rows` has beside `id`, of the images that are there: a row in one step, or not."""

    def at(self, image_id: str, moment_us: int) -> Result | None:
        """Return delivery and whole answer of an image as they were at a time."""


class ResultIndex(Protocol):
    """The documents of images. One thread uses it; `flumen.stores.solr.SolrResults` says what each method does."""

    def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the documents of the images that are there, by id, as they are by now."""

    def differing(
        self, documents: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]
    ) -> Sequence[str]:
        """Return the images whose document says something else than their result, or is not among these."""

    def put(
        self, documents: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]
    ) -> tuple[list[str], list[str]]:
        """Give documents these answers, if they are of the same delivery and still as they were read.

        Return the images whose document had another answer, and those whose document is of another delivery.
        """
