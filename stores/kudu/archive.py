"""Kudu's client as the JVM maps it, so that its classes are neither read from the jars nor verified at each start.

The archive (class data sharing, JEP 310) is made once, in 2 s, and kept in the cache for one JRE and one class path. A
start takes 0.35 s less CPU by it. The JVM compares it with the jars and itself, and does without it where they differ.
What else may be wrong with it the JVM does not see, and dies of it: so its name has its checksum.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from flumen.stores.artifacts.filelock import exclusive
from flumen.stores.artifacts.folders import cache_root
from flumen.stores.errors import FolderUnusable

log = logging.getLogger(__name__)

CLASSES = Path(__file__).with_name("client_classes.txt")

_MAKE_S = 60.0
"""What making an archive may take; a start that waits for longer does without."""
# The JVM says what it finds wrong with an archive on standard output, which is not its to write on. No more of its log
# is changed than that: the user may have asked for some (JAVA_TOOL_OPTIONS).
_SAID = ("-Xlog:cds*=off:stdout", "-Xlog:cds*=warning:stderr")
_DRAFT = "archive-"


def shared(java_home: Path, classpath: Sequence[Path], options: Sequence[str]) -> Sequence[str]:
    """Return the JVM's options for an archive of these jars, after making it the first time.

    Where it can neither be found nor made, there are none, and the JVM reads the jars.

    Args:
        java_home: the JRE.
        classpath: the jars; what else the JVM has on its class path comes behind them.
        options: those of the JVM's options that decide about its memory.
    """
    try:
        archive = _Archive.of(java_home, classpath)
        made = archive.find()
        if made is None:
            with exclusive(archive.folder / "archive.lock", _MAKE_S):
                made = archive.find() or archive.make(java_home, classpath, options)
    except (OSError, FolderUnusable, subprocess.SubprocessError) as error:
        log.debug("no archive of the Java classes: %s", error)
        return ()
    return (f"-XX:SharedArchiveFile={made}", *_SAID)


@dataclass(frozen=True, slots=True)
class _Archive:
    """What an archive is of: `paths` of the JRE and the jars, and in `content` what these files and the classes are."""

    folder: Path
    paths: str
    content: bytes

    @classmethod
    def of(cls, java_home: Path, classpath: Sequence[Path]) -> Self:
        files = (java_home / "lib" / "modules", *classpath)
        content = CLASSES.read_bytes()
        for status in (path.stat() for path in files):
            content += f"\0{status.st_size} {int(status.st_mtime)}".encode()
        paths = hashlib.sha256("\0".join(map(str, files)).encode()).hexdigest()[:16]
        return cls(cache_root() / "classes", paths, content)

    def find(self) -> Path | None:
        """Return the one that was made, if it is whole."""
        return next((path for path in self._all() if _is_ours(path) and path == self._named(path)), None)

    def make(self, java_home: Path, classpath: Sequence[Path], options: Sequence[str]) -> Path:
        """Make it whole or not at all, in place of earlier ones."""
        for left in self.folder.glob(f"{_DRAFT}*/"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=self.folder) as folder:
            draft = Path(folder) / "draft.jsa"
            _dump(draft, java_home, classpath, options)
            made = self._named(draft)
            for earlier in self._all():
                earlier.unlink()
            return draft.replace(made)

    def _all(self) -> Iterable[Path]:
        return self.folder.glob(f"{self.paths}-*.jsa")

    def _named(self, file: Path) -> Path:
        """Return the path that a file has as this archive."""
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, lambda: hashlib.sha256(self.content))
        return self.folder / f"{self.paths}-{digest.hexdigest()}.jsa"


def _is_ours(archive: Path) -> bool:
    """Whether nobody but this user may have written it: it runs with all rights of the worker."""
    status = archive.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _dump(draft: Path, java_home: Path, classpath: Sequence[Path], options: Sequence[str]) -> None:
    names = draft.with_name("classes.txt")
    of_jre = java_home / "lib" / "classlist"
    names.write_bytes((of_jre.read_bytes() if of_jre.exists() else b"") + CLASSES.read_bytes())
    subprocess.run(  # noqa: S603 - our own Java, no shell
        [
            str(java_home / "bin" / "java"),
            *options,
            "-Xshare:dump",
            f"-XX:SharedArchiveFile={draft}",
            f"-XX:SharedClassListFile={names}",
            "-cp",
            os.pathsep.join(map(str, classpath)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=_MAKE_S,
    )
