"""Logarithms: one reduction to 2^k·(1 + f), one series in s = f/(2 + f), several arguments and endings."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossfn.engine.primitives.coefficients import LOG, LOG1P, LOG_WIDE
from lossfn.engine.primitives.kernels.exponential import exp_of_negative, expm1, split_log2
from lossfn.engine.primitives.kernels.scalar import (
    FLOAT32,
    Kernel,
    Scalar,
    clamp,
    fabs,
    fma,
    polynomial,
    polynomial_in_halves,
    select,
)

SQRT_HALF = math.sqrt(0.5)


def split_binary(u: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Split a positive normal u = 2^k·m with √½ ≤ m < √2; return k, m and 2^-k."""
    form = u.format
    shift = form.mantissa_bits
    one = form.exponent_bias << shift
    # Adding the distance from √½ to 1 moves the boundary between two exponents to √½.
    distance = one - bits_of_sqrt_half(u)
    biased = (u.as_bits() + distance) >> shift
    m = (u.as_bits() - (biased << shift) + one).as_scalar()
    # An integer placed in the mantissa of 2^(precision-1) becomes a float by subtraction.
    anchor = 2.0**shift
    k = (biased | u.constant(anchor).as_bits()).as_scalar() - (anchor + form.exponent_bias)
    # Half of 2^(1-k), because the exponent field of 2^-k would be negative for the largest k.
    inverse = 0.5 * (((2 * form.exponent_bias + 1) - biased) << shift).as_scalar()
    return k, m, inverse


def bits_of_sqrt_half(u: Scalar) -> int:
    """Return the bit pattern of √½ in the format of u."""
    return 0x3F3504F3 if u.format.bits == 32 else 0x3FE6A09E667F3BCD


def log1p_reduced(f: Scalar) -> Scalar:
    """Return log(1 + f) for √½ ≤ 1 + f ≤ √2, as f - s·(f - z·P(z)): the large term f enters exactly."""
    s = f / (2.0 + f)
    z = s * s
    return fma(-s, fma(-z, polynomial_in_halves(z, LOG), f), f)


def log_of_sum(u: Scalar, rounding: Scalar | None = None) -> Scalar:
    """Return log(u + rounding) for positive normal u, where ``rounding`` is what was lost when u was rounded."""
    high, low = split_log2(u.format)
    k, m, inverse = split_binary(u)
    f = m - 1.0
    if rounding is not None:
        f = fma(rounding, inverse, f)
    return fma(k, high, fma(k, low, log1p_reduced(f)))


def extend_log(inside: Scalar, u: Scalar, x: Scalar) -> Scalar:
    """Complete log(u), computed ``inside`` the domain, by its limits; x is the argument that u was formed from."""
    outside = select(u.equals(0.0), -math.inf, math.nan)
    # x itself for +inf and for NaN.
    return select(u > 0.0, select(x < math.inf, inside, x), outside)


def log(x: Scalar) -> Scalar:
    """Return the natural logarithm."""
    return extend_log(log_positive(x), x, x)


def log_positive(x: Scalar) -> Scalar:
    """Return log(x) for finite positive x, subnormal numbers included."""
    subnormal = x < x.format.smallest_normal
    lift = float(x.format.mantissa_bits + 1)
    u = select(subnormal, x * 2.0**lift, x)
    high, low = split_log2(x.format)
    k, m, _ = split_binary(u)
    k = select(subnormal, k - lift, k)
    return fma(k, high, fma(k, low, log1p_reduced(m - 1.0)))


def one_plus(x: Scalar) -> tuple[Scalar, Scalar]:
    """Return 1 + x rounded, and the rounding error, exactly, for any finite x."""
    u = 1.0 + x
    rest = u - x
    return u, (1.0 - rest) + (x - (u - rest))


def log1p(x: Scalar) -> Scalar:
    """Return log(1 + x): while 1 + x stays within √½ and √2, f is x itself, whatever 1 + x was rounded to."""
    u, rounding = one_plus(x)
    return extend_log(log_of_sum(u, rounding), u, x)


def log1p_of_fraction(x: Scalar) -> Scalar:
    """Return log(1 + x) for 0 ≤ x ≤ 1: in float32 without a division, in float64 with a reduction by one comparison."""
    if x.format is FLOAT32:
        return fma(x * x, polynomial_in_halves(x, LOG1P), x)
    large = x > math.sqrt(2.0) - 1.0
    f = select(large, fma(x, 0.5, -0.5), x)
    return select(large, math.log(2.0), 0.0) + log1p_reduced(f)


def log1pmx(x: Scalar) -> Scalar:
    """Return log(1 + x) - x."""
    # x = 2s/(1-s) gives log(1+x) - x = s·(z·P(z) - x), with no cancellation.
    s = x / (2.0 + x)
    z = s * s
    near = s * fma(z, polynomial(z, LOG_WIDE), -x)
    u, rounding = one_plus(x)
    # k·log 2 - x first: it is nearly exact, and what is added has the size of the result at most.
    high, low = split_log2(x.format)
    k, m, inverse = split_binary(u)
    f = fma(rounding, inverse, m - 1.0)
    far = fma(k, high, -x) + fma(k, low, log1p_reduced(f))
    inside = select((x >= -0.5) & (x <= 1.0), near, far)
    outside = select(x.equals(-1.0), -math.inf, math.nan)
    return select(x > -1.0, select(x < math.inf, inside, -x), outside)


def squash(x: Scalar) -> Scalar:
    """Return x/(1 + x)."""
    # The clamp turns inf/inf into its limit 1.
    x = clamp(x, -x.format.largest, x.format.largest)
    return x / (1.0 + x)


def log1psq(u: Scalar) -> Scalar:
    """Return log(1 + u²)."""
    a = fabs(u)
    # From 2^(precision/2 + 1) on, 1 is invisible beside u².
    large = a > 2.0 ** (u.format.precision // 2 + 2)
    square = a * a
    v, rounding = one_plus(square)
    rounding = rounding + fma(a, a, -square)
    inside = log_of_sum(select(large, a, v), select(large, 0.0, rounding))
    inside = select(large, 2.0 * inside, inside)
    return select(a < math.inf, inside, a)


def log1mexp(x: Scalar) -> Scalar:
    """Return log(1 - e^x) for x ≤ 0, by log(-expm1(x)) near zero and log1p(-e^x) far from it."""
    near = x > -math.log(2.0)
    e = exp_of_negative(x)
    difference = 1.0 - e
    u = select(near, -expm1(x), difference)
    # 1 - (1 - e) is exact because e ≤ ½ on this side.
    rounding = select(near, 0.0, (1.0 - difference) - e)
    subnormal = u < u.format.smallest_normal
    lift = float(x.format.mantissa_bits + 1)
    high, low = split_log2(x.format)
    k, m, inverse = split_binary(select(subnormal, u * 2.0**lift, u))
    k = select(subnormal, k - lift, k)
    f = fma(rounding, inverse, m - 1.0)
    inside = fma(k, high, fma(k, low, log1p_reduced(f)))
    outside = select(x.equals(0.0), -math.inf, math.nan)
    return select(x < 0.0, inside, outside)


KERNELS: Mapping[str, Kernel] = {
    "log": log,
    "log1p": log1p,
    "log1pmx": log1pmx,
    "squash": squash,
    "log1psq": log1psq,
    "log1mexp": log1mexp,
}
