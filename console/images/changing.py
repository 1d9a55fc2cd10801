"""Correcting an image on somebody's behalf: its known class, or that it is to go and stay away."""

import asyncio
from collections.abc import Sequence

from flumen.console.errors import BadQuestion
from flumen.console.stores import Stores
from flumen.replay.errors import BadCorrection
from flumen.stores.corrections import Correction

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
    await asyncio.to_thread(_label, stores, image_id, number, by, reason)


async def delete(stores: Stores, image_id: str, by: str, reason: str) -> None:
    """Take an image out of every store, and keep it out when it is delivered again.

    Raises:
        BadQuestion: no reason is given, or too long a one.
        StoreError: a store cannot be written; what was written down is finished by the next command or change.
    """
    if not reason.strip():
        raise BadQuestion("say why the image is to go: the reason stands in the history, beside your name")
    _check(reason)
    await asyncio.to_thread(_delete, stores, image_id, by, reason)


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

    return await asyncio.to_thread(read)


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
