"""The primitives as JAX functions whose derivatives are the primitives' own rules, as often as wanted.

JAX would differentiate the array forms branch by branch, which is wrong at kinks such as the |x| inside a softplus.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax

from lossfn.engine.primitives import PRIMITIVES


class _Primitives:
    """The primitives by name, as derivative rules ask for them."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return primitive(name)


@cache
def primitive(name: str) -> Callable[..., Any]:
    """Return a primitive as a differentiable function of arrays."""

    @jax.custom_jvp
    def of_one_shape(*arguments: Any) -> Any:
        return PRIMITIVES[name].array(jax.numpy, *arguments)

    def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        slopes = PRIMITIVES[name].derivative(_Primitives(), *primals)
        value = of_one_shape(*primals)
        # An argument that does not move may have an infinite slope.
        moves = [slope * move for slope, move in zip(slopes, tangents, strict=True) if not _is_zero(move)]
        return value, sum(moves[1:], start=moves[0]) if moves else jax.numpy.zeros_like(value)

    of_one_shape.defjvp(rule, symbolic_zeros=True)

    def function(*arguments: Any) -> Any:
        return of_one_shape(*jax.numpy.broadcast_arrays(*arguments))

    return function


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)
