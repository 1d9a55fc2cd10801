"""Changing the answers that stand for images in Solr.

Source of the semantics: Solr Reference Guide 9, "Updating Parts of Documents" and "RealTime Get".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flumen.interceptor.batch import Batch, ImageMessage, plain
from flumen.interceptor.columns import Column, Kind
from flumen.stores.results import ANSWER, DELIVERY, Result
from flumen.stores.solr.comparison import differing
from flumen.stores.solr.creation import check_index
from flumen.stores.solr.encoding import correct, field_values
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.realtime import VERSION, read_documents
from flumen.stores.solr.schema import CORRECT, UNIQUE_KEY, IndexField, index_fields, index_name
from flumen.stores.solr.times import iso_time
from flumen.stores.solr.updates import DocumentUpdates

_LABEL = index_name("knownlabel")
_DISAGREEMENT = "disagreement"
_OF_ANSWERER = frozenset({"model", "model_version"})


class SolrResults:
    """`flumen.replay.reclassify.results.ResultIndex` for Solr.

    A document is changed in the fields of the answer alone, and only where it is still the one that was read, by its
    `_version_`: so none is made, and none that a worker has written meanwhile is changed.

    Args:
        options: where Solr is.
        columns: what the interceptors declare.
    """

    def __init__(self, options: SolrOptions, columns: Sequence[Column]) -> None:
        self._updates = DocumentUpdates(options, "answers")
        self._written_by_workers = index_fields(columns)
        told = [column for column in columns if column.name in (*DELIVERY, *ANSWER)]
        self._fields = index_fields(told)
        self._columns = [column.name for column in told]
        self._of_delivery = frozenset(field.name for field in self._fields if field.column.name in DELIVERY)
        names = (UNIQUE_KEY, VERSION, _LABEL, CORRECT.name, _DISAGREEMENT)
        self._read = ",".join(dict.fromkeys([*names, *(field.name for field in self._fields)]))

    def connect(self) -> None:
        """Make the client, and look whether the index has the fields that workers write.

        Raises:
            SchemaMismatch: it has not.
        """
        if not self._updates.connect():
            return
        try:
            check_index(self._updates.server, self._written_by_workers)
        except BaseException:
            self._updates.close()
            raise

    def read(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return the documents of these images, by id, as they are by now, committed or not."""
        return read_documents(self._updates.server, ids, self._read) if ids else {}

    def differing(
        self, documents: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]
    ) -> list[str]:
        """Return the images whose document says something else than their result, or is not among these."""
        there = {each: result for each, result in results.items() if each in documents}
        compared = self._compared(documents, there)
        return [each for each in results if each not in there or compared[each]]

    def put(
        self, documents: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]
    ) -> tuple[list[str], list[str]]:
        """Give documents the answers of these results, if they are of the same delivery and still as they were read.

        Returns:
            The images whose document had another answer, and was changed if it was still the same one; and those whose
            document is of another delivery, and was left as it is.
        """
        sent: list[str] = []
        others: list[str] = []
        updates: list[dict[str, Any]] = []
        for image_id, wanted in self._compared(documents, results).items():
            if not wanted.keys().isdisjoint(self._of_delivery):
                others.append(image_id)
            elif wanted:
                document = documents[image_id]
                if document.get(_DISAGREEMENT) is not None and not wanted.keys().isdisjoint(_OF_ANSWERER):
                    wanted[_DISAGREEMENT] = None  # it was said of another answer
                changes = {name: {"set": value} for name, value in wanted.items()}
                updates.append({UNIQUE_KEY: image_id, VERSION: document[VERSION], **changes})
                sent.append(image_id)
        self._updates.send(updates)
        return sent, others

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._updates.close()

    def _compared(
        self, documents: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]
    ) -> dict[str, dict[str, Any]]:
        """Return the fields in which each document is not what its row would make, with what they should hold."""
        ids = list(results)
        batch = Batch(
            [ImageMessage(image_id, b"", 0) for image_id in ids],
            {name: [results[each][name] for each in ids] for name in self._columns},
        )
        found = differing(batch, [documents[each] for each in ids], self._fields)
        values = {field.name: _values(batch, field) for field in self._fields}
        compared: dict[str, dict[str, Any]] = {}
        for row, (image_id, names) in enumerate(zip(ids, found, strict=True)):
            wanted = {
                field.name: values[field.name][row] for field in self._fields if field.column.name in names
            }
            # By the label of the document: a correction brings its own, and with it what is computed from both.
            document = documents[image_id]
            (is_right,) = correct([results[image_id]["prediction"]], [document.get(_LABEL)])
            if is_right != document.get(CORRECT.name):
                wanted[CORRECT.name] = is_right
            compared[image_id] = wanted
        return compared


def _values(batch: Batch, field: IndexField) -> list[Any]:
    """Return what documents get in a field, as JSON has it."""
    values = field_values(batch.columns, field)
    cells = [None] * len(batch) if values is None else plain(values)
    match field.column.kind:
        case Kind.TIMESTAMP:
            return [None if value is None else iso_time(value) for value in cells]
        case Kind.FLOAT:
            return [None if value is None else float(np.float32(value)) for value in cells]
        case Kind.BINARY:
            return [None if value is None else np.asarray(value, np.float32).tolist() for value in cells]
        case _:
            return cells
