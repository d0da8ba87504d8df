"""Logarithms near the places where they vanish, and the rational function that is the derivative of one of them."""

from __future__ import annotations

from typing import Any

from lossfn.engine.primitives.coefficients import LOG_WIDE
from lossfn.engine.primitives.forms import HUGE, LOG2, ONE_IS_LOST, horner
from lossfn.engine.primitives.primitive import Primitive


def _log_exactly(mp: Any, x: Any) -> Any:
    # mpmath continues the logarithm to complex numbers.
    if x < 0:
        return mp.nan
    return -mp.inf if x == 0 else mp.log(x)


def _log1p_exactly(mp: Any, x: Any) -> Any:
    if x < -1:
        return mp.nan
    if x == -1:
        return -mp.inf
    return mp.inf if x == mp.inf else mp.log1p(x)


def _log1pmx(xp: Any, x: Any) -> Any:
    # With s = x/(2+x) and z = s², log(1+x) - x = s·(z·P(z) - x): the linear terms have been cancelled by hand.
    s = x / (2.0 + x)
    z = s * s
    near = s * (z * horner(z, LOG_WIDE) - x)
    # The logarithm of a huge x is lost beside x; inf - inf would be NaN.
    far = xp.log1p(xp.where(x > HUGE, HUGE, x)) - x
    return xp.where((x >= -0.5) & (x <= 1.0), near, far)


def _log1pmx_exactly(mp: Any, x: Any) -> Any:
    return -mp.inf if x == mp.inf else _log1p_exactly(mp, x) - x


def _squash(xp: Any, x: Any) -> Any:
    return xp.where(xp.abs(x) > HUGE, 1.0, x / (1.0 + x))


def _squash_exactly(mp: Any, x: Any) -> Any:
    if x == -1:
        return -mp.inf
    return mp.one if mp.isinf(x) else x / (1 + x)


def _log1psq(xp: Any, u: Any) -> Any:
    size = xp.abs(u)
    bounded = xp.where(size > ONE_IS_LOST, ONE_IS_LOST, size)
    return xp.where(size > ONE_IS_LOST, 2.0 * xp.log(size), xp.log1p(bounded * bounded))


def _log1mexp(xp: Any, x: Any) -> Any:
    return xp.where(x > -LOG2, xp.log(-xp.expm1(x)), xp.log1p(-xp.exp(x)))


def _log1mexp_exactly(mp: Any, x: Any) -> Any:
    if x > 0:
        return mp.nan
    if x == 0:
        return -mp.inf
    return mp.log(-mp.expm1(x)) if x > -1 else mp.log1p(-mp.exp(x))


FAMILY = (
    Primitive(
        name="log",
        derivative=lambda _ops, x: (1 / x,),
        array=lambda xp, x: xp.log(x),
        oracle=_log_exactly,
        latex=r"\log\left({0}\right)",
    ),
    Primitive(
        name="log1p",
        derivative=lambda _ops, x: (1 / (1 + x),),
        array=lambda xp, x: xp.log1p(x),
        oracle=_log1p_exactly,
        latex=r"\log\left(1 + {0}\right)",
    ),
    # log(1 + x) - x
    Primitive(
        name="log1pmx",
        derivative=lambda ops, x: (-ops.squash(x),),
        array=_log1pmx,
        oracle=_log1pmx_exactly,
        latex=r"\left(\log\left(1 + {0}\right) - \left({0}\right)\right)",
    ),
    # x/(1 + x)
    Primitive(
        name="squash",
        derivative=lambda _ops, x: (1 / (1 + x) ** 2,),
        array=_squash,
        oracle=_squash_exactly,
        latex=r"\frac{{{0}}}{{1 + {0}}}",
    ),
    # log(1 + u²)
    Primitive(
        name="log1psq",
        derivative=lambda ops, u: (2 * ops.unit(u) * ops.rh(u),),
        array=_log1psq,
        oracle=lambda mp, u: mp.inf if mp.isinf(u) else mp.log1p(u * u),
        latex=r"\log\left(1 + \left({0}\right)^2\right)",
    ),
    # log(1 - e^x) for x ≤ 0
    Primitive(
        name="log1mexp",
        derivative=lambda ops, x: (-ops.bose(x),),
        array=_log1mexp,
        oracle=_log1mexp_exactly,
        latex=r"\log\left(1 - e^{{{0}}}\right)",
    ),
)
