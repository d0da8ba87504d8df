"""Threads for kernels: a pool of our own, because compiled kernels release the interpreter lock.

Numba's parallel regions would double every compilation, abort on concurrent calls under the workqueue layer and kill
forked children under GNU OpenMP. A pool of Python threads does none of that, and sleeps when idle, so that it never
competes with the threads of PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

#: Parts for each thread, and blocks that a part has at least.
PARTS, SMALLEST_PART = 8, 8


@cache
def limit() -> int:
    """Return how many threads a kernel may use: ``NUMBA_NUM_THREADS`` or the processors that this process may use."""
    from numba import config

    # Numba sets its configuration at run time, where type checkers do not see it.
    return max(1, int(vars(config)["NUMBA_NUM_THREADS"]))


@cache
def _pool() -> ThreadPoolExecutor:
    # Imported with the first large array, because it brings the logging module along.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(max(1, limit() - 1), thread_name_prefix="lossfn")


# A forked child inherits the pool but none of its threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def run(task: Callable[..., int], count: int, *arguments: Any) -> int:
    """Share ``task(first, last, *arguments)`` over 0..count among threads, this one included; return the sum.

    Each thread takes the next part when it is ready: one that wakes late, or shares its processor with a thread of
    another library that waits by spinning, holds nobody up for long.
    """
    shares = max(1, min(limit(), count))
    parts = max(shares, min(PARTS * shares, count // SMALLEST_PART))
    bounds = [count * part // parts for part in range(parts + 1)]
    # One iterator for all: under the interpreter lock, each part is taken once.
    waiting = iter(tuple(pairwise(bounds)))

    def work() -> int:
        return sum(task(first, last, *arguments) for first, last in waiting)

    others = [_pool().submit(work) for _ in range(shares - 1)]
    try:
        total = work()
    finally:
        # After an error or an interrupt, too, nobody may write into arrays that the caller has back.
        for _ in waiting:
            pass
        begun = [other for other in others if not other.cancel()]
        for other in begun:
            other.exception()
    return total + sum(other.result() for other in begun)
