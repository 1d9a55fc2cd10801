"""Drift over real Kudu: four changes made on purpose are found, twenty windows without one are silent; bad input."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from flumen.cli.looking_back import drift as drift_command
from flumen.interceptor.batch import Batch, ImageMessage, plain
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.statistics.step import Statistics, measure
from flumen.replay.drift import Drift, Reference, Scope, Span, find_drift, scan
from flumen.replay.drift.page import drift_page
from flumen.replay.errors import BadQuery, NothingToCompare, ReferenceUnusable
from flumen.replay.images.tables import MemoryTables
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink

HOUR_US = 3_600_000_000
START_US = 500_000 * HOUR_US
REFERENCE_IMAGES, WINDOW_IMAGES, UNCHANGED = 1500, 250, 20
CHANGES = ("inverted", "darker", "another class mix", "another camera")
LABELS = tuple("0123456789")
SPAN = Span(START_US, START_US + HOUR_US)
REFERENCE = Reference("the first hour", SPAN)
SCOPE = Scope(model="mnist", version=1, width_us=HOUR_US)
COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("source", Kind.STRING, ""),
    Column("sha256", Kind.STRING, ""),
    Column("camera_model", Kind.STRING, ""),
    Column("knownlabel", Kind.INT32, ""),
    Column("ingested_at", Kind.TIMESTAMP, ""),
    Column("prediction", Kind.INT32, ""),
    Column("label", Kind.STRING, ""),
    Column("confidence", Kind.FLOAT, ""),
    Column("model", Kind.STRING, ""),
    Column("model_version", Kind.INT32, ""),
    Column("image_as_pgm", Kind.BINARY, ""),
    *Statistics.columns,
)


def window(hour: int, images: int, random: np.random.Generator, change: str = "") -> dict[str, Any]:
    """Return the columns of an hour's images: digits' grey on black, measured as a worker measures them."""
    shares = [0.1] * 10 if change != "another class mix" else [0.55, *[0.05] * 9]
    classes = random.choice(10, images, p=shares)
    pixels: NDArray[np.uint8] = random.integers(0, 256, (images, 6, 6)).astype(np.uint8)
    pixels[random.random(pixels.shape) < random.uniform(0.6, 0.8, (images, 1, 1))] = 0
    if change == "inverted":
        pixels = 255 - pixels
    if change == "darker":
        pixels = (pixels * 0.8).astype(np.uint8)
    confidence = random.beta(20, 1, images)
    camera = "x100" if change == "another camera" else "<script>alert(1)</script>"
    known = np.where(random.random(images) < confidence, classes, (classes + 1) % 10)
    return {
        "id": [f"{hour}-{row}" for row in range(images)],
        "source": ["north" if row % 2 else "south" for row in range(images)],
        "sha256": [f"{hour}-{row}" for row in range(images)],
        "camera_model": [camera if each < 0.9 else None for each in random.random(images)],
        # Of the reference and every second hour, labels are known.
        "knownlabel": known.astype(np.int32).tolist() if hour % 2 or not hour else [None] * images,
        "ingested_at": (START_US + hour * HOUR_US + random.integers(0, HOUR_US, images)).tolist(),
        "prediction": classes.astype(np.int32),
        "label": [LABELS[each] for each in classes],
        "confidence": confidence.astype(np.float32),
        "model": ["mnist"] * images,
        "model_version": np.full(images, 1, np.int32),
        **{name: plain(values) for name, values in measure(pixels).items()},
    }


def hours() -> list[tuple[int, int, str]]:
    """Return the hours with their images: a reference, twenty unchanged, one left empty, and one of each change."""
    unchanged = [(hour, WINDOW_IMAGES, "") for hour in range(1, UNCHANGED + 1)]
    changed = [(UNCHANGED + 2 + number, WINDOW_IMAGES, change) for number, change in enumerate(CHANGES)]
    return [(0, REFERENCE_IMAGES, ""), *unchanged, *changed]


HOUR_OF = {change: hour for hour, _, change in hours() if change}


@pytest.fixture(scope="module")
def kudu(flumen_stack: Any, tmp_path_factory: pytest.TempPathFactory) -> KuduOptions:
    options = KuduOptions(
        masters=flumen_stack.kudu_masters,
        table_prefix=f"{tmp_path_factory.mktemp('drift').name}_{os.getpid()}_",
        partitions=2,
    )
    random = np.random.default_rng(14)
    sink = KuduSink(options, COLUMNS)
    sink.connect()
    for hour, images, change in hours():
        columns = window(hour, images, random, change)
        batch = Batch([ImageMessage(image_id, b"x", 0) for image_id in columns["id"]], columns)
        assert not sink.write(batch)
    sink.close()
    return options


@pytest.fixture(scope="module")
def reader(kudu: KuduOptions) -> Any:
    reader = KuduReader(kudu)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def found(reader: KuduReader) -> Drift:
    return find_drift(scan(reader, SCOPE, REFERENCE), SCOPE, REFERENCE)


def drifted(found: Drift) -> dict[int, set[str]]:
    """Return the columns that have drifted, by the hour."""
    columns: dict[int, set[str]] = {}
    for each in found.drifted:
        columns.setdefault((each.start - START_US) // HOUR_US, set()).add(each.column)
    return columns


def test_each_of_four_changes_is_found_where_it_was_made_and_twenty_unchanged_windows_are_silent(
    found: Drift,
) -> None:
    columns = drifted(found)
    assert set(columns) == set(HOUR_OF.values())
    assert {"luminance_mean", "luminance_min"} <= columns[HOUR_OF["inverted"]]
    assert "luminance_max" in columns[HOUR_OF["darker"]]
    assert columns[HOUR_OF["another class mix"]] == {"label"} | (
        {"knownlabel"} if HOUR_OF["another class mix"] % 2 else set()
    )
    assert columns[HOUR_OF["another camera"]] == {"camera_model"}
    assert found.rows == sum(images for _, images, _ in hours())


def test_an_hour_without_images_stands_in_the_table_and_accuracy_is_true_where_labels_are(
    found: Drift,
) -> None:
    by_hour = {((each.start or 0) - START_US) // HOUR_US: each for each in found.windows}
    assert list(by_hour) == list(range(1, UNCHANGED + 2 + len(CHANGES)))
    assert by_hour[UNCHANGED + 1].images == 0
    assert by_hour[1].labelled == WINDOW_IMAGES
    assert by_hour[2].labelled == 0
    estimated = by_hour[1].sure / WINDOW_IMAGES
    assert abs(estimated - by_hour[1].right / WINDOW_IMAGES) < 4 * (0.05 * 0.95 / WINDOW_IMAGES) ** 0.5
    assert any("null in every image" in each and "red_mean" in each for each in found.remainders)


def test_tables_in_memory_give_the_same(reader: KuduReader, found: Drift) -> None:
    names = reader.schema("images").names
    whole = pa.Table.from_batches(list(reader.scan("images", names)))
    twin = MemoryTables({"images": whole}, token_rows=700, batch_rows=90)
    again = find_drift(scan(twin, SCOPE, REFERENCE), SCOPE, REFERENCE)
    ratios = {(each.start, each.column): each.distances.ratio for each in found.found}
    assert {(each.start, each.column): each.distances.ratio for each in again.found} == pytest.approx(ratios)
    assert [each.right for each in again.windows] == [each.right for each in found.windows]


def test_a_condition_and_a_beginning_leave_the_others_out(reader: KuduReader) -> None:
    since = START_US + (UNCHANGED + 1) * HOUR_US + 5
    scope = Scope(
        model="mnist",
        version=1,
        width_us=HOUR_US,
        since_us=since,
        where="source like 'n%' and length(label) = 1",
    )
    part = find_drift(scan(reader, scope, REFERENCE), scope, REFERENCE)
    assert len(part.windows) == len(CHANGES)
    assert part.reference is not None
    assert part.reference.images == REFERENCE_IMAGES / 2
    assert drifted(part)[HOUR_OF["another camera"]] == {"camera_model"}


@pytest.mark.parametrize(
    ("scope", "reference", "error", "says"),
    [
        (
            Scope(model="mnist", version=9, width_us=HOUR_US),
            REFERENCE,
            ReferenceUnusable,
            "has 0 images that mnist@9",
        ),
        (SCOPE, Reference("a minute", Span(1, 2)), ReferenceUnusable, "name a longer time"),
        (
            Scope(model="mnist", version=1, width_us=HOUR_US, where="lable = '1'"),
            REFERENCE,
            BadQuery,
            "camera_model",
        ),
        (
            Scope(model="mnist", version=1, width_us=HOUR_US, since_us=START_US * 2),
            REFERENCE,
            NothingToCompare,
            "mnist@1",
        ),
        (Scope(model="mnist", version=1, width_us=1_000_000), REFERENCE, BadQuery, "--window 1d"),
    ],
)
def test_bad_input_is_told(
    reader: KuduReader, scope: Scope, reference: Reference, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        find_drift(scan(reader, scope, reference), scope, reference)


def test_a_page_tells_it_and_shows_nothing_of_what_came_from_outside_as_markup(found: Drift) -> None:
    page = drift_page(found, datetime(2027, 1, 15, tzinfo=UTC))
    assert "Drift: 4 of 24 windows" in page
    assert "luminance_mean" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.fixture
def command(kudu: KuduOptions, models_root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("FLUMEN_KUDU_MASTERS", kudu.masters)
    monkeypatch.setenv("FLUMEN_KUDU_TABLE_PREFIX", kudu.table_prefix)
    monkeypatch.setenv("FLUMEN_MODELS_ROOT", str(models_root))
    app = typer.Typer()
    app.command("drift")(drift_command.drift)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_the_command_prints_json_and_a_line_of_verdict_and_writes_a_page(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    said = f"{datetime.fromtimestamp(START_US / 1e6, UTC):%Y-%m-%dT%H:%M}"
    ends = f"{datetime.fromtimestamp(START_US / 1e6 + 3600, UTC):%Y-%m-%dT%H:%M}"
    page = tmp_path / "drift.html"
    done = command(
        "mnist@1", "--reference", f"{said}..{ends}", "--window", "1h", "--json", "--page", str(page)
    )
    told = json.loads(done.stdout_bytes)
    assert {each["column"] for each in told["found"] if each["drifted"]} >= {"camera_model", "label"}
    assert told["verdict"].startswith("Drift: 4 of 24 windows")
    assert page.read_text().startswith("<!DOCTYPE html>")
