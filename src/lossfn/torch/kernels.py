"""Losses of tensors in memory by kernels: the gradient comes with the value, in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from lossfn.engine import tensors
from lossfn.engine.batch import as_array, library_of
from lossfn.engine.libraries import compatible

if TYPE_CHECKING:
    from lossfn.loss import Loss


def differentiable(loss: Loss, options: dict[str, Any], pred: Any, weight: Any, mask: Any, *targets: Any) -> Any:
    """Return the loss of tensors that kernels can read, differentiable twice by ``pred``."""
    arguments = (pred, weight, mask, *targets)
    if not all(array is None or torch.is_tensor(array) for array in arguments):
        names = ("pred", "weight", "mask", *("target" for _ in targets))
        arguments = tuple(_as_tensor(type(loss).__name__, *pair, pred) for pair in zip(names, arguments, strict=True))
    return _apply(loss, options, *arguments)


def _as_tensor(owner: str, name: str, array: Any, pred: Any) -> Any:
    """Return lists and data-frame columns as tensors; refuse arrays of other libraries."""
    if array is None or torch.is_tensor(array):
        return array
    library_of(owner, pred=pred, **{name: array})
    return as_array(owner, name, array, compatible("torch"), pred.device)


def _joined(targets: Sequence[Any]) -> Any:
    return targets[0] if len(targets) == 1 else tuple(targets)


class _Kernel(torch.autograd.Function):
    """A loss whose scaled gradient is computed together with its value.

    The first backward pass takes that gradient away and multiplies it in place, so that no memory is needed but its
    own. A second pass, and one that will be differentiated, compute it again.
    """

    @staticmethod
    def forward(ctx: Any, loss: Loss, options: dict[str, Any], *arguments: Any) -> Any:
        ctx.loss, ctx.options = loss, options
        ctx.save_for_backward(*arguments)
        pred, weight, mask, *targets = map(tensors.numpy_view, arguments)
        batch = loss._prepare(pred, _joined(targets), weight, mask)
        value, ctx.gradient = loss._value_and_gradient_of(batch, **options)
        return tensors.tensor_view(value)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None or torch.is_grad_enabled():
            pred, weight, mask, *targets = ctx.saved_tensors
            gradient = ctx.loss.gradient(pred, _joined(targets), weight=weight, mask=mask, **ctx.options)
        else:
            gradient = tensors.tensor_view(gradient)
        return None, None, _product(gradient, upstream), *[None] * (len(ctx.needs_input_grad) - 3)


#: ``_Kernel.apply`` without its Python part, a fifth of the call: that serves transforms of functions and what is left
#: of them, which ``tensors.is_differentiated`` sends elsewhere.
_apply: Any = super(torch.autograd.Function, _Kernel).apply


def _product(gradient: Any, upstream: Any) -> Any:
    """Return the gradient times what comes from upstream, for the whole or for each element; in place if it may."""
    if 0 < upstream.ndim < gradient.ndim:
        upstream = upstream[..., None]
    if torch.is_grad_enabled() or torch._C._functorch.is_legacy_batchedtensor(upstream):
        return gradient * upstream
    total = upstream.item() if upstream.ndim == 0 else upstream.sum().item()
    if total == 1 and upstream.ndim == 0:
        return gradient
    if math.isfinite(total):
        return gradient.mul_(upstream)
    # Dropped rows are zero, whatever stands upstream.
    is_zero = gradient == 0
    return gradient.mul_(upstream).masked_fill_(is_zero, 0)
