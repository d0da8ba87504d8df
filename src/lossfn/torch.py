"""How a loss becomes differentiable in PyTorch: derived gradients, twice. No mathematics stands here."""

from __future__ import annotations

from typing import Any

try:
    import torch
except ImportError as error:
    raise ImportError("PyTorch tensors need PyTorch: pip install 'lossfn[torch]'") from error

from lossfn.engine.definition import Definition
from lossfn.engine.namespaces import ArrayNamespace


def elements(definition: Definition, ops: ArrayNamespace, arguments: list[Any]) -> Any:
    """Return the loss of each element; its gradient and Hessian are the derived ones.

    ``arguments`` are the heads, the target and the parameters.
    """
    if arguments[len(definition.heads)].requires_grad:
        raise ValueError(
            "target requires grad, but losses are differentiated by the prediction only; pass target.detach(), "
            "or exchange prediction and target if you want the other derivative"
        )
    return _Value.apply(definition, ops, *arguments)


class _Derived(torch.autograd.Function):
    """A derived function of heads, target and parameters; only the heads have derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004 (PyTorch's signature)
        ctx.definition, ctx.ops, *arguments = inputs
        ctx.heads = len(ctx.definition.heads)
        ctx.save_for_backward(*arguments)
        ctx.save_for_forward(*arguments)


class _Value(_Derived):
    """Values; their derivative is the derived gradient."""

    @staticmethod
    def forward(definition: Definition, ops: ArrayNamespace, *arguments: Any) -> Any:
        return definition.evaluate("value", ops, *arguments)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        gradient = _Gradient.apply(ctx.definition, ctx.ops, *ctx.saved_tensors)
        constants = len(ctx.saved_tensors) - ctx.heads
        return (None, None, *(upstream * entry for entry in gradient), *[None] * constants)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        gradient = _Gradient.apply(ctx.definition, ctx.ops, *ctx.saved_tensors)
        return _sum_of_products(gradient, tangents[2 : 2 + ctx.heads])


class _Gradient(_Derived):
    """The derived gradient; its derivative is the derived Hessian."""

    @staticmethod
    def forward(definition: Definition, ops: ArrayNamespace, *arguments: Any) -> Any:
        gradient = definition.evaluate("gradient", ops, *arguments)
        return gradient if isinstance(gradient, tuple) else (gradient,)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        columns = _hessian_columns(ctx)
        constants = len(ctx.saved_tensors) - ctx.heads
        return (None, None, *(_sum_of_products(column, upstream) for column in columns), *[None] * constants)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        # The Hessian is symmetric: its columns are its rows.
        return tuple(_sum_of_products(row, tangents[2 : 2 + ctx.heads]) for row in _hessian_columns(ctx))


def _hessian_columns(ctx: Any) -> list[tuple[Any, ...]]:
    hessian = ctx.definition.evaluate("hessian", ctx.ops, *ctx.saved_tensors)
    entries = hessian if isinstance(hessian, tuple) else (hessian,)
    return [entries[column :: ctx.heads] for column in range(ctx.heads)]


def _sum_of_products(factors: Any, moves: Any) -> Any:
    products = [factor * move for factor, move in zip(factors, moves, strict=True) if move is not None]
    return sum(products[1:], start=products[0]) if products else None
