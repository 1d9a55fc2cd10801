"""The app leaves nothing open behind it."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from flumen.streams.live import agent
from flumen.streams.live.app import batch_channel, build_app
from flumen.streams.settings import Settings


def test_every_event_loop_that_is_made_for_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[asyncio.AbstractEventLoop] = []
    new_event_loop = asyncio.new_event_loop

    def make() -> asyncio.AbstractEventLoop:
        made.append(new_event_loop())
        return made[-1]

    async def start_and_stop() -> None:
        monkeypatch.setattr(asyncio, "new_event_loop", make)
        app = build_app(Settings(home=tmp_path))
        agent.add_agent(app, batch_channel(app), cast(Any, None), cast(Any, None))
        await app.start()
        await asyncio.sleep(0.01)
        await app.stop()

    asyncio.run(start_and_stop())
    assert [loop for loop in made if not loop.is_closed()] == []
