"""The tables of runs: `model_runs`, the pieces of what is too long for a cell, and who else has a run."""

from flumen.stores.kudu.schema import Table, TableColumn, chunks_table

_TYPES = {
    "schema": "int32",
    "experiment": "string",
    "trainer": "string",
    "outputs": "int32",
    "seed": "int64",
    "parameters": "string",
    "state": "string",
    "claimed_by": "string",
    "beat": "int64",
    "lease_s": "double",
    "claimed_at": "unixtime_micros",
    "renewed_at": "unixtime_micros",
    "started_at": "unixtime_micros",
    "ended_at": "unixtime_micros",
    "snapshot_at": "unixtime_micros",
    "duration_s": "double",
    "rounds": "int32",
    "curves": "string",
    "validation_accuracy": "double",
    "validation_precision": "double",
    "validation_recall": "double",
    "validation_f1": "double",
    "test_accuracy": "double",
    "test_precision": "double",
    "test_recall": "double",
    "test_f1": "double",
    "confusion": "string",
    "answers": "string",
    "model": "string",
    "model_version": "int32",
    "model_sha256": "string",
    "machine": "string",
    "software": "string",
    "error": "string",
    "pieces": "string",
}


JOINED = ("experiment", "run_id", "data_sha256")
"""The key of `experiment_runs`."""


def runs_table(prefix: str) -> Table:
    """Return the table `model_runs`: a row for each attempt at a run, under the run's id and the data's fingerprint.

    What is nested is JSON. A text that is too long for a cell is null here; `pieces` says, as JSON, into how many it is
    cut in `model_run_chunks`.
    """
    keys = (("run_id", "string"), ("data_sha256", "string"), ("attempt", "int32"))
    return Table(
        f"{prefix}model_runs",
        (
            *(TableColumn(name, kind, nullable=False, key=True) for name, kind in keys),
            *(TableColumn(name, kind) for name, kind in _TYPES.items()),
        ),
    )


def experiment_runs_table(prefix: str) -> Table:
    """Return the table `experiment_runs`: a row for each run that an experiment has and another one computed."""
    keys = (TableColumn(name, "string", nullable=False, key=True) for name in JOINED)
    return Table(f"{prefix}experiment_runs", (*keys, TableColumn("joined_at", "unixtime_micros")))


def run_chunks_table(prefix: str) -> Table:
    """Return the table `model_run_chunks`; its id is the key of a run and the name of a column."""
    return chunks_table(prefix, "model_run_chunks")
