"""Pinned artifacts: what a lock file names, in a cache on this machine, each verified."""

import os
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event, Lock
from urllib.parse import urlsplit

from flumen.stores.artifacts.download import Source, fetch, sha256_of
from flumen.stores.artifacts.filelock import exclusive
from flumen.stores.artifacts.folders import cache_root, writing
from flumen.stores.artifacts.progress import Progress, silent
from flumen.stores.errors import ArtifactError

PARALLEL_DOWNLOADS = 8


@dataclass(frozen=True, slots=True)
class Artifact:
    """One pinned file: `coordinates` are `group:artifact:version[:classifier]`, `size` is in bytes."""

    coordinates: str
    sha256: str
    size: int

    @property
    def path(self) -> str:
        """Its place in a repository and in the cache, relative, with `/`."""
        group, name, version, *classifier = self.coordinates.split(":")
        file_name = "-".join([name, version, *classifier]) + ".jar"
        return "/".join([*group.split("."), name, version, file_name])


class _Stopped(Exception):
    """Ends a download that nobody waits for any more."""


@cache
def pinned(lock_file: Path) -> dict[str, tuple[Artifact, ...]]:
    """Return the artifacts of every group in the lock file."""
    groups = tomllib.loads(lock_file.read_text(encoding="utf-8"))
    return {name: tuple(Artifact(**entry) for entry in group["artifacts"]) for name, group in groups.items()}


def repository_url() -> str:
    """Return the address of the artifact repository: `FLUMEN_MAVEN_REPOSITORY`, or the one jgo uses.

    Raises:
        ArtifactError: it is no address.
    """
    from jgo.maven import MavenContext

    default: str = MavenContext().remote_repos["central"]
    url = os.environ.get("FLUMEN_MAVEN_REPOSITORY", default).rstrip("/")
    try:
        urlsplit(url)
    except ValueError as error:
        raise ArtifactError(
            f"FLUMEN_MAVEN_REPOSITORY is no address: {error}. Set it to one like https://mirror.example/maven2"
        ) from error
    return url


def missing(lock_file: Path, group: str) -> list[Artifact]:
    """Return the artifacts of a group that are not in the cache, or are not there as they were pinned.

    All are hashed each time: 0.2 s for the 170 MB of servers and clients, and damage is found before a JVM loads it.
    """
    return [artifact for artifact in pinned(lock_file)[group] if not _is_cached(artifact)]


def resolve(lock_file: Path, group: str, progress: Progress = silent) -> list[Path]:
    """Return the files of a group in the order of the lock file, after downloading those that are missing.

    Processes that want the same group at once wait for each other, and the later ones find it there.

    Raises:
        ArtifactError: an artifact cannot be had; the message names it and says what to do.
        FolderUnusable: one is missing, and the cache cannot be written.
    """
    wanted = pinned(lock_file)[group]
    if missing(lock_file, group):
        with exclusive(cache_root() / f"{group}.lock"):
            _download(group, missing(lock_file, group), progress)
    return [_cached(artifact) for artifact in wanted]


def _cached(artifact: Artifact) -> Path:
    return cache_root() / "artifacts" / artifact.path


def _is_cached(artifact: Artifact) -> bool:
    path = _cached(artifact)
    try:
        return path.exists() and path.stat().st_size == artifact.size and sha256_of(path) == artifact.sha256
    except OSError:  # what cannot be read is to be had again; writing it says what is wrong with the folder
        return False


def _download(group: str, wanted: Sequence[Artifact], progress: Progress) -> None:
    """Download several at once. The first that fails, or Ctrl-C, ends the others soon."""
    task, total = f"download {group}", sum(artifact.size for artifact in wanted)
    repository, stopped, lock, done = repository_url(), Event(), Lock(), 0

    def advance(count: int) -> None:
        nonlocal done
        if stopped.is_set():
            raise _Stopped
        with lock:
            done += count
            progress(task, done, total, "bytes")

    def fetch_one(artifact: Artifact) -> None:
        source = Source(f"{repository}/{artifact.path}", artifact.coordinates, artifact.sha256, artifact.size)
        with writing(target := _cached(artifact)):
            fetch(source, target, advance)

    progress(task, 0, total, "bytes")
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS, thread_name_prefix="artifacts") as pool:
        futures = [pool.submit(fetch_one, artifact) for artifact in wanted]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
