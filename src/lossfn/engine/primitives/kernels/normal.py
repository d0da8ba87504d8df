"""The normal density and the centred distribution function, as the array forms but with fused multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossfn.engine.primitives.kernels.exponential import exp_of_negative, reduce_argument
from lossfn.engine.primitives.kernels.scalar import Kernel, Scalar, cap, copysign, fabs, fma, polynomial, select
from lossfn.engine.primitives.normal import CENTRED_NDTR_IS_ONE, SQRT_TWO
from lossfn.engine.primitives.normal_coefficients import ERF, ERFCX

SQRT_HALF = math.sqrt(0.5)


def normpdf(x: Scalar) -> Scalar:
    """Return e^(-x²/2)/√(2π). The rounding error of x², up to e^(-x²/2)'s last ten bits, is added to the exponent."""
    form = x.format
    # The offset makes the power of two normal even where the result is subnormal, or zero as from the cap on.
    offset = form.precision + 11
    a = cap(fabs(x), math.sqrt(-2.0 * (form.exp_underflow - 6.0)))
    square = a * a
    _, q, lifted_power = reduce_argument(-0.5 * square, offset, -0.5 * fma(a, a, -square))
    return (1.0 + q) * (1.0 / math.sqrt(2.0 * math.pi)) * lifted_power * 2.0**-offset


def centred_ndtr(x: Scalar) -> Scalar:
    """Return 2Φ(x) - 1 for the distribution function Φ of the standard normal distribution."""
    near = x * SQRT_HALF * polynomial(x * x * 0.5, ERF)
    a = cap(fabs(x), CENTRED_NDTR_IS_ONE)
    far = copysign(1.0 - exp_of_negative(a * a * -0.5) * _erfcx(a * SQRT_HALF), x)
    return select(fabs(x) < SQRT_TWO, near, far)


def scaled_tail(x: Scalar) -> Scalar:
    """Return e^(x²/2) times twice the upper tail of the standard normal distribution, for x ≥ 0."""
    return select(x >= 0.0, _erfcx(fabs(x) * SQRT_HALF), math.nan)


def _erfcx(x: Scalar) -> Scalar:
    """Return e^(x²)·erfc(x) for x ≥ 0."""
    return 0.5 * polynomial(1.0 - 8.0 / (x + 4.0), ERFCX) / (0.5 + x)


KERNELS: Mapping[str, Kernel] = {"normpdf": normpdf, "scaled_tail": scaled_tail, "centred_ndtr": centred_ndtr}
