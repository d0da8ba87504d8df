"""What every kernel does with its blocks: buffers, sums, and looking ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lossfn.engine.primitives.kernels.compile import njit

CACHE_LINE, PAGE = 64, 4096
#: Cache lines of a page that are asked for in advance; after two, a processor goes on by itself.
LINES = 2
#: Bytes of an array that the caches near a processor do not hold.
FAR = 2**22


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


@njit()
def fetch_ahead(values: Any, start: int, stop: int) -> None:
    """Ask for the beginnings of the pages of some elements, where a processor stops reading ahead by itself."""
    if values.size * values.itemsize < FAR:
        return
    step = values.itemsize
    for page in range(start * step, stop * step, PAGE):
        for line in range(page, min(stop * step, page + LINES * CACHE_LINE), CACHE_LINE):
            _prefetch(values.ctypes.data + line)  # type: ignore[call-arg]  # Numba passes the first argument


@intrinsic
def _prefetch(_typing: Any, _address: Any) -> Any:
    """Bring the cache line of an address into the second-level cache."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        # To read, into the second level, as data.
        builder.call(prefetch, [builder.inttoptr(arguments[0], pointer), number(0), number(2), number(1)])
        return context.get_dummy_value()

    return types.none(types.intp), generate


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
