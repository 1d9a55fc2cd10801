"""`flumen impact`: what would be different with another model, asked of images that are stored."""

import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flumen.cli.looking_back.correcting import say
from flumen.cli.models.opening import open_repository
from flumen.cli.output import AsJson, print_json, print_rows, progress_bar, save_bytes
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from flumen.replay.impact import Impact

SAMPLE = 20_000
FACETS = (
    "source",
    "format",
    "color_mode",
    "brightness",
    "dominant_color",
    "luminance_mean",
    "sharpness",
    "size_bytes",
    "camera_model",
    "ingested_at",
)
_HASH = "perceptual_hash"
_DAY_US = 86_400_000_000
_MOST_SHOWN = 15


def impact(
    old: Annotated[
        str,
        typer.Argument(
            metavar="OLD", help="The model that classifies now: NAME@VERSION, or NAME for its champion."
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The one that would: NAME@VERSION.")],
    *,
    where: Annotated[str, typer.Option(help="Only these images: a condition as in `flumen sql`.")] = "",
    days: Annotated[
        float | None,
        typer.Option(min=0.001, max=36_500, help="Only those that arrived in the last so many days."),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, help="So many images of them, drawn by a hash of their ids.")
    ] = SAMPLE,
    every: Annotated[bool, typer.Option("--all", help="All images in place of a sample.")] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Columns to cut into slices, in place of the usual ones; repeat it."),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures there as well.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --page replace a file.")] = False,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask two models about stored images: what would be different with the second, where, and for better or worse."""
    from flumen.replay.impact import ask_both
    from flumen.replay.impact.asking import MOST_PICTURES
    from flumen.replay.impact.kept import SCHEMA, ImpactRecord, ImpactRecords
    from flumen.replay.impact.verdict import verdict
    from flumen.replay.scoring import Choice
    from flumen.stores.kudu import KuduReader

    settings = load_settings()
    repository = open_repository(settings, root)
    models = tuple(repository.resolve(reference) for reference in (old, new))
    since_us = None if days is None else time.time_ns() // 1000 - int(days * _DAY_US)
    choice = Choice(where=where, since_us=since_us, sample=None if every else sample)
    with closing(KuduReader(settings.kudu_options())) as tables, progress_bar() as bar:
        there = tables.schema("images").names
        columns = list(by) if by else [name for name in FACETS if name in there]
        columns += [_HASH] if _HASH in there else []
        task = bar.add_task("asking both models", total=None, note="answers")
        found = ask_both(
            tables,
            repository,
            ((models[0].name, models[0].version), (models[1].name, models[1].version)),
            choice,
            columns,
            limits=settings.limits(),
            pictures=0 if page is None else MOST_PICTURES,
            report=lambda more: bar.advance(task, more),
        )
    names = str(models[0]), str(models[1])
    comparison = found.comparison
    record = ImpactRecord(
        schema=SCHEMA,
        old=names[0],
        old_sha256=models[0].sha256,
        new=names[1],
        new_sha256=models[1].sha256,
        snapshot_us=found.reading.snapshot_us,
        newest_us=found.reading.newest_us,
        images=found.images,
        population=found.population,
        agreement=found.agreement / found.images,
        labelled=found.labelled,
        difference=comparison.difference if comparison else None,
        difference_low=comparison.interval.low if comparison else None,
        difference_high=comparison.interval.high if comparison else None,
    )
    if not where and days is None:  # what is known of some images tells nothing of all
        ImpactRecords(repository.url).keep(models[0], models[1], record)
    if page is not None:
        from flumen.replay.impact.page import impact_page

        save_bytes(impact_page(*names, found, datetime.now(UTC)).encode(), page, force)
    if as_json:
        print_json(_as_json(*names, found))
        return
    _print(found)
    for line in verdict(*names, found):
        say(line)
    stored = sum(found.reading.stored)
    if stored:
        say(f"{stored:,} of {2 * found.images:,} answers were there already.")
    for reason, count in found.reading.skipped.items():
        say(f"Left out: {count:,} {reason}.")
    if page is not None:
        say(f"Written to {page}")


def _print(found: "Impact") -> None:
    if found.transitions:
        print_rows(
            [
                {"old_says": each.old, "new_says": each.new, "images": each.images}
                for each in found.transitions[:_MOST_SHOWN]
            ],
            as_json=False,
            title="From class to class, the most frequent first",
        )
    if found.slices:
        print_rows(
            [
                {
                    "column": each.column,
                    "value": each.value[:40],
                    "images": each.images,
                    "changed": f"{100 * each.changed / each.images:.1f} %",
                    "labelled": each.labelled,
                    "accuracy": "" if each.difference is None else f"{100 * each.difference:+.2f}",
                    "p_corrected": f"{each.adjusted:.2g}",
                }
                for each in found.slices[:_MOST_SHOWN]
            ],
            as_json=False,
            title="Slices, those that change most first; accuracy in points",
        )


def _as_json(old: str, new: str, found: "Impact") -> dict[str, Any]:
    changed, interval = found.would_change
    comparison = found.comparison
    return {
        "schema": 1,
        "old": old,
        "new": new,
        "snapshot_us": found.reading.snapshot_us,
        "newest_us": found.reading.newest_us,
        "stored_answers": {"old": found.reading.stored[0], "new": found.reading.stored[1]},
        "images": found.images,
        "population": found.population,
        "agreement": found.agreement / found.images,
        "agreement_interval": [found.agreement_interval.low, found.agreement_interval.high],
        "would_change": {"images": changed, "low": interval.low, "high": interval.high},
        "labelled": found.labelled,
        "accuracy_old": found.old_right / found.labelled if found.labelled else None,
        "accuracy_new": found.new_right / found.labelled if found.labelled else None,
        "difference": comparison.difference if comparison else None,
        "difference_interval": [comparison.interval.low, comparison.interval.high] if comparison else None,
        "p_value": comparison.p_value if comparison else None,
        "transitions": [
            {"old": each.old, "new": each.new, "images": each.images} for each in found.transitions
        ],
        "slices": [
            {
                "column": each.column,
                "value": each.value,
                "images": each.images,
                "changed": each.changed,
                "labelled": each.labelled,
                "old_right": each.old_right,
                "new_right": each.new_right,
                "p_value": each.p_value,
                "p_corrected": each.adjusted,
            }
            for each in found.slices
        ],
        "affected": [each.id for each in found.affected],
        "left_out": dict(found.reading.skipped),
    }
