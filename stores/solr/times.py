"""Times as Solr reads them: ISO 8601 in UTC, cut to milliseconds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TO_SECONDS = 19
"""The signs of `2026-09-21T14:13:20`: as many in every year that has four digits."""
_ENDS = np.frombuffer(b"".join(b".%03dZ" % ms for ms in range(1000)), np.uint8).reshape(1000, 5)


def iso_times(micros: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return microseconds since the epoch as texts, rows x 24 bytes; None where a year has not four digits."""
    millis = micros.astype(np.int64) // 1000
    # The times of one batch lie within few seconds.
    seconds, which = np.unique(millis // 1000, return_inverse=True)
    texts = np.datetime_as_string(seconds.astype("datetime64[s]"))
    if any(len(text) != _TO_SECONDS or text[0] == "-" for text in texts.tolist()):
        return None
    heads = texts.astype(f"S{_TO_SECONDS}").view(np.uint8).reshape(-1, _TO_SECONDS)
    return np.concatenate((heads[which], _ENDS[millis % 1000]), axis=1)


def iso_time(micros: int) -> str:
    """Return microseconds since the epoch as ISO 8601.

    Raises:
        OverflowError: they need more than 64 bits.
    """
    time = np.asarray(micros, dtype="datetime64[us]").astype("datetime64[ms]")
    return str(np.datetime_as_string(time, timezone="UTC"))
