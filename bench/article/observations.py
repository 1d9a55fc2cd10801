"""The article's observations, each held to what was measured here: it holds, or it does not."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.article import told
from flumen.models.evaluation.comparison import compare_right
from flumen.models.evaluation.intervals import stability
from flumen.models.experiments.answered import right_answers
from flumen.models.experiments.java_double import java_double
from flumen.models.experiments.run import Run

Table = Mapping[float, Sequence[Run]]
"""The runs of each rate, by rate and then by seed."""

LEARNS = 0.5
"""A run of a lower accuracy has learnt nothing to speak of: the article's next lower one is 0.1135."""

DROP = 0.01
"""By so much accuracy drops at a cliff, at least."""

SIGNIFICANT = 0.05
_DIGITS = range(10)
_KNOWN, _TAKEN_FOR, _AS_WELL = 3, 6, 2


@dataclass(frozen=True, slots=True)
class Observation:
    """What the article says, whether it holds here, and what was found."""

    said: str
    holds: bool
    found: str


def by_rate(runs: Sequence[Run]) -> dict[float, list[Run]]:
    """Put runs into a table."""
    rates = sorted({rate_of(run) for run in runs})
    return {
        rate: sorted((run for run in runs if rate_of(run) == rate), key=lambda run: run.seed)
        for rate in rates
    }


def rate_of(run: Run) -> float:
    """Return a run's learning rate."""
    return float(run.parameters["rate"])  # type: ignore[arg-type]


def accuracies(runs: Sequence[Run]) -> list[float]:
    """Return the accuracies of those that did not diverge."""
    return [run.accuracy for run in runs if run.accuracy is not None]


def learns(run: Run) -> bool:
    """Say whether a run has learnt anything."""
    return run.accuracy is not None and run.accuracy > LEARNS


def lost(runs: Sequence[Run]) -> int:
    """Return how many runs have diverged or learnt nothing."""
    return sum(not learns(run) for run in runs)


def in_words(runs: Sequence[Run]) -> str:
    """Say how many runs of a rate learn, and how well."""
    diverged = sum(run.state == "diverged" for run in runs)
    constant = lost(runs) - diverged
    parts = [f"{diverged} of {len(runs)} seeds diverge"] if diverged else []
    parts += [f"{constant} of {len(runs)} learn nothing"] if constant else []
    kept = ", ".join(f"{run.accuracy:.4f}" for run in runs if learns(run))
    parts += [f"{len(runs) - lost(runs)} of {len(runs)} reach {kept}"] if kept else []
    return ", ".join(parts)


def all_observations(table: Table, finer: Table) -> list[Observation]:
    """Check all observations. `finer`: runs at rates around the best one of the table, on a validation part."""
    return [
        rises_and_drops(table),
        one_round(table),
        three_rounds(table),
        between(finer),
        no_all_errors(table),
        three_and_six(table),
    ]


def whole_rates(table: Table) -> list[float]:
    """Return the rates at which every run learns, up to the first at which one does not."""
    return list(itertools.takewhile(lambda rate: not lost(table[rate]), sorted(table)))


def mean_of(runs: Sequence[Run]) -> float:
    """Return the mean accuracy of runs, where one that diverged has no answer right."""
    return statistics.fmean(0.0 if run.accuracy is None else run.accuracy for run in runs)


def rising_rates(table: Table) -> list[float]:
    """Return the rates up to the one of the best mean, of those at which every run learns."""
    whole = whole_rates(table)
    best = max(whole, key=lambda rate: mean_of(table[rate]), default=None)
    return [rate for rate in whole if best is not None and rate <= best]


def rises_and_drops(table: Table) -> Observation:
    """Check that the mean accuracy rises from rate to rate up to the best one, and drops by `DROP` behind it."""
    rising = rising_rates(table)
    means = [mean_of(table[rate]) for rate in rising]
    rises = len(means) > 1 and all(low < high for low, high in itertools.pairwise(means))
    beyond = sorted(table)[len(rising) :]
    drops = bool(beyond) and bool(means) and means[-1] - mean_of(table[beyond[0]]) > DROP
    steps = ", ".join(f"{mean:.4f} at {java_double(rate)}" for rate, mean in zip(rising, means, strict=True))
    behind = "; ".join(f"at {java_double(rate)} {in_words(table[rate])}" for rate in beyond)
    said = f"Behind that it drops: {behind}." if drops else "Behind that it does not drop."
    return Observation(
        "Accuracy increases with increasing rate, and then suddenly it drops!",
        rises and drops,
        f"Means: {steps}. {said}",
    )


def one_round(table: Table) -> Observation:
    """Check that the seed matters: two runs of one setting are told apart by the test images (McNemar)."""
    pairs = [
        (one, other, compare_right(first, second).p_value)
        for rate in whole_rates(table)
        for one, other in itertools.combinations(table[rate], 2)
        if (first := right_answers(one)) is not None and (second := right_answers(other)) is not None
    ]
    # By Bonferroni, as it is the smallest of so many.
    told_apart = [pair for pair in pairs if pair[2] * len(pairs) < SIGNIFICANT]
    torn = [rate for rate in sorted(table) if 0 < lost(table[rate]) < len(table[rate])]
    spreads = ", ".join(
        f"{max(found) - min(found):.4f} at {java_double(rate)}"
        for rate in whole_rates(table)
        if len(found := accuracies(table[rate])) > 1
    )
    said = f"Between the best and the worst seed lie {spreads}. "
    if told_apart:
        one, other, p_value = min(told_apart, key=lambda pair: pair[2])
        said += (
            f"Chance in the test images does not explain all of it: `{one.run_id}` and `{other.run_id}` differ with "
            f"p = {p_value:.2g} (McNemar; {len(pairs)} pairs were compared)."
        )
    else:
        said += (
            f"The test images tell no two seeds of a rate apart (McNemar; {len(pairs)} pairs, by Bonferroni)."
        )
    for rate in torn:
        said += (
            f" At {java_double(rate)} the seed decides whether anything is learnt: {in_words(table[rate])}."
        )
    return Observation(
        "One round is not enough to get a result, which is independent from RNG seed.",
        bool(told_apart or torn),
        said,
    )


def three_rounds(table: Table) -> Observation:
    """Check that the intervals of the means of three seeds do not overlap between one rate and the next."""
    found = [(rate, stability(np.array(accuracies(table[rate])))) for rate in rising_rates(table)]
    known = [(rate, one.mean, one.interval) for rate, one in found if one.interval is not None]
    parted = all(lower.high < upper.low for (_, _, lower), (_, _, upper) in itertools.pairwise(known))
    means = ", ".join(
        f"{mean:.4f} ± {interval.high - mean:.4f} at {java_double(rate)}" for rate, mean, interval in known
    )
    verdict = (
        "three seeds tell these rates apart"
        if parted
        else "the intervals of some neighbours overlap, so that three seeds do not tell these rates apart"
    )
    return Observation("Need 3 rounds to get averages.", parted, f"{means} (95 %, Student): {verdict}.")


def between(finer: Table) -> Observation:
    """Check that a rate between the article's best one and the next is better than that one."""
    means = {rate: mean_of(runs) for rate, runs in sorted(finer.items())}
    best = max(means, key=lambda rate: means[rate])
    each = ", ".join(f"{mean:.4f} at {java_double(rate)}" for rate, mean in means.items())
    return Observation(
        "Range 0.01 to 0.1 need to be investigated again.",
        best > told.LAST_BEFORE_CLIFF,
        f"On a tenth of the training images, which these runs have not learnt: {each}. The best is "
        f"{java_double(best)}, with one seed each.",
    )


def no_all_errors(table: Table) -> Observation:
    """Check that not each of the 90 ways to take a digit for another one occurs."""
    best = rising_rates(table)[-1]
    empty = [len(_DIGITS) * 9 - len(_mistakes(run)) for run in table[best]]
    never = len(_DIGITS) * 9 - len(set().union(*(_mistakes(run) for run in table[best])))
    there = len(_DIGITS) * 9 - sum(len(row) - 1 for row in told.CONFUSION.values())
    return Observation(
        "Not all possible false positives exist.",
        min(empty) > 0,
        f"Of 90 ways to take a digit for another one, {there} do not occur there; here, at {java_double(best)}, "
        f"{_listed(empty)} by seed, and {never} with none of the seeds.",
    )


def three_and_six(table: Table) -> Observation:
    """Check that no 3 is classified as 6."""
    rates = rising_rates(table)[-2:]
    runs = [run for rate in rates for run in table[rate]]
    sixes = [_count(run, _KNOWN, _TAKEN_FOR) for run in runs]
    twos = [_count(run, _KNOWN, _AS_WELL) for run in runs]
    there = told.CONFUSION[_KNOWN][_AS_WELL]
    return Observation(
        "3 is never classified as 6, but 3 times as two.",
        not any(sixes),
        f"In the {len(runs)} runs at {' and '.join(map(java_double, rates))}, {_listed(sixes)} of the 3s are "
        f"classified as 6, and {_listed(twos)} as 2; 0 and {there} there. "
        + ("" if not any(sixes) else "It was so of that one model; others err otherwise."),
    )


def _mistakes(run: Run) -> set[tuple[int, int]]:
    return {(known, predicted) for known, predicted, _ in run.confusion if known != predicted}


def _count(run: Run, known: int, predicted: int) -> int:
    return sum(count for row, column, count in run.confusion if (row, column) == (known, predicted))


def _listed(numbers: Sequence[int]) -> str:
    texts = list(map(str, numbers))
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
