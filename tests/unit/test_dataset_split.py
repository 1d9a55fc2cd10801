"""Split and order: nothing leaks, nothing moves, and every machine shuffles alike."""

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.models.datasets.order import epoch_order
from flumen.models.datasets.split import SALT, TEST, TRAIN, VALIDATION, Split, split_hashes
from flumen.models.errors import DatasetInvalid

IDS = st.lists(st.text(), unique=True)
SHARES = st.tuples(st.floats(0, 0.49), st.floats(0, 0.49)).map(lambda each: Split(*each))


def sides(split: Split, texts: list[str]) -> list[int]:
    found: list[int] = split.sides(split_hashes(texts)).tolist()
    return found


def test_the_hash_is_what_the_docs_say() -> None:
    digest = hashlib.blake2b(b"t10k-images-00007", digest_size=8, salt=SALT).digest()
    assert split_hashes(["t10k-images-00007"]).tolist() == [int.from_bytes(digest, "big")]
    # Nobody may ever change these: images would change their sides.
    assert split_hashes(["", "a", "ä"]).tolist() == [
        8719010033812904425,
        5911111789076022810,
        1103517430665710801,
    ]


@given(st.text())
def test_the_side_is_the_share_that_the_hash_is(text: str) -> None:
    share = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, salt=SALT).digest(), "big") / 2**64
    expected = TEST if share < 0.25 else VALIDATION if share < 0.625 else TRAIN
    assert sides(Split(validation=0.375, test=0.25), [text]) == [expected]


@given(IDS, IDS, SHARES)
def test_data_that_grow_move_nobody(ids: list[str], more: list[str], split: Split) -> None:
    before = sides(split, ids)
    assert sides(split, [*ids, *more])[: len(ids)] == before
    assert sides(split, ids[::-1])[::-1] == before


@given(st.lists(st.sampled_from(["one", "two", "three"])), SHARES)
def test_a_group_stays_together(groups: list[str], split: Split) -> None:
    of_group = dict(zip(groups, sides(split, groups), strict=True))
    assert sides(split, groups) == [of_group[group] for group in groups]


@given(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.3))
def test_a_larger_validation_share_takes_from_those_to_learn_from(
    test: float, less: float, more: float
) -> None:
    ids = [str(number) for number in range(200)]
    before, after = sides(Split(less, test), ids), sides(Split(less + more, test), ids)
    moved = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
    assert moved <= {(TRAIN, VALIDATION)}


@pytest.mark.parametrize("pattern", ["{}", "photos/{}.png", "camera-{}", "t10k-images-{:05d}"])
@pytest.mark.parametrize("split", [Split(), Split(0.2, 0.05), Split(0, 0.5)])
def test_the_shares_are_within_binomial_bounds(pattern: str, split: Split) -> None:
    count = 20_000
    counts = np.bincount(sides(split, [pattern.format(number) for number in range(count)]), minlength=3)
    for side, share in (
        (TEST, split.test),
        (VALIDATION, split.validation),
        (TRAIN, 1 - split.test - split.validation),
    ):
        assert abs(counts[side] - count * share) <= 5 * np.sqrt(count * share * (1 - share))


@pytest.mark.parametrize("shares", [(-0.1, 0.1), (0.5, 0.5), (float("nan"), 0.1), (0.1, float("inf"))])
def test_shares_that_are_none_are_refused(shares: Any) -> None:
    with pytest.raises(DatasetInvalid, match="below 1"):
        Split(*shares)


@given(st.integers(0, 300), st.integers(0, 2**64), st.integers(0, 2**40))
def test_an_epoch_has_every_image_once(count: int, seed: int, epoch: int) -> None:
    order = epoch_order(count, seed, epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(count))
    assert order.tolist() == epoch_order(count, seed, epoch).tolist()


def test_each_epoch_and_each_seed_has_an_order_of_its_own() -> None:
    orders = {tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(20) for epoch in range(20)}
    assert len(orders) == 400


def test_the_order_is_the_same_on_every_machine() -> None:
    assert epoch_order(8, 123, 1).tolist() == [4, 3, 0, 1, 6, 2, 5, 7]


def test_the_order_is_of_chance() -> None:
    """The first image of 10,000 epochs is each of ten equally often: chi-squared of 9 degrees, p = 1e-6."""
    firsts = np.bincount([epoch_order(10, 5, epoch)[0] for epoch in range(10_000)], minlength=10)
    assert ((firsts - 1000) ** 2 / 1000).sum() < 45.1
