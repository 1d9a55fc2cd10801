"""Groups of pictures that look the same, against the plain way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flumen.replay.alike import Group, groups

NEAR = st.builds(
    lambda places: sum({1 << place for place in places}), st.lists(st.integers(0, 62), max_size=4)
)
HASHES = st.lists(st.one_of(st.none(), NEAR, st.integers(0, 2**63 - 1)), max_size=25)


def plain_groups(hashes: list[int | None], within: int) -> list[Group]:
    found: list[list[int]] = []
    for row, value in enumerate(hashes):
        for group in found:
            picture = hashes[group[0]]
            if value is not None and picture is not None and (value ^ picture).bit_count() <= within:
                group.append(row)
                break
        else:
            found.append([row])
    return [Group(group[0], tuple(group)) for group in found]


@given(HASHES, st.integers(0, 8))
def test_groups_are_those_of_the_plain_way(hashes: list[int | None], within: int) -> None:
    expected = plain_groups(hashes, within)
    assert groups(hashes, within) == expected
    assert groups(hashes, within, most=2) == expected[:2]
    if None not in hashes:
        assert groups(np.array(hashes, dtype=np.int64), within) == expected


def test_likeness_is_not_handed_on() -> None:
    chain = [0b0, 0b111, 0b111111]
    assert [group.rows for group in groups(chain, within=3)] == [(0, 1), (2,)]
    assert [group.rows for group in groups([chain[1], chain[0], chain[2]], within=3)] == [(0, 1, 2)]


def test_of_many_identical_images_one_stands_for_all() -> None:
    """Each group costs a comparison with every hash that differs, and not with every image."""
    hashes: list[int | None] = [None, 5] * 50_000
    assert [len(group.rows) for group in groups(hashes, most=4)] == [1, 50_000, 1, 1]
