"""What `flumen experiment show` and `compare` say of runs: spread over seeds, and whether a difference is chance."""

import json
from dataclasses import replace

import numpy as np
import pytest

from flumen.cli.learning.experiment_output import print_run, print_two
from flumen.models.experiments.answered import packed_answers
from flumen.models.experiments.run import Measures, Run

KNOWN = np.arange(200, dtype=np.uint8) % 10


def run(seed: int, wrong: int, rate: float = 0.1) -> Run:
    """Return a run that has the first images wrong, so many."""
    predicted = KNOWN.astype(np.int64)
    predicted[:wrong] = (predicted[:wrong] + 1) % 10
    accuracy = 1 - wrong / len(KNOWN)
    return Run(
        run_id=f"10_{seed}_{rate}",
        data_sha256="d",
        trainer="network",
        outputs=10,
        seed=seed,
        parameters={"rate": rate},
        state="done",
        test=Measures(accuracy, accuracy, accuracy, accuracy),
        answers=packed_answers(KNOWN, predicted),
    )


def test_a_run_is_shown_with_its_like_over_the_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    alike = [run(1, 20), run(2, 40), run(3, 30)]
    others = [run(4, 0, rate=0.2), replace(run(5, 0), data_sha256="e"), replace(run(6, 0), state="diverged")]
    print_run(alike[0], as_json=False, alike=[*alike, *others])
    said = capsys.readouterr().out
    # Student: 0.85 +- 4.303 * 0.05 / sqrt(3)
    assert "Over 3 seeds: accuracy 0.8500, standard deviation 0.0500" in said
    assert "between 0.7258 and 0.9742 (95 %, Student)" in said
    assert alike[0].answers not in said.replace("\n", "")
    print_run(alike[0], as_json=True, alike=alike[:1])
    assert json.loads(capsys.readouterr().out)["over_seeds"] is None


def test_two_runs_are_compared_by_mcnemar_where_both_kept_their_answers_to_the_same_images(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_two(run(1, 60), run(2, 20), as_json=False)
    said = capsys.readouterr().out
    assert "10_1_0.1 alone is right on 0 images, 10_2_0.1 alone on 40" in said
    assert "by McNemar's test. Chance alone would seldom do that: 10_1_0.1 is worse." in said
    for other in (replace(run(2, 20), answers=""), replace(run(2, 20), data_sha256="e")):
        print_two(run(1, 60), other, as_json=False)
        assert "McNemar" not in capsys.readouterr().out
    print_two(run(1, 60), run(2, 20), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["mcnemar"]["only_first"], found["mcnemar"]["only_second"]) == (0, 40)
