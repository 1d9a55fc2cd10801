"""The photos that the benchmark draws: the same ones everywhere, and as much work as a camera's."""

import io

import numpy as np
from PIL import Image

from bench.photos import SIZE, encoded, source_images


def test_a_seed_gives_the_same_photos_in_turns_of_labels() -> None:
    photos = encoded(2)
    assert photos == encoded(2)
    assert [label for label, _ in photos] == [0, 1]
    assert photos[0][1] != photos[1][1]


def test_a_photo_is_neither_flat_nor_noise() -> None:
    [(_, content)] = encoded(1)
    assert 50_000 < len(content) < 80_000
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", SIZE)
    light = np.asarray(image.convert("L"), dtype=np.float64)
    assert light.std() > 20
    # What is next to one another is alike, as it is not in white noise (1.41), and not the same, as it is where flat.
    assert 0.02 < np.diff(light, axis=1).std() / light.std() < 0.5


def test_photos_to_publish_have_ids_of_their_own() -> None:
    sources = list(source_images(3))
    assert len({source.id for source in sources}) == 3
    assert all(source.content_type == "image/jpeg" for source in sources)
