"""What tells one set of data from another: which images, with which labels, chosen how, seen at which size."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flumen.models.datasets.source import ImageBatch

SCHEMA = 1
_LANES = 4


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`sha256` is equal for equal data; `rows` counts images; `text` says in a few words what they are."""

    sha256: str
    rows: int
    text: str


class ContentHash:
    """Hashes images whatever their order, so that parallel scans give the same.

    Each image is hashed by SHA-256 with its id, its group and its label; the hashes, as four numbers of 64 bits each,
    are added up, and what goes beyond 64 bits is dropped. That tells data apart that differ by chance or by mistake;
    against somebody who looks for data of a given sum it does not protect.
    """

    def __init__(self) -> None:
        self._sums = np.zeros(_LANES, np.uint64)

    def add(self, batch: ImageBatch) -> None:
        """Count these images in."""
        digests = b"".join(
            [
                hashlib.sha256(_lead(image_id, group, label) + pixels.tobytes()).digest()
                for image_id, group, label, pixels in zip(
                    batch.ids, batch.groups, batch.labels.tolist(), batch.pixels, strict=True
                )
            ]
        )
        self._sums += np.frombuffer(digests, "<u8").reshape(-1, _LANES).sum(axis=0, dtype=np.uint64)

    def hexdigest(self) -> str:
        """Return the sum, as 64 hexadecimal digits."""
        return self._sums.astype("<u8").tobytes().hex()


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
