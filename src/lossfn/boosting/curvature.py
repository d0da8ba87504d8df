"""What boosting divides gradients by: the named curvatures, positive and on the scale of the loss.

A tree hands each leaf the step -Σ gradient / Σ curvature. Where the sum of curvatures is zero or negative the step is
infinite, uphill or refused by the engine, and where it is tiny the step is far too long.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lossfn.equivalents import Equivalent
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

BoostedLoss = PointwiseLoss | RowwiseLoss

CURVATURES = ("exact", "majorizing", "diagonal_bound", "fitted", "engine")

TINY = np.finfo(np.float64).tiny

# Where the second derivative has no bound, no row counts for more than so many rows of the fitted curvature: a row that
# is fitted exactly would hold its whole leaf. Nor for less than that part of one: a row far off would pull it along.
MOST_ROWS = 10.0


def is_safe(loss: BoostedLoss) -> bool:
    """Whether the exact second derivative needs no help: that of a convex loss with a continuous curvature.

    Robust losses of a residual need it: far out they have a slope, but hardly any curvature.
    """
    is_smooth = not loss.hessian_is_partial and not _bends_abruptly(loss)
    return loss.convex and is_smooth and not has_decreasing_weight(loss)


def has_decreasing_weight(loss: BoostedLoss) -> bool:
    """Whether a loss is an even one of a residual whose gradient / residual decreases: then that ratio majorizes it."""
    return isinstance(loss, PointwiseLoss) and loss.even_with_decreasing_weight


def _bends_abruptly(loss: BoostedLoss) -> bool:
    """Whether the curvature is not continuous; losses of rows that have kinks say so by ``hessian_is_partial``."""
    return isinstance(loss, PointwiseLoss) and loss.smoothness < 2


def is_majorized_at_kinks(loss: BoostedLoss) -> bool:
    """Whether a loss with kinks has them at the target, so that a secant for each row can stand for its curvature."""
    if not isinstance(loss, PointwiseLoss) or not loss.hessian_is_partial or loss.task != "regression":
        return False
    # Of one head, slopes may differ between targets, as those of percentages do.
    return loss.of_residuals or (loss.convex and len(loss.heads) == 1)


def default_curvature(loss: BoostedLoss, sets_leaves: bool = False) -> str:
    """Return the curvature that a loss trains with: majorizing for robust losses of a residual, else exact.

    Kinks are majorized where curvature determines the leaves. Where these are set to their optimum, splits are chosen
    by the exact curvature, raised to the fitted one, which is about the same for all rows.
    """
    if loss.hessian_is_partial:
        return "majorizing" if is_majorized_at_kinks(loss) and not sets_leaves else "exact"
    return "majorizing" if has_decreasing_weight(loss) else "exact"


def gradient_and_curvature(
    loss: BoostedLoss, name: str, scores: Any, target: Any, weight: Any, over_workers: Callable[[Any], Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted gradient and curvature of each row and output, in the shape of ``scores``.

    ``over_workers`` adds up numbers of this process and of the others that train the same model.
    """

    def of_the_whole(gradient: np.ndarray) -> np.ndarray:
        return weighted(fitted(loss, scores, target, weight, gradient, over_workers), gradient, weight)

    options: dict[str, Any] = {"weight": weight, "reduction": "sum"}
    if name == "fitted":
        gradient = loss.gradient(scores, target, **options)
        return gradient, of_the_whole(gradient)
    if name == "majorizing" and is_majorized_at_kinks(loss):
        gradient = loss.gradient(scores, target, **options)
        return gradient, _secants(loss, gradient, scores, target, weight, of_the_whole(gradient), over_workers)
    # What majorizes a loss of one number is called a bound of the diagonal where there are several.
    bound = "majorizing" if isinstance(loss, PointwiseLoss) else "diagonal_bound"
    asked = bound if name in ("majorizing", "diagonal_bound") else name
    gradient, curvature = loss.gradient_and_hessian(scores, target, curvature=asked, **options)
    if curvature.ndim > gradient.ndim:
        curvature = np.diagonal(curvature, axis1=-2, axis2=-1).copy()
    if is_safe(loss) or (asked != "exact" and loss.gradient_lipschitz is not None):
        return gradient, curvature
    floor = of_the_whole(gradient)
    if asked == "exact":
        curvature = np.maximum(curvature, floor)
    if loss.gradient_lipschitz is None and _bends_abruptly(loss):
        curvature = np.minimum(curvature, MOST_ROWS * floor)
    return gradient, curvature


def _secants(
    loss: BoostedLoss,
    gradient: np.ndarray,
    scores: Any,
    target: Any,
    weight: Any,
    row: np.ndarray,
    over_workers: Callable[[Any], Any],
) -> np.ndarray:
    """Return the curvatures of the parabolas that touch both branches of a loss with a kink, within limits.

    They are ψ(r)/r of an even loss, and 1 / (2 |r|) of every pinball.
    """
    of_heads = target.reshape(-1, *[1] * (scores.ndim - 1))
    jump = np.abs(gradient - loss.gradient(2 * of_heads - scores, target, weight=weight, reduction="sum"))
    with np.errstate(divide="ignore", invalid="ignore"):
        secant = np.where(scores == of_heads, np.inf, jump / (2 * np.abs(scores - of_heads)))
    # One limit for slopes of 1 / |target| would make the steps of small targets, which have most curvature, huge.
    of_rows = np.broadcast_to(1.0 if weight is None else per_row(weight, gradient), gradient.shape)
    sums = over_workers(np.concatenate([jump.sum(axis=0), (of_rows * (jump > 0)).sum(axis=0)], axis=None))
    total, count = sums.reshape(2, *row.shape[1:])
    steepness = jump * count / np.maximum(of_rows * total, TINY)
    limit = MOST_ROWS * row * np.maximum(1, steepness)
    # Rows without weight may hold anything.
    return np.where(row > 0, np.clip(secant, row / MOST_ROWS, limit), 0).astype(gradient.dtype)


def as_in_engine(
    loss: BoostedLoss, equivalent: Equivalent, scores: Any, target: Any, weight: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted gradient and curvature as an engine's own objective has them, in units of the engine's loss."""
    # Targets of rows without weight may be anything.
    kept = None if weight is None else np.asarray(weight) > 0
    gradient, hessian = loss.gradient_and_hessian(scores, target, mask=kept, reduction="sum")
    # Its penalties and limits are in its units, and where it estimates counts of rows it rounds.
    factor = equivalent.factor_for(loss)
    gradient = gradient * factor
    curvature = equivalent.curvature_for(loss, scores, target, hessian) * factor
    if weight is not None:
        of_rows = per_row(weight, gradient)
        gradient = gradient * of_rows
        curvature = np.where(of_rows > 0, curvature * of_rows, 0.0)
    return gradient.astype(hessian.dtype), curvature.astype(hessian.dtype)


def fitted(
    loss: BoostedLoss, scores: Any, target: Any, weight: Any, gradient: np.ndarray, over_workers: Callable[[Any], Any]
) -> np.ndarray:
    """Return the curvature (one number an output) of the parabola that fits the data as a whole.

    A parabola with curvature h that is e above its minimum has the slope √(2 h e): so mean slope over mean √(2 e),
    squared, is a curvature, exactly so for squared errors, where e is what the loss of a row exceeds its lower bound
    by. It is in the right units whatever the units of loss and target. Roots, not squares, because a few targets that
    are far off would make it far too small, and all steps too long. Likelihoods that have no lower bound have expected
    curvature equal to the expected squared gradient.
    """
    outputs = math.prod(gradient.shape[1:])
    weights = np.ones(len(gradient)) if weight is None else np.asarray(weight, np.float64)
    kept = weights > 0
    share = weights[kept, None]
    # Gradients carry their weight, which must count once here.
    slopes = np.abs(gradient.reshape(-1, outputs)[kept].astype(np.float64)) / share
    if not math.isfinite(loss.lower_bound):
        count, *squares = over_workers(np.array([share.sum(), *(share * slopes**2).sum(axis=0)]))
        curvature = np.array(squares) / max(count, TINY)
    else:
        excess = np.maximum(_excess(loss, scores, target, kept, outputs), 0.0)
        roots = (share * np.sqrt(2 * excess)).sum(axis=0)
        root, slope = over_workers(np.concatenate([roots, (share * slopes).sum(axis=0)])).reshape(2, -1)
        curvature = np.where(root > 0, slope / np.maximum(root, TINY), 0.0) ** 2
    shaped: np.ndarray = curvature.reshape(gradient.shape[1:])
    return shaped


def _excess(loss: BoostedLoss, scores: Any, target: Any, kept: Any, outputs: int) -> np.ndarray:
    """Return what the loss of each row that is kept exceeds its lower bound by, for each output (N, H)."""
    if outputs > 1 and isinstance(loss, PointwiseLoss) and loss.of_residuals:
        # Of one head alone, while the others are at the target.
        heads = (np.where(np.arange(outputs) == head, scores, target[:, None]) for head in range(outputs))
        values = [loss(alone, target, mask=kept, reduction="none")[kept] for alone in heads]
        return np.stack(values, axis=1) - loss.lower_bound
    # Shared by the outputs.
    value = loss(scores, target, mask=kept, reduction="none")[kept, None]
    return np.repeat(value - loss.lower_bound, outputs, axis=1) / outputs


def weighted(curvature: Any, gradient: np.ndarray, weight: Any) -> np.ndarray:
    """Return the same curvature for all rows, times their weight, in the shape and dtype of the gradient."""
    repeated = np.broadcast_to(curvature, gradient.shape)
    of_rows = 1.0 if weight is None else per_row(weight, gradient)
    return (repeated * of_rows).astype(gradient.dtype)


def per_row(weight: Any, gradient: np.ndarray) -> np.ndarray:
    """Return weights in float64 that apply to each output of their row."""
    return np.asarray(weight, np.float64).reshape(-1, *[1] * (gradient.ndim - 1))
