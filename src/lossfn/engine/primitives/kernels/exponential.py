"""The exponential and its relatives: one argument reduction, several ways to put the pieces together again."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossfn.engine.primitives.coefficients import EXP, EXPM1MX
from lossfn.engine.primitives.kernels.scalar import (
    FLOAT32,
    Format,
    Kernel,
    Scalar,
    cap,
    clamp,
    fabs,
    fma,
    polynomial,
    select,
)


def split_log2(form: Format) -> tuple[float, float]:
    """Return log 2 as high + low, the high part short enough that k·high is exact for every binary exponent k."""
    if form is FLOAT32:
        return LOG2_HIGH_32, LOG2_LOW_32
    return LOG2_HIGH_64, LOG2_LOW_64


# log 2 cut after 12 and 42 bits, and the rest, rounded; products with integers below 2^11 are exact.
LOG2_HIGH_32, LOG2_LOW_32 = float.fromhex("0x1.62ep-1"), float.fromhex("0x1.0bfbe8p-15")
LOG2_HIGH_64, LOG2_LOW_64 = float.fromhex("0x1.62e42fefa38p-1"), float.fromhex("0x1.ef35793c7673p-45")


def reduce_argument(x: Scalar, correction: Scalar | None = None) -> tuple[Scalar, Scalar]:
    """Split e^(x + correction) = 2^k·(1 + q) with integer k and |q| < 0.42; return k and q.

    Cody and Waite: r = x - k·log 2 in two steps, so that r has an absolute error far below its last place.
    """
    high, low = split_log2(x.format)
    magic = x.format.magic
    k = fma(x, 1.0 / math.log(2.0), magic) - magic
    r = fma(k, -low, fma(k, -high, x))
    if correction is not None:
        r = r + correction
    return k, fma(r * r, polynomial(r, EXP), r)


def power_of_two(k: Scalar) -> Scalar:
    """Return 2^k for an integer k whose power is a normal number."""
    form = k.format
    return ((k + (form.magic + form.exponent_bias)).as_bits() << form.mantissa_bits).as_scalar()


def halve_integer(k: Scalar) -> Scalar:
    """Return an integer near k/2."""
    magic = k.format.magic
    return fma(k, 0.5, magic) - magic


def scale(x: Scalar, k: Scalar) -> Scalar:
    """Return x·2^k, where 2^k itself may overflow or underflow: the power is applied in two halves."""
    half = halve_integer(k)
    return x * power_of_two(half) * power_of_two(k - half)


def exp(x: Scalar) -> Scalar:
    """Return e^x."""
    x = clamp(x, x.format.exp_underflow, x.format.exp_overflow)
    k, q = reduce_argument(x)
    return scale(1.0 + q, k)


def exp_of_negative(x: Scalar) -> Scalar:
    """Return e^x for x ≤ 0, where no clamp against overflow is needed."""
    x = select(x < x.format.exp_underflow, x.format.exp_underflow, x)
    k, q = reduce_argument(x)
    return scale(1.0 + q, k)


def exp_compensated(x: Scalar, correction: Scalar) -> Scalar:
    """Return e^(x + correction) for a correction of rounding-error size."""
    bounded = clamp(x, x.format.exp_underflow, x.format.exp_overflow)
    # The correction of a huge or infinite x is as large as the clamped x, or NaN.
    correction = select(fabs(x) < x.format.exp_overflow - x.format.exp_underflow, correction, 0.0)
    k, q = reduce_argument(bounded, correction)
    return scale(1.0 + q, k)


def _minus_line(x: Scalar, line: Scalar | float) -> Scalar:
    """Return e^x - 1 - line as 2·(q·2^(k-1) + (2^(k-1) - ½ - line/2)); 2^k would overflow before e^x does."""
    # Below minus the precision e^x is invisible beside 1, and 2^(k-1) stays a normal number.
    bounded = clamp(x, -x.format.precision, x.format.exp_overflow)
    k, q = reduce_argument(bounded)
    half_power = power_of_two(k - 1.0)
    return 2.0 * fma(q, half_power, (half_power - 0.5) - line * 0.5)


def expm1(x: Scalar) -> Scalar:
    """Return e^x - 1."""
    # e^x - 1 rounds to x, which keeps the sign of zero and subnormal numbers.
    return select(fabs(x) < 2.0**-x.format.precision, x, _minus_line(x, 0.0))


def expm1mx(x: Scalar) -> Scalar:
    """Return e^x - 1 - x."""
    near = x * x * polynomial(x, EXPM1MX)
    # Above the cap e^x has overflowed; the cap prevents inf - inf.
    far = _minus_line(x, cap(x, x.format.exp_overflow))
    return select(fabs(x) < 1.0, near, far)


def mulexp(a: Scalar, b: Scalar) -> Scalar:
    """Return a·e^b, which may be finite where e^b is not; zero times infinity counts as zero."""
    # At this limit even the smallest number times e^b overflows, and the largest times e^-b vanishes.
    limit = a.format.exp_overflow - a.format.exp_underflow
    # The limit b = -inf wins over an infinite factor.
    a = select((b < -a.format.largest) & (fabs(a) > a.format.largest), 0.0, a)
    k, q = reduce_argument(clamp(b, -limit, limit))
    # Thirds, since halves of the largest k have no power. Scaling first and last keeps a subnormal factor exact on
    # the way up and avoids overflow before the last step.
    third = halve_integer(k * (2.0 / 3.0))
    step = power_of_two(third)
    return a * step * step * (1.0 + q) * power_of_two(k - third - third)


def bose(x: Scalar) -> Scalar:
    """Return 1/(e^(-x) - 1)."""
    # 0 - x, not -x: the limit at zero from the left is +inf, and 1/(-0) would be -inf.
    return 1.0 / expm1(0.0 - x)


KERNELS: Mapping[str, Kernel] = {"exp": exp, "expm1": expm1, "expm1mx": expm1mx, "mulexp": mulexp, "bose": bose}
