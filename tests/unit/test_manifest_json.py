import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import LABELS, PIXELS, small_model

from flumen.interceptor.classifier import Preprocess
from flumen.models.errors import ManifestInvalid, ManifestTooNew
from flumen.models.manifest import (
    Golden,
    Manifest,
    ModelInput,
    Profile,
    Scores,
    Training,
    from_json,
    from_person,
    tensor_shape,
    to_json,
)

SHIPPED = Path(__file__).parents[2] / "models" / "shipped" / "mnist" / "1" / "manifest.json"

RECORDS = Path(__file__).parents[1] / "data" / "records"

shares = st.floats(0, 1)
sha256 = st.text("0123456789abcdef", min_size=64, max_size=64)
counts = st.integers(0, 2**53)
printable = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20)


@st.composite
def manifests(draw) -> Manifest:
    channels = draw(st.sampled_from([1, 3]))
    preprocess = Preprocess(
        width=draw(st.integers(1, 5)),
        height=draw(st.integers(1, 5)),
        channels=channels,
        threshold=draw(st.none() | st.integers(0, 255)),
        scale=draw(st.floats(allow_nan=False, allow_infinity=False)),
        mean=tuple(draw(st.lists(st.floats(-10, 10), min_size=channels, max_size=channels))),
        std=(draw(st.floats(1e-9, 1e9)),),
        layout=draw(st.sampled_from(["flat", "nchw", "nhwc"])),
    )
    labels = tuple(draw(st.lists(printable, min_size=1, max_size=4, unique=True)))
    size = preprocess.width * preprocess.height * channels
    golden = Golden(draw(st.binary(min_size=size, max_size=size)), (1.0, *[0.0] * (len(labels) - 1)))
    training = Training(
        data=draw(st.text()),
        data_sha256=draw(sha256),
        images=draw(counts),
        seed=draw(st.integers()),
        parameters=draw(st.dictionaries(printable, st.integers() | st.floats(0, 1) | printable, max_size=3)),
        duration_s=draw(st.floats(0, 1e9)),
        software=draw(st.dictionaries(printable, printable, max_size=2)),
    )
    confusion = tuple(tuple(draw(counts) for _ in labels) for _ in labels)
    scores = Scores(draw(sha256), draw(counts), *(draw(shares) for _ in range(4)), confusion)
    profile = Profile(
        tuple(draw(counts) for _ in labels), draw(st.floats(0, 255)), 7.5, draw(st.none() | shares)
    )
    manifest = small_model()[1]
    return replace(
        manifest,
        version=draw(st.integers(0, 999_999_999)),
        input=ModelInput("image", tensor_shape(preprocess), "float32", preprocess),
        labels=labels,
        golden=(golden,),
        training=draw(st.none() | st.just(training)),
        scores=draw(st.none() | st.just(scores)),
        profile=draw(st.none() | st.just(profile)),
    )


@settings(deadline=None)
@given(manifests())
def test_what_is_written_is_read_back(manifest):
    content = to_json(manifest)
    assert from_json(content) == manifest
    assert json.loads(content)["labels"] == list(manifest.labels)


def test_lists_of_numbers_stand_on_one_line():
    assert b'"confusion": [\n' in SHIPPED.read_bytes()
    assert b'"shape": [784],' in SHIPPED.read_bytes()


def paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from paths(part, (*path, key))


def change(document, path, value):
    if not path:
        return value
    changed = dict(document) if isinstance(document, dict) else list(document)
    changed[path[0]] = change(document[path[0]], path[1:], value)
    return changed


DOCUMENT = json.loads(SHIPPED.read_bytes())
DOCUMENT["golden"] = DOCUMENT["golden"][:1]
OPEN = {("training", "parameters"), ("training", "software")}


def at(document, path):
    for key in path:
        document = document[key]
    return document


OBJECTS = [path for path in paths(DOCUMENT) if isinstance(at(DOCUMENT, path), dict) and path not in OPEN]
WITH_DEFAULTS = ("input", "preprocess")


@pytest.mark.parametrize("path", OBJECTS)
def test_an_unknown_key_is_a_later_versions_or_a_slip_of_the_hand(path):
    document = change(DOCUMENT, path, {**at(DOCUMENT, path), "surprise": 1})
    content = json.dumps(document).encode()
    assert from_json(content) == from_json(json.dumps(DOCUMENT).encode())
    with pytest.raises(ManifestInvalid, match="surprise: there is no such key"):
        from_person(content, "mine.json")


def test_a_newer_schema_is_refused_with_what_to_do():
    from_json(json.dumps({**DOCUMENT, "schema": 1}).encode())
    with pytest.raises(ManifestTooNew, match="schema 2, and this version of flumen reads 1 at most"):
        from_json(json.dumps({"schema": 2, "whatever": "else"}).encode())


def test_what_is_written_has_no_key_that_the_last_release_refuses():
    """0.1.0 takes no key more than it knows."""
    written = json.loads(to_json(from_json(SHIPPED.read_bytes())))
    known = json.loads((RECORDS / "0.1.0" / "manifest.json").read_bytes())
    assert {path: set(at(written, path)) for path in OBJECTS} == {
        path: set(at(known, path)) for path in OBJECTS
    }


@pytest.mark.parametrize(
    ("path", "key"),
    [(path, key) for path in OBJECTS for key in at(DOCUMENT, path) if path != WITH_DEFAULTS],
)
def test_a_missing_key_is_named(path, key):
    document = change(
        DOCUMENT, path, {name: part for name, part in at(DOCUMENT, path).items() if name != key}
    )
    with pytest.raises(ManifestInvalid, match=key):
        from_json(json.dumps(document).encode(), "mnist's manifest")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), "../etc"),
        (("name",), "a/b"),
        (("name",), "mnist\n"),
        (("version",), "1"),
        (("version",), 1.0),
        (("version",), True),
        (("version",), -1),
        (("version",), 10**30),
        (("sha256",), "0" * 63),
        (("sha256",), "G" * 64),
        (("input", "dtype"), "float64"),
        (("input", "shape"), [783]),
        (("input", "shape"), []),
        (("input", "tensor"), ""),
        (("input", "preprocess", "width"), 0),
        (("input", "preprocess", "width"), 10**9),
        (("input", "preprocess", "channels"), 2),
        (("input", "preprocess", "threshold"), 256),
        (("input", "preprocess", "mean"), [0, 0]),
        (("input", "preprocess", "std"), [0]),
        (("input", "preprocess", "layout"), "chw"),
        (("input", "preprocess", "resize"), "squeeze"),
        (("input", "preprocess", "resampling"), "lanczos"),
        (("input", "preprocess", "crop"), 0),
        (("input", "preprocess", "crop"), 1.1),
        (("input", "preprocess", "crop"), 0.5),
        (("input", "preprocess", "fill"), 256),
        (("labels",), []),
        (("labels",), [f"\x00{label}" for label in range(10)]),
        (("labels",), [f"{label}" for label in range(11)]),
        (("golden",), []),
        (("golden", 0, "pixels"), "AAAA"),
        (("golden", 0, "pixels"), "not base64!"),
        (("golden", 0, "probabilities"), [0.5, 0.5]),
        (("golden", 0, "probabilities"), [0.2] * 10),
        (("golden", 0, "probabilities"), [2, -1, *[0] * 8]),
        (("scores", "accuracy"), 1.5),
        (("scores", "confusion"), [[1]]),
        (("profile", "class_counts"), [1, 2]),
        (("training", "duration_s"), -1),
    ],
)
def test_a_value_that_cannot_be_is_refused(path, value):
    from_json(json.dumps(DOCUMENT).encode())
    with pytest.raises(ManifestInvalid):
        from_json(json.dumps(change(DOCUMENT, path, value)).encode())


def test_a_share_is_cropped_where_it_is_cropped_at_all():
    cropping = change(DOCUMENT, ("input", "preprocess", "resize"), "crop")
    manifest = from_json(json.dumps(change(cropping, ("input", "preprocess", "crop"), 0.875)).encode())
    assert manifest.input.preprocess.crop == 0.875
    with pytest.raises(ManifestInvalid, match="resize is 'stretch', which takes nothing away"):
        from_json(json.dumps(change(DOCUMENT, ("input", "preprocess", "crop"), 0.875)).encode())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(number):
    text = json.dumps(change(DOCUMENT, ("input", "preprocess", "scale"), "HERE")).replace('"HERE"', number)
    with pytest.raises(ManifestInvalid, match=r"scale|number|JSON"):
        from_json(text.encode())


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"name":"\\ud800"}', b'{"a":' * 50_000],
)
def test_what_is_not_a_manifest_is_refused(content):
    with pytest.raises(ManifestInvalid, match="the manifest is not valid"):
        from_json(content)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(paths(DOCUMENT))), anything)
def test_any_value_anywhere_is_read_or_refused(path, value):
    try:
        manifest = from_json(json.dumps(change(DOCUMENT, path, value)).encode())
    except ManifestInvalid:
        return
    assert from_json(to_json(manifest)) == manifest


def test_a_shape_follows_the_layout():
    sizes = {"width": 4, "height": 3, "channels": 3}
    assert tensor_shape(Preprocess(**sizes, layout="flat")) == (36,)
    assert tensor_shape(Preprocess(**sizes, layout="nchw")) == (3, 3, 4)
    assert tensor_shape(Preprocess(**sizes, layout="nhwc")) == (3, 4, 3)
    assert small_model()[1].input.shape == (PIXELS,)
    assert small_model()[1].labels == LABELS
