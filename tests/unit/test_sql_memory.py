"""A query takes so much memory and no more, and leaves no bound behind."""

import resource

import pytest

from flumen.replay.errors import BadQuery
from flumen.replay.sql.memory import MOST_BYTES, bounded_memory, bytes_to_use

MEGABYTE = 1024 * 1024


@pytest.mark.skipif("sys.platform != 'linux'")
def test_what_takes_more_is_refused_and_the_bound_is_gone_behind_it() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with bounded_memory(256 * MEGABYTE):
        assert len(bytearray(64 * MEGABYTE)) == 64 * MEGABYTE
    with (
        pytest.raises(BadQuery, match=r"more than the 0\.2 GiB of memory .*LIMIT"),
        bounded_memory(256 * MEGABYTE),
    ):
        bytearray(1024 * MEGABYTE)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert len(bytearray(1024 * MEGABYTE)) == 1024 * MEGABYTE


def test_a_small_machine_gives_half_of_what_is_free() -> None:
    assert 0 < bytes_to_use() <= MOST_BYTES
