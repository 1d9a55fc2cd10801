"""`flumen impact`, on a real Kudu: two models that learnt from different halves, held against a count by hand."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_images import digits, live, store

from flumen.cli.models.required_impact import has_arrived_after, require_impact
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Dataset, Labelled, read_dataset
from flumen.models.datasets.idx import read_idx
from flumen.models.manifest import UNREGISTERED
from flumen.models.repository import Repository
from flumen.models.settings import ModelSettings
from flumen.models.trainers.making import make_model
from flumen.models.trainers.network import NETWORK, Parameters
from flumen.replay.errors import ImpactUnreadable
from flumen.replay.impact.kept import ImpactRecords
from flumen.stores.kudu import KuduOptions
from flumen.streams.errors import ImpactInsufficient

COUNT = 400
BROKEN = 3
QUICK = Parameters(rate=0.01, epochs=1, batch_size=50, hidden=(16,))


@dataclass(frozen=True)
class World:
    root: Path
    environment: dict[str, str]
    known: np.ndarray
    old: np.ndarray
    new: np.ndarray

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        root = [] if "--root" in arguments else ["--root", str(self.root)]
        return subprocess.run(
            [sys.executable, "-m", "flumen", "impact", *arguments, *root],
            check=False,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=240,
        )

    def told(self, *arguments: str) -> Any:
        done = self.command("halves@1", "halves@2", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def world(flumen_stack: Any, mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("impact")
    repository = Repository(folder / "models")
    whole = read_dataset(mnist)
    for rows in (slice(0, 2000), slice(2000, 4000)):
        half = Labelled(whole.train.pixels[rows], whole.train.labels[rows])
        test = Labelled(whole.test.pixels[:200], whole.test.labels[:200])
        made = make_model("halves", Dataset(train=half, test=test), NETWORK, QUICK)
        repository.register(made.content, made.manifest)
    other = make_model(
        "others", Dataset(train=half, test=test, labels=(*"012345678", "nine")), NETWORK, QUICK
    )
    repository.register(other.content, other.manifest)
    letters = make_model(
        "letters", Dataset(train=half, test=test, labels=tuple("abcdefghij")), NETWORK, QUICK
    )
    repository.register(letters.content, letters.manifest)
    models = [repository.load("halves", version) for version in (1, 2)]
    known = whole.test.labels[:COUNT].astype(np.int64)
    labels: list[int | None] = [None if row % 4 == 0 else int(label) for row, label in enumerate(known)]
    files = digits(mnist, COUNT)
    # Those that `digits` makes large are other pictures: they are left out by --where below.
    prefix = f"{folder.name}_{os.getpid()}_"
    options = KuduOptions(masters=flumen_stack.kudu_masters, table_prefix=prefix, partitions=2)
    store(options, live(files, models[0]).with_columns(knownlabel=labels))
    pixels = read_idx(mnist / "t10k-images-idx3-ubyte.gz")[:COUNT]
    answers = [model.probabilities(to_tensor(pixels, model.preprocess)).argmax(axis=1) for model in models]
    environment = {
        "FLUMEN_KUDU_MASTERS": flumen_stack.kudu_masters,
        "FLUMEN_KUDU_TABLE_PREFIX": prefix,
        "COLUMNS": "200",
    }
    return World(folder / "models", environment, known, *answers)


def test_it_is_what_a_count_by_hand_says(world: World) -> None:
    told = world.told("--where", "width = 28", "--by", "luminance_mean")
    small = np.array([row % 40 != 7 for row in range(COUNT)])
    old, new, known = world.old[small], world.new[small], world.known[small]
    labelled = np.arange(COUNT)[small] % 4 != 0
    assert told["images"] == told["population"] == small.sum()
    assert told["agreement"] == np.mean(old == new)
    assert told["labelled"] == labelled.sum()
    old_right, new_right = (old == known)[labelled], (new == known)[labelled]
    assert told["accuracy_old"] == old_right.mean()
    assert told["accuracy_new"] == new_right.mean()
    b, c = int(np.sum(new_right & ~old_right)), int(np.sum(old_right & ~new_right))
    assert told["difference"] == pytest.approx((b - c) / labelled.sum())
    from scipy.stats import binomtest, chi2

    by_hand = binomtest(b, b + c).pvalue if b + c < 25 else chi2.sf((abs(b - c) - 1) ** 2 / (b + c), 1)
    assert told["p_value"] == pytest.approx(by_hand)
    pairs = [(str(x), str(y)) for x, y in zip(old, new, strict=True) if x != y]
    assert sum(each["images"] for each in told["transitions"]) == len(pairs)
    first = told["transitions"][0]
    assert first["images"] == pairs.count((first["old"], first["new"]))
    bands = [each for each in told["slices"] if each["column"] == "luminance_mean"]
    assert sum(each["images"] for each in bands) == small.sum()
    assert sum(each["changed"] for each in bands) == len(pairs)
    assert told["left_out"] == {}


def test_a_sample_tells_how_many_of_all_would_change(world: World) -> None:
    told = world.told("--sample", "100")
    assert (told["images"], told["population"]) == (100, COUNT)
    would = told["would_change"]
    assert would["low"] <= would["images"] <= would["high"]
    assert would["images"] == pytest.approx((1 - told["agreement"]) * COUNT, abs=1)
    assert told["affected"] == world.told("--sample", "100")["affected"]


def test_people_see_tables_a_verdict_and_a_page(world: World, tmp_path: Path) -> None:
    page = tmp_path / "impact.html"
    done = world.command("halves@1", "halves@2", "--page", str(page))
    assert done.returncode == 0, done.stderr
    assert "From class to class" in done.stdout
    assert "by McNemar's test" in done.stderr
    content = page.read_text()
    assert content.count("data:image/png;base64,") > 5
    assert "From halves@1 to halves@2" in content
    again = world.command("halves@1", "halves@2", "--page", str(page))
    assert again.returncode != 0
    assert "--force" in again.stderr


def test_what_is_stored_is_not_asked_anew_and_says_the_same(world: World, tmp_path: Path) -> None:
    """The first model's answers stand in `images`; those of the second in `predictions`, once it has been asked."""
    before = world.told()
    assert before["stored_answers"] == {"old": COUNT, "new": 0}
    reclassified = subprocess.run(
        [sys.executable, "-m", "flumen", "reclassify", "halves@2", "--root", str(world.root)],
        check=False,
        env=os.environ | world.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert reclassified.returncode == 0, reclassified.stderr
    page = tmp_path / "stored.html"
    after = world.told("--page", str(page))
    assert after["stored_answers"] == {"old": COUNT, "new": COUNT}
    differ = {"snapshot_us", "stored_answers"}
    assert {name: after[name] for name in after.keys() - differ} == {
        name: before[name] for name in before.keys() - differ
    }
    assert page.read_text().count("data:image/png;base64,") > 5
    # Another model that bears the name and the version of the one that answered is asked itself.
    other = Repository(tmp_path / "models")
    whole, first = Repository(world.root), Repository(world.root).manifest("halves", 1)
    for version in (2, 1):
        manifest = whole.manifest("halves", version)
        other.register(
            (world.root / "halves" / str(version) / "model.onnx").read_bytes(),
            replace(manifest, version=UNREGISTERED),
        )
    told = json.loads(
        world.command("halves@1", "halves@2", "--json", "--root", str(tmp_path / "models")).stdout
    )
    assert first.sha256 == other.manifest("halves", 2).sha256
    assert told["stored_answers"] == {"old": 0, "new": 0}
    assert told["agreement"] == before["agreement"]
    assert told["accuracy_old"] == before["accuracy_new"]


def none_later(_moment_us: int) -> bool:
    return False


def test_images_that_came_since_make_it_stale(world: World) -> None:
    repository = Repository(world.root)
    old, new = (repository.manifest("halves", version) for version in (1, 2))
    told = world.told()
    record = ImpactRecords(world.root).of(old, new)
    assert record is not None
    assert record.newest_us is not None
    assert record.newest_us == told["newest_us"]
    options = KuduOptions(
        masters=world.environment["FLUMEN_KUDU_MASTERS"],
        table_prefix=world.environment["FLUMEN_KUDU_TABLE_PREFIX"],
    )
    assert not has_arrived_after(options, record.newest_us)
    assert has_arrived_after(options, record.newest_us - 1)

    def later(moment_us: int) -> bool:
        return has_arrived_after(options, moment_us)

    fair = replace(record, difference=0.0, difference_low=-0.1, difference_high=0.1)
    ImpactRecords(world.root).keep(old, new, fair)
    strict = ModelSettings(impact_max_newer_h=0)
    require_impact(repository, old, new, strict, later)
    for earlier_us, allowed_h in ((1, 0.0), (3_600_000_001, 1.0)):
        ImpactRecords(world.root).keep(old, new, replace(fair, newest_us=record.newest_us - earlier_us))
        with pytest.raises(ImpactInsufficient, match="images have arrived since"):
            require_impact(repository, old, new, ModelSettings(impact_max_newer_h=allowed_h), later)
        require_impact(repository, old, new, ModelSettings(impact_max_newer_h=allowed_h + 1), later)
    ImpactRecords(world.root).keep(old, new, replace(fair, newest_us=None))
    require_impact(repository, old, new, strict, later)  # of an earlier version: its age says all


def test_a_swap_can_require_it(world: World) -> None:
    """The repository's own champion stands here: nobody has swapped yet."""
    repository = Repository(world.root)
    settings = ModelSettings(require_impact=True)
    old, new = (repository.manifest("halves", version) for version in (1, 2))
    records = ImpactRecords(world.root)
    assert world.command("halves@1", "halves@2").returncode == 0
    record = records.of(old, new)
    assert record is not None
    assert (record.images, record.population) == (COUNT, COUNT)
    require_impact(repository, new, new, settings, none_later)
    (world.root / "halves" / "2" / "report" / "impact-halves-1.json").unlink()
    for some in (["--where", "width = 28"], ["--days", "30000"]):
        assert world.command("halves@1", "halves@2", *some).returncode == 0
        assert records.of(old, new) is None  # what is known of some images tells nothing of all
    fair = replace(record, difference=0.0, difference_low=-0.1, difference_high=0.1)
    records.keep(old, new, fair)
    require_impact(repository, old, new, settings, none_later)
    hours = 3_600_000_000
    strict = settings.model_copy(update={"impact_min_agreement": 0.9})
    for changed, said in (
        ({"images": 300}, "is of 300 images"),
        ({"images": 1000, "population": 10_000, "agreement": 0.91}, "89.1 of a hundred"),
        ({"snapshot_us": record.snapshot_us - 169 * hours}, "169 hours old"),
        ({"snapshot_us": record.snapshot_us + 2 * hours}, "hours old"),
        ({"difference": -0.02, "difference_high": -0.01}, "by 2.00 points"),
        ({"agreement": 0.85}, "85.0 of a hundred"),
    ):
        records.keep(old, new, replace(fair, **changed))
        with pytest.raises(ImpactInsufficient, match=said):
            require_impact(repository, old, new, strict, none_later)
    records.keep(old, new, replace(fair, new_sha256="0" * 64))
    with pytest.raises(ImpactInsufficient, match="nobody knows"):
        require_impact(repository, old, new, settings, none_later)
    file = world.root / "halves" / "2" / "report" / "impact-halves-1.json"
    for forged, said in (
        ({"agreement": 7.0}, "is no impact"),
        ({"images": 0}, "is no impact"),
        ({"schema": 0}, "is no impact"),
        ({"schema": None}, "is no impact"),
        ({"schema": 2, "agreement": "none"}, "schema 2"),
        ({"difference": None}, "contradicts itself"),
        ({"labelled": 0}, "contradicts itself"),
        ({"old": "others@1"}, "contradicts itself"),
    ):
        records.keep(old, new, fair)
        file.write_text(json.dumps(json.loads(file.read_text()) | forged))
        with pytest.raises(ImpactUnreadable, match=said):
            require_impact(repository, old, new, settings, none_later)


def test_without_labels_it_says_what_is_missing_and_slices_by_agreement(world: World) -> None:
    told = world.told("--where", "knownlabel is null")
    assert (told["labelled"], told["accuracy_new"], told["p_value"]) == (0, None, None)
    assert all(0 <= each["p_value"] <= 1 for each in told["slices"])
    classes = world.command("halves@1", "others@1")
    assert classes.returncode == 0, classes.stderr
    assert "which one is right is not known" in classes.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["halves@1", "halves@9"], "halves@9"),
        (["halves@1", "letters@1"], "no class in common"),
        (["halves@1", "halves@2", "--where", "lable = 1"], "lable"),
        (["halves@1", "halves@2", "--by", "lable"], "lable"),
        (["halves@1", "halves@2", "--where", "width = 1"], "there is no image"),
    ],
)
def test_what_cannot_be_compared_is_an_error_that_says_why(
    world: World, arguments: list[str], said: str
) -> None:
    done = world.command(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
