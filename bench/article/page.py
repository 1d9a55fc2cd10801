"""The page `docs/article.md`, made of figures alone."""

import os
import platform
import statistics
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import psutil

from bench.article import told
from bench.article.experiments import LARGE, Computed
from bench.article.observations import (
    LEARNS,
    Observation,
    Table,
    accuracies,
    all_observations,
    by_rate,
    in_words,
    learns,
    rate_of,
    rising_rates,
    whole_rates,
)
from bench.article.skew import WAYS, Skew
from flumen.models.experiments.java_double import java_double
from flumen.models.experiments.run import Run

PICTURE = "article-accuracy.svg"
TOLERANCE = 0.005
"""How far the mean of the seeds may be from the article's."""

_WIDTH = 100
_PACKAGES = ("flumen-ingest", "numpy", "scipy", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Results:
    """All that the page tells. `large`: the runs of the grid of 140 that stand, none where nobody computed them."""

    table: Computed
    headline: Computed
    finer: Computed
    skew: Computed
    skews: Sequence[Skew]
    large: Sequence[Run]

    @property
    def computed(self) -> list[Computed]:
        """All experiments that were computed for the page."""
        return [self.table, self.headline, self.finer, self.skew]


def write_page(results: Results) -> str:
    """Return the page."""
    table, finer = by_rate(results.table.runs), by_rate(results.finer.runs)
    return (
        "\n\n".join(
            [
                "# The article's results, reproduced",
                f"Written by `make article` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. Do not edit: run it again.",
                _origin(results),
                *_table_part(results.table, table),
                *_headline_part(results.headline),
                *_observations_part(results, all_observations(table, finer)),
                *_skew_part(results),
                *_large_part(results.large, results.table.runs),
            ]
        )
        + "\n"
    )


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ["--"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def prose(text: str) -> str:
    """Return a paragraph, wrapped as all pages are."""
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _origin(results: Results) -> str:
    runs = [run for computed in results.computed for run in computed.runs]
    new = sum(computed.new for computed in results.computed)
    seconds = sum(run.duration_s or 0.0 for run in runs)
    machines = ", ".join(sorted({run.machine for run in runs if run.machine}))
    blas = ", ".join(sorted({run.software["blas"] for run in runs if "blas" in run.software}))
    dates = sorted(run.ended_at for run in runs if run.ended_at is not None)
    when = " to ".join(
        dict.fromkeys(f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d}" for at in (dates[0], dates[-1]))
    )
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    memory = psutil.virtual_memory().total / 1024**3
    return prose(
        f"It is made of {len(runs)} runs of flumen's own experiments ([experiments.md](experiments.md)), which stand "
        f"in the table `model_runs`: {len(runs) - new} stood there already, {new} were computed for this page. Trained "
        f"{when} by {machines}, one thread a run, {seconds / 60:.0f} minutes of training in all by the clock, with "
        f"other work on the machine. Page: {platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB of memory; Python {platform.python_version()}, {packages}; {blas}. The images are MNIST's: "
        "60,000 to learn from, 10,000 to test on."
    )


def _command(computed: Computed) -> str:
    return f"```\n{computed.experiment.command}\n```"


def _table_part(computed: Computed, table: Table) -> Iterable[str]:
    rows, far = [], []
    for rate in told.rates():
        runs, known = table[rate], accuracies(table[rate])
        there = [told.ACCURACY[rate, seed] for seed in told.seeds()]
        mean = f"{statistics.fmean(known):.4f}" if len(known) == len(runs) else "-"
        off = statistics.fmean(known) - told.mean(rate) if len(known) == len(runs) else None
        if rate <= told.LAST_BEFORE_CLIFF and (off is None or abs(off) > TOLERANCE):
            far.append(java_double(rate))
        cells = [java_double(rate), *(f"{one:.4f}" for one in there), f"{told.mean(rate):.4f}"]
        cells += [f"{run.accuracy:.4f}" if run.accuracy is not None else run.state for run in runs]
        rows.append(
            [*cells, mean, f"{off:+.4f}" if off is not None and rate <= told.LAST_BEFORE_CLIFF else ""]
        )
    seeds = told.seeds()
    heads = [
        "rate",
        *(f"there, {seed}" for seed in seeds),
        "mean",
        *(f"here, {seed}" for seed in seeds),
        "mean",
    ]
    verdict = (
        f"Up to a rate of {java_double(told.LAST_BEFORE_CLIFF)}, the mean of the three seeds is within {TOLERANCE} of "
        "the article's at every rate."
        if not far
        else f"**Not within {TOLERANCE} of the article's mean: {', '.join(far)}.**"
    )
    yield "## The table of 18 settings"
    yield _command(computed)
    yield markdown([*heads, "difference"], rows)
    yield prose(
        f"{verdict} {_cliff_in_words(table)} A seed means nothing between two libraries: compare means, not columns. "
        "*diverged*: the weights left the range of numbers, and such a network has no answer; the article's library "
        "goes on, and its networks answer always the same (0.1135, 0.1028 and 0.0892 are the shares of the digits 1, "
        "7 and 5 among the test images)."
    )
    yield prose(
        "The article names neither its epochs nor its batch size, and says that values are binarised. Its table is "
        "met with 15 epochs, batches of 128, and grey values (value / 255): that is what the grid says."
    )
    yield f"![Accuracy by learning rate, there and here]({PICTURE})"


def _cliff_in_words(table: Table) -> str:
    rising, there = rising_rates(table), told.LAST_BEFORE_CLIFF
    last = rising[-1] if rising else None
    if last != there:
        where = java_double(last) if last is not None else "none"
        return f"**The cliff is elsewhere: the best rate is {where} here, and {there} there.**"
    beyond = "; ".join(
        f"at {java_double(rate)} {in_words(table[rate])} here, and "
        f"{sum(told.ACCURACY[rate, seed] > LEARNS for seed in told.seeds())} of {len(told.seeds())} learn there"
        for rate in sorted(table)
        if rate > there
    )
    # Where the first seed is lost: behind the last rate at which all learn.
    whole, lost_there = whole_rates(table)[-1], min(rate for rate in told.rates() if rate > there)
    if whole >= lost_there:
        return (
            f"Accuracy is best at {java_double(there)} and drops behind it, as in the article; **but seeds that learn "
            f"nothing begin at {java_double(lost_there)} there, and only behind {java_double(whole)} here**: {beyond}."
        )
    return f"The cliff is where the article has it, behind {java_double(there)}: {beyond}."


def _headline_part(computed: Computed) -> Iterable[str]:
    rows = [["the article's", "not told", f"{told.HEADLINE_ACCURACY:.4f}", f"{told.HEADLINE_S:.0f} s"]]
    for run in sorted(computed.runs, key=lambda run: int(str(run.parameters["batch_size"]))):
        accuracy = f"{run.accuracy:.4f}" if run.accuracy is not None else run.state
        rows.append(
            [f"`{run.run_id}`", str(run.parameters["batch_size"]), accuracy, f"{run.duration_s or 0:.1f} s"]
        )
    rate = java_double(rate_of(computed.runs[0]))
    yield "## The model of 0.9821"
    yield _command(computed)
    yield markdown(["model", "batch size", "accuracy", "time to train"], rows)
    yield prose(
        f"The article trains and validates a model of {told.HEADLINE_ACCURACY} in {told.HEADLINE_S:.0f} s on a single "
        f"computer, and does not say with which setting. Seed 123 and rate {rate} are the first of the lists that it "
        "gives. Here one core is used, and the time is by the clock, with whatever else the machine did; asking the "
        "10,000 test images takes a fraction of a second more."
    )


def _observations_part(results: Results, observations: Sequence[Observation]) -> Iterable[str]:
    held = sum(one.holds for one in observations)
    yield "## What the article observes"
    yield prose(
        f"{held} of {len(observations)} observations hold here. They are checked with the runs of the table above, "
        "and with those from which the shipped champion was chosen:"
    )
    yield _command(results.finer)
    yield "\n".join(
        textwrap.fill(
            f"- **“{one.said}”** {'Holds.' if one.holds else 'Does not hold.'} {one.found.strip()}",
            _WIDTH,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for one in observations
    )


def _cost_told(skew: Skew) -> str:
    who = f"A model that has learnt {skew.learnt} images and is served the others"
    if not skew.cost:
        return f"{who} is right as often."
    if skew.cost < 0:
        return f"{who} gains {-100 * skew.cost:.2f} points."
    times = _times(1 - skew.served[_other(skew.learnt)], 1 - skew.served[skew.learnt])
    return f"{who} loses {100 * skew.cost:.2f} points: {times} as many errors."


def _skew_part(results: Results) -> Iterable[str]:
    skews = results.skews
    rows = [
        [
            f"{skew.learnt}, models: {skew.models}",
            *(f"{skew.served[way]:.4f}" for way in WAYS),
            f"{100 * skew.cost:.2f}",
        ]
        for skew in skews
    ]
    costs = " ".join(map(_cost_told, skews))
    yield "## Trained in one way, served in another"
    yield _command(results.skew)
    yield prose(
        "The article's serving path binarises images (a value above 30 is 1), and its table fits a training on grey "
        "values. So its training and its serving do not see the same images. What that costs, as mean accuracy of the "
        "table's models of rate 0.01, and of three that have learnt binarised images and differ in nothing else:"
    )
    yield markdown(["learnt from", *(f"served {way}" for way in WAYS), "points lost"], rows)
    yield prose(
        f"{costs} In flumen there is one preprocessing, that of the model's manifest: training writes it, and every "
        "worker prepares images by it, so that this cannot happen. The shipped champion reads grey values."
    )


def _other(way: str) -> str:
    return next(one for one in WAYS if one != way)


def _times(errors: float, before: float) -> str:
    return f"{errors / before:.1f} times"


def _large_part(runs: Sequence[Run], table: Sequence[Run]) -> Iterable[str]:
    mean_s = statistics.fmean(run.duration_s or 0.0 for run in table)
    hours = told.GRID_SETTINGS * told.HEADLINE_S / 3600
    yield "## The grid of 140 settings"
    yield f"```\n{LARGE.command}\n```"
    reckoned = (
        f"The article reckons {told.HOURS:.0f} hours for {told.ROUNDS} rounds of {told.GRID_SETTINGS} settings, which "
        f"is {hours:.1f} hours a round at {told.HEADLINE_S:.0f} s each. The runs of the table above took "
        f"{mean_s:.0f} s each on one core, so that a round takes {told.GRID_SETTINGS * mean_s / 3600:.1f} hours of "
        "one core (an extrapolation)."
    )
    if not runs:
        yield prose(f"{reckoned} It has not been computed here. Where its runs stand, this page shows them.")
        return
    yield prose(
        f"{reckoned} {len(runs)} of the {told.GRID_SETTINGS} settings stand. Mean accuracy over the seeds, by outputs "
        "and rate; in brackets how many seeds learn, where not all do:"
    )
    outputs, rates = sorted({run.outputs for run in runs}), sorted({rate_of(run) for run in runs})
    rows = []
    for rate in rates:
        cells = [[run for run in runs if (run.outputs, rate_of(run)) == (one, rate)] for one in outputs]
        rows.append([java_double(rate), *map(_mean, cells)])
    yield markdown(["rate", *(f"{one} outputs" for one in outputs)], rows)


def _mean(runs: Sequence[Run]) -> str:
    known = accuracies([run for run in runs if learns(run)])
    if not known:
        return "-" if not runs else f"none of {len(runs)}"
    return f"{statistics.fmean(known):.4f}" + (
        f" ({len(known)} of {len(runs)})" if len(known) < len(runs) else ""
    )
