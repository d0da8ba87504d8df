"""The array namespaces: NumPy, PyTorch and JAX arrays offer the same primitives."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from lossfn.engine.libraries import compatible, library_of_namespace
from lossfn.engine.primitives import PRIMITIVES


class ArrayNamespace:
    """The primitives for one array library, dtype and device.

    ``number`` makes a typed scalar: a choice between two Python numbers would lose the data's dtype.
    """

    def __init__(self, xp: Any, dtype: Any, device: Any) -> None:
        self.xp = xp
        self.tiny = float(xp.finfo(dtype).smallest_normal)
        self._largest = float(xp.finfo(dtype).max)
        # Every call of a small array makes dozens of numbers, and NumPy's scalars cost a fifth of its arrays.
        is_numpy = library_of_namespace(xp) == "numpy"
        self._make: Callable[..., Any] = (
            np.dtype(dtype).type if is_numpy else partial(xp.asarray, dtype=dtype, device=device)
        )
        for name, primitive in PRIMITIVES.items():
            setattr(self, name, partial(primitive.array, xp))

    def number(self, value: float) -> Any:
        """Return a number in the data's dtype; finite ones stay so."""
        return self._make(limited(value, self._largest))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name!r} is not a primitive")


def limited(value: float, largest: float) -> float:
    """Return the nearest number to a finite one that a dtype with this largest number holds, and others as they are."""
    if -largest <= value <= largest or not math.isfinite(value):
        return value
    return math.copysign(largest, value)


@cache
def array_namespace(library: str, dtype: Any, device: Any) -> ArrayNamespace:
    """Return the namespace for arrays of this library, dtype and device."""
    return ArrayNamespace(compatible(library), dtype, device)
