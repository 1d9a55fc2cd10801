"""Nothing that a process writes which was taken over becomes code here."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flumen.interceptor.errors import BrokenImage
from flumen.models.processes import pickling
from flumen.models.processes.exchange import Sizes, create_exchange, decoded_sizes
from flumen.models.processes.interception_tasks import ANSWERS, Answer


class Hostile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


def again(value: object) -> Any:
    buffers: list[pickle.PickleBuffer] = []
    content = pickling.dumps(value, buffers)
    return pickling.loads(content, [bytearray(buffer.raw()) for buffer in buffers], ANSWERS)


def test_an_answer_comes_back_as_it_was() -> None:
    error = BrokenImage("it is cut short")
    error.cause = "unexpected end"
    arrays = [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::2],
        np.zeros((0, 28, 28), np.uint8),
        np.array([1.5, np.nan]),
        np.array([True, False]),
        np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
    ]
    columns: dict[str, Any] = {str(number): each for number, each in enumerate(arrays)}
    answer = again(Answer([0, 2], {**columns, "of": ["a", None, 2**70, b""]}, [(1, "decode", error)], {}))
    for number, each in enumerate(arrays):
        here = answer.columns[str(number)]
        assert here.dtype == each.dtype
        assert here.flags.writeable
        np.testing.assert_array_equal(here, each)
    assert answer.columns["of"] == ["a", None, 2**70, b""]
    told = answer.rejects[0][2]
    assert (type(told), str(told), told.cause) == (BrokenImage, "it is cut short", "unexpected end")


def test_no_function_is_called(tmp_path: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"posix\.mkdir is no part of an answer"):
        again([Hostile(tmp_path / "made")])
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("dtype", ["O", "u1,O", "V8", "M8[us]", "U4"])
def test_arrays_are_of_numbers(dtype: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        pickling.array_of(bytearray(16), dtype, (1,))
    with pytest.raises(pickle.UnpicklingError, match="numpy"):
        again(np.zeros(2, dtype))


def test_no_more_is_read_than_lies_there() -> None:
    exchange = create_exchange()
    sizes = exchange.write([np.zeros(5)], [b"abc"])
    assert decoded_sizes(sizes.encoded()) == sizes
    os.ftruncate(exchange.fd, 2**50)
    for size in (2**20, 2**49):
        with pytest.raises(ValueError, match="more is told of than lies in the file"):
            exchange.read(Sizes(size, [], []), ANSWERS)
    for message in (b"", b"1234567", Sizes(-1, [], []).encoded(), Sizes(1, [-1], []).encoded()):
        with pytest.raises(ValueError):  # noqa: PT011 - also of the standard library's words
            decoded_sizes(message)
