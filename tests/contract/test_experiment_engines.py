"""Every engine to one suite: the same runs, each once, and none that costs another one."""

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flumen.models.datasets.dataset import Dataset, Labelled, read_dataset, with_validation
from flumen.models.errors import EngineUnavailable
from flumen.models.experiments.data import choose_images
from flumen.models.experiments.engine import Engine
from flumen.models.experiments.grid import Data, parse_grid
from flumen.models.experiments.keeping import Keeper
from flumen.models.experiments.local.engine import LocalEngine
from flumen.models.experiments.run import Round, Run
from flumen.models.experiments.run_store import RunStore
from flumen.models.experiments.run_table import MemoryRunTable
from flumen.models.experiments.scheduler import Scheduler
from flumen.models.experiments.search import settings_of
from flumen.models.experiments.setting import Setting
from flumen.models.repository import Repository
from flumen.models.trainers.trainer import find_trainer

# PySpark leaves the closing of its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

TRAINER = find_trainer("network")
GRID = """
name = "few"
seeds = [1, 2]
[parameters]
rate = [0.01, 1e9, 0.003]
epochs = 3
batch_size = 50
hidden = [[16, 12]]
"""
TEST_IMAGES = 300
ENGINES = ("local", "cuda", "spark")


class Watching:
    """Keeps what it is told, and does something when the first run has ended."""

    def __init__(self, at_first_end: Callable[[], None] = lambda: None) -> None:
        self.here: list[str] = []
        self.there: list[str] = []
        self._at_first_end: Callable[[], None] | None = at_first_end

    def ended(self, run: Run, *, here: bool) -> None:
        (self.here if here else self.there).append(run.run_id)
        if self._at_first_end is not None:
            at_first_end, self._at_first_end = self._at_first_end, None
            at_first_end()

    def progress(self, run: Run, last: Round) -> None:
        assert 1 <= last.number <= 3

    def waits(self, held: int) -> None:
        raise AssertionError(f"{held} runs are said to be in the hands of others")


@pytest.fixture(scope="module")
def few(mnist: Path) -> Dataset:
    """875 images to learn from: the last batch of an epoch is a short one."""
    whole = read_dataset(mnist)
    dataset = Dataset(
        train=Labelled(whole.train.pixels[:1100], whole.train.labels[:1100]),
        test=Labelled(whole.test.pixels[:TEST_IMAGES], whole.test.labels[:TEST_IMAGES]),
    )
    return with_validation(dataset, 0.2)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Engine]]:
    """Return each engine by its name: they take one experiment after another, so each is opened once."""
    made: dict[str, Engine] = {}

    def make(name: str) -> Engine:
        if name == "local":
            return LocalEngine(1)
        if name == "cuda":
            return stacked()
        pytest.importorskip("pyspark")
        from flumen.models.experiments.spark.context import spark_context
        from flumen.models.experiments.spark.engine import SparkEngine

        return SparkEngine(context.enter_context(spark_context("local[2]")), tmp_path_factory.mktemp("spark"))

    with ExitStack() as context:
        yield lambda name: made.setdefault(name, made.get(name) or make(name))
        for one in made.values():
            one.close()


@pytest.fixture
def compute(
    few: Dataset, tmp_path: Path, engines: Callable[[str], Engine]
) -> Callable[..., "tuple[list[Run], Watching]"]:
    def run(
        engine: str | Engine,
        wanted: list[Setting],
        table: MemoryRunTable | None = None,
        watching: Watching | None = None,
        keep: Any = "none",
        experiment: str = "few",
    ) -> tuple[list[Run], Watching]:
        images = choose_images(few, Data(), TRAINER)
        folder = images.in_files(Path(tempfile.mkdtemp(dir=tmp_path)))
        root = Repository(tempfile.mkdtemp(dir=tmp_path))
        watching = watching or Watching()
        scheduler = Scheduler(
            RunStore(table or MemoryRunTable()),
            images,
            folder,
            experiment,
            Keeper(root, "few", keep, images),
            watching,
            engines(engine) if isinstance(engine, str) else engine,
        )
        return scheduler.compute(wanted), watching

    return run


@pytest.fixture(scope="module")
def of_local() -> list[Run]:
    """What the engine local makes of the grid: the first to be asked."""
    return []


def stacked(device: str = "cpu", memory_bytes: int | None = None) -> Engine:
    """The engine cuda, without a GPU."""
    pytest.importorskip("torch")
    from flumen.models.experiments.cuda.engine import CudaEngine

    return CudaEngine(device, memory_bytes)


def settings(text: str = GRID) -> list[Setting]:
    return settings_of(parse_grid(text, "few.toml"), TRAINER, 10)


@pytest.mark.parametrize("name", ENGINES)
def test_a_grid_is_computed_once_with_all_that_is_known_of_each_run(
    name: str, compute: Any, of_local: list[Run]
) -> None:
    """By all with the same results: to the bit, but of stacks, whose products are added up in another order."""
    wanted, table = settings(), MemoryRunTable()
    runs, watching = compute(name, wanted, table, keep="all")
    of_local += runs * (not of_local)
    assert [run.run_id for run in runs] == [setting.run_id for setting in wanted]
    assert [run.state for run in runs] == ["done", "diverged", "done"] * 2
    assert sorted(watching.here) == sorted(run.run_id for run in runs)
    for run, other in zip(runs, of_local, strict=True):
        if run.state == "diverged":
            assert "the loss is" in str(run.error)
            assert (run.accuracy, run.reference) == (None, None)
            continue
        assert run.test is not None
        assert other.test is not None
        assert run.validation is not None
        assert [one.number for one in run.curves] == [1, 2, 3]
        assert run.rounds == 3
        assert run.curves[-1].accuracy == run.validation.accuracy > 0.3
        assert sum(count for _, _, count in run.confusion) == TEST_IMAGES
        assert {"python", "numpy", "blas"} <= run.software.keys()
        assert run.model_sha256 is not None
        assert run.machine
        # The rounding differs, and with it at most a few answers that are near to another one.
        assert abs(run.test.accuracy - other.test.accuracy) <= (3 / TEST_IMAGES if name == "cuda" else 0)
        for one, expected in zip(run.curves, other.curves, strict=True):
            assert one.loss is not None
            assert expected.loss is not None
            assert math.isclose(one.loss, expected.loss, rel_tol=1e-3 if name == "cuda" else 0)
    if name != "cuda":
        assert [run.model_sha256 for run in runs] == [run.model_sha256 for run in of_local]
        assert [run.confusion for run in runs] == [run.confusion for run in of_local]

    again, watching = compute(name, wanted, table)
    assert [run.ended_at for run in again] == [run.ended_at for run in runs]
    assert (len(watching.there), watching.here) == (len(wanted), [])

    _, watching = compute(name, wanted[1:], table, experiment="fewer")
    assert (len(watching.there), watching.here) == (len(wanted) - 1, [])
    listed = RunStore(table).experiments()
    assert {each: len(of_it) for each, of_it in listed.items()} == {
        "few": len(wanted),
        "fewer": len(wanted) - 1,
    }


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_interrupted_gives_back_what_it_had_in_hand_and_is_gone_on_with(
    name: str, compute: Any
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    wanted, table = settings(GRID.replace("1e9, 0.003", "")), MemoryRunTable()
    with pytest.raises(KeyboardInterrupt):
        compute(name, wanted, table, Watching(interrupt))
    before = RunStore(table).list()
    assert [run.state for run in before].count("done") == 1
    assert {run.state for run in before} <= {"done", "failed"}
    runs, watching = compute(name, wanted, table)
    assert {run.state for run in runs} == {"done"}
    assert (len(watching.there), len(watching.here)) == (1, 1)


@pytest.mark.parametrize("name", ENGINES)
def test_a_run_that_cannot_be_computed_has_failed_and_costs_no_other(name: str, compute: Any) -> None:
    good, other, *_ = settings()
    bad = replace(other, parameters={**other.parameters, "rate": -1.0})
    runs, _ = compute(name, [bad, good])
    assert [run.state for run in runs] == ["failed", "done"]
    assert "BadParameters" in str(runs[0].error)


def test_a_diverged_network_leaves_its_neighbours_in_a_stack_as_they_would_be(
    compute: Any, engines: Any
) -> None:
    with_one, _ = compute("cuda", settings(), keep="all")
    without, _ = compute("cuda", settings(GRID.replace("1e9", "0.005")), keep="all")
    kept = [position for position, run in enumerate(with_one) if run.state == "done"]
    assert kept == [0, 2, 3, 5]
    assert [with_one[at].model_sha256 for at in kept] == [without[at].model_sha256 for at in kept]


def test_a_stack_is_as_high_as_the_memory_holds_and_its_runs_are_alike(compute: Any, few: Dataset) -> None:
    whole, _ = compute("cuda", settings())
    assert {run.software["stack"] for run in whole} == {"6 runs at the same time"}
    small = stacked(memory_bytes=1)
    one_each, _ = compute(small, settings())
    assert {run.software["stack"] for run in one_each} == {"1 runs at the same time"}
    for run, other in zip(whole, one_each, strict=True):
        assert run.state == other.state
        if run.test is not None and other.test is not None:
            assert abs(run.test.accuracy - other.test.accuracy) <= 3 / TEST_IMAGES


def test_a_stack_that_turns_out_too_high_is_computed_as_two(
    compute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from flumen.models.experiments.cuda import device, stack

    begin = stack.StackedDescent

    def short_of_memory(layers: Any, *more: Any) -> Any:
        if len(layers) > 2:
            raise device.OutOfMemory("CUDA out of memory. Tried to allocate 1 GiB")
        return begin(layers, *more)

    monkeypatch.setattr(stack, "StackedDescent", short_of_memory)
    runs, watching = compute(stacked(), settings())
    assert [run.state for run in runs] == ["done", "diverged", "done"] * 2
    assert {run.software["stack"] for run in runs} == {"1 runs at the same time"}
    assert len(watching.here) == 6

    monkeypatch.setattr(stack, "StackedDescent", lambda *_: short_of_memory(range(3)))
    (run,), _ = compute(stacked(), settings()[:1])
    assert run.state == "failed"
    assert "memory of cpu is short: CUDA out of memory" in str(run.error)


def test_networks_of_other_shapes_and_lengths_are_stacked_apart_or_end_when_they_are_through(
    compute: Any,
) -> None:
    text = GRID.replace("[0.01, 1e9, 0.003]", "0.01")
    text = text.replace("epochs = 3", "epochs = [1, 3]").replace(
        "seeds = [1, 2]", "seeds = [1]\noutputs = [12, 10]"
    )
    wanted = settings(text)
    by_stacks, _ = compute("cuda", wanted)
    apart, _ = compute("local", wanted)
    assert [run.rounds for run in by_stacks] == [run.parameters["epochs"] for run in apart]
    assert {run.software["stack"] for run in by_stacks} == {"2 runs at the same time"}
    for run, other in zip(by_stacks, apart, strict=True):
        assert run.test is not None
        assert other.test is not None
        assert abs(run.test.accuracy - other.test.accuracy) <= 3 / TEST_IMAGES


def test_what_cannot_be_stacked_is_refused_before_anything_is_claimed() -> None:
    pytest.importorskip("torch")
    from flumen.models.experiments.cuda.engine import check_trainer

    check_trainer(find_trainer("logistic"))
    with pytest.raises(EngineUnavailable, match="'trees' makes none; use --engine local"):
        check_trainer(find_trainer("trees"))
    with pytest.raises(EngineUnavailable, match="--device cpu computes the same"):
        stacked("cuda:99")
