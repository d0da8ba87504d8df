"""Losses by operations of PyTorch, on any device, under every transform: derived gradients, twice.

No mathematics stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch

from lossfn import checks
from lossfn.engine import tensors
from lossfn.engine.definition import Definition
from lossfn.engine.namespaces import ArrayNamespace
from lossfn.engine.rows import RowFunctions


def evaluate(function: str, definition: Definition, ops: ArrayNamespace, arguments: list[Any]) -> tuple[Any, ...]:
    """Return the results of a generated function; the derivatives of values and gradients are the derived ones.

    ``arguments`` are the heads, the parts of the target and the parameters.
    """
    heads = len(definition.heads)
    if any(part.requires_grad for part in arguments[heads : heads + len(definition.targets)]):
        refuse_target()
    inputs = (definition, ops, *arguments)
    match function:
        case "value":
            return (_Value.apply(*inputs),)
        case "value_and_gradient":
            return (_Value.apply(*inputs), *_Gradient.apply(*inputs))
        case "hessian":
            return (*_Curvature.apply(function, *inputs),)
        case "value_gradient_and_hessian":
            return (_Value.apply(*inputs), *_Gradient.apply(*inputs), *_Curvature.apply("hessian", *inputs))
        case "gradient_and_hessian" | "gradient_and_majorizer":
            return (*_Gradient.apply(*inputs), *_Curvature.apply(function, *inputs)[heads:])
    raise AssertionError(f"{function} has no rule of differentiation")


def refuse_target() -> NoReturn:
    """Say that there is no derivative by the target."""
    raise ValueError(
        "target requires grad, but losses are differentiated by the prediction only; pass target.detach(), "
        "or exchange prediction and target if you want the other derivative"
    )


class _Derived(torch.autograd.Function):
    """A derived function of heads, target and parameters; only the heads have derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004 (PyTorch's signature)
        ctx.definition, ctx.ops, *arguments = inputs
        ctx.heads = len(ctx.definition.heads)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*arguments)
        ctx.save_for_forward(*arguments)

    @staticmethod
    def moves(ctx: Any, tangents: Sequence[Any]) -> Sequence[Any]:
        """Return the tangents of the heads; the target must not have one."""
        first = 2 + ctx.heads
        if any(tangent is not None for tangent in tangents[first : first + len(ctx.definition.targets)]):
            refuse_target()
        return tangents[2 : 2 + ctx.heads]

    @staticmethod
    def upstream(ctx: Any, gradients: Sequence[Any]) -> tuple[Any, ...]:
        """Return what ``backward`` returns: nothing but gradients of the heads."""
        return (None, None, *gradients, *[None] * (len(ctx.saved_tensors) - ctx.heads))


class _Value(_Derived):
    """Values; their derivative is the derived gradient."""

    @staticmethod
    def forward(definition: Definition, ops: ArrayNamespace, *arguments: Any) -> Any:
        return definition.evaluate("value", ops, *arguments)[0]

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        gradient = _Gradient.apply(ctx.definition, ctx.ops, *ctx.saved_tensors)
        return _Derived.upstream(ctx, [_sum_of_products([entry], [upstream]) for entry in gradient])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        tensors.refuse_two_forward_levels()
        gradient = _Gradient.apply(ctx.definition, ctx.ops, *ctx.saved_tensors)
        return _sum_of_products(gradient, _Derived.moves(ctx, tangents))


class _Gradient(_Derived):
    """The derived gradient; its derivative is the derived Hessian."""

    @staticmethod
    def forward(definition: Definition, ops: ArrayNamespace, *arguments: Any) -> Any:
        return definition.evaluate("gradient", ops, *arguments)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        return _Derived.upstream(ctx, [_sum_of_products(column, upstream) for column in _hessian_columns(ctx)])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        # The Hessian is symmetric: its columns are its rows.
        moves = _Derived.moves(ctx, tangents)
        return tuple(_sum_of_products(row, moves) for row in _hessian_columns(ctx))


class _SecondDerivative(torch.autograd.Function):
    """What is not differentiated again: autograd would make of its formula what is wrong at kinks."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> NoReturn:  # noqa: ARG004 (PyTorch's signature)
        checks.refuse_third_derivative()

    jvp = backward


class _Curvature(_SecondDerivative):
    """Second derivatives by the heads."""

    @staticmethod
    def forward(function: str, definition: Definition, ops: ArrayNamespace, *arguments: Any) -> Any:
        return definition.evaluate(function, ops, *arguments)


def _hessian_columns(ctx: Any) -> list[tuple[Any, ...]]:
    entries = _Curvature.apply("hessian", ctx.definition, ctx.ops, *ctx.saved_tensors)
    return [entries[column :: ctx.heads] for column in range(ctx.heads)]


def _sum_of_products(factors: Any, moves: Any) -> Any:
    products = [factor * move for factor, move in zip(factors, moves, strict=True) if move is not None]
    return sum(products[1:], start=products[0]) if products else None


def rowwise(name: str, functions: RowFunctions, ops: ArrayNamespace) -> Callable[..., Any]:
    """Return the function ``name`` of a row-wise loss, of scores and targets, differentiable by the scores."""
    function = {"row_value": _RowValue, "row_gradient": _RowGradient}[name]

    def apply(scores: Any, *targets: Any) -> Any:
        if any(target.requires_grad for target in targets):
            refuse_target()
        return function.apply(functions, ops, scores, *targets)

    return apply


class _Rows(torch.autograd.Function):
    """A function of the scores and targets of rows; only the scores have derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004 (PyTorch's signature)
        ctx.functions, ctx.ops, *arguments = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*arguments)
        ctx.save_for_forward(*arguments)

    @staticmethod
    def upstream(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        """Return what ``backward`` returns: nothing but the gradient of the scores."""
        return (None, None, gradient, *[None] * (len(ctx.saved_tensors) - 1))


class _RowValue(_Rows):
    """Values of rows; their derivative is the gradient in closed form."""

    @staticmethod
    def forward(functions: RowFunctions, ops: ArrayNamespace, scores: Any, *targets: Any) -> Any:
        return functions.row_value(ops, scores, functions.Target(*targets))

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        if upstream is None:
            return _Rows.upstream(ctx, None)
        gradient = _RowGradient.apply(ctx.functions, ctx.ops, *ctx.saved_tensors)
        return _Rows.upstream(ctx, upstream[..., None] * gradient)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        tensors.refuse_two_forward_levels()
        gradient = _RowGradient.apply(ctx.functions, ctx.ops, *ctx.saved_tensors)
        return (gradient * _row_tangent(tangents)).sum(-1)


class _RowGradient(_Rows):
    """Gradients of rows; their derivative is the Hessian-vector product in closed form."""

    @staticmethod
    def forward(functions: RowFunctions, ops: ArrayNamespace, scores: Any, *targets: Any) -> Any:
        return functions.row_gradient(ops, scores, functions.Target(*targets))

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        if upstream is None:
            return _Rows.upstream(ctx, None)
        # The Hessian is symmetric.
        product = _RowHessianProduct.apply(ctx.functions, ctx.ops, upstream, *ctx.saved_tensors)
        return _Rows.upstream(ctx, product)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return _RowHessianProduct.apply(ctx.functions, ctx.ops, _row_tangent(tangents), *ctx.saved_tensors)


class _RowHessianProduct(_SecondDerivative):
    """Hessian-vector products of rows."""

    @staticmethod
    def forward(functions: RowFunctions, ops: ArrayNamespace, vector: Any, scores: Any, *targets: Any) -> Any:
        return functions.row_hessian_product(ops, scores, functions.Target(*targets), vector)


def _row_tangent(tangents: Sequence[Any]) -> Any:
    if any(tangent is not None for tangent in tangents[3:]):
        refuse_target()
    return tangents[2]
