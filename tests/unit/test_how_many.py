"""Counts as commands say them."""

import pytest

from flumen.cli.output import how_many


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (1_000_000, "1,000,000 images")]
)
def test_one_is_said_as_one(count: int, said: str) -> None:
    assert how_many(count, "image") == said
    assert how_many(count, "image is", "images are").startswith(said)
