"""Which images a condition takes out: never one more than it says."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest

from flumen.replay.corrections.stored import answered, chosen, row_counts
from flumen.stores.kudu import Predicate

COUNT = 20_000
IMAGES = pa.table({"id": [f"{row:05}" for row in range(COUNT)], "iso": [row % 5 for row in range(COUNT)]})


class Tables:
    """The table of images in memory; it leaves all of a condition to whoever asks."""

    def tables(self) -> Sequence[str]:
        return ["images"]

    def schema(self, table: str) -> pa.Schema:
        return IMAGES.schema

    def scan(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate] = ()
    ) -> Iterator[pa.RecordBatch]:
        yield from IMAGES.select(list(columns)).to_batches()


@pytest.mark.parametrize(
    ("where", "count"), [("iso = 1", COUNT // 5), ("id < '00010'", 10), ("1 = 0", 0), ("true", COUNT)]
)
def test_a_condition_takes_each_image_once_and_no_other(where: str, count: int) -> None:
    ids = chosen(Tables(), where)
    assert len(set(ids)) == len(ids) == count


def test_of_very_many_images_those_that_are_stored_are_found_and_no_others() -> None:
    ids = [f"{row:05}" for row in range(0, 3 * COUNT, 2)] + [f"nobody {row}" for row in range(COUNT)]
    assert set(answered(Tables(), ids)) == set(ids[: COUNT // 2])
    assert row_counts(Tables(), ids) == {"images": COUNT // 2}
