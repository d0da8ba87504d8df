"""Threads for kernels: a pool of our own, because compiled kernels release the interpreter lock.

Numba's parallel regions would double every compilation, abort on concurrent calls under the workqueue layer and kill
forked children under GNU OpenMP. A pool of Python threads does none of that, and sleeps when idle, so that it never
competes with the threads of PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


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
    """Share ``task(first, last, *arguments)`` over 0..count among threads, this one included; return the sum."""
    shares = max(1, min(limit(), count))
    bounds = [count * share // shares for share in range(shares + 1)]
    others = [_pool().submit(task, bounds[share], bounds[share + 1], *arguments) for share in range(1, shares)]
    total = task(bounds[0], bounds[1], *arguments)
    return total + sum(other.result() for other in others)
