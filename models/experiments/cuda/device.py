"""The device that stacks are computed on. Importing this module imports torch, and says where it is missing."""

from typing import Any

import psutil

from flumen.models.errors import EngineUnavailable, ExtraMissing

try:
    import torch
except ImportError as error:
    raise ExtraMissing(
        "the engine cuda needs torch, which is not installed: pip install 'flumen-ingest[torch]'"
    ) from error

OutOfMemory: type[Exception] = torch.OutOfMemoryError
"""The memory of a GPU is short."""

_SHARE_OF_MEMORY = 0.7
"""Of what is free. The rest is for what a library takes beside, and for others on the same device."""


def find_device(name: str) -> Any:
    """Return the device of that name: `cuda`, `cuda:1`, `cpu`.

    Raises:
        EngineUnavailable: there is no such device, or torch cannot use it.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0].partition(". ")[0]
        raise EngineUnavailable(
            f"torch cannot compute on the device {name!r}: {reason}. The engine cuda needs an NVIDIA GPU with its "
            "driver, and a torch that is built for it; --device cuda:1 takes another GPU, --device cpu computes the "
            "same without one, and --engine local is the one for machines without a GPU"
        ) from error
    return device


def device_name(device: Any) -> str:
    """Return what a device is, for people."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else "the CPU, stacked"


def free_bytes(device: Any) -> int:
    """Return how much of a device's memory may be taken now."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = psutil.virtual_memory().available
    return int(free * _SHARE_OF_MEMORY)


def versions(device: Any) -> dict[str, str]:
    """Return the software that decides on what a stack computes, and what it ran on."""
    return {"engine": "cuda", "torch": str(torch.__version__), "device": device_name(device)}
