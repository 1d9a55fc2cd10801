"""Java's Double.toString, by its examples, and by what it promises of any number."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.models.experiments.java_double import java_double


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-5, "1.0E-5"),
        (1e-4, "1.0E-4"),
        (0.001, "0.001"),
        (0.0015, "0.0015"),
        (0.01, "0.01"),
        (0.1, "0.1"),
        (1.0, "1.0"),
        (0.00099, "9.9E-4"),
        (0.000999999, "9.99999E-4"),
        (10.0, "10.0"),
        (100.5, "100.5"),
        (1234567.0, "1234567.0"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (12345678.9, "1.23456789E7"),
        (1e23, "1.0E23"),
        (2.2250738585072014e-308, "2.2250738585072014E-308"),
        # Two digits where two are nearer than one.
        (4.9e-324, "4.9E-324"),
        (2e-323, "2.0E-323"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (-1.5, "-1.5"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_a_number_is_written_as_java_writes_it(value: float, text: str) -> None:
    assert java_double(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_it_is_read_back_as_the_same_number_and_has_the_form_of_its_size(value: float) -> None:
    text = java_double(value)
    assert float(text) == value
    plain = value == 0 or 1e-3 <= abs(value) < 1e7
    assert re.fullmatch(r"-?\d+\.\d+" if plain else r"-?[1-9]\.\d+E-?\d+", text)
    assert not re.search(r"\.\d+0(E|$)", text)
