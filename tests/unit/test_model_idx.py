import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flumen.models.datasets.idx import MAX_BYTES, read_idx
from flumen.models.errors import IdxInvalid


def idx(values: np.ndarray) -> bytes:
    header = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


LABELS = np.array([5, 0, 4], dtype=np.uint8)
IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("values", [LABELS, IMAGES, np.zeros((0, 28, 28), dtype=np.uint8)])
@pytest.mark.parametrize("encode", [bytes, gzip.compress])
def test_what_was_written_is_read(tmp_path: Path, values, encode):
    file = tmp_path / "values"
    file.write_bytes(encode(idx(values)))

    for source in (file, str(file), io.BytesIO(encode(idx(values)))):
        found = read_idx(source)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, values)


def test_an_open_file_stays_open():
    stream = io.BytesIO(idx(LABELS))
    read_idx(stream)
    assert not stream.closed


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not an IDX file"),
        (b"\0\0\x0d\x01" + bytes(8), "type 0x0d"),
        (b"\0\0\x08\0", "0 dimensions"),
        (b"\0\0\x08\xff" + bytes(2000), "255 dimensions"),
        (b"\0\0\x08\x03\0\0\0\x02", "within its header"),
        (idx(IMAGES)[:-1], "holds 23"),
        (idx(IMAGES) + b"\0", "holds more"),
        (struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "announces"),
        (struct.pack(">4B1I", 0, 0, 8, 1, MAX_BYTES + 1), "at most"),
        (gzip.compress(idx(IMAGES), mtime=0)[:-9], "compressed by gzip and damaged"),
        (gzip.compress(idx(IMAGES), mtime=0)[:5] + b"\xff" * 20, "compressed by gzip and damaged"),
        (b"\x1f", "compressed by gzip and damaged"),
    ],
)
def test_a_bad_file_is_named_with_its_reason(tmp_path: Path, content, reason):
    file = tmp_path / "digits-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(IdxInvalid, match=reason) as caught:
        read_idx(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(IdxInvalid, match="no-such-file cannot be read: No such file"):
        read_idx(tmp_path / "no-such-file")


@settings(deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: b"\0\0\x08\x01" + tail))
def test_any_bytes_are_read_or_refused(content):
    for encoded in (content, gzip.compress(content)):
        try:
            found = read_idx(io.BytesIO(encoded))
        except IdxInvalid:
            continue
        assert idx(found) == content
