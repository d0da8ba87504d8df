"""Reductions over one block of a kernel, shared by all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossfn.engine.primitives.kernels.compile import njit


# Only this sum may be reassociated by the compiler, so that it vectorises; the mathematics never is.
@njit(fastmath={"reassoc"})
def sum_block(values: Any, count: int) -> float:
    """Return the float64 sum of the first ``count`` values."""
    total = 0.0
    for i in range(count):
        total += np.float64(values[i])
    return total


@njit()
def count_invalid(valid: Any, count: int) -> int:
    """Return how many of the first ``count`` flags are false."""
    total = 0
    for i in range(count):
        total += valid[i]
    return count - total
