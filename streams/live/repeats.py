"""Whether images of one id follow each other so soon that they are hardly one image: the later replaces the earlier.

A producer whose keys name a camera loses all but the last image of each that way, and should be told.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

import structlog
from prometheus_client import Counter

from flumen.interceptor import Batch

log = structlog.get_logger(__name__)

WITHIN_S = 60.0
_REMEMBERED = 100_000
_TELL_EVERY_S = 60.0


class Repeats:
    """Counts images whose id another image had, of other bytes, within the last minute; tells of them once a minute.

    It knows of the last 100,000 images of this worker. One that is only delivered or published again does not count.
    """

    def __init__(self, counter: Counter, clock: Callable[[], float] = time.monotonic) -> None:
        self._counter = counter
        self._clock = clock
        self._seen: OrderedDict[int, tuple[int, float]] = OrderedDict()
        self._untold = 0
        self._tell_at = float("-inf")

    def look(self, batch: Batch) -> None:
        """Look at images that are about to be stored; without the column `sha256` nothing is known of their bytes."""
        hashes = batch.columns.get("sha256")
        if hashes is None:
            return
        now = self._clock()
        while self._seen and (len(self._seen) > _REMEMBERED or self._oldest() <= now - WITHIN_S):
            self._seen.popitem(last=False)
        replaced = [
            image.id
            for image, content in zip(batch.images, hashes, strict=True)
            if self._replaces(image.id, content, now)
        ]
        if not replaced:
            return
        self._counter.inc(len(replaced))
        self._untold += len(replaced)
        if now >= self._tell_at:
            log.warning(
                "images have replaced others of the same id and other bytes within a minute; if your keys name no "
                "image, publish a ce_id with each, or set image_id to content (docs/messages.md)",
                images=self._untold,
                image_id=replaced[-1],
            )
            self._untold, self._tell_at = 0, now + _TELL_EVERY_S

    def _replaces(self, image_id: str, content: str, now: float) -> bool:
        key, value = hash(image_id), hash(content)
        before = self._seen.pop(key, None)
        self._seen[key] = value, now
        return before is not None and before[0] != value and before[1] > now - WITHIN_S

    def _oldest(self) -> float:
        return next(iter(self._seen.values()))[1]
