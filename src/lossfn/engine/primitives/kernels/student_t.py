"""Distribution function and score of Student's t; see the array forms."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossfn.engine.primitives.kernels.exponential import exp, exp_of_negative
from lossfn.engine.primitives.kernels.gamma import gamma_step
from lossfn.engine.primitives.kernels.logarithmic import log, log1p
from lossfn.engine.primitives.kernels.scalar import Kernel, Scalar, cap, copysign, fabs, fma, polynomial, select
from lossfn.engine.primitives.student_t import (
    CENTRE_SCORE,
    LARGEST_DF,
    LARGEST_SHARE,
    LARGEST_SIZE,
    LARGEST_SQUARE,
    ROOT_TWO_PI_INVERSE,
    STEPS,
    TERMS,
    fraction_coefficients,
)


def centred_t(x: Scalar, df: Scalar) -> Scalar:
    """Return 2F(x) - 1 for the distribution function F of Student's t with ``df`` degrees of freedom."""
    bounded = cap(df, LARGEST_DF)
    inverse = 1.0 / bounded
    size = cap(fabs(x), LARGEST_SIZE)
    square = size * size
    q = square * inverse
    w = 1.0 / (1.0 + q)
    v = select(q < 1.0, square * w, bounded * (1.0 - w))
    density = t_centre_density(bounded) * exp_of_negative((bounded + 1.0) * log1p(q) * -0.5)

    series = v.constant(1.0)
    for k in reversed(range(TERMS[x.format.bits])):
        series = fma(v * ((1.0 + inverse * (2 * k + 1)) * (1.0 / (2 * k + 3))), series, 1.0)
    steps = STEPS[x.format.bits]
    fraction = _denominator(steps, inverse, w, v)
    for m in range(steps, 0, -1):
        numerator = fraction_coefficients(m, inverse)[0]
        fraction = _denominator(m - 1, inverse, w, v) + numerator * (w * w) / fraction

    is_near = (square <= LARGEST_SQUARE) & (q <= LARGEST_SHARE)
    positive = select(is_near, size * (2.0 * density * series), 1.0 - size * density / fraction)
    return select(df >= 1.0, copysign(positive, x), math.nan)


def _denominator(m: int, inverse_df: Scalar, w: Scalar, v: Scalar) -> Scalar:
    _, constant, by_w, by_v = fraction_coefficients(m, inverse_df)
    return fma(by_w, w, fma(by_v, v, constant))


def t_centre_density(df: Scalar) -> Scalar:
    """Return the density of that distribution at its centre."""
    return select(df >= 1.0, ROOT_TWO_PI_INVERSE * exp(gamma_step(log(df))), math.nan)


def t_centre_score(df: Scalar) -> Scalar:
    """Return the continuous ranked probability score of that distribution for a target at its centre."""
    return select(df >= 1.0, polynomial(2.0 / df - 1.0, CENTRE_SCORE), math.nan)


KERNELS: Mapping[str, Kernel] = {
    "centred_t": centred_t,
    "t_centre_density": t_centre_density,
    "t_centre_score": t_centre_score,
}
