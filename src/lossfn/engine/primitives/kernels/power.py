"""Real powers. p·log x reaches 745, so an error of one unit in the last place of log x would cost ten bits."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossfn.engine.primitives.coefficients import LOG_TAIL
from lossfn.engine.primitives.kernels.exponential import exp_compensated, split_log2
from lossfn.engine.primitives.kernels.logarithmic import split_binary
from lossfn.engine.primitives.kernels.scalar import FLOAT32, Kernel, Scalar, clamp, fma, polynomial, select

# ⅔ in each format, and what the rounding left over.
TWO_THIRDS_32, TWO_THIRDS_REST_32 = float.fromhex("0x1.555556p-1"), float.fromhex("-0x1.555556p-26")
TWO_THIRDS_64, TWO_THIRDS_REST_64 = float.fromhex("0x1.5555555555555p-1"), float.fromhex("0x1.5555555555555p-55")


def log_in_two_parts(x: Scalar) -> tuple[Scalar, Scalar]:
    """Return log x, for finite positive x, as the sum of two numbers with about 1.2 times the usual precision.

    The series 2s + s·(⅔z + z²Q(z)), in s = f/(2 + f) and z = s², is summed in pairs of numbers except for Q, whose
    share of the result is below 2^-12.
    """
    subnormal = x < x.format.smallest_normal
    lift = float(x.format.mantissa_bits + 1)
    k, m, _ = split_binary(select(subnormal, x * 2.0**lift, x))
    k = select(subnormal, k - lift, k)

    f = m - 1.0
    divisor = 2.0 + f
    divisor_rest = f - (divisor - 2.0)
    inverse = 1.0 / divisor
    s = f * inverse
    s_rest = (fma(-s, divisor, f) - s * divisor_rest) * inverse

    z = s * s
    z_rest = fma(s, s, -z) + 2.0 * s * s_rest

    lead, lead_rest = (
        (TWO_THIRDS_32, TWO_THIRDS_REST_32) if x.format is FLOAT32 else (TWO_THIRDS_64, TWO_THIRDS_REST_64)
    )
    tail = z * polynomial(z, LOG_TAIL)
    series = lead + tail
    series_rest = (lead - series) + tail + lead_rest

    w = z * series
    w_rest = fma(z, series, -w) + fma(z, series_rest, z_rest * series)
    cubic = s * w
    cubic_rest = fma(s, w, -cubic) + fma(s, w_rest, s_rest * w)

    # k·log 2, then 2s, then the cubic term: in the order of their sizes, so that each rounding error is exact.
    log2, log2_rest = split_log2(x.format)
    base = k * log2
    first = base + 2.0 * s
    first_rest = select(k.equals(0.0), 0.0, (base - first) + 2.0 * s)
    total = first + cubic
    total_rest = (first - total) + cubic
    rest = total_rest + (first_rest + fma(k, log2_rest, 2.0 * s_rest + cubic_rest))
    high = total + rest
    return high, (total - high) + rest


def power(x: Scalar, p: Scalar) -> Scalar:
    """Return x^p for x ≥ 0, one for p = 0, NaN for negative x and for NaN of either."""
    high, low = log_in_two_parts(x)
    # The limits of log x; NaN keeps itself.
    high = select(x < math.inf, select(x > 0.0, high, -math.inf), x)
    # An infinite p would meet log 1 = 0.
    p = clamp(p, -x.format.largest, x.format.largest)
    product = p * high
    result = exp_compensated(product, fma(p, low, fma(p, high, -product)))
    result = select(p.equals(0.0) & (x >= 0.0), 1.0, result)
    return select(x < 0.0, math.nan, result)


KERNELS: Mapping[str, Kernel] = {"power": power}
