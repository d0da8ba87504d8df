"""The primitives as PyTorch functions whose derivatives are the primitives' own rules, as often as wanted.

PyTorch would differentiate the array forms branch by branch, which is wrong at kinks such as the |x| inside a softplus.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from lossfn.engine import tensors
from lossfn.engine.libraries import compatible
from lossfn.engine.primitives import PRIMITIVES


class _Primitive(torch.autograd.Function):
    """A primitive of tensors of one shape."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, *arguments: Any) -> Any:
        return PRIMITIVES[name].array(compatible("torch"), *arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004 (PyTorch's signature)
        ctx.name, *arguments = inputs
        ctx.save_for_backward(*arguments)
        ctx.save_for_forward(*arguments)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        # What the outside drops, with a gradient of 0, stays dropped where the slope is infinite.
        multiply = primitive("xmul")
        return None, *(multiply(upstream[0], slope) for slope in _slopes(ctx))

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        tensors.refuse_two_forward_levels()
        moves = zip(_slopes(ctx), tangents[1:], strict=True)
        return sum(primitive("xmul")(move, slope) for slope, move in moves if move is not None)


class _Primitives:
    """The primitives by name, as derivative rules ask for them."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return primitive(name)


def _slopes(ctx: Any) -> tuple[Any, ...]:
    return PRIMITIVES[ctx.name].derivative(_Primitives(), *ctx.saved_tensors)


@cache
def primitive(name: str) -> Callable[..., Any]:
    """Return a primitive as a differentiable function of tensors."""

    def function(*arguments: Any) -> Any:
        return _Primitive.apply(name, *torch.broadcast_tensors(*arguments))

    return function
