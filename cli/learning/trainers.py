"""`flumen trainers`."""

from dataclasses import asdict
from typing import Annotated

import typer

from flumen.cli.output import AsJson, console, print_json, print_rows
from flumen.models.trainers.parameters import declared_parameters
from flumen.models.trainers.trainer import find_trainer, trainer_names


def trainers(
    name: Annotated[str | None, typer.Argument(help="Show this one's parameters alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what `flumen train --trainer` can learn with, and what `--set` can change of each."""
    found = [find_trainer(one) for one in ([name] if name else trainer_names())]
    if as_json:
        print_json(
            [
                {
                    "name": one.name,
                    "summary": one.summary,
                    "parameters": [asdict(parameter) for parameter in declared_parameters(one.parameters)],
                }
                for one in found
            ]
        )
        return
    for one in found:
        console.print(f"[bold]{one.name}[/]: {one.summary}", highlight=False, soft_wrap=True)
        print_rows([asdict(parameter) for parameter in declared_parameters(one.parameters)], as_json=False)
    example = found[0].name
    console.print(
        f"flumen train --trainer {example} --set NAME=VALUE", style="dim", markup=False, highlight=False
    )
