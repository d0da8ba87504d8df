"""Which path computes a loss: the one place that decides.

======================  =====================================================================================
path                    taken by
======================  =====================================================================================
``"arrays"``            JAX arrays; PyTorch tensors that kernels cannot read; NumPy arrays of fewer than ``SMALL``
                        numbers, where compiling and calling a kernel would cost more than it saves
``"kernel"``            NumPy arrays of ``SMALL`` numbers or more, on one thread
``"threads"``           NumPy arrays of ``LARGE`` bytes or more, blocks shared among threads
======================  =====================================================================================

PyTorch tensors whose numbers lie in memory count as NumPy arrays; ``tensors.py`` says which these are.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any

SMALL = 512
#: Bytes of targets or scores. Waking a thread takes some 40 µs, in which a kernel goes through about half as many.
LARGE = 2**19

#: How a loss becomes differentiable in a framework; the engine itself imports none of them.
ADAPTERS: Mapping[str, str] = {"torch": "lossfn.torch", "jax": "lossfn.jax"}


@cache
def adapter(library: str) -> Any:
    """Return the module that knows a framework."""
    return importlib.import_module(ADAPTERS[library])


_forced: ContextVar[str | None] = ContextVar("forced", default=None)


@contextmanager
def forced(path: str) -> Iterator[None]:
    """Compute arrays in memory by the given path, whatever their size.

    For tests and measurements, and where it is known how often a loss will be called. With ``"arrays"``, tensors are
    computed by operations of PyTorch.
    """
    token = _forced.set(path)
    try:
        yield
    finally:
        _forced.reset(token)


def kernels_only_if(worth: bool) -> AbstractContextManager[None]:
    """Compute arrays without kernels unless there is so much to compute that compiling them pays, in all calls."""
    return nullcontext() if worth else forced("arrays")


def forced_path() -> str | None:
    """Return the path that is forced, or ``None``."""
    return _forced.get()


def path_of(library: str, elements: Any) -> str:
    """Return the path that computes so many elements, the targets or scores of a library."""
    if library != "numpy":
        return "arrays"
    chosen = _forced.get()
    if chosen is not None:
        return chosen
    if elements.size < SMALL:
        return "arrays"
    return "kernel" if elements.nbytes < LARGE else "threads"
