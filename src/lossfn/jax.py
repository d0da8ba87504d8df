"""How a loss becomes differentiable in JAX: derived gradients, twice. No mathematics stands here."""

from __future__ import annotations

from functools import cache
from typing import Any

try:
    import jax
except ImportError as error:
    raise ImportError("JAX arrays need JAX: pip install 'lossfn[jax]'") from error

from lossfn.engine.definition import Definition
from lossfn.engine.namespaces import ArrayNamespace


def elements(definition: Definition, ops: ArrayNamespace, arguments: list[Any]) -> Any:
    """Return the loss of each element; its gradient and Hessian are the derived ones.

    ``arguments`` are the heads, the target and the parameters.
    """
    count = len(definition.heads)
    value = _differentiable(definition, ops)
    return value(tuple(arguments[:count]), tuple(arguments[count:]))


@cache
def _differentiable(definition: Definition, ops: ArrayNamespace) -> Any:
    def evaluate(name: str, heads: Any, constants: Any) -> tuple[Any, ...]:
        results = definition.evaluate(name, ops, *heads, *constants)
        return results if isinstance(results, tuple) else (results,)

    @jax.custom_jvp
    def value(heads: Any, constants: Any) -> Any:
        return evaluate("value", heads, constants)[0]

    @jax.custom_jvp
    def gradient(heads: Any, constants: Any) -> Any:
        return evaluate("gradient", heads, constants)

    def value_jvp(primals: Any, tangents: Any) -> Any:
        _refuse(tangents[1])
        slopes = gradient(*primals)
        return value(*primals), sum(_product(slope, move) for slope, move in zip(slopes, tangents[0], strict=True))

    def gradient_jvp(primals: Any, tangents: Any) -> Any:
        _refuse(tangents[1])
        hessian = evaluate("hessian", *primals)
        moves = tangents[0]
        count = len(moves)
        change = tuple(
            sum(_product(hessian[row * count + column], moves[column]) for column in range(count))
            for row in range(count)
        )
        return gradient(*primals), change

    value.defjvp(value_jvp, symbolic_zeros=True)
    gradient.defjvp(gradient_jvp, symbolic_zeros=True)
    return value


def _product(slope: Any, move: Any) -> Any:
    return jax.numpy.zeros_like(slope) if _is_zero(move) else slope * move


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def _refuse(tangents: Any) -> None:
    if not all(_is_zero(tangent) for tangent in tangents):
        raise ValueError(
            "losses are differentiated by the prediction only; use jax.grad(..., argnums=<the prediction>), "
            "or jax.lax.stop_gradient(target)"
        )
