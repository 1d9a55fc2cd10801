"""Labelled image files: listed by whoever knows their labels, read and decoded here, many at once."""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import raster_shape
from flumen.models.datasets.pictures import Pictures
from flumen.models.datasets.source import (
    BATCH_IMAGES,
    OTHER_LABEL,
    OUTSIDE,
    UNREADABLE,
    ImageBatch,
    Skip,
    outside_classes,
)
from flumen.models.errors import DatasetInvalid

BATCH_BYTES = 64 * 1024 * 1024
"""So many bytes of files are in memory at once, or one file; and so many of pixels, or one image's."""


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """An image file that is yet to be read; `group` is the id where there are no groups."""

    id: str
    group: str
    label: int
    path: Path


@dataclass(frozen=True, slots=True)
class Decoding:
    """How files are decoded: to which size, within which limits, in how many processes.

    With `any_size` False, images of another size than `preprocess` says are left out in place of being resized.
    """

    preprocess: Preprocess
    limits: Limits = field(default_factory=Limits)
    processes: int = 1
    any_size: bool = True

    @property
    def state(self) -> str:
        """By what images are decoded: by another version or within other limits, others might be left out."""
        limits = {**asdict(self.limits), "formats": sorted(self.limits.formats)}
        return json.dumps([version("flumen-ingest"), version("pillow"), limits])

    def pictures(self) -> Pictures:
        """Return what decodes so."""
        return Pictures(self.preprocess, self.limits, processes=self.processes, any_size=self.any_size)


def read_files(
    entries: Iterable[LabelledFile | Skip], decoding: Decoding, labels: Sequence[str], position: str
) -> Iterator[ImageBatch]:
    """Read and decode files in the order in which they are listed.

    Args:
        entries: the files; and what is left out of them already, and why.
        decoding: how they are decoded.
        labels: the names of the classes, if they have names.
        position: that of a batch, to go on behind it; empty for all.
    """
    start = as_number(position)
    waiting = islice(entries, start, None)
    most = max(1, min(BATCH_IMAGES, BATCH_BYTES // int(np.prod(raster_shape(decoding.preprocess)))))
    with decoding.pictures() as pictures:
        while taken := list(_bounded(waiting, most, decoding.limits.max_image_bytes)):
            start += len(taken)
            skipped = [each for each in taken if isinstance(each, Skip)]
            read = [each for each in taken if not isinstance(each, Skip)]
            wrong = outside_classes(np.array([file.label for file, _ in read], np.int32), labels)
            skipped += [
                Skip(OTHER_LABEL, file.id, str(file.label))
                for (file, _), is_wrong in zip(read, wrong, strict=True)
                if is_wrong
            ]
            read = [each for each, is_wrong in zip(read, wrong, strict=True) if not is_wrong]
            pixels, kept, undecoded = pictures.decode(
                [file.id for file, _ in read], [content for _, content in read]
            )
            files = [file for (file, _), is_kept in zip(read, kept, strict=True) if is_kept]
            yield ImageBatch(
                [file.id for file in files],
                [file.group for file in files],
                pixels,
                np.array([file.label for file in files], np.int32),
                str(start),
                skipped + undecoded,
            )


def as_number(position: str) -> int:
    """Return a position that counts what was read.

    Raises:
        DatasetInvalid: it is none.
    """
    if position and not position.isdecimal():
        raise DatasetInvalid(f"{position!r} is no position of this source; leave it out to begin anew")
    return int(position or 0)


class RealFolder:
    """A folder as it is found behind all links, at this moment."""

    def __init__(self, folder: Path) -> None:
        self._place = Path(os.path.realpath(folder))

    def holds(self, path: Path) -> bool:
        """Say whether a path leads to somewhere in the folder, wherever the links on its way point to."""
        return Path(os.path.realpath(path)).is_relative_to(self._place)


def outside(image_id: str) -> Skip:
    """Return the refusal of a path that leads out of the folder it belongs to."""
    return Skip(OUTSIDE, image_id)


def state_of(paths: Iterable[Path], decoding: Decoding) -> str:
    """Return a hash of where these files are, how large they are, when they last changed, and how they are decoded."""
    digest = hashlib.sha256(decoding.state.encode())
    for path in paths:
        try:
            found = path.stat()
        except (OSError, ValueError):
            told = "none"
        else:
            # What is copied with its time, or may be read now, has its old time of writing, and a new one of change.
            told = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
        digest.update(os.fsencode(str(path)) + f"\0{told}\0".encode())
    return digest.hexdigest()


def as_id(path: str) -> str:
    """Return a path as an id, also where its bytes are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _bounded(
    entries: Iterator[LabelledFile | Skip], most: int, most_bytes: int
) -> Iterator[tuple[LabelledFile, bytes] | Skip]:
    """Read the next files, up to a batch of them: `most`, none of which is read beyond `most_bytes`."""
    size = 0
    for entry in islice(entries, most):
        read = entry if isinstance(entry, Skip) else _read(entry, most_bytes)
        yield read
        if not isinstance(read, Skip):
            size += len(read[1])
        if size >= BATCH_BYTES:
            return


def _read(file: LabelledFile, most: int) -> tuple[LabelledFile, bytes] | Skip:
    try:
        # Not to wait for a pipe that nobody writes to.
        with open(file.path, "rb", opener=_without_waiting) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                return Skip(UNREADABLE, file.id, "it is no file")
            return file, opened.read(most + 1)
    except OSError as error:
        return Skip(UNREADABLE, file.id, error.strerror or str(error))
    except ValueError as error:  # a NUL in the path
        return Skip(UNREADABLE, file.id, str(error))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
