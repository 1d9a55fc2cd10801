"""`flumen images delete` and `restore`: taking images out for good, and letting them come again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flumen.cli.looking_back.correcting import correcting, finish, make_searchable, reading, say
from flumen.cli.output import AsJson, how_many, print_json, print_rows, progress_bar
from flumen.streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="The images' ids.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the history, beside who it was.")]

_STAYS = (
    "Not reached: Kafka's topics while they keep the messages, dead letters, backups, reports with pictures, and for "
    "some days the past of Kudu's tables. docs/corrections.md says what to do about each."
)


def delete_images(
    ids: Ids = None,
    *,
    where: Annotated[
        str, typer.Option(help="All images of which this holds, as `flumen sql` has it behind WHERE.")
    ] = "",
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Also keep out ids that are not stored: they may come yet.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without, it is said what would go.")] = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Take images out of every store, and keep them out when they are delivered again."""
    if bool(ids) == bool(where):
        raise typer.BadParameter("give the ids of images, or --where and a condition")
    settings = load_settings()
    with correcting(settings, reason) as corrector:
        wanted, counts = _wanted(settings, list(dict.fromkeys(ids or ())), where, unseen=unseen)
        left = [each for each in corrector.unfinished() if each.kind == "delete"]
        if not yes:
            _say_what_would_go(settings, wanted, counts, len(left), as_json=as_json)
            return
        finish(corrector)
        with progress_bar() as bar:
            task = bar.add_task("deleting", total=len(wanted), note="")
            new = corrector.delete(wanted, reason, lambda more: bar.advance(task, more))
    make_searchable(settings)
    if as_json:
        print_json({"deleted": new, "deleted_before": len(wanted) - new, "rows": counts})
        return
    before = f"; {len(wanted) - new:,} had been deleted before" if new < len(wanted) else ""
    gone = f"{how_many(new, 'image is', 'images are')} gone from {', '.join(_places(settings))}"
    stay = "stays" if new == 1 else "stay"
    say(f"{gone}, and {stay} away{before}. {_STAYS}")


def restore_images(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="The ids of deleted images.")],
    *,
    reason: Reason = "",
) -> None:
    """Let images come again that were deleted: publish them anew, nothing brings them back."""
    with correcting(load_settings(), reason) as corrector:
        finish(corrector)
        corrector.restore(ids, reason)
    may = how_many(len(set(ids)), "image")
    say(f"{may} may come again, once published anew: what was deleted is not brought back.")


def _wanted(
    settings: Settings, ids: list[str], where: str, *, unseen: bool
) -> "tuple[Sequence[str], dict[str, int]]":
    """Return the images to delete, and how many rows of theirs there are.

    Raises:
        BadCorrection: one of them is not stored, and was not to be kept out unseen.
    """
    from flumen.replay.corrections.stored import answered, chosen, row_counts
    from flumen.replay.errors import BadCorrection

    with reading(settings) as reader:
        if where:
            ids = chosen(reader, where)
        elif not unseen:
            stored = answered(reader, ids)
            missing = [each for each in ids if each not in stored]
            if missing:
                raise BadCorrection(
                    f"image {missing[0][:80]!r}"
                    + (f" and {len(missing) - 1:,} others are" if len(missing) > 1 else " is")
                    + " not stored: `flumen search` shows ids. To keep out what may come yet, or to delete once more, "
                    "add --unseen"
                )
        return ids, row_counts(reader, ids)


def _say_what_would_go(
    settings: Settings, wanted: "Sequence[str]", counts: dict[str, int], left: int, *, as_json: bool
) -> None:
    if as_json:
        print_json({"images": len(wanted), "rows": counts, "unfinished": left, "ids": list(wanted)})
        return
    rows: list[dict[str, Any]] = [
        {"store": "kudu", "what": table, "rows": count} for table, count in counts.items()
    ]
    rows += [
        {"store": name, "what": "all there is of these images", "rows": None}
        for name in _places(settings)
        if name != "kudu"
    ]
    print_rows(rows, as_json=False)
    undone = how_many(left, "deletion")
    more = f" And {undone} that an earlier command left undone would be finished." if left else ""
    would = how_many(len(wanted), "image")
    say(f"{would} would be deleted.{more} Nothing was changed: add --yes to do it. {_STAYS}")


def _places(settings: Settings) -> list[str]:
    """Return where images are taken out, by name."""
    topic = [f"the topic {settings.classified_topic}"] if settings.classified_topic else []
    return [*settings.sinks, *topic]
