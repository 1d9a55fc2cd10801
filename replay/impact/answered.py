"""Two models asked about the same stored images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.interceptor import Limits
from flumen.models.repository import Repository
from flumen.replay.errors import NothingToCompare
from flumen.replay.images.seen import known_pictures
from flumen.replay.scoring import Choice, StoredImages
from flumen.stores.kudu import KuduReader

MOST_PICTURES = 200
"""Images whose pixels are kept, of those that the two models answer otherwise: the surest of the new one."""

_NO_LABEL = -1

_Pixels = tuple[float, NDArray[np.uint8]]
"""The new model's confidence, and what it saw."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """The answers of two models, image by image.

    `ids`: n. `old`, `new`: the position of each answer among `labels`, int64, n; `old_confidence`, `new_confidence`:
    float32, n. `known`: the position of the known label, -1 where none is known. `columns`: what else is known of the
    images, an Arrow array of n a column. `pixels`: what the new model saw of some that are answered otherwise, by id.
    `skipped`: how many had no answer of one of them, by reason. `population`: how many images were to be chosen from,
    `snapshot_us` when.
    """

    labels: tuple[str, ...]
    ids: Sequence[str]
    old: NDArray[np.int64]
    new: NDArray[np.int64]
    old_confidence: NDArray[np.float32]
    new_confidence: NDArray[np.float32]
    known: NDArray[np.int64]
    columns: Mapping[str, pa.Array]
    population: int
    snapshot_us: int
    pixels: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Asked:
    """What one model answered: chunks of rows with its labels, and what it could not."""

    rows: list[pa.RecordBatch] = field(default_factory=list)
    labels: list[pa.Array] = field(default_factory=list)
    confidences: list[pa.Array] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def ask_both(
    tables: KuduReader,
    repository: Repository,
    models: tuple[tuple[str, int], tuple[str, int]],
    choice: Choice,
    columns: Sequence[str],
    *,
    limits: Limits | None = None,
    report: Callable[[int], None] = lambda _: None,
) -> Answered:
    """Ask both models about the images of a choice, as they are at this moment.

    Args:
        tables: Kudu.
        repository: where both models are.
        models: name and version of the old one and of the new one.
        choice: which images.
        columns: of the images, to be compared by.
        limits: of decoding.
        report: called with how many more answers there are, of two for each image.

    Raises:
        BadQuery: the condition is none, or a column is not there.
        NothingToCompare: the models have no class in common.
        StoreError, ModelError: Kudu cannot be read, or a model not be loaded.
    """
    known = ["knownlabel"] if "knownlabel" in tables.schema("images").names else []
    wanted = tuple(dict.fromkeys([*known, *columns]))
    loaded = [repository.load(*model) for model in models]
    if not set(loaded[0].labels) & set(loaded[1].labels):
        raise NothingToCompare(
            f"{loaded[0]} and {loaded[1]} have no class in common; compare two models of the same task"
        )
    asked: list[_Asked] = []
    pixels: dict[str, _Pixels] = {}
    snapshot_us: int | None = None
    population, first = 0, dict[str, str]()
    for model in loaded:
        each = _Asked()
        with StoredImages(
            tables,
            choice,
            model.preprocess,
            wanted if not asked else (),
            limits=limits,
            picture_of=known_pictures(repository, model.preprocess),
            snapshot_us=snapshot_us,
        ) as images:
            snapshot_us = images.snapshot_us
            plan = images.plan()
            population = sum(plan.answered.values()) or plan.rows
            for scored in images.scored(dict(enumerate(plan.tokens)), model):
                each.rows.append(scored.rows)
                each.labels.append(scored.answers.column("label"))
                each.confidences.append(scored.answers.column("confidence"))
                each.skipped |= {skip.id: skip.reason for skip in scored.skipped}
                if asked:
                    _keep_pixels(pixels, first, scored.rows, scored.answers, scored.pixels)
                report(scored.rows.num_rows)
        if not asked:
            first = dict(zip(_column(each.rows, "id"), _flat(each.labels), strict=True))
        asked.append(each)
    old_labels, new_labels = (tuple(model.labels) for model in loaded)
    return _joined(
        asked,
        old_labels,
        new_labels,
        wanted,
        population,
        snapshot_us or 0,
        {image_id: seen for image_id, (_, seen) in pixels.items()},
    )


def _joined(
    asked: Sequence[_Asked],
    old_labels: tuple[str, ...],
    new_labels: tuple[str, ...],
    columns: Sequence[str],
    population: int,
    snapshot_us: int,
    pixels: Mapping[str, NDArray[np.uint8]],
) -> Answered:
    labels = tuple(dict.fromkeys([*old_labels, *new_labels]))
    place = {label: number for number, label in enumerate(labels)}
    old, new = asked
    new_rows = {image_id: row for row, image_id in enumerate(_column(new.rows, "id"))}
    ids = _column(old.rows, "id")
    both = [row for row, image_id in enumerate(ids) if image_id in new_rows]
    of_new = [new_rows[ids[row]] for row in both]
    table = pa.Table.from_batches(old.rows) if old.rows else pa.table({})
    old_confidence = np.array(_flat(old.confidences), np.float32)
    new_confidence = np.array(_flat(new.confidences), np.float32)
    there = [name for name in columns if old.rows]
    kept = {name: table.column(name).combine_chunks().take(pa.array(both, pa.int64())) for name in there}
    known = np.full(len(both), _NO_LABEL, np.int64)
    # The number of a known label is that of a class; between models of other classes it says nothing.
    if "knownlabel" in kept and old_labels == new_labels:
        numbers = kept["knownlabel"].fill_null(_NO_LABEL).to_numpy(zero_copy_only=False).astype(np.int64)
        known = np.where((numbers >= 0) & (numbers < len(labels)), numbers, _NO_LABEL)
    skipped: dict[str, int] = {}
    for reason in (old.skipped | new.skipped).values():
        skipped[reason] = skipped.get(reason, 0) + 1
    old_places = np.array([place[label] for label in _flat(old.labels)], np.int64)
    new_places = np.array([place[label] for label in _flat(new.labels)], np.int64)
    return Answered(
        labels=labels,
        ids=[ids[row] for row in both],
        old=old_places[both],
        new=new_places[of_new],
        old_confidence=old_confidence[both],
        new_confidence=new_confidence[of_new],
        known=known,
        columns={name: array for name, array in kept.items() if name != "knownlabel"},
        population=population,
        snapshot_us=snapshot_us,
        pixels=pixels,
        skipped=skipped,
    )


def _column(rows: Sequence[pa.RecordBatch], name: str) -> list[str]:
    return [value for batch in rows for value in batch.column(name).to_pylist()]


def _flat(arrays: Sequence[pa.Array]) -> list[str]:
    return [value for array in arrays for value in array.to_pylist()]


def _keep_pixels(
    pixels: dict[str, _Pixels],
    first: Mapping[str, str],
    rows: pa.RecordBatch,
    answers: pa.RecordBatch,
    seen: NDArray[np.uint8],
) -> None:
    """Keep the pixels of the surest of these rows and of those that are kept, each under its confidence."""
    confidences = answers.column("confidence").to_pylist()
    ids, labels = rows.column("id").to_pylist(), answers.column("label").to_pylist()
    for row, (image_id, label) in enumerate(zip(ids, labels, strict=True)):
        if first.get(image_id, label) != label:
            pixels[image_id] = confidences[row], seen[row].copy()
    if len(pixels) > MOST_PICTURES:
        surest = sorted(pixels.items(), key=lambda kept: (-kept[1][0], kept[0]))[:MOST_PICTURES]
        pixels.clear()
        pixels.update(surest)
