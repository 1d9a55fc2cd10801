"""Collecting what only cycles hold: by the clock, and not by the number of new objects.

A batch of 1,000 images is 12,000 objects that no cycle holds: at 700 new ones, as Python does it, each is looked at
thrice. But the traceback of an exception may be a cycle of few objects that hold much: what was to be sent to a server
that does not answer, or a batch of photos of which one was refused.
"""

import asyncio
import gc

_NEW_OBJECTS = (50_000, 5, 5)


async def collect_cycles(every_s: float = 1.0) -> None:
    """Collect from now on. What is there by now stays: there is hardly a cycle in it, and to look takes 100 ms."""
    gc.freeze()
    gc.set_threshold(*_NEW_OBJECTS)
    while True:
        await asyncio.sleep(every_s)
        gc.collect()
