"""The watch of a worker: one line for a change, whatever changes with it, and none where nothing does."""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
from images import Brightness
from structlog.testing import capture_logs
from worker_statuses import SAID_AT, worker_status

from flumen.cli.models.fleet_table import COLUMNS, _cells
from flumen.interceptor import Batch
from flumen.interceptor.batch import ImageMessage
from flumen.streams.control.operator.fleet import Seen
from flumen.streams.control.operator.fleet_rows import worker_row
from flumen.streams.control.records import DriftStatus, parse_status, to_json
from flumen.streams.live.drift_watch import CLASSES, MOST_CLASSES, DriftWatch
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.settings import DriftSettings

CHANGES = ("inverted", "darker", "another class mix", "another camera")


class Ten(Brightness):
    labels = tuple("0123456789")


def batch(random: np.random.Generator, images: int, change: str = "", classes: int = 10) -> Batch:
    """Return a batch of digits as a worker has it: mostly sure, dark, of equally many of each class."""
    shares = np.full(classes, 1 / classes)
    if change == "another class mix":
        shares = np.array([0.4, *[0.6 / (classes - 1)] * (classes - 1)])
    mean, std = random.normal(33, 10, images), random.normal(75, 8, images)
    sure = random.beta(30, 1, images)
    if change == "inverted":
        mean, sure = 255 - mean, random.beta(2, 2, images)
    if change == "darker":
        mean, std = mean * 0.8, std * 0.8
    if change == "another camera":
        std = std + 6
    return Batch(
        cast(list[ImageMessage], [None] * images),
        {
            "confidence": sure.astype(np.float32),
            "prediction": random.choice(classes, images, p=shares).astype(np.int32),
            "luminance_mean": mean.astype(np.float32),
            "luminance_std": std.tolist(),
        },
    )


def sizes(random: np.random.Generator, images: int) -> Iterator[int]:
    while images > 0:
        yield (size := int(random.integers(1, 400)))
        images -= size


class Watched:
    def __init__(self, model: Any = None, **settings: Any) -> None:
        self.metrics = Metrics()
        self.told = 0
        self.watch = DriftWatch(DriftSettings(**settings), self.metrics, self.tell)
        self.model = model or Ten()

    def tell(self) -> None:
        self.told += 1

    def see(self, random: np.random.Generator, images: int, change: str = "", classes: int = 10) -> list[Any]:
        """Let images come in batches of any size; return what is logged."""
        with capture_logs() as lines:
            for size in sizes(random, images):
                self.watch.look(batch(random, size, change, classes), self.model)
        return lines

    @property
    def alarms(self) -> float:
        (metric,) = self.metrics.drift_alarms.collect()
        return next(each.value for each in metric.samples if each.name.endswith("_total"))

    def scores(self) -> dict[str, float]:
        (metric,) = self.metrics.drift_score.collect()
        return {each.labels["statistic"]: each.value for each in metric.samples}


@pytest.mark.parametrize("change", CHANGES)
def test_a_stream_that_changes_raises_one_line_and_one_metric_and_that_is_over_when_it_changes_back(
    change: str,
) -> None:
    random = np.random.default_rng(5)
    watched = Watched()
    assert watched.see(random, 60_000) == []
    (line,) = watched.see(random, 20_000, change)
    assert line["log_level"] == "warning"
    assert line["changed"]
    assert watched.alarms == 1
    assert max(watched.scores().values()) > 1
    status = watched.watch.status
    assert status is not None
    assert status.statistics == line["changed"]
    (line,) = watched.see(random, 60_000)
    assert line["event"] == "what arrives is again as it was"
    assert watched.watch.status is None
    assert watched.alarms == 1
    assert watched.told == 2


def test_false_alarms_are_as_rare_as_is_set() -> None:
    """One in 20,000 images may be expected at most, though the first are a sample: 20 in 400,000."""
    random = np.random.default_rng(11)
    watched = Watched(drift_false_alarm_images=20_000)
    watched.see(random, 400_000)
    assert watched.alarms <= 20


def test_another_model_begins_anew_and_what_changed_for_the_former_is_forgotten() -> None:
    random = np.random.default_rng(2)
    watched = Watched()
    watched.see(random, 6000)
    watched.see(random, 2000, "inverted")
    assert watched.watch.status is not None
    watched.model = Ten()
    watched.model.version = 9
    watched.see(random, 1, "inverted")
    assert watched.scores() == {}
    assert watched.see(random, 20_000, "inverted") == []
    assert watched.watch.status is None


def test_very_many_classes_take_no_more_than_a_few_and_a_chain_without_statistics_is_watched_too() -> None:
    random = np.random.default_rng(3)
    model = Ten()
    model.labels = tuple(f"class {number}" for number in range(5000))
    watched = Watched(model)
    with capture_logs() as lines:
        for _ in range(40):
            whole = batch(random, 500, classes=5000)
            watched.watch.look(whole.without("luminance_mean", "luminance_std"), model)
    assert lines == []
    assert watched.watch._learnt is not None
    assert len(watched.watch._learnt.mean) == 3 + MOST_CLASSES + 1
    assert watched.watch._first == []
    assert set(watched.scores()) == {"confidence", "luminance_mean", "luminance_std", CLASSES}


def test_what_is_switched_off_and_what_has_no_answers_is_not_looked_at() -> None:
    random = np.random.default_rng(3)
    off = Watched(drift_watch=False)
    off.see(random, 6000)
    off.see(random, 6000, "inverted")
    assert off.scores() == {}
    off.watch.look(batch(random, 3).without("confidence"), off.model)
    on = Watched()
    on.watch.look(batch(random, 3).without("confidence"), on.model)
    assert on.watch._seen == 0


@pytest.mark.parametrize(
    ("name", "hostile"),
    [
        ("luminance_mean", "bright"),
        ("luminance_std", [1.0, 2.0]),
        ("confidence", {"sure": 1}),
        ("prediction", None),
        ("prediction", 10),
    ],
)
@pytest.mark.parametrize("behind", [0, 600])
def test_a_column_of_anything_ends_the_watch_of_a_model_once_and_never_the_worker(
    name: str, hostile: object, behind: int
) -> None:
    """An interceptor of somebody's own may write what it likes there, before the reference is whole and after it."""
    random = np.random.default_rng(4)
    watched = Watched(drift_reference_images=500)
    watched.see(random, behind)
    with capture_logs() as lines:
        for _ in range(700 // 50):
            watched.watch.look(batch(random, 50).with_columns(**{name: [hostile] * 50}), watched.model)
    assert [line["event"] for line in lines] == [
        "what arrives is no longer watched; a column cannot be compared"
    ]
    assert watched.watch._first == []
    watched.model = Ten()
    watched.model.version = 9
    watched.see(random, 600)
    assert [line["log_level"] for line in watched.see(random, 2000, "inverted")] == ["warning"]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, None])
def test_what_is_no_number_is_left_out(odd: float | None) -> None:
    random = np.random.default_rng(4)
    watched = Watched(drift_reference_images=500)
    for _ in range(40):
        whole = batch(random, 50)
        mean = [odd if row % 5 == 0 else each for row, each in enumerate(whole.columns["luminance_mean"])]
        watched.watch.look(whole.with_columns(luminance_mean=mean), watched.model)
    assert all(np.isfinite(each) for each in watched.scores().values())
    assert watched.alarms == 0
    assert watched.see(random, 2000, "inverted")


def test_a_status_says_it_only_where_there_is_something_to_say() -> None:
    random = np.random.default_rng(5)
    watched = Watched()
    assert b"drift" not in to_json(worker_status())
    watched.see(random, 6000)
    watched.see(random, 6000, "darker")
    status = worker_status(drift=watched.watch.status)
    assert parse_status(to_json(status)) == status


def test_the_table_of_a_fleet_names_the_first_that_changed_and_programs_get_all() -> None:
    drift = DriftStatus(("confidence", "class \x1b[2J", "luminance_mean", "luminance_std"), SAID_AT)
    seen = Seen(worker_status(drift=drift), age_s=1.0, is_silent=False)
    row = dict(zip(COLUMNS, _cells(seen), strict=True))
    assert row["drift"] == "confidence, class \\x1b[2J, luminance_mean and 1 more"
    assert worker_row(seen)["drift"] == {"statistics": list(drift.statistics), "since": SAID_AT}
    assert worker_row(Seen(worker_status(), age_s=1.0, is_silent=False))["drift"] is None
