"""Sums of floating-point numbers without any rounding, so that their order and their grouping do not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Sums are integers in units of 2^UNIT, which every finite float64 is a multiple of.
UNIT = -1126

#: Rows that may be summed in one go: sums of 27-bit integers stay exact in float64.
MOST_ROWS = 2**20


def exact_sums(values: NDArray[np.floating[Any]], group: NDArray[np.intp], groups: int) -> list[int]:
    """Return the sum of the values of each group as an integer in units of 2^``UNIT``.

    Values of one binary exponent are integers of 53 bits but for a common factor. Each is cut in two, and the parts are
    added up for each exponent and group.
    """
    assert len(values) <= MOST_ROWS
    if not len(values):
        return [0] * groups
    mantissa, exponent = np.frexp(values.astype(np.float64, copy=False))
    lowest = int(exponent.min())
    span = int(exponent.max()) - lowest + 1
    cell = group * span + (exponent - lowest)
    mantissa *= 2.0**26
    high = np.floor(mantissa)
    low = (mantissa - high) * 2.0**27
    totals = [0] * groups
    sums = [np.bincount(cell, part, groups * span) for part in (high, low)]
    for index in np.flatnonzero((sums[0] != 0) | (sums[1] != 0)).tolist():
        place, above = divmod(index, span)
        whole = (int(sums[0][index]) << 27) + int(sums[1][index])
        totals[place] += whole << (lowest + above - 53 - UNIT)
    return totals


def ratio(sum_: int, divisor: int) -> float:
    """Return the correctly rounded quotient of two sums; NaN for 0/0."""
    return sum_ / divisor if divisor else float("nan")


def to_float(sum_: int) -> float:
    """Return a sum as the nearest float64."""
    return sum_ / (1 << -UNIT)
