"""The jars of the servers: what `artifacts.toml` beside this names."""

from pathlib import Path

from flumen.stores.artifacts import Artifact, Progress, silent
from flumen.stores.artifacts import missing as missing_of
from flumen.stores.artifacts import pinned as pinned_in
from flumen.stores.artifacts import resolve as resolve_of

LOCK_FILE = Path(__file__).with_name("artifacts.toml")


def pinned() -> dict[str, tuple[Artifact, ...]]:
    """Return the artifacts of every server, by the name of the group."""
    return pinned_in(LOCK_FILE)


def missing(group: str) -> list[Artifact]:
    """Return the artifacts of a group that are to be downloaded."""
    return missing_of(LOCK_FILE, group)


def resolve(group: str, progress: Progress = silent) -> list[Path]:
    """Return the files of a group in the order of the lock file, after downloading those that are missing.

    Raises:
        ArtifactError: an artifact cannot be had; the message names it and says what to do.
        FolderUnusable: one is missing, and the cache cannot be written.
    """
    return resolve_of(LOCK_FILE, group, progress)
