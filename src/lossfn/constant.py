"""What a loss estimates: the best constant prediction, and the probability that a prediction implies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lossfn import checks, fields, reduce
from lossfn.engine import batch as batches
from lossfn.engine.libraries import compatible
from lossfn.engine.primitives import PRIMITIVES
from lossfn.loss import check

if TYPE_CHECKING:
    from lossfn.pointwise import PointwiseLoss
    from lossfn.rowwise import RowwiseLoss


def weighted_mean(target: Any, weight: Any) -> Any:
    """Return the weighted mean in float64."""
    return np.average(target, weights=weight)


def weighted_quantile(target: Any, weight: Any, level: float) -> Any:
    """Return the weighted quantile; the middle where an interval of values minimises the pinball loss."""
    kept = weight > 0
    order = np.argsort(target[kept], kind="stable")
    ordered, weights = target[kept][order], weight[kept][order]
    cumulative = np.cumsum(weights)
    goal = level * cumulative[-1]
    # Rounding of the cumulative sum must not hide that the goal is met exactly.
    slack = cumulative[-1] * 1e-12
    low = ordered[np.searchsorted(cumulative, goal - slack)]
    high = ordered[min(np.searchsorted(cumulative, goal + slack, side="right"), len(ordered) - 1)]
    return low + (high - low) / 2


def optimal_constant(loss: PointwiseLoss, target: Any, weight: Any) -> Any:
    """Return the constant prediction that minimises the weighted loss: in closed form, else by search."""
    owner = type(loss).__name__
    names = loss.target.labels
    parts = [
        batches.to_numpy(owner, name, part)
        for name, part in zip(names, batches.split(owner, target, names), strict=True)
    ]
    shape = parts[0].shape
    weight = np.ones(shape) if weight is None else batches.to_numpy(owner, "weight", weight)
    # A harmless prediction, so that targets and weights are checked as in every other call.
    heads = len(loss.heads)
    harmless = np.full(shape + ((heads,) if heads > 1 else ()), loss.prediction.example)
    check(loss, harmless, fields.joined(loss.target, parts), weight=weight)
    weight = np.broadcast_to(reduce.apply_to_elements(weight, shape), shape).astype(np.float64)
    # What has no weight is not used, whatever stands there.
    target = fields.joined(loss.target, [part.astype(np.float64)[weight > 0] for part in parts])
    weight = weight[weight > 0]
    if not weight.size:
        raise ValueError(f"{owner}: the optimal constant needs at least one target of positive weight")
    closed_form = getattr(loss, "closed_form_constant", None)
    if closed_form is not None:
        return np.float64(closed_form(target, weight)) if heads == 1 else closed_form(target, weight)
    return np.float64(_minimise(loss, target, weight)) if heads == 1 else _best_heads(loss, target, weight)


def _minimise(loss: PointwiseLoss, target: Any, weight: Any) -> float:
    is_residual = loss.task == "regression" and loss.link == "identity" and not isinstance(loss.target, fields.Parts)
    if is_residual and not loss.convex:
        lowest = _lowest_minimum(loss, target, weight)
        if lowest is not None:
            return lowest

    def slope(prediction: float) -> float:
        return float(loss.gradient(np.full_like(weight, prediction), target, weight=weight, reduction="sum").sum())

    if loss.smoothness >= 1:
        root = _root(slope)
        if root is not None:
            return root
    # The slope of the total changes sign once, from minus to plus; it may be 0 on a whole interval.
    low = _last(lambda c: slope(c) < 0)
    high = -_last(lambda c: slope(-c) > 0)
    if math.isinf(low) and math.isinf(high):
        return low if slope(0.0) > 0 or low == high else high
    if math.isinf(low) or math.isinf(high):
        finite, infinite = (high, low) if math.isinf(low) else (low, high)
        # Where only one class occurs, the slope of a loss that estimates probabilities vanishes by underflow alone.
        return infinite if loss.task == "binary" and loss.gives_probability else finite
    return low + (high - low) / 2


def _best_heads(loss: PointwiseLoss, target: Any, weight: Any) -> Any:
    """Return the best constant of a loss with several heads, the lowest of the minima that several starts lead to."""
    first_part = target[0] if isinstance(loss.target, fields.Parts) else target
    middle = float(weighted_quantile(first_part, weight, 0.5))
    # The first head is mostly a location, as it is or on a log scale.
    leading = [loss.prediction.example, middle, *([math.log(middle)] if middle > 0 else [])]
    others = [loss.prediction.example] * (len(loss.heads) - 1)
    starts = [(number, *others) for number in leading]
    found = sorted_by_loss(loss, [leading_heads(loss, target, weight, start) for start in starts], target, weight)[0]
    slopes = np.abs(loss.gradient(np.tile(found, (len(weight), 1)), target, weight=weight).sum(axis=0))
    if not slopes.max() < SLOPE:
        raise ValueError(
            f"{type(loss).__name__}: no best constant was found: where the search ended, at {found.tolist()}, the mean "
            f"loss has the slopes {slopes.tolist()}. Define closed_form_constant(target, weight)"
        )
    return found


# Where to look for the minima of a loss that is not convex: so many quantiles of the data, as many even steps.
STARTS = 50


def _lowest_minimum(loss: PointwiseLoss, target: Any, weight: Any) -> float | None:
    """Return the lowest of the local minima between the smallest and the largest target, ``None`` if one lies outside.

    Every target is tried where there are few, else so many quantiles that no cluster of two percent of the weight is
    missed.
    """
    # SciPy takes as long to import as most constants to find.
    from scipy.optimize import brentq

    def total_and_slope(prediction: float) -> tuple[float, float]:
        constant = np.full_like(target, prediction)
        value, gradient = loss.value_and_gradient(constant, target, weight=weight, reduction="sum")
        return float(value), float(gradient.sum())

    places = np.unique(target)
    if places.size > STARTS:
        levels = (np.arange(STARTS) + 0.5) / STARTS
        places = np.quantile(target, levels, weights=weight, method="inverted_cdf")
    ends = float(target.min()), float(target.max())
    starts = np.unique([*ends, *places, *np.linspace(*ends, STARTS)])
    totals, slopes = np.transpose([total_and_slope(start) for start in starts])
    if slopes[0] > 0 or slopes[-1] < 0:
        return None
    found = list(zip(totals, starts, strict=True))
    for left in np.flatnonzero((slopes[:-1] < 0) & (slopes[1:] > 0)):
        low, high = starts[left], starts[left + 1]
        minimum = brentq(lambda c: total_and_slope(c)[1], low, high, xtol=1e-300, rtol=4 * np.finfo(np.float64).eps)
        found.append((total_and_slope(minimum)[0], minimum))
    return float(min(found)[1])


def _root(slope: Callable[[float], float]) -> float | None:
    """Return where a continuous slope changes its sign, ``None`` if it does not, or stays 0 around that point."""
    # SciPy takes as long to import as most constants to find.
    from scipy.optimize import brentq

    end = 1.0
    while not (slope(-end) < 0 < slope(end)):
        end *= 2
        if end > 1e300:
            return None
    root = float(brentq(slope, -end, end, xtol=1e-300, rtol=4 * np.finfo(np.float64).eps))
    margin = 1e-6 * (abs(root) + 1e-6 * end)
    return root if slope(root - margin) < 0 < slope(root + margin) else None


def _last(holds: Callable[[float], bool]) -> float:
    """Return the number up to which a monotone condition holds, ±∞ where it always or never does."""
    low, high = -1.0, 1.0
    while holds(high):
        low, high = high, 2 * high
        if high > 1e300:
            return math.inf
    while not holds(low):
        low, high = 2 * low, low
        if low < -1e300:
            return -math.inf
    for _ in range(200):
        middle = low + (high - low) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def implied_probability(loss: PointwiseLoss, pred: Any) -> Any:
    """Return the probability π of class 1 for which ``pred`` minimises π·ℓ(·, 1) + (1-π)·ℓ(·, 0)."""
    owner = type(loss).__name__
    library = batches.library_of(owner, pred=pred)
    pred = batches.as_numpy(owner, "pred", pred) if library == "numpy" else pred
    xp = compatible(library)
    negative, positive = (-1.0 if loss.target is fields.SIGNED else 0.0), 1.0
    if_negative = loss.gradient(pred, xp.full_like(pred, negative), reduction="sum")
    if_positive = loss.gradient(pred, xp.full_like(pred, positive), reduction="sum")
    # An infinite slope on one side alone settles the matter.
    certain = xp.abs(if_negative) == math.inf
    with np.errstate(invalid="ignore"):
        ratio = if_negative / xp.where(certain, xp.ones_like(pred), if_negative - if_positive)
    return xp.clip(xp.where(certain, xp.ones_like(pred), ratio) + 0.0, 0.0, 1.0)


def inverse_of_link(xp: Any, link: str | tuple[str, ...], pred: Any) -> Any:
    """Return predictions on the natural scale, by the link that each head has."""
    match link:
        case "log":
            return xp.exp(pred)
        case "logit":
            return PRIMITIVES["sigmoid"].array(xp, pred)
        case tuple():
            heads = [inverse_of_link(xp, each, pred[..., position]) for position, each in enumerate(link)]
            return xp.stack(heads, axis=-1)
    return pred


def optimal_row(loss: RowwiseLoss, target: Any, weight: Any, classes: int | None) -> Any:
    """Return the row of scores that minimises the weighted loss, by Newton steps in a trust region."""
    from scipy.optimize import minimize

    owner = type(loss).__name__
    if loss.number_parts:
        raise NotImplementedError(f"{owner}: no best row is searched for: the loss has no bound")
    if len(loss.parts) > 1:
        raise NotImplementedError(f"{owner}: no best row is searched for targets of several parts")
    target = batches.to_numpy(owner, "target", target)
    is_indexed = target.ndim < 2
    rows = target.shape if is_indexed else target.shape[:-1]
    weight = np.ones(rows) if weight is None else batches.to_numpy(owner, "weight", weight)
    checks.check_row_shape(owner, "weight", weight.shape, rows)
    width = loss.width_of(target[loss.counts(target, weight)] if is_indexed else target, classes)
    if not is_indexed and classes not in (None, width):
        raise ValueError(f"{owner}: classes={classes} contradicts the target, distributions over {width} classes")
    # A harmless prediction, so that targets and weights are checked as in every other call.
    check(loss, np.zeros((*rows, width)), target, weight=weight)
    if is_indexed:
        # Only how often each class occurs matters.
        counted, classes = loss.counts(target, weight), loss.classes_of(width)
        weight = np.bincount(target[counted].astype(np.int64), weight[counted], minlength=classes)
        target = np.arange(classes)
    else:
        weight = np.broadcast_to(reduce.apply_to_elements(weight, rows), rows)
    target, weight = target[weight > 0], weight[weight > 0]
    if not weight.any():
        raise ValueError(f"{owner}: the optimal constant needs at least one target of positive weight")

    def expand(row: Any) -> Any:
        return np.broadcast_to(row, (len(target), width))

    def value_and_gradient(row: Any) -> tuple[float, Any]:
        value, gradient = loss.value_and_gradient(expand(row), target, weight=weight)
        return float(value), gradient.sum(axis=0)

    def hessian_product(row: Any, vector: Any) -> Any:
        return loss.hessian_vector_product(expand(row), target, expand(vector), weight=weight).sum(axis=0)

    found = minimize(
        value_and_gradient,
        np.zeros(width),
        jac=True,
        hessp=hessian_product,
        method="trust-ncg",
        options={"gtol": 1e-12},
    )

    def curvature(row: Any) -> Any:
        return np.transpose([hessian_product(row, unit) for unit in np.eye(width)])

    row = _polished(np.asarray(found.x), lambda row: value_and_gradient(row)[1], curvature)
    if not loss.shift_invariant:
        return row
    return row - np.log(np.exp(row - row.max()).sum()) - row.max()


#: Beyond every loss that a best constant could have.
FAR = 1e100
#: Slope of a mean loss that is taken for that of a minimum.
SLOPE = 1e-6


def location_and_log_scale(
    loss: PointwiseLoss, target: Any, weight: Any, others: tuple[float, ...] = ()
) -> tuple[float, float]:
    """Return the best constant of a loss that is shifted and stretched, but not reshaped, with its target.

    The first two heads are searched together, from the median, in units of the mean absolute deviation; ``others`` are
    the heads that stay. Where all targets are equal, the scale is zero.
    """
    centre = weighted_quantile(target, weight, 0.5)
    spread = weighted_mean(np.abs(target - centre), weight)
    if spread == 0.0:
        return float(centre), -math.inf
    location, log_scale = leading_heads(loss, (target - centre) / spread, weight, (0.0, 0.0), others)
    return float(centre + spread * location), math.log(spread) + log_scale


def leading_heads(
    loss: PointwiseLoss, target: Any, weight: Any, start: Sequence[float], others: tuple[float, ...] = ()
) -> Any:
    """Return the leading heads of the best constant, by Newton steps from a start; ``others`` stay."""
    from scipy.optimize import minimize

    share, count = weight / weight.sum(), len(start)

    def rows(heads: Any) -> Any:
        return np.tile([*heads, *others], (len(share), 1))

    def bounded(numbers: Any) -> Any:
        # A step that is tried may overflow. It is refused for its value, but not before its derivatives are added.
        return np.clip(np.nan_to_num(numbers, nan=FAR), -FAR, FAR)

    def total(heads: Any) -> tuple[float, Any]:
        value, gradient = loss.value_and_gradient(rows(heads), target, weight=share, reduction="sum")
        return float(bounded(value)), bounded(gradient.sum(axis=0)[:count])

    def curvature(heads: Any) -> Any:
        return bounded(loss.hessian(rows(heads), target, weight=share, reduction="sum").sum(axis=0)[:count, :count])

    with np.errstate(all="ignore"):
        found = minimize(total, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-13}).x
        return _polished(np.asarray(found), lambda heads: total(heads)[1], curvature)


def _polished(place: Any, slopes: Callable[[Any], Any], curvature: Callable[[Any], Any]) -> Any:
    """Return a place nearer to the minimum, by plain Newton steps for as long as each leaves a tenth of the slopes.

    A trust region judges a step by the decrease of the value, which drowns in rounding where the slopes are still
    the square root of it. Towards a minimum at infinity steps gain less than that.
    """
    slope = slopes(place)
    while slope.any():
        trial = place - np.linalg.pinv(curvature(place), hermitian=True) @ slope
        slope_there = slopes(trial)
        if not np.abs(slope_there).max() <= 0.1 * np.abs(slope).max():
            break
        place, slope = trial, slope_there
    return place


def sorted_by_loss(loss: PointwiseLoss, candidates: Sequence[Any], target: Any, weight: Any) -> list[Any]:
    """Return constant predictions by their loss, the best first; of equal ones the order stays."""
    totals = [float(loss(np.tile(heads, (len(weight), 1)), target, weight=weight)) for heads in candidates]
    return [candidates[position] for position in np.argsort(totals, kind="stable")]
