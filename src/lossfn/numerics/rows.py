"""Functions of one row of numbers: written so that what a library derives from them is accurate too.

Everything is relative to the largest entry of a row, which takes part as a constant 0 and not as a difference from
itself. So the probability of a dominating class, and the gradient there, come from the sum over the others; neither is
1 minus something near 1.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from lossfn import fields
from lossfn.numerics.arrays import Inputs, axes_of, check_domain, prepare
from lossfn.numerics.elementwise import xlogy
from lossfn.reduce import sum_classes

#: An axis, several that are taken as one, or all.
Axis = int | tuple[int, ...] | None


class _Row(NamedTuple):
    """A row relative to its largest entry; the classes are the last axis."""

    largest: Any
    below: Any
    """The entries minus the largest; exactly 0 at the largest, and at further entries of the same infinity."""
    others: Any
    """The sum of e^below over all entries but the (first) largest."""
    has_limit: Any
    """False where the limit depends on the way to it: more than one +∞, or nothing but −∞."""


def _relative_to_largest(inputs: Inputs, axes: tuple[int, ...]) -> _Row:
    xp = inputs.xp
    x = _as_last(xp, inputs.arrays[0], axes)
    if inputs.library == "numpy":
        # NumPy adds pairwise along contiguous axes only.
        x = np.ascontiguousarray(x)
    place = {"device": x.device} if inputs.library == "torch" else {}
    first = xp.argmax(x, axis=-1, keepdims=True)
    is_first = xp.arange(x.shape[-1], **place) == first
    largest = xp.sum(xp.where(is_first, x, 0.0), axis=-1, keepdims=True)
    is_as_infinite = (x == largest) & (xp.abs(largest) == math.inf)
    below = xp.where(is_first | is_as_infinite, 0.0, x - largest)
    others = sum_classes(xp, xp.where(is_first, 0.0, xp.exp(below)), keepdims=True)
    has_limit = ~xp.any(is_as_infinite & ~is_first, axis=-1, keepdims=True)
    return _Row(largest, below, others, has_limit)


def _as_last(xp: Any, array: Any, axes: tuple[int, ...]) -> Any:
    """Move axes to the end, as one axis; ``moveaxis`` is what PyTorch cannot vectorise."""
    order = _order(array.ndim, axes)
    moved = xp.permute_dims(array, order)
    if len(axes) == 1:
        return moved
    others = array.ndim - len(axes)
    return xp.reshape(moved, (*moved.shape[:others], math.prod(moved.shape[others:])))


def _from_last(xp: Any, moved: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Undo ``_as_last`` for an array of this shape."""
    order = _order(len(shape), axes)
    if len(axes) != 1:
        moved = xp.reshape(moved, tuple(shape[axis] for axis in order))
    return xp.permute_dims(moved, tuple(order.index(axis) for axis in range(len(shape))))


def _order(ndim: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    return (*(axis for axis in range(ndim) if axis not in axes), *axes)


def _is_empty(inputs: Inputs, axes: tuple[int, ...]) -> bool:
    return 0 in (inputs.arrays[0].shape[axis] for axis in axes)


def logsumexp(x: Any, axis: Axis = -1) -> Any:
    """Return log Σ e^x along an axis, along several (a tuple) or over everything (``None``).

    Nothing but −∞ gives −∞, any +∞ gives +∞, an empty axis gives −∞ (the logarithm of an empty sum), and NaN gives NaN.
    The gradient is the softmax; where that has no limit, it is 1 at the first of the largest entries and 0 elsewhere,
    never NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn.numerics import logsumexp
    >>> print(logsumexp([[1000.0, 1000.0], [-np.inf, -np.inf]]).round(4))
    [1000.6931      -inf]
    """
    inputs = prepare("logsumexp", x=x)
    axes = axes_of("logsumexp", inputs.arrays[0], axis)
    with inputs.silently():
        if _is_empty(inputs, axes):
            return inputs.finish(inputs.xp.sum(inputs.arrays[0], axis=axes) - math.inf)
        row = _relative_to_largest(inputs, axes)
        return inputs.finish((row.largest + inputs.xp.log1p(row.others))[..., 0])


def log_softmax(x: Any, axis: Axis = -1) -> Any:
    """Return the logarithms of the softmax along an axis: ``x`` minus its ``logsumexp``, without cancellation.

    Limits and axes as in ``softmax``.

    Examples
    --------
    >>> from lossfn.numerics import log_softmax
    >>> print(log_softmax([0.0, 50.0]))
    [-5.00000000e+01 -1.92874985e-22]
    """
    inputs = prepare("log_softmax", x=x)
    axes = axes_of("log_softmax", inputs.arrays[0], axis)
    if _is_empty(inputs, axes):
        return inputs.finish(inputs.arrays[0])
    with inputs.silently():
        row = _relative_to_largest(inputs, axes)
        result = inputs.xp.where(row.has_limit, row.below - inputs.xp.log1p(row.others), math.nan)
        return inputs.finish(_from_last(inputs.xp, result, axes, inputs.arrays[0].shape))


def softmax(x: Any, axis: Axis = -1) -> Any:
    """Return probabilities e^x / Σ e^x along an axis.

    An entry −∞ has probability 0, and a single +∞ has probability 1. A row of several +∞, or of nothing but −∞ (two
    classes or more), has no limit: its probabilities are NaN. For a temperature T pass x / T. Probabilities add up to 1
    along several axes together if ``axis`` is a tuple, and along all if it is ``None``.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn.numerics import softmax
    >>> print(softmax([[1000.0, 1000.0, -np.inf], [0.0, np.inf, 3.0]]))
    [[0.5 0.5 0. ]
     [0.  1.  0. ]]
    """
    inputs = prepare("softmax", x=x)
    axes = axes_of("softmax", inputs.arrays[0], axis)
    if _is_empty(inputs, axes):
        return inputs.finish(inputs.arrays[0])
    with inputs.silently():
        row = _relative_to_largest(inputs, axes)
        result = inputs.xp.where(row.has_limit, inputs.xp.exp(row.below) / (1.0 + row.others), math.nan)
        return inputs.finish(_from_last(inputs.xp, result, axes, inputs.arrays[0].shape))


def entropy(probability: Any, axis: Axis = -1) -> Any:
    """Return the entropy −Σ p log p of distributions along an axis, in nats; certain distributions have 0.

    The probabilities are taken as they are; they are not made to add up to 1.

    Examples
    --------
    >>> from lossfn.numerics import entropy
    >>> print(entropy([[0.5, 0.5], [1.0, 0.0]]).round(4))
    [0.6931 0.    ]
    """
    inputs = prepare("entropy", probability=probability)
    (p,) = inputs.arrays
    axes = axes_of("entropy", p, axis)
    check_domain("entropy", "probability", p, fields.PROBABILITY, inputs.library)
    # 0 minus the sum, because the negative of 0 would be -0.
    return inputs.finish(0.0 - inputs.xp.sum(xlogy(p, p), axis=axes))
