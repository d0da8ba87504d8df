"""What every kernel does with its blocks: buffers, sums, and how LLVM is to write its loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
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
    # A view of bytes would take a second longer to compile.
    memory = np.empty(count + CACHE_LINE, kind)
    skipped = -memory.ctypes.data % CACHE_LINE // memory.itemsize
    return memory[skipped : skipped + count]


@intrinsic
def prefer_wide_vectors(_typing: Any) -> Any:
    """Let the function that calls this use 512-bit registers: LLVM's default of 256 bits costs a third of the speed."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        # The set type of llvmlite accepts only attributes that it knows.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def interleave(_typing: Any) -> Any:
    """As the last statement of a loop: compute four vectors at a time, so that none waits for its own results alone.

    A logarithm of an exponential is a chain of thirty operations, each waiting for the one before. With two vectors
    some losses took a fifth longer; with eight, more is kept in memory than registers hold.
    """

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        def branch_back(target: Any) -> Any:
            del builder.branch
            jump = builder.branch(target)
            hint = builder.module.add_metadata(["llvm.loop.interleave.count", ir.Constant(ir.IntType(32), 4)])
            loop = builder.module.add_metadata([hint])
            # LLVM wants the name of a loop to begin with itself.
            loop.operands = (loop, hint)
            jump.set_metadata("llvm.loop", loop)
            return jump

        # LLVM takes the hint from the jump back to the start, which is the next to be written.
        builder.branch = branch_back
        return context.get_dummy_value()

    return types.none(), generate
