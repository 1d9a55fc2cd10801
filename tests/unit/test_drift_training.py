"""Drift against what is known of a model's training."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import typer

from flumen.cli.looking_back.drift import _reference, _since_us, _time_us, _width_us
from flumen.models.errors import ManifestInvalid
from flumen.models.evaluation.calibration import Bin, Reliability
from flumen.models.manifest import MEAN_EDGES, Manifest, Profile, from_json, to_json
from flumen.models.repository import Repository
from flumen.models.trainers.making import _image_means
from flumen.replay.drift import Drift, Reference, Scope, find_drift, of_training, scan
from flumen.replay.drift.comparing import estimated_accuracy
from flumen.replay.drift.page import drift_page
from flumen.replay.drift.reference import Profile as Counts
from flumen.replay.errors import ReferenceUnusable
from flumen.replay.images.tables import MemoryTables

HOUR_US = 3_600_000_000
RELIABILITY = Reliability((Bin(0.4, 0.8, 1000, 0.6, 0.5), Bin(0.8, 1.0, 9000, 0.95, 0.9)), 0.01)
REPORTS = cast(Any, [SimpleNamespace(reliability=RELIABILITY)])


@pytest.fixture(scope="module")
def manifest(models_root: Path) -> Manifest:
    """The shipped model, with image means as a model of now has them."""
    found = Repository(models_root).manifest("mnist", 1)
    assert found.profile is not None
    counts = np.zeros(len(MEAN_EDGES) - 1, np.int64)
    counts[4:12] = 1000
    return replace(found, profile=replace(found.profile, image_means=tuple(counts.tolist())))


def tables(manifest: Manifest, images: int = 1000, mean: float = 0.0) -> MemoryTables:
    random = np.random.default_rng(8)
    assert manifest.scores is not None
    predicted = np.array(manifest.scores.confusion).sum(axis=0)
    classes = random.choice(len(predicted), images, p=predicted / predicted.sum())
    sure = np.where(random.random(images) < 0.9, 0.95, 0.6).astype(np.float32)
    columns = {
        "ingested_at": pa.array(np.arange(images) * 1000 + HOUR_US, pa.timestamp("us")),
        "label": pa.array([manifest.labels[each] for each in classes]),
        "prediction": pa.array(classes, pa.int32()),
        "knownlabel": pa.nulls(images, pa.int32()),
        "confidence": pa.array(sure),
        "luminance_mean": pa.array(random.uniform(16, 48, images) + mean, pa.float32()),
        "model": pa.array([manifest.name] * images),
        "model_version": pa.array([manifest.version] * images, pa.int32()),
    }
    return MemoryTables({"images": pa.table(columns)})


def found_in(manifest: Manifest, reports: Any, **how: Any) -> Drift:
    reference = of_training(manifest, reports)
    calibration = reports[0].reliability if reports else None
    scope = Scope(model=manifest.name, version=manifest.version, width_us=HOUR_US, calibration=calibration)
    return find_drift(scan(tables(manifest, **how), scope, reference), scope, reference)


def test_labels_confidence_and_mean_are_compared_with_what_is_known_and_confidence_is_calibrated(
    manifest: Manifest,
) -> None:
    found = found_in(manifest, REPORTS)
    assert {each.column for each in found.found} == {"label", "confidence", "luminance_mean"}
    assert found.drifted == []
    (window,) = found.windows
    assert window.sure / window.images == pytest.approx(0.9 * 0.9 + 0.1 * 0.5, abs=0.02)
    assert window.labelled == 0


def test_a_lighter_stream_has_drifted_in_its_mean_alone(manifest: Manifest) -> None:
    assert [each.column for each in found_in(manifest, REPORTS, mean=12.0).drifted] == ["luminance_mean"]


def test_an_answer_without_a_confidence_counts_for_no_estimate(manifest: Manifest) -> None:
    """NaN, null, and a table without the column: the estimate is of the others, and JSON has no NaN."""
    whole = tables(manifest)._tables["images"]
    some = np.where(np.arange(1000) % 4 == 0, np.nan, 0.9).astype(np.float32)
    for values in (pa.array(some), pa.array(some, from_pandas=True)):
        found = drift_of(whole.set_column(4, "confidence", values))
        (window,) = found.windows
        assert (window.images, window.confident) == (1000, 750)
        assert estimated_accuracy(window) == pytest.approx((0.9, 1.96 * (0.09 / 750) ** 0.5), abs=1e-3)
    found = drift_of(whole.drop_columns("confidence"))
    assert estimated_accuracy(found.windows[0]) is None
    assert 'id="accuracy"' not in drift_page(found, datetime(2027, 1, 1, tzinfo=UTC))


def drift_of(images: pa.Table) -> Drift:
    model, version = images["model"][0].as_py(), images["model_version"][0].as_py()
    scope = Scope(model=model, version=version, width_us=HOUR_US)
    reference = Reference("labels", None, {"label": Counts(np.full(10, 100), values=tuple("0123456789"))})
    return find_drift(scan(MemoryTables({"images": images}), scope, reference), scope, reference)


def test_what_is_not_known_is_named(manifest: Manifest, models_root: Path) -> None:
    shipped = Repository(models_root).manifest("mnist", 1)
    found = found_in(shipped, [])
    assert {each.column for each in found.found} == {"label"}
    assert any("flumen evaluate mnist@1" in each for each in found.remainders)
    assert any("image_means" in each for each in found.remainders)
    with pytest.raises(ReferenceUnusable, match=r"--reference FROM\.\.TO"):
        of_training(replace(manifest, profile=None, scores=None), [])


def test_image_means_are_counted_between_their_edges() -> None:
    pixels = np.zeros((4, 2, 2), np.uint8)
    pixels[1], pixels[2], pixels[3] = 4, 5, 255
    counts = _image_means(pixels)
    assert (counts[0], counts[1], counts[-1]) == (2, 1, 1)
    assert sum(counts) == 4


def test_a_manifest_keeps_image_means_and_refuses_those_of_other_bins(manifest: Manifest) -> None:
    assert from_json(to_json(manifest)) == manifest
    assert b"image_means" not in to_json(
        replace(manifest, profile=replace(_profile(manifest), image_means=None))
    )
    with pytest.raises(ManifestInvalid, match="image_means: 2 counts for 64 bins"):
        from_json(to_json(replace(manifest, profile=replace(_profile(manifest), image_means=(1, 2)))))


def _profile(manifest: Manifest) -> Profile:
    assert manifest.profile is not None
    return manifest.profile


@pytest.mark.parametrize(
    "call",
    [
        lambda manifest: _width_us("90s"),
        lambda manifest: _width_us("0h"),
        lambda manifest: _since_us("yesterday"),
        lambda manifest: _time_us("2027-13-01", "--since"),
        lambda manifest: _reference("last week", manifest, []),
        lambda manifest: _reference("2027-01-08..2027-01-01", manifest, []),
    ],
)
def test_wrong_usage_is_told(call: Any, manifest: Manifest) -> None:
    with pytest.raises(typer.BadParameter):
        call(manifest)


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert _time_us("1970-01-01T01:00", "--since") == HOUR_US
    assert _time_us("1970-01-01T01:00+01:00", "--since") == 0
    assert _width_us("2d") == 48 * HOUR_US
