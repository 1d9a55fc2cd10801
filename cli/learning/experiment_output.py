"""How runs are shown: accuracy by rate and seed, the best first, one run, and two beside one another."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from flumen.cli.learning.evaluate_tables import difference_in_words
from flumen.cli.output import console, iso_time, print_facts, print_json, print_rows, print_whole
from flumen.models.experiments.answered import compare_runs
from flumen.models.experiments.java_double import java_double
from flumen.models.experiments.run import Run
from flumen.models.experiments.setting import RATE

if TYPE_CHECKING:
    from flumen.models.evaluation.intervals import Stability

_MOST_GRIDS = 12
_MOST_ROUNDS = 20
_MEASURES = ("accuracy", "precision", "recall", "f1")
_TIMES = ("claimed_at", "renewed_at", "started_at", "ended_at", "snapshot_at")
_COLD, _WARM = (120, 0, 0), (0, 110, 40)


def as_dict(run: Run) -> dict[str, Any]:
    """Return a run for JSON: its record without each single answer, and what runs are compared by."""
    named = {each.name: getattr(run, each.name) for each in fields(run) if each.name != "answers"}
    return {**named, "curves": [asdict(one) for one in run.curves], "accuracy": run.accuracy} | {
        part: asdict(found) if (found := getattr(run, part)) else None for part in ("validation", "test")
    }


def print_experiments(experiments: Mapping[str, Sequence[Run]], as_json: bool) -> None:
    """Print a row for each experiment, by its name."""
    rows = []
    for name, of_it in experiments.items():
        best = _best_first(of_it)[0]
        counts = {
            state: sum(run.state == state for run in of_it)
            for state in ("done", "diverged", "failed", "running")
        }
        counts["running"] += sum(run.state == "claimed" for run in of_it)
        rows.append(
            {
                "experiment": name,
                "runs": len(of_it),
                **counts,
                "best_accuracy": best.accuracy,
                "best_run": best.run_id,
            }
        )
    columns = ("experiment", "runs", "done", "diverged", "failed", "running", "best_accuracy", "best_run")
    print_rows(rows, as_json, columns=columns)


def print_runs(runs: Sequence[Run], as_json: bool) -> None:
    """Print accuracy by rate and seed, and a row for each run, the best first."""
    ranked = _best_first(runs)
    if as_json:
        print_json([as_dict(run) for run in ranked])
        return
    _print_grids(runs)
    print_rows([_row(run) for run in ranked], as_json=False, title="Runs, the best first")


def print_run(run: Run, as_json: bool, alike: Sequence[Run] = ()) -> None:
    """Print all that is known of a run, and how those do that differ from it in nothing but the seed."""
    found = _stability(run, alike)
    if as_json:
        print_json(as_dict(run) | {"over_seeds": found and asdict(found)})
        return
    print_facts(_facts(run).items())
    if found is not None and found.std is not None and found.interval is not None:
        low, high = found.interval.low, found.interval.high
        console.print(
            f"Over {found.runs} seeds: accuracy {found.mean:.4f}, standard deviation {found.std:.4f}; the mean is "
            f"between {low:.4f} and {high:.4f} (95 %, Student).",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    print_rows(
        [asdict(one) for one in run.curves[-_MOST_ROUNDS:]],
        as_json=False,
        title="Rounds",
        columns=("number",),
    )
    for known, predicted, count in run.confusion:
        console.print(
            f"Examples labeled as {known} classified by model as {predicted}: {count} times", highlight=False
        )


def _stability(run: Run, alike: Sequence[Run]) -> "Stability | None":
    """Return the spread of accuracy over the seeds of a run's setting; None where there is one only."""
    from flumen.models.evaluation.intervals import stability

    def setting(one: Run) -> tuple[Any, ...]:
        return one.trainer, one.outputs, one.data_sha256, sorted(one.parameters.items(), key=str)

    same = {one.seed: one.accuracy for one in alike if setting(one) == setting(run) and one.state == "done"}
    known = [accuracy for accuracy in same.values() if accuracy is not None]
    return stability(np.array(known)) if len(known) > 1 else None


def print_two(one: Run, other: Run, as_json: bool) -> None:
    """Print where two runs differ, and what McNemar's test says of them."""
    first, second = _comparable(one), _comparable(other)
    rows = [
        {"what": name, "one": first.get(name), "other": second.get(name)}
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name) or name in _MEASURES
    ]
    found = compare_runs(one, other)
    measured = [name for name in _MEASURES if one.test and other.test]
    changes = {name: getattr(other.test, name) - getattr(one.test, name) for name in measured}
    if as_json:
        two = {"one": as_dict(one), "other": as_dict(other), "difference": changes}
        print_json(two | {"mcnemar": found and asdict(found)})
        return
    for row in rows:
        row["difference"] = changes.get(str(row["what"]))
    print_rows(rows, as_json=False)
    if found is not None:
        said = difference_in_words(one.run_id, other.run_id, found)
        console.print(said, markup=False, highlight=False, soft_wrap=True)


def _print_grids(runs: Sequence[Run]) -> None:
    """Print a table for each number of outputs, and for whatever else an id tells: rates down, seeds across."""
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        if RATE in run.parameters and run.stands:
            suffix = "_".join(run.run_id.split("_")[3:])
            groups.setdefault((run.outputs, suffix), []).append(run)
    shown = {key: of_it for key, of_it in groups.items() if len(of_it) > 1}
    values = [run.accuracy for of_it in shown.values() for run in of_it if run.accuracy is not None] or [0.0]
    for (outputs, suffix), of_it in sorted(shown.items())[:_MOST_GRIDS]:
        told = f", {suffix}" if suffix else ""
        console.print(f"Accuracy by rate (down) and seed (across), {outputs} outputs{told}", style="italic")
        print_whole(_heat(of_it, min(values), max(values)))
    if len(shown) > _MOST_GRIDS:
        console.print(
            f"and {len(shown) - _MOST_GRIDS} more such tables; --json has all runs", highlight=False
        )


def _heat(runs: Sequence[Run], low: float, high: float) -> Table:
    cells: Mapping[tuple[Any, int], Run] = {(run.parameters[RATE], run.seed): run for run in runs}
    seeds = list(dict.fromkeys(seed for _, seed in sorted(cells, key=lambda key: key[1])))
    table = Table()
    table.add_column("rate")
    for seed in (*seeds, "mean"):
        table.add_column(str(seed), justify="right")
    for rate in sorted({rate for rate, _ in cells}):
        found = [cells.get((rate, seed)) for seed in seeds]
        known = [run.accuracy for run in found if run and run.accuracy is not None]
        mean = _warm(statistics.fmean(known), low, high) if known else Text("")
        table.add_row(java_double(float(rate)), *(_cell(run, low, high) for run in found), mean)
    return table


def _cell(run: Run | None, low: float, high: float) -> Text:
    if run is None:
        return Text("")
    if run.accuracy is None:
        return Text(run.state, style=_style(_COLD))
    return _warm(run.accuracy, low, high)


def _warm(value: float, low: float, high: float) -> Text:
    share = (value - low) / (high - low) if high > low else 1.0
    mixed = (round(cold + share * (warm - cold)) for cold, warm in zip(_COLD, _WARM, strict=True))
    return Text(f"{value:.4f}", style=_style(tuple(mixed)))


def _style(colour: tuple[int, ...]) -> str:
    return f"white on rgb({','.join(map(str, colour))})"


def _best_first(runs: Sequence[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: (-(run.accuracy if run.accuracy is not None else -1.0), run.run_id))


def _row(run: Run) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "state": run.state,
        "validation": run.validation and run.validation.accuracy,
        **{name: run.test and getattr(run.test, name) for name in _MEASURES},
        "rounds": run.rounds,
        "seconds": run.duration_s,
        "model": run.reference,
    }


def _facts(run: Run) -> dict[str, Any]:
    shown = {each.name: getattr(run, each.name) for each in fields(run)}
    for name in ("parameters", "software", "curves", "confusion", "answers", "validation", "test", "schema"):
        del shown[name]
    for name in _TIMES:
        shown[name] = shown[name] and f"{iso_time(shown[name])}Z"
    shown |= {f"parameter {name}": value for name, value in run.parameters.items()}
    for part, measures in (("validation", run.validation), ("test", run.test)):
        shown |= {f"{part} {name}": measures and getattr(measures, name) for name in _MEASURES}
    shown |= {f"version of {name}": value for name, value in run.software.items()}
    return {name: value for name, value in shown.items() if value not in (None, "")}


def _comparable(run: Run) -> dict[str, Any]:
    plain = (
        "experiment",
        "data_sha256",
        "trainer",
        "outputs",
        "seed",
        "state",
        "rounds",
        "duration_s",
        "machine",
    )
    return {
        **{name: getattr(run, name) for name in plain},
        **{f"parameter {name}": value for name, value in run.parameters.items()},
        "validation accuracy": run.validation and run.validation.accuracy,
        **{name: run.test and getattr(run.test, name) for name in _MEASURES},
        "model": run.reference,
    }
