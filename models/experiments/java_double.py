"""Numbers as Java writes them, since the article's runs are named so: `10_100_1.0E-5`."""

import math

_PLAIN_FROM = 1e-3
_SCIENTIFIC_FROM = 1e7


def java_double(value: float) -> str:
    """Return what Java's `Double.toString` returns, from JDK 19 on.

    Source: https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/Double.html#toString(double). The
    digits are the fewest that are read back as the same number, two at least, and the nearest among as many. From
    0.001 to below 10,000,000 they are written with a point, else as `d.dddE±n`.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    size = abs(value)
    if size == 0:
        return f"{sign}0.0"
    digits, exponent = _digits(size)
    if not _PLAIN_FROM <= size < _SCIENTIFIC_FROM:
        return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return f"{sign}{whole}.{digits[exponent + 1 :] or '0'}"


def _digits(size: float) -> tuple[str, int]:
    """Return the digits of a number, without a point or zeros at the end, and the power of ten of the first."""
    shortest = repr(size)
    if sum(sign.isdigit() for sign in shortest.partition("e")[0].strip("0.")) <= 1:
        # Among all of two digits there may be a nearer one than that of one digit: 4.9E-324.
        shortest = f"{size:.1e}"
    mantissa, _, power = shortest.partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = int(power or 0) + len(whole) - 1
    digits = (whole + fraction).lstrip("0")
    exponent -= len(whole + fraction) - len(digits)
    return digits.rstrip("0"), exponent
