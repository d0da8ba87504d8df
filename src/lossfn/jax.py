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
from lossfn.engine.rows import RowFunctions, joined


def evaluate(function: str, definition: Definition, ops: ArrayNamespace, arguments: list[Any]) -> tuple[Any, ...]:
    """Return the results of a generated function; the derivatives of values and gradients are the derived ones.

    ``arguments`` are the heads, the parts of the target and the parameters.
    """
    count = len(definition.heads)
    inputs = tuple(arguments[:count]), tuple(arguments[count:])
    value, gradient = _differentiable(definition, ops)
    match function:
        case "value":
            return (value(*inputs),)
        case "value_and_gradient":
            return (value(*inputs), *gradient(*inputs))
        case "hessian":
            return tuple(_curvature(function, definition, ops)(*inputs))
    return (*gradient(*inputs), *_curvature(function, definition, ops)(*inputs)[count:])


@cache
def _differentiable(definition: Definition, ops: ArrayNamespace) -> tuple[Any, Any]:
    @jax.custom_jvp
    def value(heads: Any, constants: Any) -> Any:
        return definition.evaluate("value", ops, *heads, *constants)[0]

    @jax.custom_jvp
    def gradient(heads: Any, constants: Any) -> Any:
        return definition.evaluate("gradient", ops, *heads, *constants)

    def value_jvp(primals: Any, tangents: Any) -> Any:
        _refuse_target(tangents[1])
        slopes = gradient(*primals)
        return value(*primals), sum(_product(slope, move) for slope, move in zip(slopes, tangents[0], strict=True))

    def gradient_jvp(primals: Any, tangents: Any) -> Any:
        _refuse_target(tangents[1])
        hessian = _curvature("hessian", definition, ops)(*primals)
        moves = tangents[0]
        count = len(moves)
        change = tuple(
            sum(_product(hessian[row * count + column], moves[column]) for column in range(count))
            for row in range(count)
        )
        return gradient(*primals), change

    value.defjvp(value_jvp, symbolic_zeros=True)
    gradient.defjvp(gradient_jvp, symbolic_zeros=True)
    return value, gradient


@cache
def _curvature(function: str, definition: Definition, ops: ArrayNamespace) -> Any:
    """Second derivatives; what JAX would make of their formulas is wrong at kinks, so it is refused."""

    @jax.custom_jvp
    def curvature(heads: Any, constants: Any) -> Any:
        return definition.evaluate(function, ops, *heads, *constants)

    def refuse(primals: Any, tangents: Any) -> Any:
        if not all(map(_is_zero, jax.tree.leaves(tangents, is_leaf=_is_zero))):
            raise NotImplementedError("losses are differentiated twice; a third derivative is not available")
        results = curvature(*primals)
        return results, tuple(map(jax.numpy.zeros_like, results))

    curvature.defjvp(refuse, symbolic_zeros=True)
    return curvature


def _product(slope: Any, move: Any) -> Any:
    return jax.numpy.zeros_like(slope) if _is_zero(move) else slope * move


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def _refuse_target(tangents: Any) -> None:
    if not all(map(_is_zero, tangents)):
        raise ValueError(
            "losses are differentiated by the prediction only; use jax.grad(..., argnums=<the prediction>), "
            "or jax.lax.stop_gradient(target)"
        )


@cache
def rowwise(name: str, functions: RowFunctions, ops: ArrayNamespace) -> Any:
    """Return the function ``name`` of a row-wise loss, of scores and targets, differentiable by the scores."""

    @jax.custom_jvp
    def product(vector: Any, scores: Any, targets: Any) -> Any:
        return functions.row_hessian_product(ops, scores, joined(targets), vector)

    @jax.custom_jvp
    def gradient(scores: Any, targets: Any) -> Any:
        return functions.row_gradient(ops, scores, joined(targets))

    @jax.custom_jvp
    def value(scores: Any, targets: Any) -> Any:
        return functions.row_value(ops, scores, joined(targets))

    def value_jvp(primals: Any, tangents: Any) -> Any:
        _refuse_target(tangents[1])
        slopes = gradient(*primals)
        return value(*primals), _product(slopes, tangents[0]).sum(-1)

    def gradient_jvp(primals: Any, tangents: Any) -> Any:
        _refuse_target(tangents[1])
        slopes = gradient(*primals)
        move = tangents[0]
        return slopes, jax.numpy.zeros_like(slopes) if _is_zero(move) else product(move, *primals)

    def product_jvp(primals: Any, tangents: Any) -> Any:
        # It is linear in the vector; by the scores it would be a third derivative.
        if not all(map(_is_zero, jax.tree.leaves(tangents[1:], is_leaf=_is_zero))):
            raise NotImplementedError("losses are differentiated twice; a third derivative is not available")
        result = product(*primals)
        move = tangents[0]
        return result, jax.numpy.zeros_like(result) if _is_zero(move) else product(move, *primals[1:])

    value.defjvp(value_jvp, symbolic_zeros=True)
    gradient.defjvp(gradient_jvp, symbolic_zeros=True)
    product.defjvp(product_jvp, symbolic_zeros=True)
    function = {"row_value": value, "row_gradient": gradient}[name]
    return lambda scores, *targets: function(scores, targets)
