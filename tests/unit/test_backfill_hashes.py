"""Computing the hashes that stored images lack, over tables and rows in memory."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flumen.interceptor import Context, ImageMessage, Limits, Preprocess, intercept, load_chain
from flumen.interceptor.batch import Batch
from flumen.interceptor.decoding import decode_image
from flumen.models.unloaded import Unloaded
from flumen.replay.backfill import Backfill, Report
from flumen.replay.errors import BadQuery
from flumen.replay.images.tables import MemoryTables
from flumen.stores.memory import MemoryHashes, MemoryStore

MNIST, WIDE = Preprocess(28, 28), Preprocess(1000, 1000)
CHUNK = 61_440


def pgm(seed: int, side: int = 20) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    return f"P5 {side} {side} 255\n".encode() + pixels.tobytes()


def tables(rows: list[dict[str, Any]], chunks: list[dict[str, Any]]) -> MemoryTables:
    images = pa.schema(
        [
            ("id", pa.string()),
            ("image", pa.binary()),
            ("chunks", pa.int32()),
            ("sha256", pa.string()),
            ("width", pa.int32()),
            ("luminance_std", pa.float32()),
            ("model", pa.string()),
            ("model_version", pa.int32()),
            ("perceptual_hash", pa.int64()),
        ]
    )
    pieces = pa.schema([("id", pa.string()), ("seq", pa.int32()), ("data", pa.binary())])
    return MemoryTables(
        {
            "images": pa.Table.from_pylist(
                [{"chunks": 0, "sha256": row["id"], **row} for row in rows], images
            ),
            "image_chunks": pa.Table.from_pylist(chunks, pieces),
        }
    )


def run(
    rows: list[dict[str, Any]], store: MemoryStore, chunks: Any = (), **more: Any
) -> tuple[Report, list[int]]:
    told: list[int] = []
    sink = MemoryHashes(store)
    sink.connect()
    filling = Backfill(
        tables(rows, list(chunks)),
        [sink],
        more.get("preprocess_of", lambda *_: None),
        Limits(),
        more.get("decoder", decode_image),
        told.append,
    )
    return filling.run(told.append), told


def stored(rows: list[dict[str, Any]]) -> MemoryStore:
    return MemoryStore(rows={row["id"]: {"id": row["id"], "sha256": row["id"]} for row in rows})


def expected(content: bytes) -> int:
    done = intercept(
        Batch([ImageMessage("it", content, 0)]),
        Context(Unloaded(MNIST), 0),
        load_chain(("decode", "statistics")),
    )
    return int(done.oks.columns["perceptual_hash"][0])


def test_what_has_no_hash_gets_one_and_the_others_are_named() -> None:
    large = pgm(9, 300)
    rows = [
        *({"id": f"image {row}", "image": pgm(row)} for row in range(450)),
        {"id": "large", "chunks": 2, "sha256": None},
        {"id": "half", "chunks": 3},
        {"id": "gone"},
        {"id": "broken", "image": b"P5 9 9 255\n"},
        {"id": "grey", "image": b"P5 9 9 255\n" + bytes(81)},
        {"id": "flat", "image": pgm(1), "luminance_std": 0.0},
        {"id": "thin", "image": pgm(1), "width": 7},
        {"id": "deleted", "image": pgm(2)},
        {"id": "has one", "image": pgm(1), "perceptual_hash": 5},
    ]
    cut = [large[:CHUNK], large[CHUNK:]]
    chunks = [{"id": "large", "seq": seq, "data": data} for seq, data in enumerate(cut)]
    chunks += [{"id": "half", "seq": 0, "data": b"P5"}]
    store = stored(rows)
    store.rows["large"]["sha256"] = None
    store.rows["image 7"]["sha256"] = "of another image"
    del store.rows["deleted"]
    report, told = run(rows, store, chunks)
    assert (report.images, report.hashed) == (456, 450)
    assert report.left_out == {
        "that cannot be read": 2,
        "that cannot be decoded": 1,
        "of one shade, or of fewer than 8 pixels a side": 1,
        "that were replaced or deleted meanwhile": 2,
    }
    assert dict(report.examples["that cannot be read"]) == {
        "half": "1 of its 3 image chunks are there",
        "gone": "its row holds no image",
    }
    assert (told[0], sum(told[1:])) == (456, 456)
    found = {image_id: row.get("perceptual_hash") for image_id, row in store.rows.items()}
    assert found["large"] == expected(large)
    assert found["image 440"] == expected(pgm(440))
    assert {name for name, value in found.items() if value is None} == {
        "half",
        "gone",
        "broken",
        "grey",
        "flat",
        "thin",
        "has one",
        "image 7",
    }


def test_an_image_is_seen_as_its_model_sees_it() -> None:
    seen: list[tuple[bytes, Preprocess]] = []

    def decoder(content: bytes, limits: Limits, preprocess: Preprocess) -> Any:
        seen.append((content, preprocess))
        return decode_image(content, limits, preprocess)

    def preprocess_of(name: str, version: int) -> Preprocess | None:
        return {("photos", 1): WIDE, ("photos", 2): MNIST}.get((name, version))

    contents = [pgm(row, 600) for row in range(4)]
    made_by = [("photos", 1), ("photos", 2), ("unknown", 1), (None, None)]
    rows = [
        {"id": str(row), "image": content, "model": model, "model_version": version}
        for row, (content, (model, version)) in enumerate(zip(contents, made_by, strict=True))
    ]
    report, _ = run(rows, stored(rows), preprocess_of=preprocess_of, decoder=decoder)
    assert report.hashed == 4
    assert dict(seen) == dict(zip(contents, [WIDE, MNIST, MNIST, MNIST], strict=True))


def test_tables_without_the_column_are_an_error_that_says_what_to_do() -> None:
    images = pa.table({"id": ["a"], "image": [b""], "chunks": [0], "sha256": ["b"]})
    with pytest.raises(BadQuery, match=r"'perceptual_hash'.*flumen tables migrate"):
        Backfill(MemoryTables({"images": images}), [], lambda *_: None, Limits(), decode_image)
