"""Runs on few images, by real processes: the same whoever computes them, none twice, and none lost."""

import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import pytest

from flumen.models.datasets.arrays import open_arrays
from flumen.models.datasets.dataset import Dataset, Labelled, read_dataset, with_validation
from flumen.models.errors import ArraysUnwritable, DatasetInvalid, GridInvalid
from flumen.models.evaluation.kept import Reports
from flumen.models.evaluation.report import scores_of
from flumen.models.experiments.answered import right_answers
from flumen.models.experiments.data import choose_images
from flumen.models.experiments.grid import Data, Halving, parse_grid
from flumen.models.experiments.halving import by_halving, halving_of
from flumen.models.experiments.keeping import Keeper
from flumen.models.experiments.local.engine import LocalEngine
from flumen.models.experiments.run import Measures, Round, Row, Run
from flumen.models.experiments.run_store import RunStore
from flumen.models.experiments.run_table import MemoryRunTable
from flumen.models.experiments.scheduler import Scheduler
from flumen.models.experiments.search import settings_of
from flumen.models.repository import Repository
from flumen.models.storage import LocalFolder
from flumen.models.trainers.kept_rounds import rounds_of
from flumen.models.trainers.trainer import find_trainer

TRAINER = find_trainer("network")
GRID = """
name = "few"
seeds = [1, 2]
[parameters]
rate = [0.01, 1e9]
epochs = 3
hidden = [[16]]
"""
LONG = GRID.replace("[0.01, 1e9]", "0.01").replace("epochs = 3", "epochs = 30")
CHILD = "flumen.models.experiments.local.child"


class Watching:
    """Keeps what it is told, and does something at the first round."""

    def __init__(self, at_first_round: Callable[[], None] = lambda: None) -> None:
        self.here: list[str] = []
        self.there: list[str] = []
        self._at_first_round: Callable[[], None] | None = at_first_round

    def ended(self, run: Run, *, here: bool) -> None:
        (self.here if here else self.there).append(f"{run.run_id} {run.state}")

    def progress(self, run: Run, last: Round) -> None:
        if self._at_first_round is not None:
            at_first_round, self._at_first_round = self._at_first_round, None
            at_first_round()

    def waits(self, held: int) -> None:
        raise AssertionError(f"{held} runs are said to be in the hands of others")


@pytest.fixture(scope="module")
def few(mnist: Path) -> Dataset:
    whole = read_dataset(mnist)
    dataset = Dataset(
        train=Labelled(whole.train.pixels[:1200], whole.train.labels[:1200]),
        test=Labelled(whole.test.pixels[:300], whole.test.labels[:300]),
    )
    return with_validation(dataset, 0.2)


@pytest.fixture
def table() -> MemoryRunTable:
    return MemoryRunTable()


@pytest.fixture
def engine(few: Dataset, table: MemoryRunTable, tmp_path: Path) -> Callable[..., Scheduler]:
    def make(
        watching: Watching,
        processes: int = 1,
        keep: Any = "none",
        root: str = "models",
    ) -> Scheduler:
        images = choose_images(few, Data(), TRAINER)
        folder = images.in_files(Path(tempfile.mkdtemp(dir=tmp_path)))
        keeper = Keeper(Repository(str(tmp_path / root)), "few", keep, images)
        engine = LocalEngine(processes)
        return Scheduler(RunStore(table), images, folder, "few", keeper, watching, engine)

    return make


def settings(text: str = GRID) -> Any:
    return settings_of(parse_grid(text, "few.toml"), TRAINER, 10)


def test_every_run_is_computed_once_and_one_that_diverged_is_a_result(
    engine: Callable[..., Scheduler], table: MemoryRunTable, tmp_path: Path
) -> None:
    wanted, watching = settings(), Watching()
    runs = engine(watching, keep="best").compute(wanted)
    assert [run.run_id for run in runs] == [setting.run_id for setting in wanted]
    assert [run.state for run in runs] == ["done", "diverged"] * 2
    assert len(watching.here) == 4
    done, diverged = runs[0], runs[1]
    assert done.test is not None
    assert done.validation is not None
    assert sum(count for _, _, count in done.confusion) == 300
    right = sum(count for known, predicted, count in done.confusion if known == predicted)
    assert right / 300 == done.test.accuracy > 0.3
    assert [one.number for one in done.curves] == [1, 2, 3]
    assert done.curves[-1].accuracy == done.validation.accuracy
    assert diverged.test is diverged.accuracy is None
    assert "rate" in str(diverged.error)
    right_of_done = right_answers(done)
    assert right_of_done is not None
    assert (len(right_of_done), int(right_of_done.sum())) == (300, right)
    assert right_answers(diverged) is None

    again = Watching()
    assert [run.state for run in engine(again).compute(wanted)] == ["done", "diverged"] * 2
    assert (len(again.there), again.here) == (4, [])

    best = max((run for run in runs if run.accuracy is not None), key=lambda run: run.accuracy or 0)
    repository = Repository(str(tmp_path / "models"))
    assert best.reference is not None
    manifest = repository.resolve(best.reference)
    assert manifest.sha256 == best.model_sha256
    assert manifest.training is not None
    assert manifest.training.parameters["run"] == best.run_id
    assert manifest.scores is not None
    assert manifest.scores.accuracy == (best.test.accuracy if best.test else None)
    [report] = Reports(repository.url).of(manifest.name, manifest.version)
    assert scores_of(report) == manifest.scores
    rounds = rounds_of(repository.url, manifest.name, manifest.version)
    assert [(one.number, one.loss, one.accuracy) for one in rounds] == [
        (one.number, one.loss, one.accuracy) for one in best.curves
    ]


def test_a_model_whose_report_cannot_be_kept_is_registered_all_the_same(
    engine: Callable[..., Scheduler], tmp_path: Path
) -> None:
    # A version's folder has a file where the folder of its reports would be.
    def in_the_way() -> None:
        publish = LocalFolder.publish
        patch.setattr(
            LocalFolder,
            "publish",
            lambda folder, path, files: publish(folder, path, {**files, "report": b""}),
        )

    with pytest.MonkeyPatch.context() as patch:
        made = engine(Watching(in_the_way), keep="all")
        runs = made.compute(settings(LONG.replace("30", "3"))[:1])
    assert [run.state for run in runs] == ["done"]
    assert runs[0].reference == "few@1"
    assert "few@1 was registered without its report" in str(runs[0].error)
    assert "`flumen evaluate few@1`" in str(runs[0].error)
    assert [each.version for each in made.keeper.registered] == [1]
    assert Repository(str(tmp_path / "models")).versions("few") == [1]


def test_a_trainer_that_cannot_learn_so_has_failed_and_not_diverged(
    engine: Callable[..., Scheduler],
) -> None:
    neighbours = find_trainer("neighbours")
    grid = parse_grid(
        'name = "few"\ntrainer = "neighbours"\n[parameters]\nimages = 10\nneighbours = 20', "few.toml"
    )
    (run,) = engine(Watching()).compute(settings_of(grid, neighbours, 10))
    assert run.state == "failed"
    assert "TrainingFailed" in str(run.error)


def test_a_setting_gives_the_same_weights_however_many_processes_there_are(
    engine: Callable[..., Scheduler], few: Dataset, tmp_path: Path
) -> None:
    wanted = settings(GRID.replace("[0.01, 1e9]", "0.01"))
    by_one = engine(Watching(), processes=1, keep="all", root="by-one").compute(wanted)
    other = engine(Watching(), processes=2, keep="all", root="by-two")
    other.store = RunStore(MemoryRunTable())
    by_two = other.compute(wanted)
    assert len({run.model_sha256 for run in by_one}) == len(wanted)
    assert [run.model_sha256 for run in by_two] == [run.model_sha256 for run in by_one]
    assert [run.confusion for run in by_two] == [run.confusion for run in by_one]


def test_outputs_without_a_label_are_there_and_never_right(
    engine: Callable[..., Scheduler], tmp_path: Path
) -> None:
    text = "outputs = [12]" + GRID.replace("[0.01, 1e9]", "0.01").replace("[1, 2]", "1")
    (run,) = engine(Watching(), keep="all").compute(settings(text))
    assert run.run_id.startswith("12_1_0.01")
    manifest = Repository(str(tmp_path / "models")).manifest("few", 1)
    assert manifest.labels[9:] == ("9", "unused-10", "unused-11")
    assert all(known < 10 for known, _, _ in run.confusion)


def kill_children() -> None:
    for child in psutil.Process().children():
        if CHILD in child.cmdline():
            os.kill(child.pid, signal.SIGKILL)


def test_a_process_that_is_killed_costs_the_runs_it_had_in_hand_and_no_other(
    engine: Callable[..., Scheduler], table: MemoryRunTable
) -> None:
    wanted, watching = settings(LONG), Watching(kill_children)
    runs = engine(watching, processes=1).compute(wanted)
    assert [one.split()[1] for one in watching.here] == ["failed", "done", "done"]
    assert [(run.state, run.attempt) for run in runs] == [("done", 2), ("done", 1)]
    assert [run.state for run in RunStore(table).list()] == ["done", "done"]


def test_a_process_that_is_killed_while_it_makes_a_model_costs_the_model_and_not_the_result(
    engine: Callable[..., Scheduler], table: MemoryRunTable
) -> None:
    class Killing(Keeper):
        def request(self, run: Run) -> Any:
            kill_children()
            return super().request(run)

    watching = Watching()
    one = engine(watching, processes=1, keep="all")
    one.keeper = Killing(Repository("memory://none"), "few", "all", one.images)
    (run,) = one.compute(settings(LONG)[:1])
    assert [each.split()[1] for each in watching.here] == ["failed", "done"]
    assert (run.state, run.attempt, run.reference) == ("done", 2, None)
    assert "the model was not kept: its process was ended by signal 9" in str(run.error)
    assert RunStore(table).get(run.run_id)[0].test == run.test is not None


def test_claims_are_renewed_while_processes_are_started(engine: Callable[..., Scheduler]) -> None:
    """On a machine of many cores that may take longer than a lease."""

    class Noting(MemoryRunTable):
        calls: ClassVar[list[tuple[str, object]]] = []

        def insert(self, row: Row) -> bool:
            self.calls.append(("insert", row["run_id"]))
            return super().insert(row)

        def update(self, row: Row, *, patiently: bool = True) -> None:
            self.calls.append(("update", row["run_id"]))
            super().update(row, patiently=patiently)

    one, wanted = engine(Watching(), processes=2), settings(LONG)
    one.store = RunStore(Noting(), lease_s=0.0)
    one.compute(wanted)
    first, second = (setting.run_id for setting in wanted)
    begun = Noting.calls.index(("insert", second))
    assert ("update", first) in Noting.calls[:begun]


def test_a_store_that_does_not_answer_keeps_nobody_from_ending(engine: Callable[..., Scheduler]) -> None:
    class Away(Exception):
        retriable = True

    class Gone(MemoryRunTable):
        def update(self, row: Row, *, patiently: bool = True) -> None:
            if row["state"] == "failed":
                assert not patiently
                raise Away
            super().update(row)

    def interrupt() -> None:
        raise KeyboardInterrupt

    one = engine(Watching(interrupt), processes=1)
    one.store = RunStore(Gone())
    with pytest.raises(KeyboardInterrupt):
        one.compute(settings(LONG))


def test_models_of_another_name_do_not_keep_the_best_of_this_one_out(
    engine: Callable[..., Scheduler],
) -> None:
    keeper = engine(Watching(), keep="best").keeper
    there = Run(run_id="a", data_sha256="d", state="done", test=Measures(0.9, 0.9, 0.9, 0.9))
    worse = replace(there, test=Measures(0.8, 0.8, 0.8, 0.8))
    keeper.know([there, replace(there, model="others", model_version=1)])
    assert keeper.wants(worse)
    keeper.know([replace(there, model="few", model_version=1)])
    assert not keeper.wants(worse)


def test_what_ends_an_experiment_gives_back_what_was_in_hand(
    engine: Callable[..., Scheduler], table: MemoryRunTable
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine(Watching(interrupt), processes=1).compute(settings(LONG))
    assert [run.state for run in RunStore(table).list()] == ["failed"]
    assert not [one for one in psutil.Process().children() if CHILD in one.cmdline()]
    runs = engine(Watching(), processes=1).compute(settings(LONG)[:1])
    assert [(run.state, run.attempt) for run in runs] == [("done", 2)]


def test_halving_computes_the_best_of_each_rung_for_longer(engine: Callable[..., Scheduler]) -> None:
    wanted = settings(GRID.replace("[0.01, 1e9]", "[0.01, 1e-9, 1e9]"))
    runs = by_halving(wanted, Halving((1, 3), 0.3), engine(Watching()).compute)
    assert [run.parameters["epochs"] for run in runs] == [1] * 6 + [3] * 2
    assert [run.parameters["rate"] for run in runs[6:]] == [0.01, 0.01]
    assert runs[6].run_id in {
        setting.run_id for setting in wanted
    }  # the last rung is the run of the whole grid
    assert len({run.run_id for run in runs}) == 8


def test_halving_needs_images_to_choose_by() -> None:
    with pytest.raises(GridInvalid, match=r"validation = 0\.1"):
        halving_of(parse_grid(GRID, "few.toml"), settings(), may_choose=False)
    longer = GRID.replace("epochs = 3", "epochs = 16")
    found = halving_of(parse_grid(longer, ""), settings(longer), may_choose=True)
    assert found == Halving((1, 4, 16), 0.25)


def test_the_data_and_how_it_is_seen_are_part_of_the_key(few: Dataset, tmp_path: Path) -> None:
    kinds = [Data(), Data(train_images=800), Data(test_images=100), Data(preprocess="grey")]
    assert len({choose_images(few, data, TRAINER).sha256 for data in kinds}) == 4
    elsewhere = Data({"data": "elsewhere"})
    assert choose_images(few, elsewhere, TRAINER).sha256 == choose_images(few, Data(), TRAINER).sha256
    assert few.validation is not None
    other = replace(few, validation=Labelled(few.validation.pixels[1:], few.validation.labels[1:]))
    assert choose_images(other, Data(), TRAINER).sha256 != choose_images(few, Data(), TRAINER).sha256


def test_images_in_memory_are_laid_down_as_they_are_and_those_in_files_stay_there(
    few: Dataset, tmp_path: Path
) -> None:
    folder = choose_images(few, Data(), TRAINER).in_files(tmp_path)
    mapped = open_arrays(folder)
    assert mapped.validation is not None
    assert few.validation is not None
    for one, other in (
        (mapped.train, few.train),
        (mapped.validation, few.validation),
        (mapped.test, few.test),
    ):
        assert one.sha256 == other.sha256
    assert list(mapped.validation.ids or ()) == list(few.validation.ids or ())
    assert mapped.fingerprint == few.fingerprint
    again = choose_images(mapped, Data(), TRAINER)
    assert again.in_files(tmp_path / "nowhere") == folder
    assert not (tmp_path / "nowhere").exists()


def test_images_that_cannot_be_laid_down_are_an_error_that_says_where(few: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArraysUnwritable, match=r"file.*set TMPDIR"):
        choose_images(few, Data(), TRAINER).in_files(tmp_path / "file")


def test_images_that_will_not_do_are_refused(few: Dataset) -> None:
    with pytest.raises(DatasetInvalid, match="of the 10 labels"):
        choose_images(few, Data(train_images=3), TRAINER)
    ones, tested = few.train.pixels[few.train.labels == 1], few.test.pixels[few.test.labels == 1]
    same = (Labelled(each, np.zeros(len(each), np.uint8)) for each in (ones, tested))
    with pytest.raises(DatasetInvalid, match="of one class; to learn takes two"):
        choose_images(Dataset(*same), Data(), TRAINER)
