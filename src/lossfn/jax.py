"""How a loss becomes differentiable in JAX: derived gradients, twice. No mathematics stands here."""

from __future__ import annotations

from functools import cache
from typing import Any

from lossfn import checks
from lossfn.extras import needs

with needs("lossfn.jax", "jax"):
    import jax

from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lossfn.engine.definition import Definition
from lossfn.engine.namespaces import ArrayNamespace
from lossfn.engine.rows import RowFunctions
from lossfn.reduce import Total

# Functions that are compiled or mapped may return totals, as others return arrays.
jax.tree_util.register_dataclass(Total, data_fields=["sum", "weight"], meta_fields=[])


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
        case "value_gradient_and_hessian":
            return (value(*inputs), *gradient(*inputs), *_curvature("hessian", definition, ops)(*inputs))
        case "gradient_and_hessian" | "gradient_and_majorizer":
            return (*gradient(*inputs), *_curvature(function, definition, ops)(*inputs)[count:])
    raise AssertionError(f"{function} has no rule of differentiation")


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
            checks.refuse_third_derivative()
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


# The product of a Hessian with a vector is a primitive: JAX then knows that it is linear in the vector, and that its
# transpose is itself, whatever the formula does with the vector for accuracy. So reverse mode goes over reverse mode.
_product_of_rows: Any = Primitive("hessian_product_of_rows")


def _run(vector: Any, *arrays: Any, functions: RowFunctions, ops: ArrayNamespace, axes: tuple[Any, ...]) -> Any:
    """Compute the product; ``axes`` are those of each ``vmap`` around it, the innermost first."""

    def product(vector: Any, scores: Any, *targets: Any) -> Any:
        return functions.row_hessian_product(ops, scores, functions.Target(*targets), vector)

    for each in axes:
        product = jax.vmap(product, in_axes=each)
    return product(vector, *arrays)


def _product_jvp(primals: Any, tangents: Any, **settings: Any) -> Any:
    move, *others = tangents
    if not all(isinstance(other, ad.Zero) for other in others):
        checks.refuse_third_derivative()
    result = _product_of_rows.bind(*primals, **settings)
    if isinstance(move, ad.Zero):
        return result, move
    return result, _product_of_rows.bind(move, *primals[1:], **settings)


def _product_transpose(upstream: Any, vector: Any, *arrays: Any, **settings: Any) -> Any:  # noqa: ARG001 (JAX's signature)
    result = upstream if isinstance(upstream, ad.Zero) else _product_of_rows.bind(upstream, *arrays, **settings)
    return [result, *[None] * len(arrays)]


def _product_batch(arrays: Any, places: Any, **settings: Any) -> Any:
    vector, *others = arrays
    size = next(array.shape[place] for array, place in zip(arrays, places, strict=True) if place is not None)
    if places[0] is None:
        vector = jax.numpy.broadcast_to(vector, (size, *vector.shape))
    else:
        vector = jax.numpy.moveaxis(vector, places[0], 0)
    settings["axes"] = (*settings["axes"], (0, *places[1:]))
    return _product_of_rows.bind(vector, *others, **settings), 0


_product_of_rows.def_impl(_run)
_product_of_rows.def_abstract_eval(lambda vector, *_, **__: vector)
ad.primitive_jvps[_product_of_rows] = _product_jvp
ad.primitive_transposes[_product_of_rows] = _product_transpose
batching.primitive_batchers[_product_of_rows] = _product_batch
mlir.register_lowering(_product_of_rows, mlir.lower_fun(_run, multiple_results=False))


@cache
def rowwise(name: str, functions: RowFunctions, ops: ArrayNamespace) -> Any:
    """Return the function ``name`` of a row-wise loss, of scores and targets, differentiable by the scores."""

    @jax.custom_jvp
    def gradient(scores: Any, targets: Any) -> Any:
        return functions.row_gradient(ops, scores, functions.Target(*targets))

    @jax.custom_jvp
    def value(scores: Any, targets: Any) -> Any:
        return functions.row_value(ops, scores, functions.Target(*targets))

    def value_jvp(primals: Any, tangents: Any) -> Any:
        _refuse_target(tangents[1])
        slopes = gradient(*primals)
        return value(*primals), _product(slopes, tangents[0]).sum(-1)

    def gradient_jvp(primals: Any, tangents: Any) -> Any:
        _refuse_target(tangents[1])
        slopes = gradient(*primals)
        move = tangents[0]
        if _is_zero(move):
            return slopes, jax.numpy.zeros_like(slopes)
        scores, targets = primals
        return slopes, _product_of_rows.bind(move, scores, *targets, functions=functions, ops=ops, axes=())

    value.defjvp(value_jvp, symbolic_zeros=True)
    gradient.defjvp(gradient_jvp, symbolic_zeros=True)
    function = {"row_value": value, "row_gradient": gradient}[name]
    return lambda scores, *targets: function(scores, targets)
