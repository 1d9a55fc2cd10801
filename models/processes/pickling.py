"""Pickles between this process and one that reads hostile bytes: what comes back may name no code.

Whoever takes such a process over writes what it likes to the other end. So nothing is made of it but built-in values,
arrays of plain numbers, and the few classes that an answer is of (https://docs.python.org/3/library/pickle.html,
"Restricting Globals").
"""

import io
import pickle
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NUMBERS = "biuf"
"""The kinds of numpy's types that an array from there may be of: an object, or a field of one, is an address."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if type(value) is not np.ndarray or value.dtype.kind not in _NUMBERS:
            return NotImplemented
        buffer = pickle.PickleBuffer(np.ascontiguousarray(value).data)
        return array_of, (buffer, value.dtype.str, value.shape)


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, content: bytes | bytearray, buffers: Sequence[bytearray], classes: Collection[type]
    ) -> None:
        super().__init__(io.BytesIO(content), buffers=buffers)
        self._known: dict[tuple[str, str], Callable[..., Any]] = {
            (each.__module__, each.__qualname__): each for each in classes
        }
        self._known[array_of.__module__, array_of.__qualname__] = array_of

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the classes."""
        try:
            return self._known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer") from None


def array_of(buffer: Any, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array of numbers over a buffer.

    Raises:
        ValueError, TypeError: it does not fit, or is not of numbers.
    """
    kind = np.dtype(str(dtype))
    if kind.kind not in _NUMBERS:
        raise ValueError(f"an array of {kind} is no part of an answer")
    return np.frombuffer(buffer, kind).reshape(shape)


def dumps(value: object, buffers: list[pickle.PickleBuffer] | None = None) -> bytes:
    """Pickle a value; the bytes of its arrays are added to `buffers`, if there are any."""
    stream = io.BytesIO()
    callback = None if buffers is None else buffers.append
    _Pickler(stream, pickle.HIGHEST_PROTOCOL, buffer_callback=callback).dump(value)
    return stream.getvalue()


def loads(
    content: bytes | bytearray, buffers: Sequence[bytearray], classes: Collection[type] | None = None
) -> Any:
    """Return a value that is of built-in types, arrays of numbers, and these classes.

    Without classes it may be anything, as is right where the other end is the one that started this process.

    Raises:
        pickle.UnpicklingError: it names something else.
        Exception: whatever else a pickle that is none leads to.
    """
    if classes is None:
        return pickle.loads(content, buffers=buffers)  # noqa: S301 - see above
    return _Unpickler(content, buffers, classes).load()
