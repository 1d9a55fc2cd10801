"""Labelled images to learn from and to test on, from wherever they are.

What stands here is for trainers and for notebooks; docs/datasets.md shows how it goes together.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flumen.models.datasets.array_cache import ArrayCache
    from flumen.models.datasets.batches import Batches
    from flumen.models.datasets.csv_list import CsvSource
    from flumen.models.datasets.dataset import Dataset, Labelled, read_dataset
    from flumen.models.datasets.files import Decoding
    from flumen.models.datasets.folder import FolderSource
    from flumen.models.datasets.idx_files import IdxSource
    from flumen.models.datasets.source import ImageBatch, ImageSource
    from flumen.models.datasets.split import Split

__all__ = [
    "ArrayCache",
    "Batches",
    "CsvSource",
    "Dataset",
    "Decoding",
    "FolderSource",
    "IdxSource",
    "ImageBatch",
    "ImageSource",
    "Labelled",
    "Split",
    "read_dataset",
]

_MODULES = {
    "ArrayCache": "array_cache",
    "Batches": "batches",
    "CsvSource": "csv_list",
    "Dataset": "dataset",
    "Decoding": "files",
    "FolderSource": "folder",
    "IdxSource": "idx_files",
    "ImageBatch": "source",
    "ImageSource": "source",
    "Labelled": "dataset",
    "Split": "split",
    "read_dataset": "dataset",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is: a worker that reads one IDX file needs nothing else of this."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
