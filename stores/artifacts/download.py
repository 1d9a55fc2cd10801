"""Download one file: resumable, verified, and in its place only when it is whole."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from flumen.stores.artifacts.session import describe, open_session, without_login
from flumen.stores.errors import ArtifactError

ATTEMPTS = 4
CLIENT_ERRORS = 4  # hundreds
RETRIABLE_REFUSALS = {408, 416, 429}
TIMEOUT_SECONDS = (10, 60)  # to connect, and between two pieces
CHUNK_BYTES = 64 * 1024  # of a broken connection, what has filled no chunk is lost
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416


@dataclass(frozen=True, slots=True)
class Source:
    """What to download: `label` names it for people, `size` is in bytes."""

    url: str
    label: str
    sha256: str
    size: int


def fetch(source: Source, target: Path, advance: Callable[[int], None], attempts: int = ATTEMPTS) -> None:
    """Download `source` to `target`. What an earlier call left half done is continued.

    `advance` is called with the number of bytes gained; a negative number where bytes turned out to be wrong.
    The caller sees to it that no two downloads of one file run at once.

    Raises:
        ArtifactError: the repository does not answer, refuses, or keeps sending other bytes than pinned.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    advance(_usable(part, source))
    for attempt in range(1, attempts + 1):
        try:
            _continue(source, part, advance)
            _verify(source, part, advance)
        except (requests.RequestException, ArtifactError) as error:
            if attempt == attempts or _is_final(error):
                raise ArtifactError(_explain(source, error)) from error
            time.sleep(0.2 * 2**attempt)
        else:
            part.replace(target)
            return


def _usable(part: Path, source: Source) -> int:
    """Return how many bytes are there already; a part longer than the file is thrown away."""
    size = part.stat().st_size if part.exists() else 0
    if size > source.size:
        part.unlink()
        return 0
    return size


def _continue(source: Source, part: Path, advance: Callable[[int], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have == source.size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    with (
        open_session(source.url) as session,
        session.get(
            without_login(source.url), headers=headers, stream=True, timeout=TIMEOUT_SECONDS
        ) as response,
    ):
        if response.status_code == RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            advance(-have)
        response.raise_for_status()
        if have and response.status_code != PARTIAL_CONTENT:
            advance(-have)
            have = 0
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_content(CHUNK_BYTES):
                have += len(chunk)
                if have > source.size:
                    raise ArtifactError(f"the repository sends more than the {source.size:,} bytes pinned")
                file.write(chunk)
                advance(len(chunk))


def _verify(source: Source, part: Path, advance: Callable[[int], None]) -> None:
    size = part.stat().st_size
    if size < source.size:
        raise ArtifactError(f"the connection ended after {size:,} of {source.size:,} bytes")
    found = sha256_of(part)
    if found != source.sha256:
        part.unlink()
        advance(-size)
        raise ArtifactError(f"its sha256 is {found}, and {source.sha256} is pinned")


def _is_final(error: Exception) -> bool:
    """Whether the server refused for good (a client error), so that asking again is of no use."""
    if not isinstance(error, requests.HTTPError) or error.response is None:
        return False
    code = error.response.status_code
    return code // 100 == CLIENT_ERRORS and code not in RETRIABLE_REFUSALS


def _explain(source: Source, error: Exception) -> str:
    return (
        f"cannot download {source.label}: {describe(error, source.url)}. Check the network and run the same command "
        "again; it continues where it stopped. Behind a mirror, set FLUMEN_MAVEN_REPOSITORY to the mirror's address"
    )


def sha256_of(path: Path) -> str:
    """Return a file's sha256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
