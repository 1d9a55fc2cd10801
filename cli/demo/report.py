"""What `flumen demo` shows of what came out: the counts by class, the confusion matrix, the dead letter."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.table import Table

from flumen.cli.demo.photos import search_photos
from flumen.cli.invocation import as_typed, from_here
from flumen.cli.output import console, how_many, print_rows
from flumen.models.repository import Repository
from flumen.replay.sql import query
from flumen.stores.kudu import KuduReader, Predicate
from flumen.stores.solr import SolrReader
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.settings import Settings

TEST_IDS = "t10k"
"""What the ids of the 10,000 test images begin with."""

ARTICLE_QUERIES = (
    """select count(PREDICTION),PREDICTION as all_prediction
from mnist group by prediction order by prediction;""",
    """select count(PREDICTION),PREDICTION as correct_prediction
from mnist where prediction=knownlabel
group by prediction order by prediction;""",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the demo: where to look, and when it began."""

    settings: Settings
    observer: TopicReader
    kudu: KuduReader
    solr: SolrReader
    began: datetime

    @property
    def began_us(self) -> int:
        """When it began, in microseconds since the epoch."""
        return int(self.began.timestamp() * 1_000_000)

    @property
    def solr_query(self) -> str:
        """Solr's words for what was classified in this run."""
        return f"classified_at:[{self.began.strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z TO *]"

    def answers(self) -> pa.Table:
        """Return the id, the known label and the prediction of every image that this run stored in Kudu."""
        batches = list(self._scan(["id", "knownlabel", "prediction"]))
        schema = pa.schema([("id", pa.string()), ("knownlabel", pa.int32()), ("prediction", pa.int32())])
        return pa.Table.from_batches(batches, batches[0].schema if batches else schema)

    def _scan(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        since = Predicate("classified_at", ">=", (self.began_us,))
        return self.kudu.scan("images", columns, [since])


def show_results(run: Run, expected: int) -> list[str]:
    """Print what came of the run, from both stores; return what is not as it must be."""
    answers = run.answers()
    known = answers["knownlabel"].to_numpy()
    predicted = answers["prediction"].to_numpy()
    in_solr = run.solr.facet_counts("prediction", run.solr_query)
    tables = [_classes(known, predicted, in_solr), _confusion_matrix(known, predicted)]
    console.print(Columns(tables, padding=(0, 3)))
    manifest = Repository(run.settings.model_repository).resolve(run.settings.model_name)
    offline = f"; offline it was {manifest.scores.accuracy:.4f}" if manifest.scores else ""
    tested = pc.starts_with(answers["id"], TEST_IDS).to_numpy()
    right = predicted == known
    images = how_many(int(tested.sum()), "image")
    told = f"Accuracy [bold]{_share(right[tested]):.4f}[/], by {manifest} on {images}{offline}"
    if not tested.all():
        told += f"; {_share(right[~tested]):.4f} on the {how_many(int((~tested).sum()), 'training image')}"
    console.print(f"{told}.\n", highlight=False)
    _show_article_queries(run)
    return _problems(expected, len(predicted), sum(in_solr.values()))


def _share(right: NDArray[np.bool_]) -> float:
    return float(right.sum()) / max(1, len(right))


def _classes(known: NDArray[np.int32], predicted: NDArray[np.int32], in_solr: Mapping[str, int]) -> Table:
    in_kudu = np.bincount(predicted, minlength=10)
    correct = np.bincount(predicted[predicted == known], minlength=10)
    table = _compact("Images by predicted class", ("class", "Kudu", "Solr", "correct"))
    for label in range(len(in_kudu)):
        table.add_row(
            str(label), *(f"{n:,}" for n in (in_kudu[label], in_solr.get(str(label), 0), correct[label]))
        )
    totals = (len(predicted), sum(in_solr.values()), correct.sum())
    table.add_row("all", *(f"{total:,}" for total in totals), style="bold")
    return table


def _compact(title: str, columns: Sequence[str]) -> Table:
    """Make a table of numbers of which two stand beside one another in 80 columns."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _problems(expected: int, stored: int, indexed: int) -> list[str]:
    found = (("Kudu", stored), ("Solr", indexed))
    return [
        f"{name} holds {how_many(count, 'image')} of {expected:,}."
        for name, count in found
        if count != expected
    ]


def _confusion_matrix(known: NDArray[np.int32], predicted: NDArray[np.int32]) -> Table:
    counts = np.zeros((10, 10), dtype=np.int64)
    np.add.at(counts, (known, predicted), 1)
    table = _compact("Known label (rows), prediction (columns)", ("", *map(str, range(10))))
    for label, row in enumerate(counts):
        cells = [_matrix_cell(count, is_right=label == column) for column, count in enumerate(row)]
        table.add_row(f"[bold]{label}[/]", *cells)
    return table


def _matrix_cell(count: int, is_right: bool) -> str:
    if not count:
        return "[dim]·[/]"
    return f"[green]{count}[/]" if is_right else f"[red]{count}[/]"


def _show_article_queries(run: Run) -> None:
    console.print("The article's queries, as written there:")
    answers = []
    for text in ARTICLE_QUERIES:
        console.print(as_typed("sql", text), style="dim", markup=False, highlight=False, soft_wrap=True)
        result = query(run.kudu, text)
        answers.append(_compact("", result.columns))
        for row in result.rows:
            answers[-1].add_row(*(f"{value:,}" for value in row))
    console.print(Columns(answers, padding=(0, 6)))


def show_dead_letter(run: Run) -> None:
    """Print what was refused in this run, and why."""
    rows = [
        {
            "image": dead_letter.key,
            "stage": dead_letter.stage,
            "from": dead_letter.origin,
            "reason": dead_letter.reason,
        }
        for dead_letter in map(read_dead_letter, run.observer.read(run.settings.dead_topic))
        if dead_letter.failed_at >= run.began
    ]
    print_rows(rows, as_json=False, title="Dead letters: one image was broken on purpose")


@dataclass(frozen=True, slots=True)
class Left:
    """What runs on after the demo."""

    servers: bool
    workers: bool


def farewell(photos: Settings, images: Path, left: Left, seconds: float) -> str:
    """Say how long it took, and where to look next. `photos` are the settings of the worker of photos."""
    if not left.servers:
        state = f"The servers are stopped, their data is kept: start them again with `{as_typed('up')}`."
    elif not left.workers:
        state = "The servers ran before, and run on; the demo's workers are stopped."
    else:
        state = "The servers and the workers are left running."
    # Below one another: a command takes most of 80 columns.
    lines = "\n".join(
        f"  {command}\n      {meaning}" for command, meaning in next_commands(photos, images, left).items()
    )
    return f"\nDone in {seconds:.0f} s. {state} Where to look next:\n{lines}"


def next_commands(photos: Settings, images: Path, left: Left) -> dict[str, str]:
    """Return commands to go on with, in this order, each with its meaning. Typed in this folder, they work."""
    own = {"kudu_table_prefix": photos.kudu_table_prefix}
    looking = {
        as_typed("console"): "all of it in a browser, until Ctrl-C",
        as_typed("sql", "select id, label, confidence from images limit 5"): "SQL on what Kudu holds",
        as_typed(
            "search", "label:7", "--facet", "knownlabel"
        ): f"search in Solr, which is at {photos.solr_url}",
        as_typed(
            "sql", "select label, count(*) from images group by label", settings=own
        ): "the photos in Kudu",
        search_photos(photos): "and in Solr",
        as_typed("models", "show", "mnist"): "the model behind the digits",
    }
    produce = as_typed("produce", from_here(images))
    last = {as_typed("down", "--purge"): "stop the servers and remove their data"}
    first = {} if left.servers else {as_typed("up"): "start the servers again"}
    if left.servers and left.workers:
        return {**looking, produce: "publish images: these, or your own folders and archives", **last}
    return {
        **first,
        **looking,
        as_typed("worker"): "classify what arrives, until Ctrl-C",
        produce: "publish images to it from another terminal: these, or your own folders and archives",
        as_typed("demo", "--keep"): "once more, and leave everything running",
        **last,
    }
