"""What libraries say while an image is decoded stands nowhere without that image: with its rejection, or nowhere."""

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from images import encoded
from PIL import Image

from flumen.interceptor import ImageMessage, Limits, Preprocess, Reject
from flumen.interceptor.errors import BrokenImage
from flumen.interceptor.reasons import about
from flumen.models.processes.decoder import GuardedDecoder
from flumen.models.processes.overheard import Overheard
from flumen.streams.dead_letters.writer import reason_headers
from flumen.streams.kafka.message import RawMessage

SEEN = Preprocess(width=28, height=28)


@pytest.fixture
def decoder() -> Iterator[GuardedDecoder]:
    with closing(GuardedDecoder()) as decoder:
        yield decoder


def tiff(compression: str) -> bytes:
    """One that is large enough for the helper."""
    noise = np.random.default_rng(1).integers(0, 256, (300, 300), dtype=np.uint8)
    return encoded(Image.fromarray(noise), "TIFF", compression=compression)


@pytest.mark.parametrize(
    ("compression", "said"),
    [("tiff_lzw", "LZWDecode"), ("tiff_adobe_deflate", "ZIPDecode"), ("jpeg", "JPEGLib")],
)
def test_what_libtiff_says_is_the_cause(
    decoder: GuardedDecoder, capfd: pytest.CaptureFixture[str], compression: str, said: str
) -> None:
    content = bytearray(tiff(compression))
    (directory,) = struct.unpack_from("<L", content, 4)
    first = 8 if directory > len(content) // 2 else len(content) // 2
    content[first : first + 2000] = bytes(range(200)) * 10
    with pytest.raises(BrokenImage) as caught:
        decoder(bytes(content), Limits(), SEEN)
    assert said in caught.value.cause
    assert len(caught.value.cause) <= 1_001
    decoder(tiff(compression), Limits(), SEEN)
    assert capfd.readouterr().err == ""


def test_what_is_said_of_an_image_that_is_decoded_is_told_to_nobody(
    decoder: GuardedDecoder, capfd: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(tiff("raw"))
    (directory,) = struct.unpack_from("<L", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    entries = content[directory + 2 : directory + 2 + 12 * count]
    beyond = struct.pack("<HHLL", 40_000, 2, 99, 2**31)
    struct.pack_into("<L", content, 4, len(content))
    content += struct.pack("<H", count + 1) + entries + beyond + bytes(4)
    decoder(bytes(content), Limits(), SEEN)
    assert capfd.readouterr().err == ""


def test_a_library_that_says_a_lot_stops_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    overheard = Overheard()
    with overheard:
        for _ in range(300):
            os.write(2, b"x" * 100)
            print("of Python", file=sys.__stderr__)
        for _ in range(3_000):
            try:
                os.write(2, b"x" * 100)
            except BlockingIOError:
                break
        else:
            raise AssertionError("a pipe takes only so much")
    os.write(2, b"heard")
    assert overheard.taken().startswith("xxx")
    assert overheard.taken() == ""
    assert capfd.readouterr().err == "heard"


def test_the_cause_stands_in_a_header_of_the_dead_letter() -> None:
    error = BrokenImage("it is broken; publish it again")
    error.cause = "OSError: decoder error -2\nLZWDecode: Using code not yet in table."
    raw = RawMessage("images", 0, 7, b"k", b"II*\0", (), 1)
    image = ImageMessage("k", b"II*\0", 0, origin=raw)

    class Model:
        name, version, labels = "mnist", 1, ()

    said = dict(reason_headers(Reject(image, "decode", about(image, error)), raw, Model()))  # type: ignore[arg-type]
    assert said["__connect.errors.exception.message"] == b"image 'k': it is broken; publish it again"
    assert said["__connect.errors.exception.stacktrace"] == error.cause.encode()
    said = dict(reason_headers(Reject(image, "kudu", ValueError("no")), raw, Model()))  # type: ignore[arg-type]
    assert "__connect.errors.exception.stacktrace" not in said
