"""Several processes that want the same runs of a real Kudu at the same moment."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

from flumen.models.experiments.claimant import this_process
from flumen.models.experiments.run_store import RunStore
from flumen.models.experiments.setting import Setting
from flumen.stores.kudu import KuduOptions, KuduRuns

DATA = "d" * 64
FRESH, LEFT = range(12), range(12, 24)
PROCESSES = 2

CLAIMING = """
import json, sys
from flumen.models.experiments.run_store import RunStore
from flumen.models.experiments.setting import Setting
from flumen.stores.kudu import KuduOptions, KuduRuns
masters, prefix = sys.argv[1:]
store = RunStore(KuduRuns(KuduOptions(masters=masters, table_prefix=prefix, partitions=2)))
store.list()
print(flush=True)
sys.stdin.readline()
claims = [store.claim(Setting("network", 10, seed, {"rate": 0.1}, {}), "d" * 64, "race") for seed in range(24)]
print(json.dumps([(claim.outcome, claim.run.seed, claim.run.attempt) for claim in claims]), flush=True)
sys.stdin.readline()
"""


def test_every_run_is_exactly_one_processs(flumen_stack: Any, flumen_names: Any) -> None:
    """Also those that a process had which has ended since: they are taken over by one."""
    options = KuduOptions(
        masters=flumen_stack.kudu_masters, table_prefix=flumen_names.kudu_prefix, partitions=2
    )
    ended = RunStore(KuduRuns(options), who=replace(this_process(), began=0))
    for seed in LEFT:
        ended.claim(Setting("network", 10, seed, {"rate": 0.1}, {}), DATA, "race")
    command = [sys.executable, "-c", CLAIMING, options.masters, options.table_prefix]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "\n"
        for racer in racers:
            _say(racer)
        claims = [json.loads(racer.stdout.readline()) for racer in racers if racer.stdout]
    finally:
        for racer in racers:
            racer.communicate()
    ours = [(seed, attempt) for each in claims for outcome, seed, attempt in each if outcome == "ours"]
    assert sorted(ours) == [*((seed, 1) for seed in FRESH), *((seed, 2) for seed in LEFT)]
    assert {outcome for each in claims for outcome, _, _ in each} == {"ours", "held"}
    assert {(run.seed, run.attempt) for run in ended.list("race")} == set(ours)
    ended.close()


def _say(racer: "subprocess.Popen[str]") -> None:
    assert racer.stdin is not None
    racer.stdin.write("\n")
    racer.stdin.flush()
