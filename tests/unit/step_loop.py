"""An event loop that runs when it is told to, and whose threads do nothing before somebody lets them."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from clocks import Clock

Call = tuple[object, asyncio.Future[Any], Callable[[], Any]]


class StepLoop(asyncio.SelectorEventLoop):
    """Its time is a test's clock. Calls that are to run in threads wait, in the order in which each thread got them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.calls: list[Call] = []
        super().__init__()

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = self.create_future()
        self.calls.append((executor, future, partial(func, *args)))
        return future

    def rounds(self, count: int = 5) -> None:
        """Run what is ready, and what that makes ready."""
        for _ in range(count):
            self.call_soon(self.stop)
            self.run_forever()

    def answer(self, which: int) -> None:
        """Let a thread make its next call: the one whose turn was first, or last."""
        if self.calls:
            executor = self.calls[which][0]
            self._make(next(call for call in self.calls if call[0] is executor))
        self.rounds()

    def make_all(self) -> None:
        """Let all threads make the calls that wait; who waits for the answers hears of them later."""
        while self.calls:
            self._make(self.calls[0])

    def _make(self, call: Call) -> None:
        self.calls.remove(call)
        _, future, function = call
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is who waits that gets it
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def leave(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """End these tasks and all others, as in a process that is killed, and close."""
        self.calls.clear()
        all_tasks = {*tasks, *asyncio.all_tasks(self)}
        for task in all_tasks:
            task.cancel()
        self.rounds(20)
        for task in all_tasks:
            if task.done() and not task.cancelled():
                task.exception()  # else it is told when the task goes
        self.close()
