"""Groups among images that are at hand: those whose hashes differ in few bits are one picture to whoever looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.statistics.hashes import distances

WITHIN = 3
"""Bits in which the hash of each image of a group differs from that of the group's picture, at most."""


@dataclass(frozen=True, slots=True)
class Group:
    """One picture of several that look the same: `picture` stands for `rows`, and is the first of them."""

    picture: int
    rows: tuple[int, ...]


def groups(
    hashes: NDArray[np.int64] | Sequence[int | None], within: int = WITHIN, most: int | None = None
) -> list[Group]:
    """Return the groups among images by their perceptual hashes, in the order of the images.

    The first image is the picture of the first group, and takes with it all that differ from it in `within` bits or
    fewer; the first of those that are left is the picture of the next. So the order decides who stands for a group,
    and likeness is not handed on: what is like a member only is another group. An image without a hash is a group of
    its own. With `most`, only so many groups are made, each of them whole.
    """
    present = [row for row, value in enumerate(hashes) if value is not None]
    values, which = np.unique(np.array([hashes[row] for row in present], dtype=np.int64), return_inverse=True)
    picture_of = np.full(len(hashes), -1)
    is_left = np.ones(len(values), dtype=np.bool_)
    rows = np.array(present, dtype=np.intp)
    value_of = dict(zip(present, which.tolist(), strict=True))
    pictures: list[int] = []
    for row in range(len(hashes)):
        if picture_of[row] >= 0:
            continue
        if most is not None and len(pictures) == most:
            break
        pictures.append(row)
        picture_of[row] = row
        if row in value_of:
            joins = is_left & (distances(values, int(values[value_of[row]])) <= within)
            is_left &= ~joins
            picture_of[rows[joins[which]]] = row
    members: dict[int, list[int]] = {row: [] for row in pictures}
    for row, picture in enumerate(picture_of.tolist()):
        if picture >= 0:
            members[picture].append(row)
    return [Group(picture, tuple(members[picture])) for picture in pictures]
