"""Those who look on: each has a queue of its own, and one that is slow loses what is oldest and holds nobody up."""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MOST_VIEWERS = 200
QUEUED = 8
"""Events that wait for a viewer who takes none."""

KEEP_ALIVE_S = 15.0
"""After so long without an event a comment is sent: proxies end connections that are silent."""

TAKES_WITHIN_S = 60.0
"""A viewer who takes nothing for so long is let go."""

_KEEP_ALIVE = b": nothing new\n\n"
_END = b"event: end\ndata:\n\n"


class Viewer:
    """One who looks on, for a block."""

    def __init__(self, viewers: "Viewers") -> None:
        self._viewers = viewers
        self._queue: deque[bytes] = deque(maxlen=QUEUED)
        self._told = asyncio.Event()
        self.dropped = 0
        """How many events were too old once this one took the next."""
        self.limit = asyncio.timeout(None)
        self.is_over = False

    def __enter__(self) -> "Viewer":
        self._viewers.all.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._viewers.all.discard(self)

    def put(self, event: bytes) -> None:
        """Let an event wait for this one; the oldest goes where there are too many."""
        self.dropped += len(self._queue) == QUEUED
        self._queue.append(event)
        self._told.set()

    def end(self) -> None:
        """Let the stream end: after what it is sending, or else at once where that is not taken."""
        self.is_over = True
        self._told.set()
        if self.limit.when() is not None:
            self.limit.reschedule(asyncio.get_running_loop().time())

    async def next(self) -> bytes:
        """Wait for an event, and return it; a comment where none comes for a while, or the stream is over."""
        if not self._queue:
            self._told.clear()
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    if not self.is_over:
                        await self._told.wait()
            except TimeoutError:
                pass
        return self._queue.popleft() if self._queue else _KEEP_ALIVE


class Viewers:
    """All who look on."""

    def __init__(self) -> None:
        self.all: set[Viewer] = set()

    @property
    def is_full(self) -> bool:
        """Whether nobody else may look on now."""
        return len(self.all) >= MOST_VIEWERS

    def send(self, event: bytes) -> None:
        """Let an event wait for each."""
        for viewer in self.all:
            viewer.put(event)

    def end(self) -> None:
        """Let all streams end."""
        for viewer in list(self.all):
            viewer.end()


class EventStream(Response):
    """Server-sent events: `first`, and then what comes for a viewer, while `lasts` says that they may look on."""

    media_type = "text/event-stream"

    def __init__(self, viewers: Viewers, first: Callable[[], bytes], lasts: Callable[[], bool]) -> None:
        super().__init__(None, 200, {"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._viewers = viewers
        self._first = first
        self._lasts = lasts

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until either side ends it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        with Viewer(self._viewers) as viewer:
            gone = asyncio.ensure_future(_gone(receive, viewer))
            try:
                async with viewer.limit:
                    event = self._first()
                    while not viewer.is_over and self._lasts():
                        await _send(send, event, viewer.limit)
                        event = await viewer.next()
                    if not gone.done():
                        await _send(send, _END, viewer.limit, more=False)
            except TimeoutError:
                pass  # it takes nothing: the server closes the connection
            finally:
                gone.cancel()


async def _send(send: Send, event: bytes, limit: asyncio.Timeout, *, more: bool = True) -> None:
    limit.reschedule(asyncio.get_running_loop().time() + TAKES_WITHIN_S)
    await send({"type": "http.response.body", "body": event, "more_body": more})
    limit.reschedule(None)


async def _gone(receive: Receive, viewer: Viewer) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.end()
