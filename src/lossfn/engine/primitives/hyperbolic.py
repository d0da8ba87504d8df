"""The family of √(1 + u²), closed under differentiation; u² never overflows."""

from __future__ import annotations

from typing import Any

from lossfn.engine.primitives.forms import ONE_IS_LOST
from lossfn.engine.primitives.primitive import Primitive


def _bounded(xp: Any, size: Any) -> Any:
    return xp.where(size > ONE_IS_LOST, ONE_IS_LOST, size)


def _sqrt1psq(xp: Any, u: Any) -> Any:
    size = xp.abs(u)
    v = _bounded(xp, size)
    return xp.where(size > ONE_IS_LOST, size, xp.sqrt(1.0 + v * v))


def _sqrt1psqm1(xp: Any, u: Any) -> Any:
    size = xp.abs(u)
    v = _bounded(xp, size)
    return xp.where(size > ONE_IS_LOST, size - 1.0, v * v / (1.0 + xp.sqrt(1.0 + v * v)))


def _unit(xp: Any, u: Any) -> Any:
    v = _bounded(xp, xp.abs(u))
    return xp.where(u < 0, -v, v) / xp.sqrt(1.0 + v * v)


def _unit_exactly(mp: Any, u: Any) -> Any:
    return mp.sign(u) if mp.isinf(u) else u / mp.sqrt(1 + u * u)


def _sqrt_exactly(mp: Any, x: Any) -> Any:
    return mp.nan if x < 0 else mp.sqrt(x)


FAMILY = (
    Primitive(
        name="sqrt",
        derivative=lambda ops, x: (1 / (2 * ops.sqrt(x)),),
        array=lambda xp, x: xp.sqrt(x),
        oracle=_sqrt_exactly,
        latex=r"\sqrt{{{0}}}",
    ),
    # √(1 + u²)
    Primitive(
        name="sqrt1psq",
        derivative=lambda ops, u: (ops.unit(u),),
        array=_sqrt1psq,
        oracle=lambda mp, u: mp.sqrt(1 + u * u),
        latex=r"\sqrt{{1 + \left({0}\right)^2}}",
    ),
    # √(1 + u²) - 1
    Primitive(
        name="sqrt1psqm1",
        derivative=lambda ops, u: (ops.unit(u),),
        array=_sqrt1psqm1,
        oracle=lambda mp, u: mp.sqrt(1 + u * u) - 1,
        latex=r"\left(\sqrt{{1 + \left({0}\right)^2}} - 1\right)",
    ),
    # u/√(1 + u²)
    Primitive(
        name="unit",
        derivative=lambda ops, u: (ops.rh(u) ** 3,),
        array=_unit,
        oracle=_unit_exactly,
        latex=r"\frac{{{0}}}{{\sqrt{{1 + \left({0}\right)^2}}}}",
    ),
    # 1/√(1 + u²), the reciprocal of the hypotenuse
    Primitive(
        name="rh",
        derivative=lambda ops, u: (-ops.unit(u) * ops.rh(u) ** 2,),
        array=lambda xp, u: 1.0 / _sqrt1psq(xp, u),
        oracle=lambda mp, u: 1 / mp.sqrt(1 + u * u),
        latex=r"\frac{{1}}{{\sqrt{{1 + \left({0}\right)^2}}}}",
    ),
)
