"""`flumen label`."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flumen.cli.looking_back.correcting import correcting, finish, make_searchable, reading, say, shown
from flumen.cli.output import AsJson, how_many, print_json, print_rows, progress_bar
from flumen.replay.errors import BadCorrection
from flumen.streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from flumen.replay.corrections import Corrector

_COLUMNS = ("number", "at", "kind", "knownlabel", "by", "reason", "in_all_stores")


def label(
    image_id: Annotated[str | None, typer.Argument(metavar="ID", help="The image's id.")] = None,
    given: Annotated[
        str | None, typer.Argument(metavar="LABEL", help="Its class, by name or number; the first is 0.")
    ] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="Take the label away: no class is known.")] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Labels from a CSV file with the columns id and label; - is standard input."
        ),
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Show what was corrected of the image.")] = False,
    number: Annotated[bool, typer.Option("--number", help="Take labels for numbers, never names.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it stands in the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Correct the known label of stored images, in every store; it stays when they are delivered again."""
    asked = [given is not None, none, history, source is not None]
    if sum(asked) != 1 or (image_id is None) != (source is not None):
        raise typer.BadParameter("give ID LABEL, or ID --none, or ID --history, or --from FILE.csv")
    settings = load_settings()
    with correcting(settings, reason) as corrector:
        if history:
            assert image_id is not None
            _show(corrector, image_id, as_json=as_json)
            return
        labels = _labels(settings, image_id, given, source, by_number=number)
        finish(corrector)
        with progress_bar() as bar:
            task = bar.add_task("labelling", total=len(labels), note="")
            new = corrector.label(labels, reason, lambda more: bar.advance(task, more))
    make_searchable(settings)
    if as_json:
        print_json({"labelled": new, "had_this_label": len(labels) - new})
        return
    before = f"; {len(labels) - new:,} had been given the same label before" if new < len(labels) else ""
    say(f"{how_many(new, 'image has', 'images have')} another known label now{before}.")


def _labels(
    settings: Settings, image_id: str | None, given: str | None, source: Path | None, *, by_number: bool
) -> dict[str, int | None]:
    """Return the labels that were asked for, as numbers; all of them can be given.

    Raises:
        BadCorrection: one of them cannot.
    """
    from flumen.replay.corrections.label_file import numbered, read_labels
    from flumen.replay.corrections.stored import answered, class_numbers

    texts = read_labels(source) if source is not None else {str(image_id): given or ""}
    with reading(settings) as reader:
        stored = answered(reader, list(texts))
    number_of = class_numbers(stored, _classes(settings), by_number=by_number)
    if source is not None:
        return numbered(texts, number_of, source)
    ((only, text),) = texts.items()
    if given is not None:
        return {only: number_of(only, text)}
    if only not in stored:
        raise BadCorrection(f"image {only[:80]!r} is not stored: `flumen search` shows ids")
    return {only: None}


def _classes(settings: Settings) -> Callable[[str, int], Sequence[str]]:
    """Return what tells the classes of a model."""
    from flumen.models.repository import Repository

    repository = Repository(settings.model_repository)

    @lru_cache
    def classes(name: str, version: int) -> Sequence[str]:
        return repository.manifest(name, version).labels

    return classes


def _show(corrector: "Corrector", image_id: str, *, as_json: bool) -> None:
    rows = [shown(each) for each in corrector.history(image_id)]
    if rows or as_json:
        print_rows(rows, as_json, columns=_COLUMNS)
    else:
        say(f"Nothing was ever corrected of image {image_id!r}.")
