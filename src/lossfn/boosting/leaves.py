"""The exact optimum of each leaf of a tree, for losses whose curvature is no help in finding it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lossfn import fields
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

Array = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int_]]
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

    # Most kinks are where a score meets its target: there the search asks first, whatever it finds.
    is_number = loss.task == "regression"
    places = target - (scores if scores.ndim == 1 else scores[:, head]) if is_number else np.zeros(len(target))
    shifts[filled] = _minima(slopes, places, counts)
    return shifts


def _has_closed_form(loss: PointwiseLoss | RowwiseLoss) -> bool:
    return (
        isinstance(loss, PointwiseLoss)
        and loss.of_residual
        and loss.target is fields.REAL
        and hasattr(loss, "closed_form_constant")
    )


def _minima(slopes: Slopes, places: Array, counts: Counts) -> Array:
    """Return where slopes turn from minus to plus, of each the one that is reached first when going downhill from 0.

    ``places`` are where slopes may jump, so many (``counts``) of each leaf after those of the leaf before.
    """
    first = slopes(np.zeros(len(counts)))
    direction = np.where(first > 0, -1.0, 1.0)
    near = _first_turn(slopes, direction, np.greater_equal, places, counts)
    far = near
    # At the bottom the slope may be 0 on an interval; a kink has none.
    reached = np.where(np.isfinite(near), near, 0.0)
    if not (direction * slopes(direction * (reached + NEGLIGIBLE * (1 + reached))) > 0).all():
        far = _first_turn(slopes, direction, np.greater, places, counts)
    flat = first == 0
    if flat.any():
        near = np.where(flat, -_first_turn(slopes, -np.ones(len(counts)), np.greater, places, counts), near)
    with np.errstate(invalid="ignore"):
        middle = near + (far - near) / 2
    ends = np.where(np.isfinite(near), near, np.where(np.isfinite(far), far, 0.0))
    minima: Array = direction * np.where(np.isfinite(near) & np.isfinite(far), middle, ends)
    return minima


def _first_turn(slopes: Slopes, direction: Array, compare: np.ufunc, places: Array, counts: Counts) -> Array:
    """Return the smallest distances at which slopes in a direction compare with 0, and go on to; infinity if never."""

    def passed(distance: Array) -> Any:
        return compare(direction * slopes(direction * distance), 0)

    low, high = _neighbours(passed, np.repeat(direction, counts) * places, counts)

    def ask(distance: Array, where: Any) -> None:
        nonlocal low, high
        distance = np.where(where, distance, 0.0)
        holds = passed(distance)
        low, high = np.where(where & ~holds, distance, low), np.where(where & holds, distance, high)

    # Most often it is at one of the places: then this is all.
    for beside in (high * (1 - ACCURACY / 2), low * (1 + ACCURACY / 2)):
        is_between = (low < beside) & (beside < high)
        if is_between.any():
            ask(beside, is_between)
    step = 1.0
    while np.isinf(high).any() and step < LONGEST:
        ask(low + step, np.isinf(high))
        step *= 4
    for _ in range(HALVINGS):
        wide = np.isfinite(high) & (high - low > ACCURACY * high)
        if not wide.any():
            break
        ask(low + (np.where(wide, high, low) - low) / 2, wide)
    return high


def _neighbours(passed: Callable[[Array], Any], places: Array, counts: Counts) -> tuple[Array, Array]:
    """Return the two places, 0 and infinity among them, between which a condition begins to hold, for each leaf."""
    leaf = np.arange(len(counts))
    ends = np.zeros(len(counts)), np.full(len(counts), np.inf)
    # Of those behind, and of NaN, 0 is enough.
    places = np.concatenate([ends[0], np.fmax(places, 0.0), ends[1]])
    places = places[np.lexsort((places, np.concatenate([leaf, np.repeat(leaf, counts), leaf])))]
    last = np.cumsum(counts + 2) - 1
    below = last - counts - 1
    above = np.where(passed(ends[0]), below, last)
    while (above - below > 1).any():
        middle = (below + above) // 2
        holds = passed(places[middle])
        below, above = np.where(holds, below, middle), np.where(holds, middle, above)
    return places[below], places[above]
