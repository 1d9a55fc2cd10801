"""`flumen models register`, as a user calls it: an ONNX file and its facts become a version, or are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from large_images import endless_jpeg
from model_files import (
    FLOAT,
    HEIGHT,
    IMAGES,
    LABELS,
    PIXELS,
    WIDTH,
    folding_file,
    onnx_file,
    onnx_model,
    small_model,
)
from onnx import TensorProto, helper
from PIL import Image
from typer.testing import CliRunner, Result

from flumen.cli.models.app import app
from flumen.interceptor.preprocess import to_tensor
from flumen.models.describing import MADE_IMAGES
from flumen.models.errors import (
    BadModelName,
    CustomOperator,
    ExternalData,
    FileUnreadable,
    ManifestInvalid,
    ModelCorrupt,
    ModelEmpty,
    ModelTooLarge,
    NotADistribution,
    NotFinite,
    NotOnnx,
    TooMuchMemory,
    TooSlow,
    WrongLabelCount,
    WrongSignature,
)
from flumen.models.manifest import to_json
from flumen.models.repository import CHAMPION, Repository

FACTS = ("--name", "shapes", "--labels", ",".join(LABELS), "--size", f"{WIDTH}x{HEIGHT}", "--threshold", "30")
CONTENT, MANIFEST = small_model()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the small model's file; the repository is `models` in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUMEN_MODELS_ROOT", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "shapes.onnx").write_bytes(CONTENT)
    return tmp_path


def register(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["register", *map(str, arguments)])


def registered(*arguments: object) -> dict[str, Any]:
    result = register(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refused(*arguments: object) -> Exception:
    """Return why nothing was registered."""
    result = register(*arguments)
    assert isinstance(result.exception, Exception), result.output
    assert Repository("models").names() == []
    return result.exception


def test_a_file_and_its_facts_become_a_version_and_the_first_the_champion(folder: Path) -> None:
    found = registered("shapes.onnx", *FACTS)
    assert found == {"name": "shapes", "version": 1, "sha256": MANIFEST.sha256, "champion": True}
    repository = Repository("models")
    kept = repository.manifest("shapes", 1)
    assert (kept.input, kept.output, kept.labels) == (MANIFEST.input, MANIFEST.output, LABELS)
    assert len(kept.golden) == MADE_IMAGES
    assert (folder / "models" / "shapes" / "1" / "model.onnx").read_bytes() == CONTENT

    second = register("shapes.onnx", *FACTS)
    assert "Registered shapes@2" in second.stdout
    assert "flumen models activate shapes@2" in second.stdout
    assert repository.alias("shapes", CHAMPION) == 1
    classifier = repository.load("shapes", 2)
    assert classifier.probabilities(to_tensor(IMAGES, classifier.preprocess)).shape == (4, 3)


def test_golden_images_are_decoded_as_a_worker_does(folder: Path) -> None:
    for number, pixels in enumerate(IMAGES[:2]):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    registered("shapes.onnx", *FACTS, "--golden", "0.png", "--golden", "1.png")
    golden = Repository("models").manifest("shapes", 1).golden
    assert [one.pixels for one in golden] == [pixels.tobytes() for pixels in IMAGES[:2]]
    expected = [one.probabilities for one in MANIFEST.golden[:2]]
    np.testing.assert_allclose([one.probabilities for one in golden], expected, atol=1e-6)


def test_a_golden_image_is_decoded_within_a_workers_limits(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUMEN_MAX_DECODE_TIME_S", "0.3")
    (folder / "endless.jpg").write_bytes(endless_jpeg(1_000_000))
    reason = refused("shapes.onnx", *FACTS, "--golden", "endless.jpg")
    assert isinstance(reason, FileUnreadable)
    assert "the golden image endless.jpg: to decode it takes more than 0.3 s" in str(reason)


def test_a_whole_manifest_is_taken_as_it_is(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(to_json(MANIFEST))
    assert registered("shapes.onnx", "--manifest", "manifest.json")["version"] == 1
    assert Repository("models").manifest("shapes", 1).golden == MANIFEST.golden


def colour_model(shape: list[Any]) -> bytes:
    axes = [2, 3] if shape[0] == 3 else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=axes, keepdims=0),
        helper.make_node("Softmax", ["means"], ["probabilities"], axis=1),
    ]
    return onnx_file(nodes, reads=("image", FLOAT, ["n", *shape]))


@pytest.mark.parametrize(("shape", "layout"), [([3, 5, 7], "nchw"), ([5, 7, 3], "nhwc")])
def test_what_the_file_says_of_an_image_need_not_be_told(folder: Path, shape: list[int], layout: str) -> None:
    (folder / "colour.onnx").write_bytes(colour_model(shape))
    (folder / "labels.txt").write_text("red\ngreen\n\nblue\n")
    means = ("--mean", "0.5,0.4,0.3", "--std", "0.2")
    registered("colour.onnx", "--name", "colours", "--labels-file", "labels.txt", *means)
    kept = Repository("models").manifest("colours", 1)
    preprocess = kept.input.preprocess
    assert (preprocess.width, preprocess.height, preprocess.channels) == (7, 5, 3)
    assert (preprocess.layout, preprocess.mean, preprocess.std) == (layout, (0.5, 0.4, 0.3), (0.2,))
    assert kept.labels == ("red", "green", "blue")


@pytest.mark.parametrize(
    ("options", "picture", "shown"),
    [
        (
            ("--resize", "crop", "--crop", 0.875),
            ("crop", 0.875, 0, "bilinear"),
            "crop, 0.875 of a side, bilinear",
        ),
        (
            ("--resize", "pad", "--fill", 255, "--resampling", "bicubic"),
            ("pad", 1.0, 255, "bicubic"),
            "pad with 255, bicubic",
        ),
        ((), ("stretch", 1.0, 0, "bilinear"), "stretch, bilinear"),
    ],
)
def test_how_photos_are_resized_can_be_told_and_is_shown(
    folder: Path, options: tuple[object, ...], picture: tuple[object, ...], shown: str
) -> None:
    (folder / "colour.onnx").write_bytes(colour_model([3, 5, 7]))
    registered("colour.onnx", "--name", "colours", "--labels", "a,b,c", *options)
    kept = Repository("models").manifest("colours", 1).input.preprocess
    assert (kept.resize, kept.crop, kept.fill, kept.resampling) == picture
    assert shown in CliRunner().invoke(app, ["show", "colours"]).stdout


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ([3, "height", "width"], ("--size", "7x5")),
        ([3, 5, "width"], ("--size", "7x5")),
        (["height", "width", 3], ("--size", "7x5")),
        (["channels", "height", "width"], ("--size", "7x5", "--layout", "nhwc", "--channels", "3")),
    ],
)
def test_sizes_that_are_left_open_are_told(folder: Path, shape: list[Any], options: tuple[str, ...]) -> None:
    (folder / "open.onnx").write_bytes(colour_model(shape))
    facts = ("open.onnx", "--name", "colours", "--labels", "a,b,c")
    for given in range(0, len(options), 2):
        assert "give --" in str(refused(*facts, *options[:given]))
    registered(*facts, *options)
    kept = Repository("models").manifest("colours", 1).input.preprocess
    assert (kept.width, kept.height, kept.channels) == (7, 5, 3)


def test_what_is_told_does_not_go_against_the_file(folder: Path) -> None:
    (folder / "open.onnx").write_bytes(colour_model([3, 5, "width"]))
    error = refused("open.onnx", "--name", "colours", "--labels", "a,b,c", "--size", "5x7")
    assert isinstance(error, WrongSignature)


def with_map(*others: onnx.ValueInfoProto) -> bytes:
    """Return what scikit-learn's exporter makes unless it is told otherwise."""
    model = onnx_model(domains=("", "ai.onnx.ml"))
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, []))
    )
    names = {"classlabels_int64s": [0, 1, 2], "domain": "ai.onnx.ml"}
    model.graph.node.append(helper.make_node("ZipMap", ["probabilities"], ["maps"], **names))
    del model.graph.output[:]
    model.graph.output.extend([*others, helper.make_value_info("maps", kind)])
    return model.SerializeToString()


def test_maps_of_probabilities_are_refused_with_the_way_to_export_without_them(folder: Path) -> None:
    label = helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])
    tensor = helper.make_tensor_value_info("probabilities", FLOAT, ["n", 3])
    for content, options in (
        (with_map(), ()),
        (with_map(label), ()),
        (with_map(label), ("--output", "maps")),
        (with_map(tensor), ("--output", "maps")),
    ):
        (folder / "map.onnx").write_bytes(content)
        error = refused("map.onnx", *FACTS, *options)
        assert isinstance(error, WrongSignature)
        assert "'maps', a map of labels" in str(error)
        assert "to_onnx(model, options={'zipmap': False})" in str(error)
    assert registered("map.onnx", *FACTS, "--output", "probabilities")["version"] == 1


@pytest.mark.parametrize("labels", ["a,a,b", "crane,b,crane"])
def test_classes_may_have_one_label_and_it_is_told(folder: Path, labels: str) -> None:
    facts = [*FACTS[:2], "--labels", labels, *FACTS[4:]]
    result = register("shapes.onnx", *facts)
    first, second = (
        i for i, label in enumerate(labels.split(",")) if labels.count(label) > 1 and label != "b"
    )
    assert f"The classes {first} and {second}, counted from 0, have one label" in result.stderr
    assert Repository("models").manifest("shapes", 1).labels == tuple(labels.split(","))
    assert "have one label" not in register("shapes.onnx", *FACTS).stderr


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfred\r\ngreen\r\nblue\r\n",
        b"red\rgreen\rblue",
        b"\n  red\t\n\n   \ngreen   \nblue",
    ],
)
def test_a_file_of_labels_is_taken_as_any_editor_writes_it(folder: Path, content: bytes) -> None:
    (folder / "labels.txt").write_bytes(content)
    registered("shapes.onnx", *FACTS[:2], "--labels-file", "labels.txt", *FACTS[4:])
    assert Repository("models").manifest("shapes", 1).labels == ("red", "green", "blue")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("red\ngreen\nblue".encode("utf-16"), "labels.txt are UTF-16 or no text at all. Save it as UTF-8"),
        ("red\ngreen\nblue".encode("utf-16-le"), "Save it as UTF-8"),
        ("red\ngrün\nblue".encode("latin-1"), "not UTF-8: line 2 has the byte 0xfc"),
        ("red\ngr\u200been\nblue".encode(), r"labels.1: 'gr\u200been' has characters"),
        (b"", "labels"),
    ],
)
def test_a_file_that_holds_no_labels_is_refused(folder: Path, content: bytes, says: str) -> None:
    (folder / "labels.txt").write_bytes(content)
    error = refused("shapes.onnx", *FACTS[:2], "--labels-file", "labels.txt", *FACTS[4:])
    assert isinstance(error, ManifestInvalid | WrongLabelCount)
    assert says in str(error)


def test_a_manifest_with_a_byte_order_mark_is_a_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"\xef\xbb\xbf" + to_json(MANIFEST))
    assert registered("shapes.onnx", "--manifest", "manifest.json")["version"] == 1


def test_a_file_that_takes_too_long_or_too_much_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "slow.onnx").write_bytes(folding_file(side=4096, products=40))
    monkeypatch.setenv("FLUMEN_MAX_MODEL_LOAD_TIME_S", "0.3")
    assert isinstance(refused("slow.onnx", *FACTS), TooSlow)
    monkeypatch.setenv("FLUMEN_MAX_MODEL_LOAD_TIME_S", "600")
    monkeypatch.setenv("FLUMEN_MAX_MODEL_LOAD_MEMORY_BYTES", str(64 * 1024 * 1024))
    (folder / "large.onnx").write_bytes(folding_file(side=8192, products=1))
    assert isinstance(refused("large.onnx", *FACTS), TooMuchMemory)


def test_one_of_several_outputs_is_chosen(folder: Path) -> None:
    model = onnx_model()
    model.graph.output.append(helper.make_tensor_value_info("sums", FLOAT, ["n", 3]))
    (folder / "two.onnx").write_bytes(model.SerializeToString())
    assert "--output" in str(refused("two.onnx", *FACTS))
    assert registered("two.onnx", *FACTS, "--output", "probabilities")["version"] == 1


def with_external_data(location: str) -> bytes:
    model = onnx_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ModelEmpty),
        (CONTENT[:-40], NotOnnx),
        (with_external_data("weights.bin"), ExternalData),
        (with_external_data("../weights.bin"), ExternalData),
        (
            onnx_file([helper.make_node("X", ["image"], ["probabilities"], domain="my")], domains=("", "my")),
            CustomOperator,
        ),
        (onnx_file(reads=("image", FLOAT, ["n", PIXELS + 1])), WrongSignature),
        (onnx_file(reads=("image", TensorProto.DOUBLE, ["n", PIXELS])), WrongSignature),
        (onnx_file(answers=("probabilities", FLOAT, ["n", 4])), WrongLabelCount),
        (onnx_file([helper.make_node("MatMul", ["image", "weights"], ["probabilities"])]), NotADistribution),
        (onnx_file(weights=np.full((PIXELS, 3), np.nan, np.float32)), NotFinite),
    ],
)
def test_each_broken_file_is_refused_with_a_reason_of_its_own(
    folder: Path, content: bytes, reason: type[Exception]
) -> None:
    (folder / "weights.bin").write_bytes(np.zeros((PIXELS, 3), np.float32).tobytes())
    (folder / "broken.onnx").write_bytes(content)
    assert type(refused("broken.onnx", *FACTS)) is reason


def test_a_file_over_the_limit_is_not_looked_into(folder: Path) -> None:
    with (folder / "large.onnx").open("wb") as stream:
        stream.truncate(512 * 1024 * 1024 + 1)
    assert isinstance(refused("large.onnx", *FACTS), ModelTooLarge)


def test_a_manifest_of_another_file_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(to_json(MANIFEST))
    (folder / "other.onnx").write_bytes(onnx_file(weights=np.zeros((PIXELS, 3), np.float32)))
    assert isinstance(refused("other.onnx", "--manifest", "manifest.json"), ModelCorrupt)


@pytest.mark.parametrize(
    ("arguments", "reason", "says"),
    [
        (("nothing.onnx", *FACTS), FileUnreadable, "nothing.onnx"),
        ((".", *FACTS), FileUnreadable, "no file"),
        (("shapes.onnx", *FACTS, "--golden", "shapes.onnx"), FileUnreadable, "golden image shapes.onnx"),
        (("shapes.onnx", *FACTS, "--name", "../shapes"), BadModelName, "'../shapes'"),
        (("shapes.onnx", *FACTS, "--labels", "a,b"), WrongLabelCount, "2 labels"),
        (("shapes.onnx", *FACTS, "--labels", "a,,b"), ManifestInvalid, "labels"),
        (("shapes.onnx", *FACTS, "--layout", "diagonal"), ManifestInvalid, "layout"),
        (("shapes.onnx", *FACTS[:4]), ManifestInvalid, "--size"),
        (("shapes.onnx", *FACTS, "--size", "5x5"), WrongSignature, "[n, 25]"),
        (("shapes.onnx", *FACTS[:6], "--std", "0"), ManifestInvalid, "std"),
        (("shapes.onnx", "--manifest", "shapes.onnx"), ManifestInvalid, "shapes.onnx"),
    ],
)
def test_facts_that_do_not_fit_are_refused(
    folder: Path, arguments: tuple[str, ...], reason: type[Exception], says: str
) -> None:
    error = refused(*arguments)
    assert type(error) is reason
    assert says in str(error)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--name", "shapes"),
        ("--labels", "a,b,c"),
        (*FACTS, "--labels-file", "labels.txt"),
        (*FACTS, "--manifest", "manifest.json"),
        (*FACTS, "--scale", "1"),
        (*FACTS, "--size", "28"),
        (*FACTS[:6], "--mean", "grey"),
        (*FACTS, "--crop", "0.5"),
        (*FACTS, "--resize", "crop", "--fill", "9"),
    ],
)
def test_wrong_usage_is_told_from_refusal(folder: Path, arguments: tuple[str, ...]) -> None:
    assert register("shapes.onnx", *arguments).exit_code == 2
