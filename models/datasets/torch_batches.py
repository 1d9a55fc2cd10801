"""Batches for PyTorch. Importing this module imports torch: nothing else here does."""

from collections.abc import Iterator
from dataclasses import replace

from flumen.models.datasets.batches import Batches
from flumen.models.errors import ExtraMissing

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError as error:
    raise ExtraMissing(
        "batches for PyTorch need torch, which is not installed: pip install 'flumen-ingest[torch]'"
    ) from error


class TorchBatches(IterableDataset):  # type: ignore[misc]  # without torch it is Any
    """`(float32 tensor, int64 labels)` a batch, of an epoch that `epoch` is set to.

    Give it to a `DataLoader` with `batch_size=None`: these are batches already. With `num_workers`, each worker makes
    its share of them, and they come in the same order as without.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches
        self.epoch = batches.epoch

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
        mine = replace(self._batches, epoch=self.epoch)
        worker = get_worker_info()
        if worker is not None:
            mine = replace(mine, worker=worker.id, workers=worker.num_workers)
        for tensor, labels in mine:
            yield torch.from_numpy(tensor), torch.from_numpy(labels.astype("int64"))
