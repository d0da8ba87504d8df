"""The exact optimum of each leaf of a tree, for losses whose curvature is no help in finding it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lossfn import fields
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

Array = np.ndarray[Any, np.dtype[np.float64]]
Slopes = Callable[[Array], Array]

# A slope so small, compared with the terms it is the sum of, is none: it has been rounded, or vanishes at infinity.
NEGLIGIBLE = 1e-9
# Steps are multiplied by 4 while they are too short, then halved to this relative accuracy: leaves are shrunk anyway.
LONGEST = 4.0**100
ACCURACY = 1e-11
HALVINGS = 80


def optimal_shifts(
    loss: PointwiseLoss | RowwiseLoss,
    scores: Array,
    target: Any,
    weight: Array,
    leaf: np.ndarray[Any, np.dtype[np.int_]],
    leaves: int,
    head: int = 0,
) -> Array:
    """Return the numbers, one a leaf, that minimise the weighted loss when they are added to the scores of its rows.

    Where a whole interval minimises, it is its middle or its finite end, as in ``optimal_constant``; where the loss is
    not convex, a local minimum; where the slope is 0 everywhere, and in leaves without rows, 0.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss
        What to minimise.
    scores : ndarray of shape (N,) or (N, H)
        Predictions so far, on the link scale.
    target, weight : ndarray of shape (N,)
        Targets and weights.
    leaf : ndarray of shape (N,)
        The number of the leaf in which each row is.
    leaves : int
        How many leaves there are.
    head : int
        Which head or class is shifted.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import AbsoluteError
    >>> from lossfn.boosting.leaves import optimal_shifts
    >>> target, leaf = np.array([1.0, 2.0, 9.0, 4.0, 6.0]), np.array([0, 0, 0, 1, 1])
    >>> optimal_shifts(AbsoluteError(), np.ones(5), target, np.ones(5), leaf, 2)
    array([1., 4.])
    """
    kept = weight > 0
    if not kept.all():
        scores, target, weight, leaf = scores[kept], target[kept], weight[kept], leaf[kept]
    shifts = np.zeros(leaves)
    if not leaf.size:
        return shifts
    # Sorted by leaf, sums over a leaf are sums over a stretch.
    order = np.argsort(leaf, kind="stable")
    scores, target, weight = scores[order], target[order], weight[order]
    counts = np.bincount(leaf, minlength=leaves)
    filled = np.flatnonzero(counts)
    counts = counts[filled]
    if _has_closed_form(loss):
        ends = np.cumsum(counts)
        residual = target - scores
        shifts[filled] = [
            loss.optimal_constant(residual[end - count : end], weight=weight[end - count : end])
            for end, count in zip(ends, counts, strict=True)
        ]
        return shifts
    starts = np.cumsum(counts) - counts

    def terms(shift: Array) -> Array:
        shifted = scores.copy()
        column = shifted if shifted.ndim == 1 else shifted[:, head]
        column += np.repeat(shift, counts)
        gradient: Array = loss.gradient(shifted, target, weight=weight, reduction="sum")
        return gradient if gradient.ndim == 1 else gradient[:, head]

    at_start = np.add.reduceat(np.abs(terms(np.zeros(len(filled)))), starts)

    def slopes(shift: Array) -> Array:
        gradient = terms(shift)
        # Far away, terms may be infinite.
        with np.errstate(invalid="ignore", over="ignore"):
            slope: Array = np.add.reduceat(gradient, starts)
            size = np.maximum(at_start, np.add.reduceat(np.abs(gradient), starts))
            return np.where(np.abs(slope) <= NEGLIGIBLE * size, 0.0, slope)

    shifts[filled] = _minima(slopes, len(filled))
    return shifts


def _has_closed_form(loss: PointwiseLoss | RowwiseLoss) -> bool:
    return (
        isinstance(loss, PointwiseLoss)
        and loss.of_residual
        and loss.target is fields.REAL
        and hasattr(loss, "closed_form_constant")
    )


def _minima(slopes: Slopes, count: int) -> Array:
    """Return where slopes turn from minus to plus, of each the one that is reached first when going downhill from 0."""
    first = slopes(np.zeros(count))
    direction = np.where(first > 0, -1.0, 1.0)

    def downhill(distance: Array) -> Array:
        return direction * slopes(direction * distance)

    near = _first(lambda distance: downhill(distance) >= 0, count)
    far = near
    # At the bottom the slope may be 0 on an interval; a kink has none.
    reached = np.where(np.isfinite(near), near, 0.0)
    if not (downhill(reached + NEGLIGIBLE * (1 + reached)) > 0).all():
        far = _first(lambda distance: downhill(distance) > 0, count)
    flat = first == 0
    if flat.any():
        near = np.where(flat, -_first(lambda distance: slopes(-distance) < 0, count), near)
    with np.errstate(invalid="ignore"):
        middle = near + (far - near) / 2
    ends = np.where(np.isfinite(near), near, np.where(np.isfinite(far), far, 0.0))
    minima: Array = direction * np.where(np.isfinite(near) & np.isfinite(far), middle, ends)
    return minima


def _first(passed: Callable[[Array], Any], count: int) -> Array:
    """Return the smallest distances at which a condition holds that goes on to hold; infinity where none does."""
    low, high = np.zeros(count), np.zeros(count)
    step = 1.0
    short = ~passed(high)
    while short.any() and step < LONGEST:
        low, high = np.where(short, high, low), np.where(short, step, high)
        short &= ~passed(high)
        step *= 4
    high[short] = np.inf
    for _ in range(HALVINGS):
        wide = ~short & (high - low > ACCURACY * high)
        if not wide.any():
            break
        middle = np.where(wide, low + (np.where(short, 0.0, high) - low) / 2, 0.0)
        holds = passed(middle)
        high = np.where(wide & holds, middle, high)
        low = np.where(wide & ~holds, middle, low)
    return high
