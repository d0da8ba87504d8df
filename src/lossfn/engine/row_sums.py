"""Sums over a row of scores: of float32 in double precision, of float64 with what rounding takes from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossfn.engine import loops
from lossfn.engine.primitives.kernels.compile import njit

# Compiled code calls it without the argument that it has for the type checker.
prefer_wide_vectors: Any = loops.prefer_wide_vectors

#: Sums that run side by side; ``lanes`` holds as many, and behind them what each has lost.
WIDTH = 32
#: Shorter rows lose too little.
LONG = 128


@njit(fastmath={"reassoc"})
def sum_others_float32(exponentials: Any, _lanes: Any) -> float:
    """Return the sum of a row of exponentials but for one that is 1."""
    prefer_wide_vectors()
    total = 0.0
    ones = -1.0
    for j in range(exponentials.size):
        exponential = exponentials[j]
        is_largest = exponential >= 1
        total += np.float64(0.0 if is_largest else exponential)
        ones += 1.0 if is_largest else 0.0
    return total + ones


@njit(fastmath={"reassoc"})
def sum_apart_float32(values: Any, size: Any, _lanes: Any) -> tuple[float, float]:
    """Return the sums of the smaller values and of those of this size: only together would they cancel."""
    prefer_wide_vectors()
    smaller = 0.0
    larger = 0.0
    for j in range(values.size):
        is_larger = abs(values[j]) == size
        smaller += np.float64(0.0 if is_larger else values[j])
        larger += np.float64(values[j] if is_larger else 0.0)
    return smaller, larger


@njit()
def sum_others_float64(exponentials: Any, lanes: Any) -> float:
    """Return the sum of a row of exponentials but for one that is 1."""
    if exponentials.size < LONG:
        return sum_others_float32(exponentials, lanes)
    return _sum_smaller(exponentials, 1.0, lanes) + (_count(exponentials, 1.0) - 1.0)


@njit()
def sum_apart_float64(values: Any, size: Any, lanes: Any) -> tuple[float, float]:
    """Return the sums of the smaller values and of those of this size: only together would they cancel."""
    if values.size < LONG:
        return sum_apart_float32(values, size, lanes)
    larger = 0.0
    # A product is rounded once. Infinity times 0 would be NaN.
    for one in (size, -size):
        count = _count(values, one)
        larger += one * count if count > 0 else 0.0
    return _sum_smaller(values, size, lanes), larger


@njit(fastmath={"reassoc"})
def _count(values: Any, one: float) -> float:
    prefer_wide_vectors()
    count = 0.0
    for j in range(values.size):
        count += 1.0 if values[j] == one else 0.0
    return count


@njit()
def _sum_smaller(values: Any, size: float, lanes: Any) -> float:
    prefer_wide_vectors()
    whole = values.size // WIDTH
    totals, lost = lanes[:WIDTH], lanes[WIDTH : 2 * WIDTH]
    lanes[: 2 * WIDTH] = 0.0
    for chunk in range(whole):
        part = values[chunk * WIDTH : (chunk + 1) * WIDTH]
        for lane in range(WIDTH):
            value = 0.0 if abs(part[lane]) == size else part[lane]
            totals[lane], loss = _add(totals[lane], value)
            lost[lane] += loss
    total, all_lost = 0.0, 0.0
    for lane in range(WIDTH):
        total, loss = _add(total, totals[lane])
        all_lost += lost[lane] + loss
    for j in range(whole * WIDTH, values.size):
        total, loss = _add(total, 0.0 if abs(values[j]) == size else values[j])
        all_lost += loss
    return total + all_lost


@njit()
def _add(total: float, value: float) -> tuple[float, float]:
    """Return the rounded sum and its error (Knuth)."""
    following = total + value
    gained = following - total
    return following, (total - (following - gained)) + (value - gained)
