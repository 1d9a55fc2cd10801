"""A trainer's parameters, as they are typed and as a file has them."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.models.errors import BadParameters
from flumen.models.trainers.parameters import (
    check_bounds,
    declared_parameters,
    parameter,
    plain_values,
    with_values,
)


@dataclass(frozen=True)
class Some:
    rate: float = parameter(0.5, "How fast", low=0, high=1)
    epochs: int = parameter(3, "How often", low=1)
    layers: tuple[int, ...] = parameter((5, 4), "How large", low=1, high=9)
    kind: str = parameter("plain", "Which", choices=("plain", "other"))
    mirrored: bool = parameter(False, "Whether")

    def __post_init__(self) -> None:
        check_bounds(self)


def test_text_becomes_what_the_parameter_is() -> None:
    typed = {"rate": "0.25", "epochs": "7", "layers": "3,2", "kind": "other", "mirrored": "yes"}
    assert with_values(Some(), typed) == Some(0.25, 7, (3, 2), "other", True)
    assert with_values(Some(), {"layers": ""}).layers == ()
    assert with_values(Some(rate=0.1), {}).rate == 0.1


@given(
    st.builds(
        Some,
        rate=st.floats(0, 1),
        epochs=st.integers(1, 2**40),
        layers=st.lists(st.integers(1, 9)).map(tuple),
        kind=st.sampled_from(["plain", "other"]),
        mirrored=st.booleans(),
    )
)
def test_what_a_manifest_keeps_is_read_back(some: Some) -> None:
    kept = plain_values(some)
    assert {type(value) for value in kept.values()} <= {int, float, str}
    assert with_values(Some(), kept) == some
    assert with_values(Some(), {name: str(value) for name, value in kept.items()}) == some


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("epoch", "3", "did you mean 'epochs'"),
        ("zzz", "3", "There are: rate, epochs"),
        ("epochs", "three", "a whole number"),
        ("epochs", "1.5", "a whole number"),
        ("epochs", 1.5, "a whole number"),
        ("epochs", True, "a whole number"),
        ("epochs", "0", "1 or more"),
        ("rate", "nan", "0 to 1"),
        ("rate", "inf", "0 to 1"),
        ("rate", float("nan"), "0 to 1"),
        ("rate", "2", "0 to 1"),
        ("rate", None, "a number"),
        ("layers", "3,x", "commas between them"),
        ("layers", "-3", "commas between them"),
        ("layers", "3,,4", "commas between them"),
        ("layers", "3,20", "1 to 9"),
        ("layers", 3, "commas between them"),
        ("kind", "third", "plain or other"),
        ("mirrored", "maybe", "yes or no"),
    ],
)
def test_a_slip_is_told(name: str, value: object, reason: str) -> None:
    with pytest.raises(BadParameters, match=reason):
        with_values(Some(), {name: value})


def test_they_are_shown_with_default_bounds_and_meaning() -> None:
    shown = {one.name: one for one in declared_parameters(Some)}
    assert (shown["rate"].default, shown["rate"].allowed, shown["rate"].meaning) == (
        "0.5",
        "0 to 1",
        "How fast",
    )
    assert (shown["layers"].kind, shown["layers"].default) == ("whole numbers", "5-4")
    assert shown["kind"].allowed == "plain or other"
    assert shown["mirrored"].default == "no"
