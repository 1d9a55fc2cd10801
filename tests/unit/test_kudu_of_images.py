"""What finds the rows of images."""

from flumen.stores.kudu import Predicate
from flumen.stores.kudu.of_images import finding


def test_ids_that_are_not_utf8_are_looked_for_nowhere() -> None:
    """A shell gives what is typed: Kudu's drivers could not even ask for it."""
    assert list(finding(["\udcff"])) == []
    assert list(finding(["a", "\udcff", "caf\u00e9"])) == [
        Predicate("id", "=", (each,)) for each in ("a", "caf\u00e9")
    ]
    many = [f"image {number}" for number in range(1_500)]
    assert [len(each.values) for each in finding([*many, "\udcff"])] == [1_000, 500]
