"""Weights, masks and reductions: the one place that says what is divided by what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lossfn.engine.libraries import compatible, has_float64, library_of_namespace


@dataclass(frozen=True)
class Total:
    """A weighted sum of losses and the weight that it stands for; totals of batches add up.

    Parameters
    ----------
    sum : float64 scalar
        Σ w·ℓ.
    weight : float64 scalar
        Σ w; the number of elements where no weights were given.

    Examples
    --------
    >>> import lossfn
    >>> loss = lossfn.SquaredError()
    >>> first, second = loss.total([1.0, 2.0], [0.0, 0.0]), loss.total([3.0], [0.0])
    >>> print((first + second).mean(), loss([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]))
    4.666666666666667 4.666666666666667
    """

    sum: Any
    weight: Any

    def __add__(self, other: Any) -> Total:
        if not isinstance(other, Total):
            return NotImplemented
        return Total(self.sum + other.sum, self.weight + other.weight)

    def __radd__(self, other: Any) -> Total:
        # The start value of Python's sum().
        return self if other == 0 else NotImplemented

    def mean(self) -> Any:
        """Return the weighted mean; 0 where the total weight is 0."""
        return divide(self.sum, self.weight)


def apply_to_elements(row: Any, shape: tuple[int, ...]) -> Any:
    """Let a weight or mask of the rows apply to each element of its row."""
    if tuple(row.shape) == shape:
        return row
    return row.reshape(row.shape + (1,) * (len(shape) - 1))


def element_weight(xp: Any, weight: Any, mask: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return one weight per element (broadcastable to ``shape``): 0 where masked; ``None`` where all count alike."""
    if weight is not None:
        weight = apply_to_elements(weight, shape)
    if mask is None:
        return weight
    mask = apply_to_elements(mask, shape)
    if weight is None:
        return xp.astype(mask, dtype)
    return xp.where(mask, weight, xp.zeros_like(weight))


def total_weight(library: str, weight: Any, shape: tuple[int, ...]) -> Any:
    """Return Σ w over elements, in float64 where the library has it; an int where all count alike."""
    if weight is None:
        return math.prod(shape)
    repeats = math.prod(shape) // max(1, math.prod(weight.shape))
    return accumulate(library, weight) * repeats


def accumulate(library: str, values: Any) -> Any:
    """Sum in float64, or in float32 where the library or the device has no float64."""
    xp = compatible(library)
    if has_float64(library, getattr(values, "device", None)):
        return xp.sum(values, dtype=xp.float64)
    return xp.sum(values)


def sum_classes(xp: Any, values: Any, *, keepdims: bool = False) -> Any:
    """Sum over the last axis, in float64 where there is one; the result has the dtype of the values."""
    if not has_float64(library_of_namespace(xp), getattr(values, "device", None)):
        return xp.sum(values, axis=-1, keepdims=keepdims)
    return xp.astype(xp.sum(values, axis=-1, keepdims=keepdims, dtype=xp.float64), values.dtype, copy=False)


def denominator_of(
    library: str, reduction: str, denominator: Any, weight: Any, mask: Any, shape: tuple[int, ...], owner: str
) -> Any:
    """Return the number by which a reduction divides the weighted sum."""
    if denominator is not None:
        if not hasattr(denominator, "dtype"):
            return denominator
        # A tensor whose number cannot be read while it is traced.
        return compatible(library).where(denominator > 0, denominator, math.nan)
    if reduction == "mean":
        if 0 in shape:
            raise ValueError(f"{owner}: the mean of an empty array is undefined; use reduction='sum' or total()")
        return math.prod(shape) if weight is None else total_weight(library, weight, shape)
    if reduction == "mean_over_batch":
        rows = shape[0] if shape else 1
        if rows == 0:
            raise ValueError(f"{owner}: the mean of an empty batch is undefined; use reduction='sum' or total()")
        if mask is None:
            return rows
        xp = compatible(library)
        kept = mask if len(mask.shape) <= 1 else xp.any(mask.reshape(mask.shape[0], -1), axis=1)
        return accumulate(library, xp.astype(kept, xp.float32))
    return 1


def reciprocal(library: str, denominator: Any) -> Any:
    """Return 1 / denominator, and 0 for a zero total weight, where sum and gradient are 0 anyway."""
    # Numbers, symbolic ones of a compiler among them.
    if not hasattr(denominator, "dtype"):
        return 1.0 / denominator if denominator else 0.0
    is_zero = denominator == 0
    xp = compatible(library)
    return xp.where(is_zero, xp.zeros_like(denominator), 1.0 / (denominator + is_zero))


def divide(total: Any, denominator: Any) -> Any:
    """Return total / denominator, and the total itself, which is 0, for a zero total weight."""
    return total / (denominator + (denominator == 0))
