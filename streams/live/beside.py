"""Doing something beside the event loop, or beside a block of it, until that is given up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, TypeVar

Entered = TypeVar("Entered")


@asynccontextmanager
async def begun(work: Coroutine[Any, Any, Entered]) -> "AsyncIterator[asyncio.Task[Entered]]":
    """Do something beside the block. What is not done at its end is given up, and what failed by then is not heard."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def off_the_loop(
    context: AbstractContextManager[Entered], give_up: Callable[[], None]
) -> AsyncIterator[Entered]:
    """Enter and leave a context in other threads. Cancelled while it is entered, it gives up and is left in order."""
    entering = asyncio.ensure_future(asyncio.to_thread(context.__enter__))
    try:
        yield await asyncio.shield(entering)
    except asyncio.CancelledError:
        give_up()
        await asyncio.wait({entering})
        if entering.exception() is None:
            await asyncio.to_thread(context.__exit__, None, None, None)
        raise
    except BaseException as error:
        if entering.exception() is None:
            await asyncio.to_thread(context.__exit__, type(error), error, error.__traceback__)
        raise
    else:
        await asyncio.to_thread(context.__exit__, None, None, None)


def done_within(future: "Future[None]", timeout_s: float) -> bool:
    """Wait until it is done, for at most so many seconds. Returns whether that came true; raises what it raised."""
    try:
        future.result(timeout_s)
    except FutureTimeout:
        return False
    return True
