"""The tempered softmax of two scores, by Newton's method with a fixed number of steps."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossfn.engine.primitives.kernels.exponential import exp, exp_of_negative, expm1
from lossfn.engine.primitives.kernels.logarithmic import log, log1p
from lossfn.engine.primitives.kernels.power import power
from lossfn.engine.primitives.kernels.scalar import Kernel, Scalar, fma, select
from lossfn.engine.primitives.tempered import STEPS


def tempered_tail(x: Scalar, t: Scalar, s: Scalar) -> Scalar:
    """Return a^s for the probability a ≤ ½ with a^(-τ) - (1 - a)^(-τ) = τ·x, where τ = t - 1 > 0, x ≥ 0 and s ≥ 0."""
    tau = t - 1.0
    # Where tau·x would overflow, everything else is lost beside it.
    far = x > (x.format.largest / 1024.0) / select(tau > 1.0, tau, 1.0)
    size = select(far, 1.0, x)
    level = log(fma(tau, size, exp(tau * math.log(2.0)))) / tau
    for _ in range(STEPS):
        _, following, share = _step(size, tau, level)
        level = fma(share, following - level, level)
    above, following, share = _step(size, tau, level)
    change = following - level
    near = exp_of_negative(-(s * fma(share, change, level)))
    # A power, because the rounding of a large L would be the relative error of a; that of its exponent is made up for.
    exponent = -s / tau
    lost = -fma(exponent, tau, s) / tau
    finite = x < math.inf
    base = select(far, select(finite, x, 1.0), 1.0 + above)
    logarithm = log(base) + select(far, log(tau), 0.0)
    correction = fma(lost, logarithm, select(far, 0.0, s * ((1.0 - share) * change)))
    beyond = power(base, exponent) * select(far, power(tau, exponent), 1.0)
    beyond = fma(beyond, correction, beyond)
    vanished = select(s > 0.0, 0.0, 1.0)
    tail = select(far, select(finite, beyond, vanished), select(above < 1.0, near, beyond))
    return select((x >= 0.0) & (tau > 0.0) & (s >= 0.0), tail, math.nan)


def _step(x: Scalar, tau: Scalar, level: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Return a^(-τ) - 1, the next L by iteration, and the share of that change which Newton's method takes."""
    a = exp_of_negative(-level)
    other = expm1(-tau * log1p(-a))
    above = fma(tau, x, other)
    share = 1.0 / (1.0 + a / (1.0 - a) * (1.0 + other) / (1.0 + above))
    return above, log1p(above) / tau, share


KERNELS: Mapping[str, Kernel] = {"tempered_tail": tempered_tail}
