"""A job of `flumen reclassify` in this process, and the same by hand: its raw limit.

As a program of its own it does job after job until it is ended: `python -m bench.looking_back.reclassifying 0.25`.
"""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from uuid import uuid4

import numpy as np
import onnxruntime
import pyarrow as pa

from bench.looking_back.stored import ASKED
from flumen.models.repository import MODEL_FILE, Repository
from flumen.replay.images.seen import VIEW, known_pictures
from flumen.replay.reclassify.parts import Parts, make_job
from flumen.replay.reclassify.working import Throttle, work
from flumen.replay.scoring import Choice, StoredImages
from flumen.stores.corrections import CurrentCorrections
from flumen.stores.kudu import KuduCorrections, KuduReader, KuduReclassifications, Predicate
from flumen.stores.kudu.driver import Write, open_driver
from flumen.streams.settings import Settings, load_settings

THREADS = 2
"""As the command has it, where it is told nothing."""
READ = ("id", *VIEW)
_PIXELS = 28 * 28


def reclassified(
    settings: Settings,
    share: float | None = None,
    choice: Choice | None = None,
    begun: Callable[[], None] = lambda: None,
) -> int:
    """Make a job as the command does, and do all of it; return how many images it has looked at."""
    repository = Repository(settings.model_repository)
    classifier = repository.load(settings.model_name, ASKED)
    options = settings.kudu_options()
    with (
        closing(KuduReader(options)) as tables,
        closing(KuduReclassifications(options)) as table,
        closing(CurrentCorrections(KuduCorrections(options))) as corrections,
        StoredImages(
            tables,
            choice or Choice(),
            classifier.preprocess,
            ("model", "model_version"),
            limits=settings.limits(),
            picture_of=known_pictures(repository, classifier.preprocess),
            threads=THREADS,
        ) as images,
    ):
        corrections.connect()
        parts = Parts(table, make_job(table, uuid4().hex[:24], images.plan()))
        begun()
        progress = work(images, classifier, table, parts, Throttle(share), corrections=corrections)
    return progress.counts.answered


def by_hand(settings: Settings) -> int:
    """Read Kudu, ask ONNX, write Kudu, and nothing else; return how many answers were written."""
    name, options = settings.model_name, settings.kudu_options()
    manifest = Repository(settings.model_repository).manifest(name, ASKED)
    asked = onnxruntime.SessionOptions()
    asked.intra_op_num_threads = 1
    path = f"{settings.model_repository}/{name}/{ASKED}/{MODEL_FILE}"
    session = onnxruntime.InferenceSession(path, asked, providers=["CPUExecutionProvider"])
    given, scale = session.get_inputs()[0].name, np.float32(manifest.input.preprocess.scale)
    written = 0
    with closing(KuduReader(options)) as tables, closing(open_driver(options)) as driver:
        now = time.time_ns() // 1000
        tokens = tables.scan_tokens("images", READ, (), now)
        for each in tables.read_tokens("images", READ, dict(enumerate(tokens)), THREADS):
            if each.rows is None:
                continue
            count = each.rows.num_rows
            views = b"".join(each.rows.column("image_as_pgm").to_pylist())
            pixels = np.frombuffer(views, np.uint8).reshape(count, -1)[:, -_PIXELS:]
            (found,) = session.run([manifest.output.tensor], {given: pixels.astype(np.float32) * scale})
            answer = found.argmax(axis=1)
            rows = {
                "id": each.rows.column("id"),
                "model": pa.array([name] * count),
                "model_version": pa.array(np.full(count, ASKED, np.int32)),
                "prediction": pa.array(answer.astype(np.int32)),
                "confidence": pa.array(found[np.arange(count), answer]),
                "probabilities": pa.array([row.tobytes() for row in found], pa.binary()),
                "classified_at": pa.array(np.full(count, now)).cast(pa.timestamp("us", "UTC")),
            }
            table = f"{settings.kudu_table_prefix}predictions"
            (refused,) = driver.apply([Write(table, pa.RecordBatch.from_pydict(rows))])
            written += count - len(refused)
    return written


def bare(settings: Settings, columns: tuple[str, ...], threads: int, *predicates: Predicate) -> int:
    """Read columns of all images, and do nothing with them; return how many there are."""
    seen = 0
    with closing(KuduReader(settings.kudu_options())) as tables:
        tokens = tables.scan_tokens("images", columns, predicates, time.time_ns() // 1000)
        for each in tables.read_tokens("images", columns, dict(enumerate(tokens)), threads):
            seen += each.rows.num_rows if each.rows is not None else 0
    return seen


if __name__ == "__main__":
    while True:
        reclassified(load_settings(), float(sys.argv[1]), begun=lambda: print("begun", flush=True))
