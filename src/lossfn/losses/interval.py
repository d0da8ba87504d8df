"""Probabilities of intervals, and how they change with the place and the width of the interval.

What is needed of F(upper) - F(lower) for two distributions F, as functions of ``lower``, ``upper`` and of ``raw``: the
width of an interval with two finite ends is softplus(raw). One end may be infinite; then ``raw`` does not matter.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from lossfn.engine.namespaces import ArrayNamespace
from lossfn.losses.mills import mills_ratio, mills_slope


class Interval(NamedTuple):
    """Minus the logarithm of the probability of an interval, and its derivatives.

    ``by_place`` moves both ends alike, ``by_raw`` the upper end alone. Those by ``raw`` mean something only where both
    ends are finite.
    """

    value: Any
    by_place: Any
    by_raw: Any
    by_place_twice: Any
    by_place_and_raw: Any
    by_raw_twice: Any


def logistic_interval(ops: ArrayNamespace, lower: Any, upper: Any, raw: Any) -> Interval:
    """Return the derivatives for the logistic distribution.

    F(b) - F(a) = σ(b) σ(-a) (1 - e^(a - b)), and for the width softplus(r) the last factor is σ(r): three terms of
    which nothing cancels.
    """
    xp = ops.xp
    is_bounded = (upper < math.inf) & (lower > -math.inf)
    value = ops.softplus(-upper) + ops.softplus(lower)
    value = value + xp.where(is_bounded, ops.softplus(-raw), xp.zeros_like(raw))
    # σ(a) - σ(-b), as a product because it vanishes where the interval lies in the middle.
    # Ends at -∞ and ∞ have a middle too.
    total = xp.where(lower == -upper, xp.zeros_like(lower + upper), lower + upper)
    right = -ops.sigmoid(lower) * ops.sigmoid(upper) * ops.expm1(-xp.abs(total))
    left = ops.sigmoid(-lower) * ops.sigmoid(-upper) * ops.expm1(-xp.abs(total))
    growth, at_upper = ops.sigmoid(raw), ops.dsigmoid(upper)
    return Interval(
        value,
        xp.where(total < 0, left, right),
        -ops.sigmoid(-upper) * growth - ops.sigmoid(-raw),
        ops.dsigmoid(lower) + at_upper,
        at_upper * growth,
        at_upper * growth * growth + ops.dsigmoid(raw) * ops.sigmoid(upper),
    )


# ---- the normal distribution --------------------------------------------------------------------------------------

LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)
ROOT_TWO_PI = math.sqrt(2 * math.pi)
#: Below it softplus(r) is e^r in every format, and may underflow.
EXPONENTIAL = -40.0
#: Intervals across which the exponent of the density changes by no more are integrated by quadrature.
SMOOTH = 2.0
NODES = tuple(
    ((1 + t) / 2, w / 2) for t, w in zip(*(v.tolist() for v in np.polynomial.legendre.leggauss(12)), strict=True)
)


def normal_interval(ops: ArrayNamespace, lower: Any, upper: Any, raw: Any) -> Interval:
    """Return the derivatives for the normal distribution.

    An interval with little curvature is integrated by quadrature, all of whose terms are positive; any other by tails,
    of which the smaller is then at most a fraction of the larger.
    """
    xp = ops.xp
    is_bounded = (upper < math.inf) & (lower > -math.inf)
    width = xp.where(is_bounded, ops.softplus(raw), xp.zeros_like(raw) + math.inf)
    is_smooth = width * xp.maximum(xp.abs(lower), xp.abs(upper)) <= SMOOTH
    none = xp.zeros_like(raw)
    near = _smooth_interval(ops, xp.where(is_smooth, lower, none), xp.where(is_smooth, width, none), raw)
    far = _wide_interval(ops, lower, upper, xp.where(is_bounded, width, none), raw)
    return Interval(*(xp.where(is_smooth, a, b) for a, b in zip(near, far, strict=True)))


def _smooth_interval(ops: ArrayNamespace, lower: Any, width: Any, raw: Any) -> Interval:
    """Return the derivatives from moments of t, the place inside the interval from 0 to 1, and of its exponent."""
    xp = ops.xp
    total = mean = square = slope = slope_square = 0.0
    for t, share in NODES:
        part = share * xp.exp(-t * width * (lower + t * width / 2))
        # The derivative of the exponent by the width.
        change = t * (lower + t * width)
        total = total + part
        mean = mean + t * part
        square = square + t * t * part
        slope = slope + change * part
        slope_square = slope_square + change * change * part
    mean, square, slope, slope_square = mean / total, square / total, slope / total, slope_square / total
    e = xp.exp(xp.where(raw > 0, xp.zeros_like(raw), raw))
    safe = xp.where(raw < EXPONENTIAL, xp.ones_like(raw), ops.softplus(raw))
    log_width = xp.where(raw < EXPONENTIAL, raw, xp.log(safe))
    growth = ops.sigmoid(raw)
    # σ(r) / softplus(r), and minus the second derivative of log softplus.
    ratio = xp.where(raw < EXPONENTIAL, xp.ones_like(raw), growth / safe)
    bend = xp.where(raw > 0, ratio - ops.sigmoid(-raw), -ops.log1pmx(e) * ops.sigmoid(-raw) / safe)
    bend = xp.where(raw < EXPONENTIAL, e / 2, ratio * bend)
    at_upper = xp.exp(-width * (lower + width / 2)) / total
    curvature = square - (slope_square - slope * slope)
    return Interval(
        lower * lower / 2 + LOG_ROOT_TWO_PI - log_width - xp.log(total),
        lower + width * mean,
        -at_upper * ratio,
        1.0 - width * width * (square - mean * mean),
        at_upper * growth * (1.0 - mean),
        bend + curvature * growth * growth + slope * ops.dsigmoid(raw),
    )


def _wide_interval(ops: ArrayNamespace, lower: Any, upper: Any, width: Any, raw: Any) -> Interval:
    """Return the derivatives from tails; ``width`` is 0 where an end is infinite."""
    xp = ops.xp
    # Mirrored where need be, so that the interval lies on the right, or at least its middle.
    is_left = lower + upper < 0
    a, b = xp.where(is_left, -upper, lower), xp.where(is_left, -lower, upper)
    is_tail = a >= 0
    drop = xp.where(b < math.inf, width * (a + b) / 2, b)
    rest = xp.exp(-drop)
    size = xp.abs(a)
    ratio_a, ratio_b = mills_ratio(size), mills_ratio(b)
    # In units of the density at a: the probability, and the mean distance from a times it.
    mass = ratio_a - rest * ratio_b
    moment = mills_slope(size) - rest * (mills_slope(b) + width * ratio_b)
    density_a, density_b = xp.exp(-a * a / 2) / ROOT_TWO_PI, xp.exp(-b * b / 2) / ROOT_TWO_PI
    outside = density_a * ratio_a + density_b * ratio_b
    at_a = xp.where(is_tail, 1.0 / mass, density_a / (1.0 - outside))
    at_b = xp.where(is_tail, ops.xdivy(rest, mass), density_b / (1.0 - outside))
    middle = -at_a * ops.expm1(-drop)
    distance = xp.where(is_tail, ops.xdivy(moment, mass), middle - a)
    mean = xp.where(is_tail, a + distance, middle)
    value = xp.where(is_tail, a * a / 2 + LOG_ROOT_TWO_PI - xp.log(mass), -ops.log1p(-outside))
    # Back to the upper end that was given, and to its distance from the mean.
    at_upper = xp.where(is_left, at_a, at_b)
    from_upper = xp.where(is_left, distance, width - distance)
    bend = at_upper * xp.where(is_left, at_b + distance, b + at_b)
    growth = ops.sigmoid(raw)
    return Interval(
        value,
        xp.where(is_left, -mean, mean),
        -at_upper * growth,
        width * at_b + mean * distance,
        at_upper * from_upper * growth,
        bend * growth * growth - at_upper * ops.dsigmoid(raw),
    )
