"""The tables and the plots of the page: their columns and curves, for the server's drawing and the browser's alike."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name in the API, its title, and how its values are shown.

    Kinds: `text` from outside, `words` likewise where they are many, `number`, `bytes`, `seconds` that something took,
    `age` in seconds, `time` in microseconds since 1970, `state` as a word.
    """

    name: str
    title: str
    kind: str

    @property
    def look(self) -> str:
        """The class of its cells: amounts stand below one another by their last digit."""
        return "amount" if self.kind in {"number", "bytes", "seconds", "age"} else self.kind


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name in the API, its title, what is said where it is empty, and its columns."""

    name: str
    title: str
    empty: str
    columns: Sequence[Column]

    @property
    def is_broad(self) -> bool:
        """Whether it has the width of the page to itself."""
        return any(column.kind == "words" and column.name != "says" for column in self.columns)


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves over time of one unit: names of a sample's values, and what they are called; what there is to know."""

    name: str
    title: str
    unit: str
    curves: Sequence[tuple[str, str]]
    note: str


PLOTS = (
    Plot(
        "rates",
        "Images",
        "images/s",
        (("published_per_s", "published"), ("stored_per_s", "stored")),
        "Published: by the offsets of the topic, over 5 s. Stored: as the workers say, over about a heartbeat.",
    ),
    Plot(
        "lag",
        "Waiting in Kafka",
        "messages",
        (("lag", "not yet stored"),),
        "What is published and not yet acknowledged by the workers' group, of all partitions.",
    ),
    Plot(
        "delay",
        "From produce to both stores",
        "s",
        (("p50_s", "p50"), ("p99_s", "p99")),
        "Of each micro-batch's oldest image, over 30 s, between the bounds of the workers' histogram.",
    ),
)
TABLES = (
    Table(
        "workers",
        "Workers",
        "No worker runs: `flumen worker` starts one.",
        (
            Column("worker", "Worker", "text"),
            Column("state", "State", "state"),
            Column("model", "Model", "text"),
            Column("revision", "Revision", "number"),
            Column("images_per_s", "Images/s", "number"),
            Column("memory_bytes", "Memory", "bytes"),
            Column("started_at", "Since", "time"),
            Column("heard_s", "Heard of, ago", "age"),
            Column("problem", "Problem", "words"),
        ),
    ),
    Table(
        "stores",
        "Stores",
        "",
        (
            Column("store", "Store", "text"),
            Column("state", "State", "state"),
            Column("took_s", "Answered in", "seconds"),
            Column("says", "Says", "words"),
        ),
    ),
    Table(
        "partitions",
        "Lag by partition",
        "There is no topic of images yet: the first worker makes it.",
        (
            Column("partition", "Partition", "number"),
            Column("lag", "Not yet stored", "number"),
            Column("acknowledged", "Acknowledged up to", "number"),
            Column("ends", "Published up to", "number"),
        ),
    ),
    Table(
        "dead_letters",
        "Dead letters by reason",
        "None: whatever came was classified and stored.",
        (
            Column("stage", "Stage", "text"),
            Column("kind", "Kind of error", "text"),
            Column("count", "How many", "number"),
            Column("at", "The newest", "time"),
            Column("reason", "Its reason", "words"),
        ),
    ),
    Table(
        "swaps",
        "Last swaps",
        "No model was swapped.",
        (
            Column("at", "Written", "time"),
            Column("took_effect_at", "Took effect", "time"),
            Column("model", "Model", "text"),
            Column("change", "Change", "text"),
            Column("workers", "On workers", "number"),
            Column("by", "By", "text"),
            Column("reason", "Reason", "words"),
        ),
    ),
)
