"""Reductions over one row of scores, shared by all kernels of softmax losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossfn.engine import loops
from lossfn.engine.primitives.kernels.compile import njit

# Compiled code calls it without the argument that it has for the type checker.
prefer_wide_vectors: Any = loops.prefer_wide_vectors


#: Numbers compared side by side.
LANES = 64


@njit()
def largest(scores: Any, lanes: Any) -> Any:
    """Return the largest score of a row, NaN left aside; ``lanes`` is a buffer of ``LANES`` numbers."""
    prefer_wide_vectors()
    whole = scores.size // LANES
    found = scores[0]
    if whole > 0:
        # A maximum over one running number never becomes vector code.
        for lane in range(LANES):
            lanes[lane] = scores[lane]
        for chunk in range(1, whole):
            part = scores[chunk * LANES : (chunk + 1) * LANES]
            for lane in range(LANES):
                lanes[lane] = part[lane] if part[lane] > lanes[lane] else lanes[lane]
        for lane in range(LANES):
            found = lanes[lane] if lanes[lane] > found else found
    for j in range(whole * LANES, scores.size):
        found = scores[j] if scores[j] > found else found
    return found


# Not a NaN is lost: it shows in the exponentials.
@njit(fastmath={"nnan", "nsz", "reassoc"})
def largest_of_few(scores: Any) -> Any:
    """Return the largest score of a row too short for lanes."""
    found = scores[0]
    for j in range(scores.size):
        found = scores[j] if scores[j] > found else found
    return found


@njit()
def by_class(scores: Any, classes: int, columns: Any) -> None:
    """Write rows of scores class by class: the rows fill vectors where the classes are too few for it."""
    prefer_wide_vectors()
    count = scores.size // classes
    for j in range(classes):
        column = columns[j * count : (j + 1) * count]
        for row in range(count):
            column[row] = scores[row * classes + j]


@njit()
def largest_of_columns(columns: Any, classes: int, tops: Any) -> None:
    """Write the largest score of each row."""
    prefer_wide_vectors()
    count = tops.size
    # Assigning a slice would compile Numba's broadcasting first, for three seconds.
    for row in range(count):
        tops[row] = columns[row]
    for j in range(1, classes):
        column = columns[j * count : (j + 1) * count]
        for row in range(count):
            tops[row] = column[row] if column[row] > tops[row] else tops[row]


@njit()
def sum_other_columns(columns: Any, classes: int, others: Any) -> None:
    """Write for each row the sum of its exponentials but for one that is 1."""
    prefer_wide_vectors()
    count = others.size
    rest, ones = np.empty(count), np.empty(count, columns.dtype)
    # Numbers of another type would make doubles of floats before they are compared.
    zero, one = columns.dtype.type(0), columns.dtype.type(1)
    # Numba's zeros and full would take half a second longer to compile.
    for row in range(count):
        rest[row], ones[row] = 0.0, -one
    for j in range(classes):
        column = columns[j * count : (j + 1) * count]
        for row in range(count):
            is_largest = column[row] >= one
            rest[row] += np.float64(zero if is_largest else column[row])
            ones[row] += one if is_largest else zero
    for row in range(count):
        others[row] = rest[row] + ones[row]


@njit()
def by_row(columns: Any, classes: int, factors: Any, scores: Any) -> None:
    """Write what stands class by class as rows again, each times its factor."""
    prefer_wide_vectors()
    count = factors.size
    for j in range(classes):
        column = columns[j * count : (j + 1) * count]
        for row in range(count):
            scores[row * classes + j] = column[row] * factors[row]


@njit()
def move(scores: Any, offsets: Any, temperature: Any, classes: int, moved: Any) -> Any:
    """Return scores / temperature + the offset of each class, in the buffer ``moved``."""
    for row in range(scores.size // classes):
        given = scores[row * classes : (row + 1) * classes]
        result = moved[row * classes : (row + 1) * classes]
        for j in range(classes):
            result[j] = given[j] / temperature + offsets[j]
    # The last block is shorter than the buffer.
    return moved[: scores.size]
