"""What tells one set of data from another: which images, with which labels, chosen how, seen at which size."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.models.datasets.source import ImageBatch

SCHEMA = 1
_LANES = 4


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`sha256` is equal for equal data; `rows` counts images; `text` says in a few words what they are."""

    sha256: str
    rows: int
    text: str


def content_hashes(batch: ImageBatch) -> NDArray[np.uint64]:
    """Return the SHA-256 of each image with its id, its group and its label, as numbers: uint64, n x 4."""
    digests = b"".join(
        [
            hashlib.sha256(_lead(image_id, group, label) + pixels.tobytes()).digest()
            for image_id, group, label, pixels in zip(
                batch.ids, batch.groups, batch.labels.tolist(), batch.pixels, strict=True
            )
        ]
    )
    return np.frombuffer(digests, "<u8").reshape(-1, _LANES).astype(np.uint64)


def content_hash(hashes: Iterable[NDArray[np.uint64]]) -> str:
    """Return one hash of many images, 64 hexadecimal digits, whatever their order: parallel scans give the same.

    Their hashes (uint64, n x 4) are added up, and what goes beyond 64 bits is dropped. That tells data apart that
    differ by chance or by mistake; against somebody who looks for data of a given sum it does not protect.
    """
    total = np.zeros(_LANES, np.uint64)
    for each in hashes:
        total += each.sum(axis=0, dtype=np.uint64)
    return total.astype("<u8").tobytes().hex()


def fingerprint(rows: int, content: str, selection: Mapping[str, Any], text: str) -> Fingerprint:
    """Return the fingerprint of so many images of this content, and of how they were chosen (JSON)."""
    whole = {"schema": SCHEMA, "rows": rows, "content": content, "selection": selection}
    return Fingerprint(hashlib.sha256(canonical(whole)).hexdigest(), rows, text)


def canonical(value: Any) -> bytes:
    """Return JSON of which there is but one form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def size_text(shape: Sequence[int]) -> str:
    """Return the size of images of an array's shape: `28x28`, or `32x32, RGB`."""
    _, height, width, *colours = shape
    return f"{width}x{height}{', RGB' if colours else ''}"


def _lead(image_id: str, group: str, label: int) -> bytes:
    """Return what stands before the pixels; the lengths keep one text from running into the next."""
    texts = [each.encode("utf-8", "surrogatepass") for each in (image_id, group)]
    return b"%d %d %d " % (*map(len, texts), label) + b"".join(texts)
