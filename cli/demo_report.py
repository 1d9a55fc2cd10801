"""What `flumen demo` shows: the live table, the counts by class, the confusion matrix, the dead letter."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.table import Table

from flumen.cli.demo_photos import search_photos
from flumen.cli.invocation import as_typed, from_here
from flumen.cli.output import console, print_rows
from flumen.models.repository import Repository
from flumen.replay.sql import query
from flumen.stores.kudu import KuduReader, Predicate
from flumen.stores.solr import SolrReader
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.kafka.topic_reader import Progress, TopicReader
from flumen.streams.settings import Settings

ARTICLE_QUERIES = (
    """select count(PREDICTION),PREDICTION as all_prediction
from mnist group by prediction order by prediction;""",
    """select count(PREDICTION),PREDICTION as correct_prediction
from mnist where prediction=knownlabel
group by prediction order by prediction;""",
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far this run has come. Counts are images; `rate` is acknowledged images a second since it began."""

    published: int
    acknowledged: int
    stored: int
    indexed: int
    correct: int
    rejected: int
    rate: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the demo: where to look, when it began, and what lay in the topics already."""

    settings: Settings
    observer: TopicReader
    kudu: KuduReader
    solr: SolrReader
    began: datetime
    already: Mapping[str, Progress]

    @property
    def began_us(self) -> int:
        """When it began, in microseconds since the epoch."""
        return int(self.began.timestamp() * 1_000_000)

    @property
    def solr_query(self) -> str:
        """Solr's words for what was classified in this run."""
        return f"classified_at:[{self.began.strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z TO *]"

    def snapshot(self) -> Snapshot:
        """Ask Kafka, Kudu and Solr how far this run has come."""
        images = self.observer.progress(self.settings.images_topic)
        dead = self.observer.progress(self.settings.dead_topic)
        already = self.already[self.settings.images_topic]
        seconds = (datetime.now(UTC) - self.began).total_seconds()
        stored = sum(rows.num_rows for rows in self._scan(["chunks"]))
        return Snapshot(
            published=images.published - already.acknowledged,
            acknowledged=images.acknowledged - already.acknowledged,
            stored=stored,
            indexed=self.solr.count(self.solr_query),
            correct=self.solr.count(f"{self.solr_query} AND correct:true"),
            rejected=dead.published - self.already[self.settings.dead_topic].published,
            rate=stored / seconds,
        )

    def answers(self) -> pa.Table:
        """Return the known label and the prediction of every image that this run stored in Kudu."""
        batches = list(self._scan(["knownlabel", "prediction"]))
        schema = pa.schema([("knownlabel", pa.int32()), ("prediction", pa.int32())])
        return pa.Table.from_batches(batches, batches[0].schema if batches else schema)

    def _scan(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        since = Predicate("classified_at", ">=", (self.began_us,))
        return self.kudu.scan("images", columns, [since])


def live_table(now: Snapshot) -> Table:
    """Return the table that is drawn anew while images flow."""
    table = Table(title="Images on their way", title_justify="left")
    for name in ("published", "done", "in Kudu", "in Solr", "rejected", "images/s", "accuracy"):
        table.add_column(name, justify="right", min_width=8)
    accuracy = f"{now.correct / now.indexed:.4f}" if now.indexed else ""
    counts = (now.published, now.acknowledged, now.stored, now.indexed, now.rejected, round(now.rate))
    table.add_row(*(f"{count:,}" for count in counts), accuracy)
    return table


def show_results(run: Run, expected: int) -> list[str]:
    """Print what came of the run, from both stores; return what is not as it must be."""
    answers = run.answers()
    known = answers["knownlabel"].to_numpy()
    predicted = answers["prediction"].to_numpy()
    in_solr = run.solr.facet_counts("prediction", run.solr_query)
    in_kudu = np.bincount(predicted, minlength=10)
    correct = np.bincount(predicted[predicted == known], minlength=10)

    table = Table(title="Images by predicted class", title_justify="left")
    for name in ("class", "Kudu", "Solr", "correct"):
        table.add_column(name, justify="right")
    for label in range(len(in_kudu)):
        table.add_row(
            str(label), *(f"{n:,}" for n in (in_kudu[label], in_solr.get(str(label), 0), correct[label]))
        )
    table.add_section()
    totals = (len(predicted), sum(in_solr.values()), correct.sum())
    table.add_row("all", *(f"{total:,}" for total in totals), style="bold")
    console.print(table)

    console.print(_confusion_matrix(known, predicted))
    accuracy = correct.sum() / max(1, len(predicted))
    manifest = Repository(run.settings.model_repository).resolve(run.settings.model_name)
    offline = f"; offline it was {manifest.scores.accuracy:.4f}" if manifest.scores else ""
    console.print(f"Accuracy [bold]{accuracy:.4f}[/], by {manifest} on {len(predicted):,} images{offline}.\n")
    _show_article_queries(run)
    return _problems(expected, len(predicted), sum(in_solr.values()))


def _problems(expected: int, stored: int, indexed: int) -> list[str]:
    found = (("Kudu", stored), ("Solr", indexed))
    return [f"{name} holds {count:,} images of {expected:,}." for name, count in found if count != expected]


def _confusion_matrix(known: NDArray[np.int32], predicted: NDArray[np.int32]) -> Table:
    counts = np.zeros((10, 10), dtype=np.int64)
    np.add.at(counts, (known, predicted), 1)
    table = Table(title="Known label (rows) and prediction (columns)", title_justify="left")
    table.add_column("", justify="right", style="bold")
    for label in range(10):
        table.add_column(str(label), justify="right")
    for label, row in enumerate(counts):
        cells = [_matrix_cell(count, is_right=label == column) for column, count in enumerate(row)]
        table.add_row(str(label), *cells)
    return table


def _matrix_cell(count: int, is_right: bool) -> str:
    if not count:
        return "[dim]·[/]"
    return f"[green]{count:,}[/]" if is_right else f"[red]{count:,}[/]"


def _show_article_queries(run: Run) -> None:
    console.print("The article's queries, as written there:")
    for text in ARTICLE_QUERIES:
        console.print(as_typed("sql", text), style="dim", markup=False, highlight=False, soft_wrap=True)
        result = query(run.kudu, text)
        print_rows([dict(zip(result.columns, row, strict=True)) for row in result.rows], as_json=False)


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
