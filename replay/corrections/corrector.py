"""Correcting images: write down what is to hold, then change the stores until they say so.

`docs/corrections.md` says why an image that a worker stores at the same time is corrected all the same.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self

from flumen.interceptor import Batch, ImageMessage
from flumen.replay.errors import BadCorrection
from flumen.stores import LabelSink, Sink
from flumen.stores.corrections import (
    DELETE,
    LABEL,
    RESTORE,
    Correction,
    CorrectionLog,
    CurrentCorrections,
    Standing,
)

AT_ONCE = 1000
"""So many images are corrected in one step."""

Told = Callable[[int], None]
"""Is told of how many more images are corrected, in every store."""


def nobody(_images: int) -> None:
    """Tell nobody."""


class Corrector:
    """Corrects images on somebody's behalf. One thread uses it. Its connections are opened where they are needed.

    Every method raises StoreError where a store cannot be written. What was written down by then holds for workers at
    once, and is brought into the stores by `finish`, of whoever calls it next.

    Args:
        log: where corrections stand.
        sinks: every store that holds images.
        labels: those of them in which a label can be changed.
        actor: who corrects, such as `user@machine`.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        log: CorrectionLog,
        sinks: Sequence[Sink],
        labels: Sequence[LabelSink],
        actor: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._current = CurrentCorrections(log)
        self._sinks = sinks
        self._labels = labels
        self._actor = actor
        self._clock = clock
        self._opened: ExitStack = ExitStack()
        self._is_open: set[int] = set()

    def __enter__(self) -> Self:
        """Open the log.

        Raises:
            StoreUnavailable: it does not answer.
        """
        self._opened.enter_context(closing(self._current))
        self._current.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def label(self, labels: Mapping[str, int | None], reason: str = "", told: Told = nobody) -> int:
        """Give images these labels, by id, or none; return how many had not been given this one before.

        Raises:
            BadCorrection: one of the images is deleted. Nothing is changed.
        """
        standings = self._current.look(labels)
        deleted = sorted(image_id for image_id, standing in standings.items() if standing.deleted)
        if deleted:
            raise BadCorrection(
                f"{_named(deleted)} deleted, and nothing is kept of it but that. Leave it out; or let it come again "
                "with `flumen images restore`"
            )
        new = {
            image_id: label
            for image_id, label in labels.items()
            if image_id not in standings or standings[image_id].knownlabel != label
        }
        told(len(labels) - len(new))
        for ids in _in_steps(new):
            self._correct([self._correction(each, LABEL, reason, new[each]) for each in ids], told)
        return len(new)

    def delete(self, ids: Iterable[str], reason: str = "", told: Told = nobody) -> int:
        """Take images out of every store, and keep them out; return how many had not been deleted before.

        What was deleted before is taken out once more. Of an image that is not there, it is written down all the same.
        """
        wanted = list(dict.fromkeys(ids))
        new = 0
        for some in _in_steps(wanted):
            standings = self._current.look(some)
            fresh = [each for each in some if each not in standings or not standings[each].deleted]
            new += len(fresh)
            self._correct([self._correction(each, DELETE, reason) for each in fresh])
            again = [each for each in some if each not in set(fresh)]
            self._settle(again)
            told(len(some))
        return new

    def restore(self, ids: Iterable[str], reason: str = "") -> None:
        """Let images come again that were deleted. They are not brought back: they have to be published again.

        Raises:
            BadCorrection: one of them is not deleted. Nothing is changed.
        """
        wanted = list(dict.fromkeys(ids))
        standings = self._current.look(wanted)
        others = [each for each in wanted if each not in standings or not standings[each].deleted]
        if others:
            raise BadCorrection(
                f"{_named(others)} not deleted; `flumen label --history ID` shows what was corrected of an image"
            )
        for some in _in_steps(wanted):
            self._correct([self._correction(each, RESTORE, reason) for each in some])

    def look(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """Return what holds for these images at a moment after the call, by id; most images are not in it."""
        return self._current.look(ids)

    def settle(self, ids: Sequence[str]) -> None:
        """Let the stores say of these images what the log says, once more; of others nothing is changed."""
        for some in _in_steps(ids):
            self._settle(some)

    def history(self, image_id: str) -> Sequence[Correction]:
        """Return all corrections of an image, the first one first."""
        return self._log.of_images({image_id})

    def unfinished(self) -> Sequence[Correction]:
        """Return what was written down and is not known to be in every store."""
        return self._log.unfinished()

    def finish(self, told: Told = nobody) -> int:
        """Bring into the stores what a command that was killed, or met a store that was down, has left undone."""
        self._log.close_gaps()  # what is behind one counts for nobody before that, and could not be done
        left = self._log.unfinished()
        for start in range(0, len(left), AT_ONCE):
            self._change_stores(left[start : start + AT_ONCE])
            told(len(left[start : start + AT_ONCE]))
        return len(left)

    def _correction(self, image_id: str, kind: str, reason: str, label: int | None = None) -> Correction:
        return Correction(image_id, kind, self._actor, round(self._clock() * 1e6), reason, label)

    def _correct(self, corrections: Sequence[Correction], told: Told = nobody) -> None:
        if corrections:
            self._change_stores(self._log.append(corrections))
            told(len(corrections))

    def _change_stores(self, corrections: Sequence[Correction]) -> None:
        """Let the stores say what the log says of these images by now, and write down that they do."""
        ids = list(dict.fromkeys(each.id for each in corrections))
        self._settle(ids)
        deleted = {each.id for each in corrections if each.kind == DELETE}
        if deleted:
            # Of an image that is to go nothing stays but its id, and who had it deleted, and why.
            self._log.erase([each for each in self._log.of_images(deleted) if each.kind == LABEL])
        self._log.mark_done(corrections, round(self._clock() * 1e6))

    def _settle(self, ids: Sequence[str]) -> None:
        standings = self._current.look(ids)
        waiting = [each for each in ids if each in standings]
        while waiting:
            self._remove([each for each in waiting if standings[each].deleted])
            self._set_labels(
                {each: standings[each].knownlabel for each in waiting if not standings[each].deleted}
            )
            # Somebody else may have corrected the same images meanwhile: what was said last is to be there.
            found = self._current.look(ids)
            waiting = [each for each in found if found[each] != standings.get(each)]
            standings = found

    def _remove(self, ids: Sequence[str]) -> None:
        if ids:
            batch = Batch([ImageMessage(image_id, b"", 0) for image_id in ids])
            for sink in self._sinks:
                self._connected(sink)
                sink.remove(batch)

    def _set_labels(self, labels: Mapping[str, int | None]) -> None:
        for store in self._labels if labels else ():
            self._connected(store)
            store.set_labels(labels)

    def _connected(self, store: Sink | LabelSink) -> None:
        if id(store) not in self._is_open:
            store.connect()
            self._opened.callback(store.close)
            self._is_open.add(id(store))


def _in_steps(ids: Iterable[str]) -> Iterator[list[str]]:
    waiting = list(ids)
    for start in range(0, len(waiting), AT_ONCE):
        yield waiting[start : start + AT_ONCE]


def _named(ids: Sequence[str]) -> str:
    """Return the first of some images and how many others, with the verb."""
    first = ids[0] if len(ids[0]) <= _SHOWN else f"{ids[0][:_SHOWN]}…"
    return f"image {first!r} is" if len(ids) == 1 else f"image {first!r} and {len(ids) - 1:,} others are"


_SHOWN = 80
