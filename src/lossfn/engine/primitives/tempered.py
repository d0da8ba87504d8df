"""The tempered softmax of two scores: probabilities with a tail like a power instead of an exponential.

With τ = t - 1 > 0, two scores that differ by x ≥ 0 give the less likely class the probability a ≤ ½ that solves
a^(-τ) - (1 - a)^(-τ) = τ·x. For t → 1 it is sigmoid(-x). The primitive is a power a^s, which is there where a itself
has vanished.
"""

from __future__ import annotations

import math
from typing import Any

from lossfn.engine.primitives.forms import error_of_product
from lossfn.engine.primitives.primitive import Primitive

# Newton steps in L = -log a, from a start that is exact at 0 and at infinity: then one more step meets the precision.
STEPS = 3


def _tempered_tail(xp: Any, x: Any, t: Any, s: Any) -> Any:
    tau = t - 1.0
    # Where tau·x would overflow, everything else is lost beside it.
    far = x > xp.finfo(x.dtype).max / 1024.0 / xp.where(tau > 1.0, tau, 1.0)
    size = xp.where(far, 1.0, x)
    level = xp.log(tau * size + xp.exp(tau * math.log(2.0))) / tau
    for _ in range(STEPS):
        _, following, share = _step(xp, size, tau, level)
        level = level + share * (following - level)
    above, following, share = _step(xp, size, tau, level)
    near = xp.exp(-s * (level + share * (following - level)))
    # A power, because the rounding of a large L would be the relative error of a; that of its exponent is made up for.
    exponent = -s / tau
    lost = -((s + exponent * tau) + error_of_product(xp, exponent, tau)) / tau
    base = xp.where(far, xp.where(x < xp.inf, x, 1.0), 1.0 + above)
    logarithm = xp.log(base) + xp.where(far, xp.log(tau), 0.0)
    scale = xp.where(far, xp.exp(exponent * xp.log(tau)), 1.0)
    correction = xp.where(far, 0.0, s * (1.0 - share) * (following - level))
    power = base**exponent * scale * (1.0 + (lost * logarithm + correction))
    tail = xp.where(above < 1.0, near, power)
    # At infinity the base is 1.
    tail = xp.where(far, xp.where(x < xp.inf, power, xp.where(s > 0.0, 0.0, base)), tail)
    return xp.where((x >= 0) & (tau > 0) & (s >= 0), tail, xp.nan)


def _step(xp: Any, x: Any, tau: Any, level: Any) -> tuple[Any, Any, Any]:
    """Return a^(-τ) - 1, the next L by iteration, and the share of that change which Newton's method takes."""
    a = xp.exp(-level)
    other = xp.expm1(-tau * xp.log1p(-a))
    above = tau * x + other
    share = 1.0 / (1.0 + a / (1.0 - a) * (1.0 + other) / (1.0 + above))
    return above, xp.log1p(above) / tau, share


def _tempered_tail_exactly(mp: Any, x: Any, t: Any, s: Any) -> Any:
    if x < 0 or t <= 1 or mp.isinf(t) or s < 0:
        return mp.nan
    if mp.isinf(x):
        return mp.zero if s else mp.one
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
    return mp.exp(-s * level)


def _exact_step(mp: Any, x: Any, tau: Any, level: Any, precision: int) -> Any:
    with mp.workprec(precision + max(0, mp.mag(tau * x)) + max(0, -mp.mag(tau))):
        a = mp.exp(-level)
        other = (1 - a) ** -tau
        base = tau * x + other
        share = 1 / (1 + a / (1 - a) * other / base)
        return level + share * (mp.log(base) / tau - level)


def _derivative(ops: Any, x: Any, t: Any, s: Any) -> tuple[Any, Any, Any]:
    a = ops.tempered_tail(x, t, 1)
    # The slope of a by x is that of a^t alone where a vanishes.
    slope = s * ops.tempered_tail(x, t, s + t - 1) / (1 + ops.power(a / (1 - a), t))

    def by_temperature(p: Any) -> Any:
        """Return the derivative of the tempered logarithm (p^(1-t) - 1)/(1-t) by t."""
        return (ops.power(p, 1 - t) * (1 + (t - 1) * ops.log(p)) - 1) / (t - 1) ** 2

    return -slope, (by_temperature(1 - a) - by_temperature(a)) * slope, ops.tempered_tail(x, t, s) * ops.log(a)


FAMILY = (
    Primitive(
        name="tempered_tail",
        derivative=_derivative,
        array=_tempered_tail,
        oracle=_tempered_tail_exactly,
        latex=r"a_{{{1}}}\left({0}\right)^{{{2}}}",
    ),
)
