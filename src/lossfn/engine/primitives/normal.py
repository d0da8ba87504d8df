"""The normal density and distribution function, the latter centred: its values next to zero keep their digits."""

from __future__ import annotations

import math
from typing import Any

from lossfn.engine.primitives.forms import horner
from lossfn.engine.primitives.normal_coefficients import ERF, ERFCX
from lossfn.engine.primitives.primitive import Primitive

# Beyond the first, e^(-x²/2) is zero in every format, and beyond the second 2Φ(x) - 1 rounds to 1.
PDF_VANISHES = 40.0
CENTRED_NDTR_IS_ONE = 8.5

SQRT_TWO = math.sqrt(2.0)


def _normpdf(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    size = xp.where(size > PDF_VANISHES, PDF_VANISHES, size)
    # The square of a number with few digits is exact; what is left of the exponent is small.
    coarse = xp.round(16.0 * size) / 16.0
    rest = (coarse - size) * (coarse + size)
    return xp.exp(-coarse * coarse / 2) * (xp.exp(rest / 2) / math.sqrt(2 * math.pi))


def _centred_ndtr(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    near = (x * math.sqrt(0.5)) * horner(x * x / 2, ERF)
    bounded = xp.where(size > CENTRED_NDTR_IS_ONE, CENTRED_NDTR_IS_ONE, size)
    far = 1.0 - xp.exp(-bounded * bounded / 2) * _erfcx(bounded * math.sqrt(0.5))
    return xp.where(size < SQRT_TWO, near, xp.where(x < 0, -far, far))


def _erfcx(x: Any) -> Any:
    """Return e^(x²)·erfc(x) for x ≥ 0."""
    return 0.5 * horner(1.0 - 8.0 / (x + 4.0), ERFCX) / (0.5 + x)


def _scaled_tail(xp: Any, x: Any) -> Any:
    return xp.where(x >= 0, _erfcx(xp.abs(x) * math.sqrt(0.5)), xp.nan)


def _scaled_tail_exactly(mp: Any, x: Any) -> Any:
    if x < 0:
        return mp.nan
    if x < 1e4:
        with mp.workprec(mp.prec + 2 * max(0, mp.mag(x))):
            return mp.exp(x * x / 2) * mp.erfc(x / mp.sqrt(2))
    # The asymptotic series, whose terms fall below all digits before they grow again.
    total = term = mp.one
    k = 1
    while abs(term) > mp.eps:
        term *= -(2 * k - 1) / (x * x)
        total += term
        k += 1
    return total * mp.sqrt(2 / mp.pi) / x


def _normpdf_exactly(mp: Any, x: Any) -> Any:
    # The exponents of mpmath are whole numbers with a limited number of digits.
    return mp.zero if abs(x) > 2.0**32 else mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def _centred_ndtr_exactly(mp: Any, x: Any) -> Any:
    return mp.sign(x) if abs(x) > mp.prec else mp.erf(x / mp.sqrt(2))


FAMILY = (
    # The density of the standard normal distribution
    Primitive(
        name="normpdf",
        derivative=lambda ops, x: (-x * ops.normpdf(x),),
        array=_normpdf,
        oracle=_normpdf_exactly,
        latex=r"\varphi\left({0}\right)",
    ),
    # e^(x²/2) times twice the upper tail of the standard normal distribution, that is erfcx(x/√2), for x ≥ 0
    Primitive(
        name="scaled_tail",
        derivative=lambda ops, x: (x * ops.scaled_tail(x) - 2 * ops.normpdf(0 * x),),
        array=_scaled_tail,
        oracle=_scaled_tail_exactly,
        latex=r"\operatorname{{erfcx}}\left(\tfrac{{{0}}}{{\sqrt{{2}}}}\right)",
    ),
    # 2Φ(x) - 1 for the distribution function Φ of the standard normal distribution, that is erf(x/√2)
    Primitive(
        name="centred_ndtr",
        derivative=lambda ops, x: (2 * ops.normpdf(x),),
        array=_centred_ndtr,
        oracle=_centred_ndtr_exactly,
        latex=r"\left(2 \Phi\left({0}\right) - 1\right)",
    ),
)
