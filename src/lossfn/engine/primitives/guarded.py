"""Products, quotients and powers in which zero wins over infinity, as it does in expectations.

NaN wins over both, except in ``xmul``: a label 0 drops its term, and the engine restores the NaN of a prediction.
"""

from __future__ import annotations

from typing import Any

from lossfn.engine.primitives.forms import sign_of_infinity
from lossfn.engine.primitives.logarithmic import _log1p_exactly, _log_exactly
from lossfn.engine.primitives.primitive import Primitive


def _xmul(xp: Any, a: Any, b: Any) -> Any:
    return xp.where(a == 0, 0.0, a * b)


def _xlogy(xp: Any, x: Any, y: Any) -> Any:
    return xp.where((x == 0) & (y == y), 0.0, x * xp.log(y))


def _xlog1py(xp: Any, x: Any, y: Any) -> Any:
    return xp.where((x == 0) & (y == y), 0.0, x * xp.log1p(y))


def _xdivy(xp: Any, x: Any, y: Any) -> Any:
    return xp.where((x == 0) & (y == y), 0.0, x / y)


def _xdivy_exactly(mp: Any, x: Any, y: Any) -> Any:
    if x == 0:
        return mp.zero
    return sign_of_infinity(mp, x) if y == 0 else x / y


def _power(xp: Any, x: Any, p: Any) -> Any:
    # abs, because (-0.0)**-1 is -inf. Libraries give 1 for NaN**0 and 1**NaN.
    result = xp.abs(x) ** p
    return xp.where((x >= 0) & (p == p), result, xp.where(x < 0, xp.nan, x + p))


def _power_exactly(mp: Any, x: Any, p: Any) -> Any:
    if x < 0:
        return mp.nan
    if p == 0 or x == 1:
        return mp.one
    if x == 0 or mp.isinf(x) or mp.isinf(p):
        return mp.inf if (x > 1) == (p > 0) else mp.zero
    return mp.exp(p * mp.log(x))


FAMILY = (
    # a·b for a finite a such as a label; zero for a = 0 whatever b is
    Primitive(
        name="xmul",
        derivative=lambda _ops, a, b: (b, a),
        array=_xmul,
        oracle=lambda mp, a, b: mp.zero if a == 0 else mp.mpf(a) * b,
        latex=r"\left({0}\right) \left({1}\right)",
    ),
    # x·log(y), zero for x = 0
    Primitive(
        name="xlogy",
        derivative=lambda ops, x, y: (ops.log(y), ops.xdivy(x, y)),
        array=_xlogy,
        oracle=lambda mp, x, y: mp.zero if x == 0 else x * _log_exactly(mp, y),
        latex=r"\left({0}\right) \log\left({1}\right)",
    ),
    # x·log(1 + y), zero for x = 0
    Primitive(
        name="xlog1py",
        derivative=lambda ops, x, y: (ops.log1p(y), ops.xdivy(x, 1 + y)),
        array=_xlog1py,
        oracle=lambda mp, x, y: mp.zero if x == 0 else x * _log1p_exactly(mp, y),
        latex=r"\left({0}\right) \log\left(1 + {1}\right)",
    ),
    # x/y, zero for x = 0
    Primitive(
        name="xdivy",
        derivative=lambda ops, x, y: (1 / y, -ops.xdivy(ops.xdivy(x, y), y)),
        array=_xdivy,
        oracle=_xdivy_exactly,
        latex=r"\frac{{{0}}}{{{1}}}",
    ),
    # x^p for x ≥ 0; 0^0 = 1, and NaN for negative x even where p is whole
    Primitive(
        name="power",
        # At x = 0 the derivative in x is p·0^(p-1), where p = 0 wins over an infinite power.
        derivative=lambda ops, x, p: (ops.xmul(p, ops.power(x, p - 1)), ops.xlogy(ops.power(x, p), x)),
        array=_power,
        oracle=_power_exactly,
        latex=r"\left({0}\right)^{{{1}}}",
    ),
)
