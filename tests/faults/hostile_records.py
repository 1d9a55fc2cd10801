"""Records of a hostile sender, the same for the same seed: for the topic of images, and for each of the small ones."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from raw_records import RawRecord

from flumen.streams.control.records import (
    DesiredState,
    Effective,
    ModelRef,
    WorkerState,
    WorkerStatus,
    now,
    to_json,
)

MAX_IMAGE_BYTES = 100_000
TIMES_MS = (None, 0, 1, 1_700_000_000_000, 2**62, 2**63 - 1, -1, -(2**40))
_SIZES = (MAX_IMAGE_BYTES, MAX_IMAGE_BYTES + 1, 1_000_000, 2_000_000)
"""Up to more than an image may have, and more than the topic takes."""
_EVENT = {
    "specversion": "1.0",
    "id": "x",
    "source": "/",
    "subject": "s",
    "knownlabel": 7,
    "data_base64": "AAAA",
}
_NAMES = (
    b"ce_id", b"ce_source", b"ce_subject", b"ce_knownlabel", b"ce_specversion", b"ce_type", b"ce_time",
    b"content-type", b"flumen.attempt", b"flumen.key", b"flumen.signature", b"flumen.write",
    b"__connect.errors.topic", b"__connect.errors.partition", b"__connect.errors.offset",
    b"__connect.errors.stage", b"__connect.errors.exception.message", b"",
)  # fmt: skip
_VALUES = (
    None, b"", b"1.0", b"7", b"-99999999999999999999", b"application/cloudevents+json; charset=x", b"image/png",
    b"\xff\xfe", "é\u202e\x1b[31m\n".encode(), b"a\x00b", b"[" * 2000,
)  # fmt: skip


class Hostile:
    """Makes records from a seed. `images` are bytes of good ones."""

    def __init__(self, seed: int, images: Sequence[bytes]) -> None:
        self._random = random.Random(seed)
        self._images = images
        self._time_ms: int | None = None
        self._is_packed = False

    def to_images(self, count: int) -> Iterator[RawRecord]:
        """Records for the topic of images; most have an id of their own."""
        for number in range(count):
            yield self._record(self._image_key(number), self._image_value())

    def to_small_topic(self, count: int, model: str) -> Iterator[RawRecord]:
        """Records for a topic that workers and commands read whole: noise, and forgeries that look like theirs."""
        for _ in range(count):
            key = self._random.choice(
                (model.encode(), b"worker", b"0/1", None, b"", self._noise(40), b"k" * 9000)
            )
            yield self._record(key, self._small_value(model))

    def _record(self, key: bytes | None, value: bytes | None) -> RawRecord:
        if self._random.random() < 0.02:  # in runs, since a batch has one timestamp here
            self._time_ms = self._random.choice(TIMES_MS)
            self._is_packed = self._random.random() < 0.5
        return RawRecord(key, value, self._headers(), self._time_ms, self._is_packed)

    def _image_key(self, number: int) -> bytes | None:
        of_its_own = b"id-%d" % number
        return self._random.choices(
            (of_its_own, of_its_own + self._noise(30), of_its_own + b"k" * 17_000, None, b"", b"often"),
            (80, 8, 1, 5, 3, 3),
        )[0]

    def _image_value(self) -> bytes | None:
        good = self._random.choice(self._images)
        makers: tuple[Callable[[], bytes | None], ...] = (
            lambda: good,
            lambda: self._broken(good),
            lambda: good[: self._random.randrange(len(good))],
            lambda: self._json({**_EVENT}),
            lambda: self._noise(3000),
            lambda: None,
            lambda: b"",
            lambda: self._random.randbytes(self._random.choice(_SIZES)),
            lambda: bytes(self._random.choice(_SIZES) * 5),  # packed, it is small
        )
        return self._random.choices(makers, (50, 15, 8, 8, 8, 5, 5, 0.5, 0.5))[0]()

    def _broken(self, good: bytes) -> bytes:
        broken = bytearray(good)
        for _ in range(self._random.randrange(1, 8)):
            broken[self._random.randrange(len(broken))] = self._random.randrange(256)
        return bytes(broken)

    def _small_value(self, model: str) -> bytes | None:
        ref = ModelRef(self._random.randrange(1, 4), "0" * 64)
        kind = self._random.randrange(6)
        if kind == 0:
            return None
        if kind == 1:
            return self._noise(500)
        if kind == 2:
            return self._random.choice(
                (b"", b"{}", b"[" * 5000, b"null", b'"\\ud800"', b"1e999", b" " * 70_000)
            )
        if kind == 3:
            state = DesiredState(
                model=model, champion=ref, challenger=ref, prepare=None, revision=self._random.choice((1, 5, 2**53)),
                actor="\x1b[2J", reason="\u202e" * 50, at=now(),
            )  # fmt: skip
            return self._json(json.loads(to_json(state)))
        if kind == 4:
            status = WorkerStatus(
                worker="worker", model=model, state=WorkerState.SERVING, champion=ref, challenger=None, prepared=ref,
                refused=None, heard=3, revision=2, images_per_s=1e300, at=now(), started_at=now(),
            )  # fmt: skip
            return self._json(json.loads(to_json(status)))
        effective = Effective(
            model=model, worker="w", revision=1, champion=ref, at=now(), offsets={"0": 2**60}
        )
        return self._json(json.loads(to_json(effective)))

    def _json(self, document: dict[str, Any]) -> bytes:
        """Return a document, as it is or with one value that is another, missing or more."""
        if self._random.random() < 0.6:
            name = self._random.choice(list(document))
            document[name] = self._random.choice(
                (None, -1, 2**70, "", "\x00", [], {}, True, 1e308, "é" * 300)
            )
        if self._random.random() < 0.1:
            document.pop(self._random.choice(list(document)))
        return json.dumps(document).encode()

    def _headers(self) -> tuple[tuple[bytes, bytes | None], ...]:
        if self._random.random() < 0.3:
            return ()
        count = self._random.choices((self._random.randrange(1, 9), 3000), (999, 1))[0]
        return tuple((self._name(), self._random.choice((*_VALUES, self._noise(60)))) for _ in range(count))

    def _name(self) -> bytes:
        kind = self._random.randrange(100)
        if kind < 80:
            return self._random.choice(_NAMES)
        if kind < 90:
            return b"own-%d" % self._random.randrange(1000)
        return self._random.choice((b"\xff\xfe", b"a\x00b", "ü".encode(), b"n" * 5000, self._noise(20)))

    def _noise(self, longest: int) -> bytes:
        return self._random.randbytes(self._random.randrange(longest))
