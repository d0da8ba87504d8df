"""What boosting divides gradients by: the named curvatures, positive and on the scale of the loss.

A tree hands each leaf the step -Σ gradient / Σ curvature. Where the sum of curvatures is zero or negative the step is
infinite, uphill or refused by the engine, and where it is tiny the step is far too long.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossfn.equivalents import Equivalent
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

BoostedLoss = PointwiseLoss | RowwiseLoss

CURVATURES = ("exact", "majorizing", "diagonal_bound", "fitted", "engine")

# Where the second derivative has no bound, no row counts for more than so many rows of the fitted curvature: a row that
# is fitted exactly would hold its whole leaf.
MOST_ROWS = 10.0


def is_safe(loss: BoostedLoss) -> bool:
    """Whether the exact second derivative needs no help: that of a convex loss with a continuous curvature."""
    return loss.convex and not loss.hessian_is_partial and getattr(loss, "smoothness", math.inf) >= 2


def default_curvature(loss: BoostedLoss) -> str:
    """Return the curvature that a loss trains with: majorizing for robust losses of a residual, else exact."""
    is_even = getattr(loss, "even_with_decreasing_weight", False) and not loss.hessian_is_partial
    return "majorizing" if is_even else "exact"


def gradient_and_curvature(
    loss: BoostedLoss, name: str, scores: Any, target: Any, weight: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted gradient and curvature of each row and output, in the shape of ``scores``."""
    options: dict[str, Any] = {"weight": weight, "reduction": "sum"}
    if name == "fitted":
        gradient = loss.gradient(scores, target, **options)
        return gradient, weighted(fitted(loss, scores, target, weight, gradient), gradient, weight)
    # For losses of one number the bound is the majorizing curvature that depends on no row.
    asked = "majorizing" if name == "diagonal_bound" and isinstance(loss, PointwiseLoss) else name
    gradient, curvature = loss.gradient_and_hessian(scores, target, curvature=asked, **options)
    if curvature.ndim > gradient.ndim:
        curvature = np.diagonal(curvature, axis1=-2, axis2=-1).copy()
    if is_safe(loss) or (asked != "exact" and loss.gradient_lipschitz is not None):
        return gradient, curvature
    floor = weighted(fitted(loss, scores, target, weight, gradient), gradient, weight)
    if asked == "exact":
        curvature = np.maximum(curvature, floor)
    if loss.gradient_lipschitz is None and getattr(loss, "smoothness", math.inf) < 2:
        curvature = np.minimum(curvature, MOST_ROWS * floor)
    return gradient, curvature


def as_in_engine(
    loss: BoostedLoss, equivalent: Equivalent, scores: Any, target: Any, weight: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted gradient and what an engine's own objective uses for the curvature, in units of the loss."""
    # Targets of rows without weight may be anything.
    kept = None if weight is None else np.asarray(weight) > 0
    gradient, hessian = loss.gradient_and_hessian(scores, target, mask=kept, reduction="sum")
    curvature = equivalent.curvature_for(loss, scores, target, hessian)
    if weight is not None:
        gradient = (gradient.T * weight).T
        curvature = np.where(weight > 0, curvature.T * weight, 0.0).T
    return gradient.astype(hessian.dtype), curvature.astype(hessian.dtype)


def fitted(loss: BoostedLoss, scores: Any, target: Any, weight: Any, gradient: np.ndarray) -> Any:
    """Return the curvature (one number an output) of the parabola that fits the data as a whole.

    A parabola with curvature h that is e above its minimum has the squared slope 2 h e: so the mean squared gradient
    over twice the mean excess of the loss over its lower bound is a curvature, exactly so for squared errors. It is in
    the right units whatever the units of loss and target, for absolute errors 1 / (2 · mean absolute residual).
    Likelihoods that have no lower bound have expected curvature equal to the expected squared gradient.
    """
    rows = len(gradient)
    outputs = gradient.size // max(1, rows)
    weight = np.ones(rows, gradient.dtype) if weight is None else np.asarray(weight)
    of_rows = weight.reshape(rows, *([1] * (gradient.ndim - 1)))
    # Gradients carry their weight, which must count once here.
    squares = np.divide(gradient.astype(np.float64) ** 2, of_rows, out=np.zeros(gradient.shape), where=of_rows > 0)
    square = squares.sum(axis=0) / weight.sum(dtype=np.float64)
    if not math.isfinite(loss.lower_bound):
        return square.astype(gradient.dtype)
    excess = float(loss(scores, target, weight=weight)) - loss.lower_bound
    return (square * outputs / (2 * excess) if excess > 0 else np.zeros_like(square)).astype(gradient.dtype)


def weighted(curvature: Any, gradient: np.ndarray, weight: Any) -> np.ndarray:
    """Return the same curvature for all rows, times their weight, in the shape and dtype of the gradient."""
    of_rows = np.broadcast_to(np.asarray(curvature, gradient.dtype), gradient.shape)
    return of_rows.copy() if weight is None else (of_rows.T * np.asarray(weight, gradient.dtype)).T
