"""A worker's start that fails: what is said, and that no store that hangs keeps it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from flumen.stores import StoreRefused
from flumen.streams.errors import ClientFailed
from flumen.streams.live import worker
from flumen.streams.live.health import Pulse


class Start:
    """As a start that fails, with something open that takes its time to close."""

    def __init__(self) -> None:
        self.pulse = Pulse(10)
        self.closed_behind: list[Any] = []
        self.leaving = ExitStack()

    async def steps(self, opened: AsyncExitStack) -> None:
        opened.callback(lambda: self.closed_behind.extend(self.leaves))
        raise ClientFailed("wrong password")

    leaves: list[Any]


class Stop:
    async def made(self) -> None:
        await asyncio.Event().wait()


def test_it_is_said_and_ends_also_where_what_was_begun_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Start()
    start.leaves = []

    def leave_after(after_s: float, code: int) -> Callable[[], None]:
        start.leaves.append((after_s > 0, code))
        return start.leaves.clear

    monkeypatch.setattr(worker, "leave_after", leave_after)
    with capture_logs() as said, pytest.raises(ClientFailed):
        asyncio.run(worker._run(cast(Any, start), cast(Any, Stop())))
    assert start.closed_behind == [(True, 1)], "before what is open is closed"
    start.leaving.close()
    assert start.leaves == [], "and nothing ends a process that has closed it"
    assert [(line["log_level"], line["reason"]) for line in said] == [("error", "wrong password")]


@pytest.mark.parametrize(
    ("fails", "told"),
    [(StoreRefused("wrong table"), ["wrong table"]), (asyncio.CancelledError(), []), (None, [])],
)
def test_what_a_store_refuses_is_told_while_others_are_waited_for(
    fails: BaseException | None, told: list[str]
) -> None:
    async def connect() -> None:
        if fails is not None:
            raise fails

    async def begin() -> None:
        connecting = asyncio.ensure_future(connect())
        connecting.add_done_callback(worker._tell_refusal)
        await asyncio.gather(connecting, return_exceptions=True)

    with capture_logs() as said:
        asyncio.run(begin())
    assert [line["reason"] for line in said] == told
