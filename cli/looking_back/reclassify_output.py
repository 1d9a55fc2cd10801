"""What `flumen reclassify` says: before, while it works, and at its end."""

from time import monotonic
from typing import TYPE_CHECKING

from flumen.cli.output import errors, iso_time, pace, print_facts, print_json, print_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.progress import Progress as Bar

    from flumen.models.repository import Repository
    from flumen.models.runtime import OnnxClassifier
    from flumen.replay.reclassify.parts import Counts, Job, Progress
    from flumen.replay.scoring import Plan


def progress_on(bar: "Bar", job: "Job", before: "Progress") -> "Callable[[int], None]":
    """Return what shows on a bar how far a job is; it is told how many images more are done."""
    task = bar.add_task("images", total=job.images, completed=before.counts.images, note="")
    began, seen = monotonic(), 0

    def report(more: int) -> None:
        nonlocal seen
        seen += more
        left = job.images - before.counts.images
        bar.update(task, advance=more, note=pace(seen, monotonic() - began, left, " images/s"))

    return report


def print_counts(
    model: "OnnxClassifier", snapshot_us: int, counts: "Counts", as_json: bool, *, applies: bool = False
) -> None:
    """Say what came of the images, as of a moment (microseconds since 1970)."""
    left_out, not_shown = dict(counts.left_out), dict(counts.not_shown)
    if as_json:
        print_json(
            {
                "model": model.name,
                "model_version": model.version,
                "as_of": iso_time(snapshot_us),
                "written_into": "images" if applies else "predictions",
                "images": counts.images,
                "answered": counts.answered,
                "answered_by_it_already": counts.same,
                "left_out": left_out,
                "not_shown": not_shown,
            }
        )
        return
    print_facts(
        [
            ("model", str(model)),
            ("images as of", iso_time(snapshot_us)),
            ("images", f"{counts.images:,}"),
            ("current answers" if applies else "answers written", f"{counts.answered:,}"),
            ("answered by it already", f"{counts.same:,}"),
            *((f"left out {reason}", f"{count:,}") for reason, count in left_out.items()),
            *((reason, f"{count:,}") for reason, count in not_shown.items()),
        ],
    )
    if not_shown:
        say("`flumen audit --fix` indexes from Kudu what Solr does not show.")


def print_plan(model: "OnnxClassifier", plan: "Plan", as_json: bool) -> None:
    """Say which images would be put to the model, by the models that answered them."""
    rows = [
        {"model": name, "model_version": version, "images": count}
        for (name, version), count in sorted(
            plan.answered.items(), key=lambda each: (each[0][0] or "", each[0][1] or 0)
        )
    ]
    if as_json:
        print_json({"images": plan.rows, "answers": rows})
        return
    print_rows(rows, as_json=False, columns=("model", "model_version", "images"))
    say(f"{plan.rows:,} images would be put to {model}. Nothing was asked or changed.")


def warn_of_labels(
    answered: "Iterable[tuple[str | None, int | None]]", model: "OnnxClassifier", repository: "Repository"
) -> None:
    """Say which models and versions that have answered have other labels than this one."""
    from flumen.models.errors import ModelError

    for name, version in answered:
        if name is None or version is None:
            continue
        try:
            labels = repository.manifest(name, version).labels
        except ModelError:
            continue
        if tuple(labels) != tuple(model.labels):
            say(
                f"The labels of {model} are others than those of {name}@{version}, which images have answers of."
            )


def say(text: str) -> None:
    """Say something beside the result."""
    errors.print(text, markup=False, highlight=False, soft_wrap=True)
