"""Which engine looks back: what commands say of it."""

from collections.abc import Mapping
from typing import Annotated

import typer

ENGINES = ("local", "spark")

EngineOption = Annotated[
    str, typer.Option("--engine", help="What computes: local (this machine), spark (a cluster).")
]
Master = Annotated[
    str | None,
    typer.Option(
        help="Of the engine spark: spark://HOST:7077, yarn, local[2]. [default: as Spark is configured, else local[*]]"
    ),
]


def check_engine(engine: str, master: str | None) -> None:
    """Refuse an engine that is none, and the other's option.

    Raises:
        typer.BadParameter: the message says which there are.
    """
    if engine not in ENGINES:
        raise typer.BadParameter(f"allowed are {', '.join(ENGINES)}", param_hint="--engine")
    if master is not None and engine != "spark":
        raise typer.BadParameter("goes with --engine spark only", param_hint="--master")


def refuse_with_spark(options: Mapping[str, bool]) -> None:
    """Refuse options of `flumen reclassify` that its job on Spark does not have. `options`: whether each is given.

    Raises:
        typer.BadParameter: it names the first that is.
    """
    for option in (each for each, is_given in options.items() if is_given):
        raise typer.BadParameter(
            f"{option} goes with --engine local only: Spark's job is always a new one, and writes predictions"
        )
