"""Which engine looks back: what commands say of it."""

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
