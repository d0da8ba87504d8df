"""Reductions over one block of a kernel, shared by all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from lossfn.engine.primitives.kernels.compile import njit

CACHE_LINE = 64


# Only this sum may be reassociated by the compiler, so that it vectorises; the mathematics never is.
@njit(fastmath={"reassoc"})
def sum_block(values: Any, count: int) -> float:
    """Return the float64 sum of the first ``count`` values."""
    total = 0.0
    for i in range(count):
        total += np.float64(values[i])
    return total


@njit()
def aligned(count: int, kind: Any) -> Any:
    """Return an empty buffer of numbers that begins with a cache line: vectors across two lines take twice as long."""
    size = count * np.empty(0, kind).itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    skipped = -memory.ctypes.data % CACHE_LINE
    return memory[skipped : skipped + size].view(kind)


@intrinsic
def prefer_wide_vectors(_typing: Any) -> Any:
    """Let the function that calls this use 512-bit registers: LLVM's default of 256 bits costs a third of the speed."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        # The set type of llvmlite accepts only attributes that it knows.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), generate
