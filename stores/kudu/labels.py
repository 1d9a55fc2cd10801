"""Changing the known label of images in Kudu."""

from collections.abc import Mapping

from flumen.stores.kudu.one_column import OneColumn
from flumen.stores.kudu.options import KuduOptions

LABEL = "knownlabel"


class KuduLabels:
    """`flumen.stores.sink.LabelSink` for Kudu."""

    name = "kudu"

    def __init__(self, options: KuduOptions) -> None:
        self._labels = OneColumn(options, LABEL, "label", ": the interceptor `envelope` writes it")

    def connect(self) -> None:
        """Open a driver, and look at the table.

        Raises:
            StoreRefused: there is no table of images, or it has no known labels.
        """
        self._labels.connect()

    def set_labels(self, labels: Mapping[str, int | None]) -> None:
        """Update the rows that are there."""
        self._labels.update(list(labels), list(labels.values()))

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        self._labels.close()
