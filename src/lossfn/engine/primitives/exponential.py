"""Exponentials, written so that nothing cancels near zero and no intermediate result overflows."""

from __future__ import annotations

from typing import Any

from lossfn.engine.primitives.coefficients import EXPM1MX
from lossfn.engine.primitives.forms import horner, none_is_nan
from lossfn.engine.primitives.primitive import Primitive


def _expm1mx(xp: Any, x: Any) -> Any:
    # Where e^x has overflowed, subtracting more than 100 could only turn infinity into NaN.
    far = xp.expm1(x) - xp.where(x > 100.0, 100.0, x)
    return xp.where(xp.abs(x) < 1.0, x * x * horner(x, EXPM1MX), far)


def _expm1_exactly(mp: Any, x: Any) -> Any:
    # So far out mpmath takes seconds to find a difference from -1 that is 0 in every format.
    return -mp.one if x < -1e7 else mp.expm1(x)


def _mulexp(xp: Any, a: Any, b: Any) -> Any:
    # In two halves: e^b may overflow where a·e^b does not. A half overflows too only where a is subnormal.
    half = xp.exp(b / 2)
    vanishes = (a == 0) | (b == -xp.inf)
    # An infinite factor meets a half that has become zero.
    product = xp.where((xp.abs(a) == xp.inf) & (b == b), a, a * half * half)
    return xp.where(vanishes & none_is_nan(a, b), 0.0, product)


def _mulexp_exactly(mp: Any, a: Any, b: Any) -> Any:
    return mp.zero if a == 0 or b == -mp.inf else a * mp.exp(b)


def _exp_exactly(mp: Any, x: Any) -> Any:
    # A power of such a number has an exponent that no memory holds.
    if abs(x) > mp.mpf(10) ** 2000:
        return mp.zero if x < 0 else mp.inf
    return mp.exp(x)


def _bose(xp: Any, x: Any) -> Any:
    below = -xp.abs(x)
    return xp.where(x <= 0, xp.exp(below), -1.0) / -xp.expm1(below)


def _bose_exactly(mp: Any, x: Any) -> Any:
    return mp.inf if x == 0 else 1 / mp.expm1(-x)


FAMILY = (
    Primitive(
        name="exp",
        derivative=lambda ops, x: (ops.exp(x),),
        array=lambda xp, x: xp.exp(x),
        oracle=_exp_exactly,
        latex="e^{{{0}}}",
    ),
    Primitive(
        name="expm1",
        derivative=lambda ops, x: (ops.exp(x),),
        array=lambda xp, x: xp.expm1(x),
        oracle=_expm1_exactly,
        latex=r"\left(e^{{{0}}} - 1\right)",
    ),
    # e^x - 1 - x
    Primitive(
        name="expm1mx",
        derivative=lambda ops, x: (ops.expm1(x),),
        array=_expm1mx,
        oracle=lambda mp, x: mp.inf if mp.isinf(x) else mp.exp(x) - 1 - x,
        latex=r"\left(e^{{{0}}} - 1 - \left({0}\right)\right)",
    ),
    # a·e^b, where zero times infinity is zero and e^b alone may overflow
    Primitive(
        name="mulexp",
        derivative=lambda ops, a, b: (ops.exp(b), ops.mulexp(a, b)),
        array=_mulexp,
        oracle=_mulexp_exactly,
        latex=r"\left({0}\right) e^{{{1}}}",
    ),
    # 1/(e^(-x) - 1), the occupation number of Bose-Einstein statistics at energy -x
    Primitive(
        name="bose",
        # For the x < 0 of log-probabilities nothing cancels, and at 0 both factors have the same sign.
        derivative=lambda ops, x: (ops.bose(x) * (1 + ops.bose(x)),),
        array=_bose,
        oracle=_bose_exactly,
        latex=r"\frac{{1}}{{e^{{-\left({0}\right)}} - 1}}",
    ),
)
