"""The experiments that the page is made of: computed by `flumen experiment run`, and read back from the runs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from flumen.cli.learning.experiment_computing import open_runs
from flumen.models.experiments.run import Run
from flumen.streams.settings import Settings

HERE = "bench/article"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A grid, by name or file, and whose models are kept."""

    grid: str
    keep: str = "none"

    @property
    def command(self) -> str:
        """What one types to compute it."""
        return f"flumen {' '.join(self._arguments)}"

    @property
    def _arguments(self) -> tuple[str, ...]:
        return ("experiment", "run", self.grid, "--keep", self.keep)

    def compute(self, settings: Settings, processes: int) -> "Computed":
        """Compute what does not stand yet; return all runs with all that is known of them.

        Raises:
            subprocess.CalledProcessError: a run failed, or Kudu does not answer; the command has said what to do.
        """
        before = known_runs(settings)
        done = subprocess.run(
            [sys.executable, "-m", "flumen", *self._arguments, "--processes", str(processes), "--json"],
            check=True,
            stdout=subprocess.PIPE,
        )
        keys = [(run["run_id"], run["data_sha256"]) for run in json.loads(done.stdout)]
        with open_runs(settings) as store:
            runs = [run for key in keys for run in store.get(*key)]
        return Computed(self, runs, sum(key not in before for key in keys))


@dataclass(frozen=True, slots=True)
class Computed:
    """The runs of an experiment; `new`: how many of them did not stand before."""

    experiment: Experiment
    runs: Sequence[Run]
    new: int


TABLE = Experiment("article-table", keep="all")
HEADLINE = Experiment(f"{HERE}/headline.toml")
FINER = Experiment(f"{HERE}/champion.toml")
SKEW = Experiment(f"{HERE}/skew.toml", keep="all")
LARGE = Experiment("article")
"""The grid of 140 settings. It is not computed here, which takes an hour of one core: what stands of it is shown."""


def known_runs(settings: Settings) -> set[tuple[str, str]]:
    """Return the keys of the runs that stand."""
    with open_runs(settings) as store:
        return {(run.run_id, run.data_sha256) for run in store.list() if run.stands}


def standing(experiment: Experiment, settings: Settings) -> Sequence[Run]:
    """Return the runs of an experiment that stand, whoever computed them; without confusion and answers."""
    with open_runs(settings) as store:
        return [run for run in store.list(experiment.grid) if run.stands]
