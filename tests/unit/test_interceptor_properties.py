"""Whatever comes in: no exception out, counts add up, order is kept, every answer belongs to its image."""

import io

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from images import FORMATS, animation, batch, context, encoded, gradient, sample
from PIL import Image

from flumen.interceptor import Batch, ImageMessage, Intercepted, Limits, intercept, load_chain
from flumen.interceptor.errors import Unclassifiable

SAMPLES = {
    **{name: sample(name) for name in FORMATS},
    **{f"animated {name}": animation(name) for name in ("GIF", "PNG", "WEBP", "TIFF")},
    "progressive": encoded(Image.fromarray(gradient()), "JPEG", progressive=True),
    "interlaced palette": encoded(Image.fromarray(gradient()).convert("P"), "GIF", interlace=1),
    "LZW": encoded(Image.fromarray(gradient()), "TIFF", compression="tiff_lzw"),
    "16 bit": encoded(Image.fromarray(gradient().astype(np.uint16) * 257)),
    "transparent": encoded(Image.new("RGBA", (30, 20), (9, 8, 7, 6))),
}

# Small enough that a header changed by chance to a large size costs no time; bombs have tests of their own.
CONTEXT = context(limits=Limits(max_image_bytes=100_000, max_image_pixels=250_000))

# Time is no property here: a machine under load must not fail these tests.
without_deadline = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid image with some bytes changed, some taken out, and cut off somewhere."""
    content = bytearray(SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))])
    # Half of the changes go to the header, where they do more.
    places = st.integers(0, len(content) - 1) | st.integers(0, min(63, len(content) - 1))
    for place, value in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        content[place] = value
    start = draw(places)
    del content[start : start + draw(st.sampled_from([0, 0, 0, 1, 2, 40]))]
    return bytes(content[: draw(st.just(len(content)) | st.integers(0, len(content)))])


contents = st.binary(max_size=200) | mutated() | st.sampled_from(list(SAMPLES.values()))
texts = st.text(st.characters(exclude_categories=()), max_size=20)  # with NUL and lone surrogates
messages = st.builds(
    ImageMessage,
    id=texts,
    content=contents,
    arrived_at=st.integers(0, 2**62),
    source=texts,
    name=texts,
    known_label=st.none() | st.integers(),
    defect=st.none() | st.none() | st.none() | texts.map("{}; correct it".format),
)


def assert_adds_up(images: list[ImageMessage], result: Intercepted) -> None:
    positions = {id(image): position for position, image in enumerate(images)}
    came_out = [positions[id(image)] for image in result.oks.images]
    rejected = [positions[id(reject.image)] for reject in result.errs]
    assert came_out == sorted(came_out)
    assert sorted(came_out + rejected) == list(range(len(images)))
    assert all(len(values) == len(result.oks) for values in result.oks.columns.values())
    for reject in result.errs:
        assert isinstance(reject.error, Unclassifiable)
        message = str(reject.error)
        assert message.startswith(("image '", 'image "'))
        assert "; " in message, "a rejection says what to do"
        message.encode()


@without_deadline
@given(st.lists(messages, max_size=8))
@example([ImageMessage("\ud800", b"", 0, defect="a header that is not UTF-8: \udcff; correct it")])
def test_any_messages(images: list[ImageMessage]):
    result = intercept(Batch(images), CONTEXT, load_chain())
    assert_adds_up(images, result)
    columns = result.oks.columns
    for row, image in enumerate(result.oks.images):
        assert columns["id"][row] == image.id
        assert columns["size_bytes"][row] == len(image.content)
        view = Image.open(io.BytesIO(columns["image_as_pgm"][row]))
        assert np.array_equal(np.asarray(view), columns["pixels"][row])
        assert columns["probabilities"][row].argmax() == columns["prediction"][row]
        assert columns["width"][row] * columns["height"][row] <= CONTEXT.limits.max_image_pixels


@settings(without_deadline, max_examples=300)
@given(mutated())
def test_mutated_images(content: bytes):
    images = batch(content)
    assert_adds_up(list(images.images), intercept(images, CONTEXT, load_chain()))


@without_deadline
@given(st.lists(contents.filter(len), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_an_answer_does_not_depend_on_the_images_beside_it(inputs: list[bytes], random):
    images = list(batch(*inputs).images)
    shuffled = images.copy()
    random.shuffle(shuffled)
    assert answers(shuffled) == answers(images)


def answers(images: list[ImageMessage]) -> dict[str, object]:
    result = intercept(Batch(images), CONTEXT, load_chain())
    columns = result.oks.columns
    oks = zip(columns["id"], columns["image_as_pgm"], columns["prediction"].tolist(), strict=True)
    return {
        **{image_id: (view, prediction) for image_id, view, prediction in oks},
        **{reject.image.id: str(reject.error) for reject in result.errs},
    }


def test_cut_anywhere():
    chain = load_chain()
    for name, content in SAMPLES.items():
        cuts = batch(*(content[:end] for end in range(1, len(content), max(1, len(content) // 200))))
        result = intercept(cuts, CONTEXT, chain)
        assert_adds_up(list(cuts.images), result)
        if "animated" not in name:  # of which the first frame is enough
            assert len(result.errs) > len(cuts) // 2, f"most of a {name} image is needed"
