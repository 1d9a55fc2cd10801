"""The index of models: `flumen models index` fills it from the repository, `flumen search --models` asks it."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from flumen.cli.invocation import as_called
from flumen.cli.output import AsJson, console, errors, how_many, iso_time, print_json, print_rows, printable
from flumen.models.errors import ModelError, ReportInvalid
from flumen.models.evaluation.kept import Reports
from flumen.models.evaluation.report import Report
from flumen.models.manifest import Manifest
from flumen.models.repository import Repository
from flumen.stores.errors import StoreError
from flumen.stores.model_index import ModelEntry
from flumen.streams.settings import Settings, load_settings

_SHOWN = ("id", "accuracy", "macro_f1", "log_loss", "calibration_error", "robustness", "classes", "images")


def index(
    *,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write all versions of all models into the index that `search --models` asks, with their newest evaluation."""
    from flumen.stores.solr import SolrModelIndex

    settings = load_settings()
    repository = Repository(root or settings.model_repository)
    manifests = [
        repository.manifest(name, version)
        for name in repository.names()
        for version in repository.versions(name)
    ]
    reports = Reports(repository.url)
    entries = [_entry(one, reports) for one in manifests]
    found = SolrModelIndex(settings.solr_options())
    try:
        found.put(entries)
    finally:
        found.close()
    if as_json:
        print_json([entry.id for entry in entries])
        return
    console.print(
        f"{how_many(len(entries), 'version of a model is', 'versions of models are')} in the index",
        highlight=False,
    )


def tell_index(settings: Settings, repository: Repository, *manifests: Manifest) -> None:
    """Write versions into the index. Where Solr does not take it now, or a report cannot be read, say so.

    The repository has it all.

    Where Solr is none of the stores that the setting `sinks` names, there is no index.
    """
    from flumen.stores.solr import SolrModelIndex

    if "solr" not in settings.sinks:
        return
    reports = Reports(repository.url)
    try:
        entries = [_entry(each, reports) for each in manifests]
        found = SolrModelIndex(settings.solr_options())
        try:
            found.put(entries)
        finally:
            found.close()
    except (StoreError, ModelError) as error:
        named = f"{', '.join(map(str, manifests))} {'is' if len(manifests) == 1 else 'are'}"
        said = f"{named} not in the index of models: {error}. Later, `flumen models index` makes up for it."
        errors.print(printable(as_called(said)), markup=False, highlight=False, soft_wrap=True)


def _entry(manifest: Manifest, reports: Reports) -> ModelEntry:
    """Return what the index is to know of a version; of one whose reports cannot be read, which is said, its scores."""
    try:
        found = reports.of(manifest.name, manifest.version)
    except ReportInvalid as error:
        found = []
        said = f"the index gets the scores of {manifest}'s manifest alone: {error}"
        errors.print(printable(as_called(said)), markup=False, highlight=False, soft_wrap=True)
    return entry_of(manifest, found)


def entry_of(manifest: Manifest, reports: Sequence[Report]) -> ModelEntry:
    """Return what the index is to know of a version: of its newest report, else of its manifest's scores."""
    preprocess, training = manifest.input.preprocess, manifest.training
    values: dict[str, Any] = {
        "sha256": manifest.sha256,
        "labels": list(manifest.labels),
        "classes": len(manifest.labels),
        "width": preprocess.width,
        "height": preprocess.height,
        "channels": preprocess.channels,
        "parameters": training and [f"{name}={value}" for name, value in training.parameters.items()],
    }
    measured = _of_report(reports[0]) if reports else _of_scores(manifest)
    return ModelEntry(manifest.name, manifest.version, values | measured)


def search_models(
    settings: Settings,
    query: str,
    facets: Sequence[str],
    sort: str | None,
    limit: int,
    facet_limit: int,
    as_json: bool,
) -> None:
    """Print the models that a query finds, the most accurate first unless `sort` says otherwise."""
    from flumen.stores.solr import SolrModelIndex
    from flumen.stores.solr.search import Search

    question = Search(
        query=query,
        facets=tuple(dict.fromkeys(facets)),
        facet_limit=facet_limit,
        rows=limit,
        sort=sort or "accuracy desc, id asc",
    )
    found_in = SolrModelIndex(settings.solr_options())
    try:
        found = found_in.find(question)
    finally:
        found_in.close()
    if as_json:
        counted = {
            name: [{"value": value, "count": count} for value, count in values]
            for name, values in found.facets.items()
        }
        rows = [
            {**row, **({"evaluated_at": iso_time(row["evaluated_at"])} if "evaluated_at" in row else {})}
            for row in found.rows
        ]
        print_json({"found": found.total, "models": rows, "facets": counted})
        return
    if found.rows:
        print_rows([{name: row.get(name) for name in _SHOWN} for row in found.rows], as_json=False)
    console.print(f"{how_many(found.total, 'model')} found, {len(found.rows):,} shown", highlight=False)
    for name, values in found.facets.items():
        print_rows(
            [{name: value, "models": count} for value, count in values],
            as_json=False,
            columns=(name, "models"),
        )


def _of_report(report: Report) -> dict[str, Any]:
    measures = report.measures
    same = ("accuracy", "precision", "recall", "f1", "macro_f1", "log_loss", "brier", "calibration_error")
    curves = report.robustness.curves if report.robustness else ()
    return {
        **{name: getattr(measures, name) for name in same},
        "accuracy_low": measures.accuracy_interval.low,
        "accuracy_high": measures.accuracy_interval.high,
        "robustness": report.robustness.mean if report.robustness else None,
        **_by_disturbance({curve.disturbance: curve.mean for curve in curves}),
        "data": report.data.description,
        "data_sha256": report.data.sha256,
        "images": report.data.images,
        "evaluated_at": report.evaluated_at,
    }


def _of_scores(manifest: Manifest) -> dict[str, Any]:
    scores = manifest.scores
    if scores is None:
        return {}
    low, high = scores.accuracy_interval or (None, None)
    same = ("accuracy", "precision", "recall", "f1", "macro_f1", "log_loss", "brier", "calibration_error")
    means = scores.robustness or {}
    return {
        **{name: getattr(scores, name) for name in same},
        "accuracy_low": low,
        "accuracy_high": high,
        "robustness": sum(means.values()) / len(means) if means else None,
        **_by_disturbance(means),
        "data_sha256": scores.data_sha256,
        "images": scores.images,
    }


def _by_disturbance(means: dict[str, float]) -> dict[str, float]:
    return {f"robust_{name.replace(' ', '_')}": mean for name, mean in means.items()}
