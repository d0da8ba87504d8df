"""Threads for kernels: a pool of our own, because compiled kernels release the interpreter lock.

Numba's parallel regions would double every compilation, abort on concurrent calls under the workqueue layer and kill
forked children under GNU OpenMP. A pool of Python threads does none of that, and sleeps when idle, so that it never
competes with the threads of PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from threading import Event, Lock
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
    """Share ``task(first, last, *arguments)`` over 0..count among threads, this one included; return the sum."""
    shares = max(1, min(limit(), count))
    parts = max(shares, min(PARTS * shares, count // SMALLEST_PART))
    bounds = [count * part // parts for part in range(parts + 1)]
    return sum(share(task, tuple(pairwise(bounds)), *arguments))


def share(task: Callable[..., Any], parts: Sequence[tuple[Any, ...]], *arguments: Any) -> list[Any]:
    """Call ``task(*part, *arguments)`` for each part, in threads, this one included; return what it gave, in order.

    Each thread takes the next part when it is ready: one that wakes late, or shares its processor with a thread of
    another library that waits by spinning, holds nobody up for long.
    """
    # One iterator for all: under the interpreter lock, each part is taken once, in their order.
    waiting = iter(range(len(parts)))
    results: list[Any] = [None] * len(parts)

    def work() -> None:
        for number in waiting:
            results[number] = task(*parts[number], *arguments)

    others = [_pool().submit(work) for _ in range(min(limit(), len(parts)) - 1)]
    try:
        work()
    finally:
        # After an error or an interrupt, too, nobody may write into arrays that the caller has back.
        for _ in waiting:
            pass
        begun = [other for other in others if not other.cancel()]
        for other in begun:
            other.exception()
    for other in begun:
        other.result()
    return results


class Turns:
    """The order in which parts of a sum are added to, whichever thread is quicker: so it has always the same bits."""

    def __init__(self, terms: int, parts: int) -> None:
        self._done = [[Event() for _ in range(parts)] for _ in range(terms)]

    @contextmanager
    def turn(self, term: int, part: int) -> Iterator[None]:
        """Wait until the terms before have been added to a part; let the next one go on."""
        if term > 0:
            self._done[term - 1][part].wait()
        yield
        self._done[term][part].set()

    @contextmanager
    def whole(self, term: int) -> Iterator[None]:
        """Hold nobody up after an error in a term."""
        try:
            yield
        finally:
            for event in self._done[term]:
                event.set()


@cache
def linear_algebra() -> Any:
    """Return what sets the number of threads of matrix products; looking for their libraries takes milliseconds."""
    # Its products, which ``products.py`` uses, have threads of their own.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it ships no types

    return ThreadpoolController().select(user_api="blas")


_setting = Lock()


@contextmanager
def products_in_one_thread() -> Iterator[bool]:
    """Let matrix products take one thread each; give whether they do, which can be for one caller at a time."""
    if not _setting.acquire(blocking=False):
        yield False
        return
    try:
        with linear_algebra().limit(limits=1):
            yield True
    finally:
        _setting.release()
