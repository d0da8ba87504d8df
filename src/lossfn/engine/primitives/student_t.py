"""Student's t distribution with a given number of degrees of freedom: distribution function and score.

With ν degrees of freedom, q = x²/ν and the density f, the distribution function F is near zero a series with positive
terms, 2F(x) - 1 = 2x·f(x)·Σ Π (ν + 2k - 1)/(2k + 1)·q/(1 + q), and in the tails a continued fraction of x·f(x), the
contracted one of the incomplete Beta function. Both hold for ν → ∞, the normal distribution.
"""

from __future__ import annotations

import math
from typing import Any

from lossfn.engine.primitives.coefficients import Polynomial
from lossfn.engine.primitives.forms import horner, log_gamma
from lossfn.engine.primitives.gamma import FAMILY as GAMMA
from lossfn.engine.primitives.primitive import Primitive

# In 2/ν - 1, for ν ≥ 1: the score at the centre, interpolated at Chebyshev nodes in 90-digit arithmetic. Relative error
# below 2^-56 (float64) and 2^-26 (float32).
CENTRE_SCORE = Polynomial(
    float64=(
        0.3034928278335035,
        0.09250924689399405,
        0.03006874465420909,
        0.010046514033718852,
        0.0034952819861460713,
        0.0010857062049083096,
        0.00038414684298763166,
        0.00012827078318854897,
        3.7907078850324756e-05,
        1.6438479941286767e-05,
        3.4691003211235823e-06,
        1.934151594065419e-06,
        4.93770382563789e-07,
        7.633088186524315e-08,
        1.4829141767936526e-07,
        -5.0118482233667956e-08,
        9.836887501555814e-08,
        -5.239557798120952e-08,
        -9.541221639818978e-08,
        7.114136489982147e-08,
        1.8220695338858722e-07,
        -1.2492436223725264e-07,
        -2.3189586841549433e-07,
        1.6407279673493342e-07,
        1.9783316277186955e-07,
        -1.4283651996038975e-07,
        -1.152698754614941e-07,
        8.5166904561812e-08,
        3.894190777378451e-08,
        -2.996139494803778e-08,
        -5.550550520010588e-09,
        4.502141246015211e-09,
    ),
    float32=(
        0.30349281430244446,
        0.09250924736261368,
        0.030068788677453995,
        0.01004650816321373,
        0.003494767239317298,
        0.001085769385099411,
        0.00038626333116553724,
        0.0001280208380194381,
        3.4112646972062066e-05,
        1.6844829588080756e-05,
        6.328103609121172e-06,
        1.721131980048085e-06,
    ),
)

# The series serves where x² is at most the first, and at most the second times ν.
LARGEST_SQUARE = 4.0
LARGEST_SHARE = 1.0 / 3.0

# How many terms and steps that takes, in float64 and in float32.
TERMS = {64: 36, 32: 20}
STEPS = {64: 47, 32: 11}

# Beyond the first, 2F(x) - 1 rounds to 1 from ν = 1 on; from the second on, ν is infinite for all that is seen.
LARGEST_SIZE = 2.0**60
LARGEST_DF = 2.0**100

# Up to it the oracle takes the Gamma function itself.
FEW = 2.0**10

ROOT_TWO_PI_INVERSE = 1.0 / math.sqrt(2.0 * math.pi)


def fraction_coefficients(m: int, inverse_df: Any) -> tuple[Any, Any, Any, Any]:
    """Return the partial numerator a of step m over w², and the denominator as b + b_w·w + b_v·v.

    The textbook form in a = ν/2 is divided by powers of it, and its difference of large numbers is v/2, for
    w = 1/(1 + q) and v = x²·w.
    """
    h = 2.0 * inverse_df
    last, following = 1.0 + (2 * m - 1) * h, 1.0 + (2 * m + 1) * h
    weight = (1.0 + m * h) / following
    numerator = m * (0.5 - m) * ((1.0 + (m - 1) * h) / last) * ((1.0 + (m - 0.5) * h) / last)
    by_w = -(m + 0.5) * weight if m == 0 else m * (0.5 - m) * h / last - (m + 0.5) * weight
    return numerator, m + (2 * m + 1) * weight, by_w, 0.5 * weight


def _centred_t(xp: Any, x: Any, df: Any) -> Any:
    bits = 64 if xp.finfo(x.dtype).bits == 64 else 32
    bounded = xp.where(df < LARGEST_DF, df, LARGEST_DF)
    inverse = 1.0 / bounded
    size = xp.abs(x)
    size = xp.where(size > LARGEST_SIZE, LARGEST_SIZE, size)
    square = size * size
    q = square * inverse
    w = 1.0 / (1.0 + q)
    v = xp.where(q < 1.0, square * w, bounded * (1.0 - w))
    density = _centre_density(xp, bounded) * xp.exp(-0.5 * (bounded + 1.0) * xp.log1p(q))
    series = 1.0
    for k in reversed(range(TERMS[bits])):
        series = 1.0 + v * ((1.0 + (2 * k + 1) * inverse) / (2 * k + 3)) * series
    is_near = (square <= LARGEST_SQUARE) & (q <= LARGEST_SHARE)
    fraction = _denominator(STEPS[bits], inverse, w, v)
    for m in range(STEPS[bits], 0, -1):
        fraction = _denominator(m - 1, inverse, w, v) + fraction_coefficients(m, inverse)[0] * w * w / fraction
    positive = xp.where(is_near, size * (2.0 * density * series), 1.0 - size * density / fraction)
    return xp.where(df >= 1.0, xp.where(x < 0, -positive, positive), xp.nan)


def _denominator(m: int, inverse_df: Any, w: Any, v: Any) -> Any:
    _, constant, by_w, by_v = fraction_coefficients(m, inverse_df)
    return constant + by_w * w + by_v * v


def _centre_density(xp: Any, df: Any) -> Any:
    return xp.where(df >= 1.0, ROOT_TWO_PI_INVERSE * xp.exp(GAMMA[0].array(xp, xp.log(df))), xp.nan)


def _centred_t_exactly(mp: Any, x: Any, df: Any) -> Any:
    if df < 1:
        return mp.nan
    if mp.isinf(x) or not x:
        return mp.sign(x)
    if mp.isinf(df):
        return mp.sign(x) if abs(x) > mp.prec else mp.erf(x / mp.sqrt(2))
    half = mp.mpf(1) / 2
    with mp.workprec(mp.prec + 2 * mp.mag(df)):
        q = x * x / df
        if (df - 1) * mp.log1p(q) > 2 * mp.prec:
            # The tail is below all digits.
            return mp.sign(x)
        if q < 1:
            return mp.sign(x) * mp.betainc(half, df / 2, 0, q / (1 + q), regularized=True)
        return mp.sign(x) * (1 - mp.betainc(df / 2, half, 0, 1 / (1 + q), regularized=True))


def _centre_density_exactly(mp: Any, df: Any) -> Any:
    if df < 1:
        return mp.nan
    if mp.isinf(df):
        return 1 / mp.sqrt(2 * mp.pi)
    with mp.workprec(mp.prec + 4 * mp.mag(df)):
        half = df / 2
        if df < FEW:
            # Of whole numbers mpmath has the Gamma function at once.
            ratio = mp.gamma(half + mp.mpf(1) / 2) / mp.gamma(half)
        else:
            ratio = mp.exp(log_gamma(mp, half + mp.mpf(1) / 2) - log_gamma(mp, half))
        return ratio / mp.sqrt(mp.pi * df)


def _centre_score(xp: Any, df: Any) -> Any:
    return xp.where(df >= 1.0, horner(2.0 / df - 1.0, CENTRE_SCORE), xp.nan)


def _centre_score_exactly(mp: Any, df: Any) -> Any:
    if df < 1:
        return mp.nan
    if mp.isinf(df):
        return (mp.sqrt(2) - 1) / mp.sqrt(mp.pi)
    if df == 1:
        return 2 * mp.log(2) / mp.pi
    half = mp.mpf(1) / 2
    with mp.workprec(mp.prec + 2 * abs(mp.mag(df)) + 2 * abs(mp.mag(df - 1))):
        beta = mp.beta(half, df / 2)
        return 2 * mp.sqrt(df) / ((df - 1) * beta) * (1 - mp.beta(half, df - half) / beta)


def _slope(ops: Any, x: Any, df: Any) -> tuple[Any, None]:
    scaled = ops.mulexp(x, -ops.log(df) / 2)
    return 2 * ops.t_centre_density(df) * ops.exp(-(df + 1) / 2 * ops.log1psq(scaled)), None


FAMILY = (
    # 2F(x) - 1 for the distribution function F of Student's t with so many degrees of freedom, from 1 on
    Primitive(
        name="centred_t",
        derivative=_slope,
        array=_centred_t,
        oracle=_centred_t_exactly,
        latex=r"\left(2 F_{{{1}}}\left({0}\right) - 1\right)",
    ),
    # The density of that distribution at its centre
    Primitive(
        name="t_centre_density",
        derivative=lambda _ops, _df: (None,),
        array=_centre_density,
        oracle=_centre_density_exactly,
        cancels_near_zero=False,
        latex=r"f_{{{0}}}\left(0\right)",
    ),
    # The continuous ranked probability score of that distribution for a target at its centre
    Primitive(
        name="t_centre_score",
        derivative=lambda _ops, _df: (None,),
        array=_centre_score,
        oracle=_centre_score_exactly,
        latex=r"c_{{{0}}}",
    ),
)
