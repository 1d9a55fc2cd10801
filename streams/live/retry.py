"""Waiting for a server that is down: with growing pauses, seen in the metrics, and one line at each end of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from flumen.interceptor.open_files import exhausted
from flumen.models.errors import ModelError
from flumen.stores import StoreError
from flumen.streams.errors import StreamError
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retry:
    """Calls that are made again until they succeed. Pauses are seconds; each is twice the one before, with jitter."""

    metrics: Metrics
    pulse: Pulse
    first_pause_s: float = 0.2
    longest_pause_s: float = 5.0

    async def until_done(self, what: str, call: Callable[[], Awaitable[Result]]) -> Result:
        """Call until it succeeds, and return what it returns. `what` names the server, such as `kudu`.

        That no file is left to open for the call passes as well, and is said as what it is.

        Raises:
            ModelError, StoreError, StreamError: it failed in a way that a retry does not change.
        """
        waited = False
        pause = self.first_pause_s
        while True:
            try:
                result = await call()
            except (ModelError, StoreError, StreamError, OSError) as error:
                files = exhausted(error)
                if not files and (isinstance(error, OSError) or not error.retriable):
                    raise
                waited = True
                # Two batches may wait for the same server: what was said for one is said for both.
                if self.pulse.waits_for(what, files or str(error)):
                    event = "no file is left to open; waiting" if files else "server does not answer; waiting"
                    log.warning(event, server=what, reason=files or str(error))
                self.metrics.retries.labels(what).inc()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
                pause = min(2 * pause, self.longest_pause_s)
                continue
            if waited and (waited_s := self.pulse.waits_no_more(what)) is not None:
                log.info("server answers again", server=what, waited_s=round(waited_s, 1))
            return result
