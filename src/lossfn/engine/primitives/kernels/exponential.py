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
    polynomial_in_halves,
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


def reduce_argument(x: Scalar, offset: int = 0, correction: Scalar | None = None) -> tuple[Scalar, Scalar, Scalar]:
    """Split e^(x + correction) = 2^k·(1 + q) with integer k and |q| < 0.42; return k, q and 2^(k + offset).

    Cody and Waite: r = x - k·log 2 in two steps, so that r has an absolute error far below its last place. The power is
    right only while it is a normal number.
    """
    form = x.format
    high, low = split_log2(form)
    # The sum has k + offset + bias in its low bits, where a shift turns it into an exponent.
    magic = form.magic + form.exponent_bias + offset
    anchored = fma(x, 1.0 / math.log(2.0), magic)
    k = anchored - magic
    r = fma(k, -low, fma(k, -high, x))
    if correction is not None:
        r = r + correction
    return k, fma(r * r, polynomial_in_halves(r, EXP), r), shift_to_exponent(anchored)


def shift_to_exponent(anchored: Scalar) -> Scalar:
    """Return 2^n for the number n + bias + magic."""
    return (anchored.as_bits() << anchored.format.mantissa_bits).as_scalar()


def power_of_two(k: Scalar) -> Scalar:
    """Return 2^k for an integer k whose power is a normal number."""
    return shift_to_exponent(k + (k.format.magic + k.format.exponent_bias))


def scale(x: Scalar, k: Scalar) -> Scalar:
    """Return x·2^k, where 2^k itself may overflow or underflow: the power is applied in two halves."""
    magic = k.format.magic + k.format.exponent_bias
    anchored = fma(k, 0.5, magic)
    return x * shift_to_exponent(anchored) * power_of_two(k - (anchored - magic))


def exp(x: Scalar) -> Scalar:
    """Return e^x."""
    x = clamp(x, x.format.exp_underflow, x.format.exp_overflow)
    k, q, _ = reduce_argument(x)
    return scale(1.0 + q, k)


def exp_of_negative(x: Scalar) -> Scalar:
    """Return e^x for x ≤ 0."""
    return times_exp_of_negative(1.0, x)


def times_exp_of_negative(factor: Scalar | float, x: Scalar) -> Scalar:
    """Return factor·e^x for x ≤ 0 and a factor of moderate size, precise even where e^x is subnormal."""
    # The offset makes every power normal; taking it back rounds to a subnormal number once.
    offset = x.format.precision + 11
    # A factor of the size of x still vanishes beyond this bound.
    lowest = x.format.exp_underflow - 6.0
    x = select(x < lowest, lowest, x)
    _, q, lifted_power = reduce_argument(x, offset)
    return fma(q, lifted_power, lifted_power) * factor * 2.0**-offset


def exp_compensated(x: Scalar, correction: Scalar) -> Scalar:
    """Return e^(x + correction) for a correction of rounding-error size."""
    bounded = clamp(x, x.format.exp_underflow, x.format.exp_overflow)
    # The correction of a huge or infinite x is as large as the clamped x, or NaN.
    correction = select(fabs(x) < x.format.exp_overflow - x.format.exp_underflow, correction, 0.0)
    k, q, _ = reduce_argument(bounded, correction=correction)
    return scale(1.0 + q, k)


def _minus_line(x: Scalar, line: Scalar | float) -> Scalar:
    """Return e^x - 1 - line as 2·(q·2^(k-1) + (2^(k-1) - ½ - line/2)); 2^k would overflow before e^x does."""
    # Below minus the precision e^x is invisible beside 1, and 2^(k-1) stays a normal number.
    bounded = clamp(x, -x.format.precision, x.format.exp_overflow)
    _, q, half_power = reduce_argument(bounded, offset=-1)
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
    form = a.format
    # At this limit even the smallest number times e^b overflows, and the largest times e^-b vanishes.
    limit = form.exp_overflow - form.exp_underflow
    # The limit b = -inf wins over an infinite factor.
    a = select((b < -form.largest) & (fabs(a) > form.largest), 0.0, a)
    k, q, _ = reduce_argument(clamp(b, -limit, limit))
    # Lift small factors, so that none is subnormal, and halve the mantissa, so that it only reduces: then the first
    # product neither overflows nor loses digits.
    lift = float(form.precision + 6)
    small = fabs(a) < 1.0
    product = select(small, a * 2.0**lift, a) * fma(q, 0.5, 0.5)
    k = select(small, k - (lift - 1.0), k + 1.0)
    # Three steps in the same direction, since 2^k may exceed the range twice.
    magic = form.magic + form.exponent_bias
    anchored = fma(k, 1.0 / 3.0, magic)
    part = anchored - magic
    step = shift_to_exponent(anchored)
    return product * step * step * power_of_two(k - part - part)


def bose(x: Scalar) -> Scalar:
    """Return 1/(e^(-x) - 1) as e^x/(1 - e^x) or -1/(1 - e^(-x)), where nothing overflows."""
    below = -fabs(x)
    return select(x <= 0.0, exp_of_negative(below), -1.0) / -expm1(below)


KERNELS: Mapping[str, Kernel] = {"exp": exp, "expm1": expm1, "expm1mx": expm1mx, "mulexp": mulexp, "bose": bose}
