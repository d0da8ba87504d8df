"""The tempered softmax of two scores: probabilities with a tail like a power instead of an exponential.

With τ = t - 1 > 0, two scores that differ by x ≥ 0 give the less likely class the probability a ≤ ½ that solves
a^(-τ) - (1 - a)^(-τ) = τ·x. For t → 1 it is sigmoid(-x).
"""

from __future__ import annotations

import math
from typing import Any

from lossfn.engine.primitives.forms import error_of_product
from lossfn.engine.primitives.primitive import Primitive

# Newton steps in L = -log a, from a start that is exact at 0 and at infinity: then one more step meets the precision.
STEPS = 3


def _tempered_tail(xp: Any, x: Any, t: Any) -> Any:
    tau = t - 1.0
    # Where tau·x would overflow, everything else is lost beside it.
    far = x > xp.finfo(x.dtype).max / 1024.0 / xp.where(tau > 1.0, tau, 1.0)
    size = xp.where(far, 1.0, x)
    level = xp.log(tau * size + xp.exp(tau * math.log(2.0))) / tau
    for _ in range(STEPS):
        _, following, share = _step(xp, size, tau, level)
        level = level + share * (following - level)
    above, following, share = _step(xp, size, tau, level)
    near = xp.exp(-level - share * (following - level))
    # A power, because the rounding of a large L would be the relative error of a; that of its exponent is made up for.
    exponent = -1.0 / tau
    lost = -((1.0 + exponent * tau) + error_of_product(xp, exponent, tau)) / tau
    base = xp.where(far, xp.where(x < xp.inf, x, 1.0), 1.0 + above)
    logarithm = xp.log(base) + xp.where(far, xp.log(tau), 0.0)
    scale = xp.where(far, xp.exp(exponent * xp.log(tau)), 1.0)
    correction = xp.where(far, 0.0, (1.0 - share) * (following - level))
    power = base**exponent * scale * (1.0 + (lost * logarithm + correction))
    tail = xp.where(above < 1.0, near, power)
    tail = xp.where(far, xp.where(x < xp.inf, power, 0.0), tail)
    return xp.where((x >= 0) & (tau > 0), tail, xp.nan)


def _step(xp: Any, x: Any, tau: Any, level: Any) -> tuple[Any, Any, Any]:
    """Return a^(-τ) - 1, the next L by iteration, and the share of that change which Newton's method takes."""
    a = xp.exp(-level)
    other = xp.expm1(-tau * xp.log1p(-a))
    above = tau * x + other
    share = 1.0 / (1.0 + a / (1.0 - a) * (1.0 + other) / (1.0 + above))
    return above, xp.log1p(above) / tau, share


def _tempered_tail_exactly(mp: Any, x: Any, t: Any) -> Any:
    if x < 0 or t <= 1 or mp.isinf(t):
        return mp.nan
    if mp.isinf(x):
        return mp.zero
    tau = t - 1
    full = mp.prec
    level = mp.log(tau * x + mp.mpf(2) ** tau) / tau
    # Newton's method doubles the digits: most steps need few of them.
    precision = 64
    for _ in range(5):
        level = _exact_step(mp, x, tau, level, precision)
    while precision < full + 32:
        precision = min(2 * precision - 16, full + 64)
        level = _exact_step(mp, x, tau, level, precision)
    return mp.exp(-level)


def _exact_step(mp: Any, x: Any, tau: Any, level: Any, precision: int) -> Any:
    with mp.workprec(precision + max(0, mp.mag(tau * x)) + max(0, -mp.mag(tau))):
        a = mp.exp(-level)
        other = (1 - a) ** -tau
        base = tau * x + other
        share = 1 / (1 + a / (1 - a) * other / base)
        return level + share * (mp.log(base) / tau - level)


def _derivative(ops: Any, x: Any, t: Any) -> tuple[Any, Any]:
    a = ops.tempered_tail(x, t)
    slope = 1 / (ops.power(a, -t) + ops.power(1 - a, -t))

    def by_temperature(p: Any) -> Any:
        """Return the derivative of the tempered logarithm (p^(1-t) - 1)/(1-t) by t."""
        return (ops.power(p, 1 - t) * (1 + (t - 1) * ops.log(p)) - 1) / (t - 1) ** 2

    return -slope, (by_temperature(1 - a) - by_temperature(a)) * slope


FAMILY = (
    Primitive(
        name="tempered_tail",
        derivative=_derivative,
        array=_tempered_tail,
        oracle=_tempered_tail_exactly,
        latex=r"a_{{{1}}}\left({0}\right)",
    ),
)
