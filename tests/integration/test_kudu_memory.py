"""Python and Java in one process collect each for themselves: nothing is lent to Java, nothing of Java's is kept."""

import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flumen.stores.kudu
from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink
from flumen.stores.kudu.java import java
from flumen.stores.kudu.schema import CHUNK_BYTES

COLUMNS = (Column("id", Kind.STRING, "", nullable=False), Column("note", Kind.STRING, ""))
KILOBYTE = 1024


@pytest.fixture
def store(flumen_stack: Any, flumen_names: Any) -> Iterator[tuple[KuduSink, KuduReader]]:
    options = KuduOptions(
        masters=flumen_stack.kudu_masters, table_prefix=flumen_names.kudu_prefix, driver="jvm", partitions=2
    )
    sink, reader = KuduSink(options, COLUMNS), KuduReader(options)
    sink.connect()
    yield sink, reader
    sink.close()
    reader.close()


def batch(number: int) -> Batch:
    """200 images, of which one is cut into chunks."""
    contents = [*[bytes(KILOBYTE)] * 199, np.random.default_rng(number).bytes(CHUNK_BYTES + 1)]
    images = [ImageMessage(f"image {row}", content, 0) for row, content in enumerate(contents)]
    return Batch(images, {"id": [image.id for image in images], "note": ["x"] * len(images)})


def write_and_read(store: tuple[KuduSink, KuduReader], number: int) -> None:
    sink, reader = store
    assert not sink.write(batch(number))
    assert reader.count() == 200
    assert reader.get("image 7") is not None
    assert reader.get("image 199") is not None
    assert reader.get("nobody") is None
    sink.remove(batch(number).take([0, 199]))


def test_nothing_is_lent_to_java(store: tuple[KuduSink, KuduReader]) -> None:
    """JPype's queue, which would give it back, is stopped; it notes down what is lent while it runs."""
    import jpype

    queue = java("org.jpype.ref.JPypeReferenceQueue").getInstance()
    assert not queue.isRunning()
    assert [callback for callback in gc.callbacks if "jpype" in repr(callback).lower()] == []
    queue.start()
    try:
        for _ in range(2):  # the second time most images are there, and are looked up
            write_and_read(store, 0)
        assert queue.getQueueSize() == 0
        lent = jpype.JProxy("java.lang.Runnable", {"run": print})
        kept = java("java.util.ArrayList")([jpype.JObject(lent, "java.lang.Runnable")])
        assert queue.getQueueSize() == 1, "or it is not the place to look at"
        del kept
    finally:
        queue.stop()


def test_no_code_of_ours_lends_anything_to_java() -> None:
    folder = Path(flumen.stores.kudu.__file__).parent
    lends = re.compile(r"JProxy|JImplements|JOverride|convertToDirectBuffer|jpype.nio")
    found = {path.name for path in folder.glob("*.py") if lends.search(path.read_text(encoding="utf-8"))}
    assert found == set()


def test_what_python_held_of_java_is_let_go(store: tuple[KuduSink, KuduReader]) -> None:
    runtime = java("java.lang.Runtime").getRuntime()

    def held() -> int:
        gc.collect()
        java("java.lang.System").gc()
        return int(runtime.totalMemory() - runtime.freeMemory())

    for number in range(3):
        write_and_read(store, number)
    before = held()
    for number in range(10):
        write_and_read(store, number)
    # Those batches and scans took 5 MB as cells alone.
    assert held() - before < KILOBYTE**2
