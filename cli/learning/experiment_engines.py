"""Which engine computes an experiment: what a command says of it, and opening it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flumen.models.experiments.engine import Engine
    from flumen.models.trainers.trainer import Trainer

ENGINES = ("local", "cuda", "spark")

EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        help="What computes: local (processes of this machine), cuda (all of one shape at once, on a GPU), "
        "spark (the executors of a cluster).",
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        min=1, max=1024, help="Runs at the same time; one for each core, here or of the executors, if unset."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Of the engine cuda: the device, such as cuda:1; cpu does without a GPU. [default: cuda]"
    ),
]
Master = Annotated[
    str | None,
    typer.Option(
        help="Of the engine spark: spark://HOST:7077, yarn, local[2]. [default: as Spark is configured, else local[*]]"
    ),
]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine with its options, as a command names them; each is for some engines only."""

    name: str = "local"
    processes: int | None = None
    device: str | None = None
    master: str | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise typer.BadParameter(f"allowed are {', '.join(ENGINES)}", param_hint="--engine")
        for option, value, engines in (
            ("--processes", self.processes, ("local", "spark")),
            ("--device", self.device, ("cuda",)),
            ("--master", self.master, ("spark",)),
        ):
            if value is not None and self.name not in engines:
                raise typer.BadParameter(
                    f"goes with --engine {' and '.join(engines)} only", param_hint=option
                )


@contextlib.contextmanager
def open_engine(choice: EngineChoice, trainer: "Trainer") -> "Iterator[Engine]":
    """Open an engine for runs of a trainer.

    Raises:
        EngineUnavailable: it does not start here, or cannot compute such runs.
        ExtraMissing: a package is not installed; the message names the extra.
    """
    if choice.name == "cuda":
        from flumen.models.experiments.cuda.engine import CudaEngine, check_trainer

        check_trainer(trainer)
        yield CudaEngine(choice.device or "cuda")
    elif choice.name == "spark":
        from flumen.models.experiments.own_folder import own_folder
        from flumen.models.experiments.spark.context import spark_context
        from flumen.models.experiments.spark.engine import SparkEngine

        with (
            own_folder("flumen-spark-runs-") as room,
            spark_context(choice.master) as context,
        ):
            yield SparkEngine(context, room, choice.processes)
    else:
        from flumen.models.experiments.local.engine import LocalEngine, cores

        yield LocalEngine(choice.processes or cores())
