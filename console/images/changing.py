"""Correcting an image on somebody's behalf: its known class, or that it is to go and stay away."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from flumen.console.errors import BadQuestion
from flumen.console.stores import Stores
from flumen.replay.errors import BadCorrection
from flumen.stores.corrections import Correction
from flumen.stores.errors import StoreUnavailable

Answer = TypeVar("Answer")

WITHIN_S = 60.0
"""So long does a page wait for a correction to be in every store."""
LONGEST_REASON = 1000


async def label(
    stores: Stores, image_id: str, given: str, classes: Sequence[str], by: str, reason: str
) -> None:
    """Give an image this known class, in every store; `given` is one of `classes`, or empty for none.

    Raises:
        BadQuestion: there is no such class, or the reason is too long.
        BadCorrection: the image is deleted.
        StoreError: a store cannot be written; what was written down is finished by the next command or change.
    """
    if given and given not in classes:
        raise BadQuestion(f"{given[:80]!r} is no class of the image's model; there are: {', '.join(classes)}")
    number = classes.index(given) if given else None
    _check(reason)
    await _in_time(partial(_label, stores, image_id, number, by, reason))


async def delete(stores: Stores, image_id: str, by: str, reason: str) -> None:
    """Take an image out of every store, and keep it out when it is delivered again.

    Raises:
        BadQuestion: no reason is given, or too long a one.
        StoreError: a store cannot be written; what was written down is finished by the next command or change.
    """
    if not reason.strip():
        raise BadQuestion("say why the image is to go: the reason stands in the history, beside your name")
    _check(reason)
    await _in_time(partial(_delete, stores, image_id, by, reason))


async def history(stores: Stores, image_id: str) -> Sequence[Correction]:
    """Return what was corrected of an image, the last first; nothing where no store keeps corrections.

    Raises:
        StoreError: Kudu does not answer.
    """

    def read() -> Sequence[Correction]:
        try:
            with stores.corrector("", "") as corrector:
                return list(reversed(corrector.history(image_id)))
        except BadCorrection:
            return ()

    return await _in_time(read)


async def _in_time(work: Callable[[], Answer]) -> Answer:
    """Do something in a thread, and return what comes of it. What takes too long goes on, and is waited for no more."""
    begun = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.wait_for(asyncio.shield(begun), WITHIN_S)
    except TimeoutError:
        begun.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise StoreUnavailable(
            f"the stores have not finished within {WITHIN_S:.0f} s. What was written down is brought to its end; look "
            "at the image again in a while"
        ) from None


def _label(stores: Stores, image_id: str, number: int | None, by: str, reason: str) -> None:
    with stores.corrector(by, reason) as corrector:
        corrector.finish()
        corrector.label({image_id: number}, reason)
    stores.searchable()


def _delete(stores: Stores, image_id: str, by: str, reason: str) -> None:
    with stores.corrector(by, reason) as corrector:
        corrector.finish()
        corrector.delete([image_id], reason)
    stores.searchable()


def _check(reason: str) -> None:
    if len(reason) > LONGEST_REASON:
        raise BadQuestion(f"a reason has {LONGEST_REASON:,} characters at the most, and not {len(reason):,}")
