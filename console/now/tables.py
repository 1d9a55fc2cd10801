"""The tables and the plots of the page: their columns and curves, for the server's drawing and the browser's alike."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name in the API, its title, and how its values are shown.

    Kinds: `text` from outside, `number`, `bytes`, `seconds` that something took, `age` in seconds, `time` in
    microseconds since 1970, `state` as a word.
    """

    name: str
    title: str
    kind: str

    @property
    def is_amount(self) -> bool:
        """Whether its values stand below one another by their last digit."""
        return self.kind in {"number", "bytes", "seconds", "age"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name in the API, its title, what is said where it is empty, and its columns."""

    name: str
    title: str
    empty: str
    columns: Sequence[Column]


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves over time of one unit: names of a sample's values, and what they are called."""

    name: str
    title: str
    unit: str
    curves: Sequence[tuple[str, str]]


PLOTS = (
    Plot(
        "rates",
        "Images",
        "images/s",
        (("published_per_s", "published"), ("stored_per_s", "stored")),
    ),
    Plot("lag", "Waiting in Kafka", "messages", (("lag", "not yet stored"),)),
    Plot(
        "delay",
        "From produce to both stores, of each batch's oldest image",
        "s",
        (("p50_s", "p50"), ("p99_s", "p99")),
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
            Column("problem", "Problem", "text"),
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
            Column("says", "Says", "text"),
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
            Column("reason", "Its reason", "text"),
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
            Column("reason", "Reason", "text"),
        ),
    ),
)
