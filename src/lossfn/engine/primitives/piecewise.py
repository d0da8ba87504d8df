"""Functions with kinks, comparison and selection.

At a kink the second branch decides: ``relu`` and ``abs`` have derivative 0 at zero, and where the arguments of
``maximum`` or ``minimum`` are equal the derivative belongs to the second one.
"""

from __future__ import annotations

import sys
from typing import Any

from lossfn.engine.libraries import library_of_namespace
from lossfn.engine.primitives.forms import none_is_nan
from lossfn.engine.primitives.primitive import Primitive


def _sign(xp: Any, x: Any) -> Any:
    # Not every library's sign keeps NaN.
    return xp.where(x > 0, 1.0, xp.where(x < 0, -1.0, x))


def _relu(xp: Any, x: Any) -> Any:
    return xp.where(x <= 0, 0.0, x)


def _step(xp: Any, x: Any) -> Any:
    return xp.where(x > 0, 1.0, xp.where(x <= 0, 0.0, x))


def _maximum(xp: Any, a: Any, b: Any) -> Any:
    return xp.where(none_is_nan(a, b), xp.where(a > b, a, b), a + b)


def _minimum(xp: Any, a: Any, b: Any) -> Any:
    return xp.where(none_is_nan(a, b), xp.where(a < b, a, b), a + b)


def _stop_gradient(xp: Any, x: Any) -> Any:
    match library_of_namespace(xp):
        case "torch":
            return x.detach()
        case "jax":
            # Already imported by whoever made x.
            return sys.modules["jax"].lax.stop_gradient(x)
    return x


FAMILY = (
    Primitive(
        name="abs",
        derivative=lambda ops, x: (ops.sign(x),),
        array=lambda xp, x: xp.abs(x),
        oracle=lambda mp, x: mp.fabs(x),
        latex=r"\left|{0}\right|",
    ),
    Primitive(
        name="sign",
        derivative=lambda _ops, _x: (0,),
        array=_sign,
        oracle=lambda mp, x: mp.sign(x),
        latex=r"\operatorname{{sign}}\left({0}\right)",
    ),
    Primitive(
        name="relu",
        derivative=lambda ops, x: (ops.step(x),),
        array=_relu,
        oracle=lambda mp, x: max(x, mp.zero),
        latex=r"\max\left(0, {0}\right)",
    ),
    Primitive(
        name="step",
        derivative=lambda _ops, _x: (0,),
        array=_step,
        oracle=lambda mp, x: mp.one if x > 0 else mp.zero,
        latex=r"\mathbf{{1}}\left[{0} > 0\right]",
    ),
    Primitive(
        name="maximum",
        derivative=lambda ops, a, b: (ops.where(ops.greater(a, b), 1, 0), ops.where(ops.greater(a, b), 0, 1)),
        array=_maximum,
        oracle=lambda _mp, a, b: max(a, b),
        latex=r"\max\left({0}, {1}\right)",
    ),
    Primitive(
        name="minimum",
        derivative=lambda ops, a, b: (ops.where(ops.greater(b, a), 1, 0), ops.where(ops.greater(b, a), 0, 1)),
        array=_minimum,
        oracle=lambda _mp, a, b: min(a, b),
        latex=r"\min\left({0}, {1}\right)",
    ),
    # The jump where the condition changes is left out of the derivative.
    Primitive(
        name="where",
        derivative=lambda ops, condition, _a, _b: (None, ops.where(condition, 1, 0), ops.where(condition, 0, 1)),
        array=lambda xp, condition, a, b: xp.where(condition, a, b),
        oracle=lambda _mp, condition, a, b: a if condition else b,
        latex=r"\begin{{cases}}{1} & \text{{if }} {0} \\ {2} & \text{{otherwise}}\end{{cases}}",
    ),
    Primitive(
        name="equal",
        derivative=lambda _ops, _a, _b: (None, None),
        array=lambda _xp, a, b: a == b,
        oracle=lambda _mp, a, b: a == b,
        latex="{0} = {1}",
    ),
    # As a function, for derivative rules: some symbolic arguments decide ``a > b`` themselves.
    Primitive(
        name="greater",
        derivative=lambda _ops, _a, _b: (None, None),
        array=lambda _xp, a, b: a > b,
        oracle=lambda _mp, a, b: a > b,
        latex="{0} > {1}",
    ),
    Primitive(
        name="logical_and",
        derivative=lambda _ops, _a, _b: (None, None),
        array=lambda xp, a, b: xp.logical_and(a, b),
        oracle=lambda _mp, a, b: a and b,
        latex=r"{0} \wedge {1}",
    ),
    Primitive(
        name="logical_or",
        derivative=lambda _ops, _a, _b: (None, None),
        array=lambda xp, a, b: xp.logical_or(a, b),
        oracle=lambda _mp, a, b: a or b,
        latex=r"{0} \vee {1}",
    ),
    Primitive(
        name="logical_not",
        derivative=lambda _ops, _a: (None,),
        array=lambda xp, a: xp.logical_not(a),
        oracle=lambda _mp, a: not a,
        latex=r"\neg {0}",
    ),
    Primitive(
        name="stop_gradient",
        derivative=lambda _ops, _x: (0,),
        array=_stop_gradient,
        oracle=lambda _mp, x: x,
        latex=r"\operatorname{{stop}}\left({0}\right)",
    ),
)
