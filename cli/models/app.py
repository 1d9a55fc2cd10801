"""`flumen models`: what the repository holds. The other verbs have files of their own."""

import sys
from typing import Annotated, Any

import typer

from flumen.cli.invocation import as_called
from flumen.cli.learning.train import print_confusion
from flumen.cli.models.fleet import history, status
from flumen.cli.models.index import index
from flumen.cli.models.register import register
from flumen.cli.models.swap import activate, rollback, shadow
from flumen.cli.output import AsJson, console, errors, how_many, print_facts, print_json, print_rows
from flumen.models.errors import ModelError
from flumen.models.manifest import Manifest, to_json
from flumen.models.repository import Repository
from flumen.models.shipped import SHIPPED
from flumen.streams.settings import load_settings

app = typer.Typer(help="See, register and swap models.", no_args_is_help=True)

Root = Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")]
COLUMNS = ("model", "version", "aliases", "accuracy", "images", "rate", "seed", "sha256")
PROBLEM = "problem"
SHIPPED_ONLY = "shipped_only"
"""Whether a version came with flumen, and lies in no repository yet."""

MAX_LABELS_SHOWN = 20
MEASURES = ("accuracy", "precision", "recall", "f1", "macro_f1", "log_loss", "brier", "calibration_error")


@app.command("list")
def list_models(*, root: Root = None, as_json: AsJson = False) -> None:
    """List all versions of all models: accuracy on test images, training images, and what tells them apart."""
    repository = _open(root)
    names = repository.names()
    rows = [_row(repository, name, version) for name in names for version in repository.versions(name)]
    coming = [] if root or load_settings().names_repository else _rows_to_seed(names)
    if as_json:
        print_json(rows + coming)
        return
    if not rows + coming:
        none = f"There are none in {repository.url}; `flumen train` makes one."
        console.print(as_called(none), markup=False, highlight=False, soft_wrap=True)
        return
    print_rows([{name: row[name] for name in COLUMNS} for row in rows + coming], as_json, title="Models")
    if coming:
        listed = ", ".join(f"{row['model']}@{row['version']}" for row in coming)
        errors.print(
            as_called(
                f"{listed} came with flumen, and are not in {repository.url} yet: the first `flumen worker`, or "
                "`flumen models activate`, puts them there."
            ),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    for row in rows:
        if row[PROBLEM]:
            errors.print(f"{row['model']}@{row['version']}: {row[PROBLEM]}", markup=False, highlight=False)


@app.command("show")
def show_model(
    reference: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="Without a version, the champion.")
    ],
    *,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Show how a model reads, how it was made and how good it is; with --json, its whole manifest."""
    repository = _open(root)
    manifest = repository.resolve(reference)
    if as_json:
        sys.stdout.write(to_json(manifest).decode())
        return
    aliases = repository.aliases(manifest.name, manifest.version)
    print_facts(_facts(manifest, aliases).items(), title=str(manifest))
    if manifest.scores is not None:
        print_confusion(list(manifest.labels), [list(row) for row in manifest.scores.confusion])


app.command("register")(register)
app.command("index")(index)
app.command("activate")(activate)
app.command("shadow")(shadow)
app.command("rollback")(rollback)
app.command("status")(status)
app.command("history")(history)


def _open(root: str | None) -> Repository:
    return Repository(root or load_settings().model_repository)


def _rows_to_seed(names: list[str]) -> list[dict[str, Any]]:
    """Return the rows of the models that came with flumen and would be put into a repository that has these names."""
    shipped = Repository(SHIPPED)
    missing = (name for name in shipped.names() if name not in names)
    return [
        _row(shipped, name, version) | {SHIPPED_ONLY: True}
        for name in missing
        for version in shipped.versions(name)
    ]


def _row(repository: Repository, name: str, version: int) -> dict[str, Any]:
    """Return one version's row. A damaged one is listed with its problem, and does not hide the others."""
    row: dict[str, Any] = dict.fromkeys((*COLUMNS, PROBLEM)) | {
        "model": name,
        "version": version,
        SHIPPED_ONLY: False,
    }
    try:
        row["aliases"] = ", ".join(repository.aliases(name, version))
        manifest = repository.manifest(name, version)
    except ModelError as error:
        return row | {PROBLEM: str(error)}
    training = manifest.training
    return row | {
        "accuracy": manifest.scores.accuracy if manifest.scores else None,
        "images": training.images if training else None,
        "rate": training.parameters.get("rate") if training else None,
        "seed": str(training.seed) if training else None,
        "sha256": manifest.sha256[:12],
    }


def _facts(manifest: Manifest, aliases: list[str]) -> dict[str, object]:
    preprocess = manifest.input.preprocess
    shape = ", ".join(map(str, manifest.input.shape))
    more = len(manifest.labels) - MAX_LABELS_SHOWN
    facts: dict[str, object] = {
        "aliases": ", ".join(aliases) or "none",
        "sha256": manifest.sha256,
        "input": f"{manifest.input.tensor} {manifest.input.dtype} [n, {shape}]",
        "output": f"{manifest.output.tensor} float32 [n, {len(manifest.labels)}]",
        "image": f"{preprocess.width}x{preprocess.height}, {'grey' if preprocess.channels == 1 else 'RGB'}",
        "resized": _describe_resizing(manifest),
        "values": _describe_values(manifest),
        "labels": ", ".join(manifest.labels[:MAX_LABELS_SHOWN]) + (f" and {more} more" if more > 0 else ""),
        "golden images": len(manifest.golden),
    }
    if manifest.training is not None:
        facts |= {
            "trained on": manifest.training.data,
            "its sha256": manifest.training.data_sha256,
            "seed": manifest.training.seed,
            **manifest.training.parameters,
            "training took": f"{manifest.training.duration_s} s",
            "software": ", ".join(
                f"{name} {version}" for name, version in manifest.training.software.items()
            ),
        }
    if manifest.scores is not None:
        scores = manifest.scores
        measures = {name: getattr(scores, name) for name in MEASURES}
        facts |= {name: f"{value:.4f}" for name, value in measures.items() if value is not None}
        if scores.accuracy_interval is not None:
            facts["95 % interval of accuracy"] = "{:.4f} to {:.4f}".format(*scores.accuracy_interval)
        facts["tested on"] = how_many(scores.images, "image")
    return facts


def _describe_resizing(manifest: Manifest) -> str:
    preprocess = manifest.input.preprocess
    match preprocess.resize:
        case "crop":
            how = f"crop, {preprocess.crop:g} of a side"
        case "pad":
            how = f"pad with {preprocess.fill}"
        case _:
            how = preprocess.resize
    return f"{how}, {preprocess.resampling}"


def _describe_values(manifest: Manifest) -> str:
    preprocess = manifest.input.preprocess
    if preprocess.threshold is not None:
        return f"1 above {preprocess.threshold}, else 0"
    return f"(value * {preprocess.scale:.6g} - {list(preprocess.mean)}) / {list(preprocess.std)}"
