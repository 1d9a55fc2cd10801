"""`flumen evaluate`: how good a model is on images whose labels are known, and when that ends."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import orjson
import typer
from numpy.typing import NDArray

from flumen.cli.learning import dataset_options as options_of
from flumen.cli.learning.evaluate_tables import print_report
from flumen.cli.learning.own_datasets import Shapes, Textures, own_dataset, own_labels, own_test_images
from flumen.cli.models.index import tell_index
from flumen.cli.models.opening import open_repository
from flumen.cli.output import AsJson, console, print_json, progress_bar
from flumen.models.errors import AnswersInvalid
from flumen.models.evaluation.answers import Answers, ask
from flumen.models.evaluation.comparison import compare
from flumen.models.evaluation.kept import Reports
from flumen.models.evaluation.label_errors import contested_labels
from flumen.models.evaluation.mistakes import as_the_article_prints
from flumen.models.evaluation.report import Against, Data, Report, make_report, to_json
from flumen.models.evaluation.robustness import IMAGES, measure_robustness, steps_of
from flumen.models.manifest import Manifest
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier
from flumen.streams.settings import Settings, load_settings

Loaded = tuple[Manifest, OnnxClassifier]

_OURS = {"shapes": "shapes that were drawn here", "textures": "patches of five photographs"}

_IMAGES = options_of.DatasetOptions()


def evaluate(
    reference: Annotated[
        str, typer.Argument(metavar="MODEL[@VERSION]", help="Without a version, the champion.")
    ],
    *,
    kind: options_of.From = _IMAGES.kind,
    data: options_of.Data = None,
    where: options_of.Where = _IMAGES.where,
    label: options_of.Label = _IMAGES.label,
    group: options_of.Group = None,
    test: options_of.Test = _IMAGES.test,
    snapshot: options_of.Snapshot = None,
    shapes: Shapes = False,
    textures: Textures = False,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Disturb images in steps, and measure the accuracy of each.")
    ] = False,
    robustness_images: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Images that each step is measured with.")
    ] = IMAGES,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL[@VERSION]", help="Compare with this one on the same images; repeat it."),
    ] = None,
    article: Annotated[
        bool, typer.Option("--article", help="Print the confusion matrix in the article's words as well.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all chance.")] = 0,
    keep: Annotated[bool, typer.Option(help="Keep the report in the repository, beside the model.")] = True,
    index: Annotated[bool, typer.Option(help="Let `flumen search --models` find it by what is kept.")] = True,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on images whose labels are known: how often it is right, how sure it may be, where it errs.

    Of the images that --from names, those count that `flumen train` keeps to test on.
    """
    settings = load_settings()
    repository = open_repository(settings, root)
    model = _load(repository, reference)
    others = [_load(repository, other) for other in against or ()]
    if any(other.sha256 == model[0].sha256 for other, _ in others):
        raise typer.BadParameter(f"--against names {model[0]} itself; name another model to compare it with")
    chosen = options_of.DatasetOptions(
        kind=kind, data=data, where=where, label=label, group=group, test=test, snapshot_us=snapshot
    )
    ours = own_dataset(shapes=shapes, textures=textures)
    pixels, known, ids, about = read_images(chosen, settings, ours, model[0])
    steps = steps_of() * min(robustness_images, len(pixels)) if robustness else 0
    with progress_bar() as bar:
        task = bar.add_task("images", total=len(pixels) * (1 + len(others)) + steps, note="")

        def on_images(count: int) -> None:
            bar.advance(task, count)

        def on_step(name: str) -> None:
            bar.update(task, advance=min(robustness_images, len(pixels)), note=name)

        first, *rest = [_answers(one, pixels, known, ids, on_images) for one in (model, *others)]
        curves = None
        if robustness:
            curves = measure_robustness(
                model[1], pixels, known, seed=seed, images=robustness_images, on_step=on_step
            )
    report = make_report(
        model[0],
        first,
        about,
        time.time_ns() // 1000,
        robustness=curves,
        against=[
            Against(other[0].name, other[0].version, float(answers.right.mean()), compare(first, answers))
            for other, answers in zip(others, rest, strict=True)
        ],
        contested=contested_labels([first, *rest]) if rest else (),
        seed=seed,
    )
    _show(report, article, as_json)
    if keep:
        place = Reports(repository.url).keep(report)
        if not as_json:
            console.print(f"Kept as {place}", markup=False, highlight=False, soft_wrap=True)
    if keep and index:
        tell_index(settings, repository, model[0])


def _load(repository: Repository, reference: str) -> Loaded:
    manifest = repository.resolve(reference)
    return manifest, repository.load(manifest.name, manifest.version)


def read_images(
    chosen: options_of.DatasetOptions, settings: Settings, ours: str | None, manifest: Manifest
) -> tuple[NDArray[np.uint8], NDArray[np.int64], Sequence[str], Data]:
    """Return pixels, known labels, ids and a description of the test images.

    Raises:
        DatasetInvalid, IdxInvalid: there are none.
        BadQuery, StoreError: the condition is none, or Kudu cannot be read.
        AnswersInvalid: their classes are not the model's.
        ExtraMissing: scikit-image is not installed, which the textures are from.
    """
    from flumen.models.datasets.dataset import test_ids

    if ours:
        where = _OURS[ours]
        _positions(own_labels(ours), where, manifest)  # before they are drawn, which takes seconds
        dataset = own_test_images(ours)
    else:
        dataset = options_of.read_images(chosen, settings, manifest)
        where = str(chosen.data or options_of.ARTICLE) if chosen.kind == "idx" else dataset.fingerprint.text
    test = dataset.test
    known = test.labels.astype(np.int64)
    if dataset.labels:
        known = _positions(dataset.labels, where, manifest)[known]
    about = Data(f"the test images of {where}", test.sha256, len(test.pixels))
    return test.pixels, known, test_ids(test), about


def _positions(labels: Sequence[str], where: str, manifest: Manifest) -> NDArray[np.int64]:
    """Return where each of the images' classes is among the model's, which may have more, and in another order.

    Raises:
        AnswersInvalid: the model does not know one of them.
    """
    if not set(labels) <= set(manifest.labels):
        raise AnswersInvalid(
            f"the images of {where} are of {', '.join(labels)}, and {manifest} knows "
            f"{', '.join(manifest.labels)}; evaluate it with images of its own classes"
        )
    return np.array([manifest.labels.index(label) for label in labels], np.int64)


def _answers(
    model: Loaded,
    pixels: NDArray[np.uint8],
    known: NDArray[np.int64],
    ids: Sequence[str],
    on_images: Callable[[int], None],
) -> Answers:
    manifest, classifier = model
    return Answers(ask(classifier, pixels, on_images), known, ids, manifest.labels)


def _show(report: Report, article: bool, as_json: bool) -> None:
    if as_json:
        print_json(orjson.loads(to_json(report)))
        return
    print_report(report)
    if article:
        printed = as_the_article_prints(np.array(report.confusion), report.labels)
        console.print(printed, markup=False, highlight=False, soft_wrap=True)
