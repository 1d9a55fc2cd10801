"""What only a cycle holds goes soon, however few new objects there are."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from images import encoded
from PIL import Image

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.errors import BrokenImage
from flumen.models.processes.decoder import GuardedDecoder
from flumen.streams.live.beside import begun
from flumen.streams.live.collecting import collect_cycles


class Held:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _python_collects_nothing() -> Iterator[None]:
    threshold = gc.get_threshold()
    gc.disable()
    yield
    gc.enable()
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_what_only_a_cycle_holds_goes_though_nothing_new_comes() -> None:
    async def run() -> None:
        async with begun(collect_cycles(every_s=0.001)):
            await asyncio.sleep(0)  # what is there by now stays
            gone = asyncio.Event()
            held = Held()
            weakref.finalize(held, gone.set)
            del held
            await asyncio.wait_for(gone.wait(), 60)

    asyncio.run(run())


def test_what_another_process_refuses_is_held_by_no_cycle() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 220, 3), np.uint8)
    broken = encoded(Image.fromarray(noise), "PNG")[:-1000]
    with closing(GuardedDecoder()) as decoder:
        try:
            decoder(broken, Limits(), Preprocess(width=32, height=24, channels=3))
        except BrokenImage as error:
            refusal = weakref.ref(error)
        assert decoder.helper_pid is not None
    assert refusal() is None
