"""Kudu's client as the JVM maps it, so that its classes are neither read from the jars nor verified at each start.

The archive (class data sharing, JEP 310) is made once, in 2 s, and kept in the cache for one JRE and one class path. A
start takes 0.35 s less CPU by it. The JVM compares it with the jars and itself, and does without it where they differ.
"""

import hashlib
import logging
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from flumen.stores.artifacts.filelock import exclusive
from flumen.stores.artifacts.folders import cache_root
from flumen.stores.errors import FolderUnusable

log = logging.getLogger(__name__)

CLASSES = Path(__file__).with_name("client_classes.txt")

_MAKE_S = 60.0
"""What making an archive may take; a start that waits for longer does without."""
# The JVM says what it finds wrong with an archive on standard output, which is not its to write on.
_SAID = ("-Xlog:disable", "-Xlog:all=warning:stderr")


def shared(java_home: Path, classpath: Sequence[Path], options: Sequence[str]) -> Sequence[str]:
    """Return the JVM's options for an archive of these jars, after making it the first time.

    Where it can neither be found nor made, there are none, and the JVM reads the jars.

    Args:
        java_home: the JRE.
        classpath: the jars; what else the JVM has on its class path comes behind them.
        options: those of the JVM's options that decide about its memory.
    """
    archive = _place(java_home, classpath)
    if not _is_ours(archive):
        try:
            with exclusive(archive.with_name("archive.lock")):
                if not _is_ours(archive):
                    _make(archive, java_home, classpath, options)
        except (OSError, FolderUnusable, subprocess.SubprocessError) as error:
            log.debug("no archive of the Java classes: %s", error)
            return ()
    return (f"-XX:SharedArchiveFile={archive}", *_SAID)


def _place(java_home: Path, classpath: Sequence[Path]) -> Path:
    """Return where the archive is kept: for that JRE, those jars, and those classes."""
    digest = hashlib.sha256(CLASSES.read_bytes())
    for path in (java_home / "lib" / "modules", *classpath):
        status = path.stat()
        digest.update(f"\0{path} {status.st_size} {int(status.st_mtime)}".encode())
    return cache_root() / "classes" / f"{digest.hexdigest()}.jsa"


def _is_ours(archive: Path) -> bool:
    """Whether it is there and nobody but this user may have written it: it runs with all rights of the worker."""
    try:
        status = archive.stat()
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _make(archive: Path, java_home: Path, classpath: Sequence[Path], options: Sequence[str]) -> None:
    """Make it whole or not at all."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        draft, names = Path(folder) / archive.name, Path(folder) / "classes.txt"
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
        draft.replace(archive)
