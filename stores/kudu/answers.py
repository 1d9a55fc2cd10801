"""Writing a challenger's answers into Kudu: a row each in `predictions`; the champion's stand with the images."""

from collections.abc import Sequence

from flumen.interceptor.batch import Batch
from flumen.stores.errors import StoreClosed
from flumen.stores.kudu.driver import Driver, Write, open_driver
from flumen.stores.kudu.of_images import deletion
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.rows import Part, build
from flumen.stores.kudu.schema import predictions_table
from flumen.stores.kudu.writing import answer_columns, ensure_table, flush


class KuduAnswers:
    """`flumen.stores.sink.AnswerSink` for Kudu. A row that Kudu refuses is left out."""

    name = "kudu"

    def __init__(self, options: KuduOptions) -> None:
        self._options = options
        self._table = predictions_table(options.table_prefix)
        self._driver: Driver | None = None

    def connect(self) -> None:
        """Open a driver of its own: the images' one is another thread's."""
        if self._driver is None:
            driver = open_driver(self._options)
            try:
                self._table = ensure_table(driver, predictions_table(self._options.table_prefix))
            except BaseException:
                driver.close()
                raise
            self._driver = driver

    def write(self, batch: Batch) -> None:
        """Upsert every row, under the id, the model and its version."""
        if self._driver is None:
            raise StoreClosed("the Kudu store is not connected; call connect() first")
        rows, refused = build(self._table, answer_columns(batch), len(batch))
        good = [row for row in range(len(batch)) if row not in refused]
        flush(self._driver, [Part(Write(self._table.name, rows.take(good)), good)] if good else [])

    def remove(self, ids: Sequence[str]) -> None:
        """Delete every answer for these images."""
        if self._driver is None:
            raise StoreClosed("the Kudu store is not connected; call connect() first")
        flush(self._driver, deletion(self._driver, self._table, ids))

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()
