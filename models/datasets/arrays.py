"""A data set as files of plain arrays, which every process maps into its memory and none has to read as a whole.

A folder holds, for each part (`train`, `validation`, `test`): PART.pixels (uint8, row by row), PART.labels (uint8) and
PART.ids (an Arrow file of one column); and `dataset.json`, which says what they are. The images of a part stand in the
order of their ids' hashes, so that the same data give the same files, however they were read.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.interceptor import Preprocess
from flumen.interceptor.decoding import raster_shape
from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.datasets.fingerprint import (
    Fingerprint,
    content_hash,
    content_hashes,
    fingerprint,
    size_text,
)
from flumen.models.datasets.ids import StoredIds, id_array, write_ids
from flumen.models.datasets.source import MAX_CLASSES, REPEATED, ImageBatch, ImageSource, Skip, Skipped, Tally
from flumen.models.datasets.split import PARTS, VALIDATION, Split, split_hashes
from flumen.models.errors import DatasetInvalid

SCHEMA = 1
DESCRIPTION = "dataset.json"

_ARRIVED = "arrived"
"""Pixels in the order in which they come; gone when all are in place."""
_PIECE_BYTES = 16 * 1024 * 1024
"""So much is moved at once."""


@dataclass(slots=True)
class _Arrivals:
    """What came of a scan, less the pixels. `hashes` are those of the ids, `sides` those of the groups."""

    ids: list[pa.Array] = field(default_factory=list)
    hashes: list[NDArray[np.uint64]] = field(default_factory=list)
    groups: list[NDArray[np.uint64]] = field(default_factory=list)
    labels: list[NDArray[np.uint8]] = field(default_factory=list)
    contents: list[NDArray[np.uint64]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    rows: int = 0

    def add(self, batch: ImageBatch) -> None:
        self.tally.add(batch.skipped)
        self.ids.append(id_array(batch.ids))
        self.hashes.append(split_hashes(batch.ids))
        self.groups.append(self.hashes[-1] if batch.groups is batch.ids else split_hashes(batch.groups))
        self.labels.append(batch.labels.astype(np.uint8))
        self.contents.append(content_hashes(batch))
        self.rows += len(batch)

    def content_of(self, rows: NDArray[np.int64]) -> str:
        """Return the hash of the images in these rows, all others of which were left out."""
        kept = np.zeros(self.rows, np.bool_)
        kept[rows] = True
        ends = np.cumsum([len(each) for each in self.contents])
        parts = np.split(kept, ends[:-1])
        return content_hash(each[part] for each, part in zip(self.contents, parts, strict=True))


def write_arrays(
    source: ImageSource, split: Split, folder: Path, report: Callable[[int], None] = lambda _: None
) -> None:
    """Read a source to its end, and write its images into a folder, which is there and empty.

    It takes the memory of one batch, and some 80 bytes an image. `report` is called with how many have come.

    Raises:
        DatasetInvalid: there is no image, or none for a part, or all are of one class, or there are too many classes.
        OSError: the folder cannot be written.
    """
    if len(source.labels) > MAX_CLASSES:
        raise DatasetInvalid(
            f"there are {len(source.labels):,} names of classes, and {MAX_CLASSES} classes are the most"
        )
    arrivals = _Arrivals()
    with (folder / _ARRIVED).open("wb") as file:
        for batch in source.scan():
            file.write(np.ascontiguousarray(batch.pixels).data)
            arrivals.add(batch)
            report(arrivals.rows)
    _check_any(arrivals.rows, arrivals.tally.result(), source)
    labels, hashes = np.concatenate(arrivals.labels), np.concatenate(arrivals.hashes)
    ids = pa.chunked_array(arrivals.ids)
    sides = split.sides(np.concatenate(arrivals.groups))
    order = np.lexsort((np.arange(len(hashes)), hashes))
    order = order[_firsts(order, hashes, ids, arrivals.tally)]
    names = source.labels or tuple(str(number) for number in range(int(labels.max()) + 1))
    _check_classes(labels[order], names, source)
    shape = raster_shape(source.preprocess)
    counts = {}
    for side, part in enumerate(PARTS):
        rows = order[sides[order] == side]
        counts[part] = len(rows)
        _check_part(part, len(rows), split, len(order))
        with _synced(folder / f"{part}.pixels") as file:
            _move(folder / _ARRIVED, file, rows, shape)
        with _synced(folder / f"{part}.labels") as file:
            file.write(labels[rows].tobytes())
        with _synced(folder / f"{part}.ids") as file:
            write_ids(file, ids, rows)
    (folder / _ARRIVED).unlink()
    selection = selection_of(source, split)
    text = f"{len(order):,} images of {size_text((0, *shape))} from {source.text}, {len(names)} classes"
    description = {
        "schema": SCHEMA,
        "counts": counts,
        "labels": names,
        "picture": asdict(source.preprocess),
        "fingerprint": asdict(fingerprint(len(order), arrivals.content_of(order), selection, text)),
        "skipped": [asdict(each) for each in arrivals.tally.result()],
    }
    with _synced(folder / DESCRIPTION) as file:
        file.write(json.dumps(description, indent=2).encode())


def lay_down(dataset: Dataset, folder: Path) -> None:
    """Write a data set that is in memory into a folder, which is there and empty, in the order that its images have.

    Raises:
        OSError: the folder cannot be written.
    """
    counts = {}
    for part, images in zip(PARTS, (dataset.train, dataset.validation, dataset.test), strict=True):
        counts[part] = 0 if images is None else len(images.labels)
        if images is None:
            continue
        ids = images.ids or [f"{part}-{row:05d}" for row in range(counts[part])]
        with _synced(folder / f"{part}.pixels") as file:
            file.write(np.ascontiguousarray(images.pixels).data)
        with _synced(folder / f"{part}.labels") as file:
            file.write(np.ascontiguousarray(images.labels, np.uint8).data)
        with _synced(folder / f"{part}.ids") as file:
            write_ids(file, pa.chunked_array([id_array(list(ids))]), np.arange(counts[part]))
    height, width, *colours = dataset.train.pixels.shape[1:]
    description = {
        "schema": SCHEMA,
        "counts": counts,
        "labels": dataset.labels,
        "picture": asdict(dataset.picture or Preprocess(width, height, channels=3 if colours else 1)),
        "fingerprint": asdict(dataset.fingerprint),
        "skipped": [asdict(each) for each in dataset.skipped],
    }
    with _synced(folder / DESCRIPTION) as file:
        file.write(json.dumps(description, indent=2).encode())


def open_arrays(folder: Path) -> Dataset:
    """Map a folder that `write_arrays` wrote. The files may be removed while they are in use.

    Raises:
        DatasetInvalid: it is not there, not whole, or of a newer version of flumen.
    """
    try:
        told = json.loads((folder / DESCRIPTION).read_bytes())
        if told["schema"] > SCHEMA:
            raise DatasetInvalid(f"{folder} was written by a newer version of flumen: upgrade flumen here")
        picture = _preprocess(told["picture"])
        shape = raster_shape(picture)
        train, validation, test = (_map(folder, part, told["counts"][part], shape) for part in PARTS)
        described = _known(Fingerprint, told["fingerprint"])
        skipped = tuple(
            Skipped(each["reason"], each["count"], tuple(each["examples"])) for each in told["skipped"]
        )
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise DatasetInvalid(f"{folder} holds no whole data set: {error}") from error
    if train is None or test is None:
        raise DatasetInvalid(f"{folder} holds no images to learn from, or none to test on")
    return Dataset(
        train,
        test,
        tuple(told["labels"]),
        validation=validation,
        described=described,
        skipped=skipped,
        arrays=folder,
        picture=picture,
    )


def selection_of(source: ImageSource, split: Split) -> Mapping[str, Any]:
    """Return how the images of a data set are chosen, seen and split: JSON, the same wherever they stand."""
    return {
        "source": dict(source.selection),
        "labels": list(source.labels),
        "picture": list(source.preprocess.picture),
        "split": asdict(split),
    }


def _firsts(
    order: NDArray[np.int64], hashes: NDArray[np.uint64], ids: pa.ChunkedArray, tally: Tally
) -> NDArray[np.bool_]:
    """Say of each row in order whether it is the first of its id; the others are left out."""
    firsts = np.ones(len(order), np.bool_)
    for place in (np.flatnonzero(np.diff(hashes[order]) == 0) + 1).tolist():
        image_id = ids[int(order[place])].as_py()
        if image_id == ids[int(order[place - 1])].as_py():
            firsts[place] = False
            tally.add([Skip(REPEATED, image_id)])
    return firsts


def _check_any(rows: int, skipped: Sequence[Skipped], source: ImageSource) -> None:
    if not rows:
        left_out = "".join(f"\n  {each}" for each in skipped)
        raise DatasetInvalid(
            f"{source.text} gives no image to learn from"
            + (f"; left out were:{left_out}" if left_out else ": nothing was found that has a label")
        )


def _check_classes(labels: NDArray[np.uint8], names: Sequence[str], source: ImageSource) -> None:
    found = np.unique(labels)
    if len(found) == 1:
        raise DatasetInvalid(
            f"all {len(labels):,} images from {source.text} are of one class, {names[int(found[0])]!r}; there is "
            "nothing to tell apart: choose images of two classes at least"
        )


def _check_part(part: str, count: int, split: Split, images: int) -> None:
    if not count and (part != PARTS[VALIDATION] or split.validation):
        raise DatasetInvalid(
            f"of {images:,} images none is in the part {part!r}: take more images, or groups, or give that part a "
            "larger share"
        )


def _move(arrived: Path, file: IO[bytes], rows: NDArray[np.int64], shape: tuple[int, ...]) -> None:
    if not len(rows):
        return
    pixels = np.memmap(arrived, np.uint8, "r").reshape(-1, *shape)
    step = max(1, _PIECE_BYTES // pixels[:1].nbytes)
    for start in range(0, len(rows), step):
        file.write(np.ascontiguousarray(pixels[rows[start : start + step]]).data)


@contextmanager
def _synced(path: Path) -> Iterator[IO[bytes]]:
    """Write a file; behind the block it is on the disk."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _map(folder: Path, part: str, count: int, shape: tuple[int, ...]) -> Labelled | None:
    if not count:
        return None
    return Labelled(
        _mapped(folder / f"{part}.pixels", (count, *shape)),
        _mapped(folder / f"{part}.labels", (count,)),
        StoredIds.open(folder / f"{part}.ids", count),
    )


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map a file of so many bytes; a ValueError where it has fewer or more."""
    return np.asarray(np.memmap(path, np.uint8, "r")).reshape(shape)


def _preprocess(told: Mapping[str, Any]) -> Preprocess:
    lists = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    preprocess: Preprocess = _known(Preprocess, {**told, **lists})
    return preprocess


def _known(kind: type[Any], told: Mapping[str, Any]) -> Any:
    """Make a dataclass of the keys that this version knows."""
    return kind(**{name: value for name, value in told.items() if name in kind.__dataclass_fields__})
