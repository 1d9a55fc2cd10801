"""One way to a data set, wherever its images are: IDX files, class folders, a CSV list, or Kudu."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from flumen.interceptor import Limits, Preprocess
from flumen.models.datasets.array_cache import ArrayCache
from flumen.models.datasets.csv_list import CsvSource
from flumen.models.datasets.dataset import Dataset, read_dataset, with_validation
from flumen.models.datasets.files import Decoding
from flumen.models.datasets.folder import FolderSource
from flumen.models.datasets.split import Split
from flumen.models.errors import DatasetInvalid
from flumen.models.repository import Repository
from flumen.replay.images import KuduImages, Selection
from flumen.replay.images.seen import known_pictures
from flumen.stores.kudu import KuduOptions, KuduReader

Kind = Literal["idx", "folder", "csv", "kudu"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ARTICLE = Preprocess(28, 28)
"""The size of images, where no other is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where images are, which of them are meant, and at which size.

    `path` is the folder or the file, for Kudu nothing. `selection`: of Kudu's images; its `labels` are the names of the
    classes of a CSV list as well. `picture`: size, channels and resizing of all but IDX files, which stay as they are.
    With `any_size` False, images of another size are left out. `snapshot_us`: Kudu's images as they were then.
    """

    kind: Kind
    path: Path | None = None
    selection: Selection = field(default_factory=Selection)
    picture: Preprocess = ARTICLE
    any_size: bool = True
    snapshot_us: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What there is to read images with: a folder for arrays, limits of decoding, Kudu, the models that saw them."""

    arrays: Path
    limits: Limits
    processes: int
    kudu: KuduOptions
    repository: Repository


def open_dataset(
    origin: Origin, split: Split, around: Surroundings, report: Callable[[int], None] = lambda _: None
) -> Dataset:
    """Return the images of an origin, split, as arrays that are mapped from files, or of IDX files in memory.

    Of IDX files the images to test on are those of the file `t10k`, and `split` says how many of the others are to
    choose by; without any, the data set and its fingerprint are those of `read_dataset`.

    Args:
        origin: where the images are.
        split: the shares to choose by and to test on.
        around: what to read them with.
        report: called with how many images have been read, while they are.

    Raises:
        DatasetInvalid, IdxInvalid: there is no such source, or it gives no data to learn from.
        ArraysUnwritable: there is no room for the arrays.
        BadQuery: the condition is none, or names a column that is not there.
        StoreError: Kudu cannot be read.
    """
    if origin.kind == "kudu":
        with closing(KuduReader(around.kudu)) as reader:
            source = KuduImages(
                reader,
                origin.selection,
                _decoding(origin, around),
                known_pictures(around.repository, origin.picture),
                snapshot_us=origin.snapshot_us,
                place=f"{around.kudu.masters}/{around.kudu.table_prefix}",
            )
            return ArrayCache(around.arrays).dataset(source, split, report)
    if origin.path is None:
        raise DatasetInvalid(
            f"name the {'file' if origin.kind == 'csv' else 'folder'} of the images with --data"
        )
    if origin.kind == "idx":
        return with_validation(read_dataset(origin.path), split.validation)
    decoding = _decoding(origin, around)
    if origin.kind == "folder":
        return ArrayCache(around.arrays).dataset(FolderSource(origin.path, decoding), split, report)
    return ArrayCache(around.arrays).dataset(
        CsvSource(origin.path, decoding, origin.selection.labels), split, report
    )


def _decoding(origin: Origin, around: Surroundings) -> Decoding:
    return Decoding(origin.picture, around.limits, around.processes, origin.any_size)
