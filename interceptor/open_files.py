"""No file is left to open: told apart from what drivers make of it, such as a server that does not answer."""

import errno
import os
import resource
from collections.abc import Iterator

_CODES = (errno.EMFILE, errno.ENFILE)
_SAYINGS = ("too many open files", *(f"system error number {code}" for code in _CODES))
"""As the system, Java and librdkafka say it, and as ONNX Runtime does."""


def exhausted(said: BaseException | str) -> str | None:
    """Return what is wrong and what to do, where an error, or what led to it, says that no file could be opened."""
    texts = [said] if isinstance(said, str) else [_text(error) for error in _chain(said)]
    text = "; ".join(texts).casefold()
    if not any(saying in text for saying in _SAYINGS):
        return None
    if os.strerror(errno.ENFILE).casefold() in text:
        return "this machine has no file left to open (too many open files in system): raise fs.file-max with sysctl"
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"this process has no file or connection left to open (too many open files; `ulimit -n` says {most:,}). Raise "
        "that limit where it is started (LimitNOFILE= of systemd, `ulimits` of Compose), and see what takes them: "
        f"ls -l /proc/{os.getpid()}/fd"
    )


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in _CODES:
        return os.strerror(error.errno)
    return str(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
