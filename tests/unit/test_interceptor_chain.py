import re
import sys
import tomllib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from images import batch, context, encoded, gradient, grey
from PIL import Image

from flumen.interceptor import DEFAULT_CHAIN, Preprocess, intercept, load_chain
from flumen.interceptor.chain import PART_DECODED_BYTES, kept_bytes
from flumen.interceptor.errors import ColumnConflict, UnknownInterceptor

DOCUMENT = Path(__file__).parents[2] / "docs" / "interceptors.md"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a distribution of one module as pip does: module and metadata in a folder on the path."""

    def install(module: str, code: str, entry_points: dict[str, str]) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        metadata = tmp_path / f"{module}-1.0.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0.0\n")
        lines = "".join(f"{name} = {target}\n" for name, target in entry_points.items())
        (metadata / "entry_points.txt").write_text(f"[flumen.interceptors]\n{lines}")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def blocks_of_the_document(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_a_batch_through_the_whole_chain():
    images = batch(grey(0), b"no image", encoded(Image.fromarray(gradient(100, 50))), b"", grey(255))
    chain = load_chain()
    result = intercept(images, context(), chain)
    assert [image.id for image in result.oks.images] == ["image-0", "image-2", "image-4"]
    assert result.oks.columns["prediction"].tolist()[::2] == [0, 9]
    assert [(reject.image.id, reject.stage) for reject in result.errs] == [
        ("image-3", "envelope"),
        ("image-1", "decode"),
    ]
    declared = [column.name for interceptor in chain for column in interceptor.columns]
    assert set(result.oks.columns) - set(declared) == {"pixels", "probabilities"}
    # Grey, and without metadata: a column that is null in every row is not there.
    nulls = set(declared) - set(result.oks.columns)
    assert {"red_mean", "camera_make", "metadata_errors"} <= nulls
    assert not nulls & {"id", "format", "luminance_mean", "palette", "color_mode", "prediction"}


def test_large_images_go_in_parts_and_come_out_as_one_batch(monkeypatch):
    contents = [grey(7), b"no image", encoded(Image.new("RGB", (30, 20), "red")), b"", grey(255), grey(9)]
    whole = intercept(batch(*contents), context(), load_chain())
    monkeypatch.setattr("flumen.interceptor.chain.PART_BYTES", len(contents[0]) + 1)
    parts = intercept(batch(*contents), context(), load_chain())
    assert list(parts.oks.images) == list(whole.oks.images)
    assert {(reject.image.id, reject.stage) for reject in parts.errs} == {
        ("image-1", "decode"),
        ("image-3", "envelope"),
    }
    assert whole.oks.columns["red_mean"] == [None, 255.0, None, None], "some of the parts have no such column"
    assert parts.oks.columns.keys() == whole.oks.columns.keys()
    for name, values in whole.oks.columns.items():
        assert np.array_equal(np.asarray(parts.oks.columns[name]), np.asarray(values)), name
    one_by_one = context()
    intercept(batch(*contents), one_by_one, load_chain())
    assert len(one_by_one.classifier.batches) > 1
    assert sum(one_by_one.classifier.batches) == 4


def test_parts_are_of_so_many_pixels_however_few_bytes_they_take():
    """Views of 512 x 512 in colour: 42 of them are 32 MiB; and what the model sees of small images counts, too."""
    flat = encoded(Image.new("RGB", (512, 512)))
    for content, preprocess, most in ((flat, None, 42), (grey(7), Preprocess(224, 224, channels=3), 37)):
        of_parts = context(preprocess)
        count = len(intercept(batch(*[content] * 50), of_parts, load_chain(("decode", "classify"))).oks)
        assert (of_parts.classifier.batches, count) == ([most, 50 - most], 50)
    digits = context()
    intercept(batch(*[grey(7)] * 500), digits, load_chain())
    assert digits.classifier.batches == [500]


def test_what_is_made_of_many_images_of_few_bytes_is_not_there_at_once():
    """Views of 100 images are 79 MB; of them at most 32 MiB are held, and none behind the chain."""
    flat = encoded(Image.new("RGB", (512, 512), "red"))
    assert len(flat) < 4_000
    images, chain = batch(*[flat] * 100), load_chain(("decode", "classify"))
    intercept(batch(flat), context(), chain)  # what is loaded at the first time counts for nobody
    tracemalloc.start()
    try:
        result = intercept(images, context(), chain)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(result.oks) == 100
    assert most < PART_DECODED_BYTES + 2 * 1024 * 1024
    assert kept < 100 * (kept_bytes(context().classifier) + 4_000)


@pytest.mark.parametrize("contents", [(), (b"",), (b"x", b"")])
def test_nothing_left_to_classify(contents):
    result = intercept(batch(*contents), context(), load_chain())
    assert len(result.oks) == 0
    assert len(result.errs) == len(contents)
    assert all(len(values) == 0 for values in result.oks.columns.values())
    assert result.oks.columns["pixels"].shape == (0, 28, 28)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UnknownInterceptor, match=r"named 'ink'; installed are: .*classify, decode, envelope"):
        load_chain([*DEFAULT_CHAIN, "ink"])


def test_two_interceptors_with_one_column(installed):
    code = """
from flumen.interceptor import Column, Kind

class Again:
    columns = (Column("label", Kind.STRING, "a second label"),)
"""
    installed("flumen_again", code, {"again": "flumen_again:Again"})
    with pytest.raises(ColumnConflict, match="two interceptors declare the column 'label'; rename one"):
        load_chain([*DEFAULT_CHAIN, "again"])


def test_the_worked_example_of_the_document(installed):
    (code,) = blocks_of_the_document("python")
    project, settings = (tomllib.loads(block) for block in blocks_of_the_document("toml"))
    installed("flumen_ink", code, project["project"]["entry-points"]["flumen.interceptors"])
    chain = load_chain(settings["interceptors"])

    half = np.zeros((28, 28), np.uint8)
    half[:14] = 200
    result = intercept(batch(grey(255), grey(0), encoded(Image.fromarray(half))), context(), chain)

    assert result.oks.columns["ink"].tolist() == [1.0, 0.5]
    assert result.oks.columns["prediction"].tolist() == [9, 3]
    (reject,) = result.errs
    assert (reject.stage, type(reject.error).__name__) == ("ink", "Blank")
    assert str(reject.error) == "image 'image-1': nothing on it is bright; photograph it with more light"
    assert intercept(batch(), context(), chain).oks.columns["ink"].tolist() == []
