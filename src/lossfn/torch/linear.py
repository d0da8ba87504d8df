"""The cross-entropy of a linear map on tensors: differentiable once, without its logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

import torch

from lossfn.engine import tensors
from lossfn.torch.operations import refuse_target


class ChunkedRows(Protocol):
    """A linear map and a loss of its rows, whose logits exist a few rows at a time."""

    reduction: str
    features: Any

    def value(self) -> Any:
        """Return the loss, reduced or of each row."""

    def value_and_gradient(self, wanted: tuple[bool, ...]) -> tuple[Any, tuple[Any, ...]]:
        """Return the loss and its derivatives by features, projection and bias, ``None`` where not wanted."""

    def gradient_of(self, upstream: Any, wanted: tuple[bool, ...]) -> tuple[Any, ...]:
        """Return the derivatives of the sum of the losses of rows, each times its number in ``upstream``."""


def linear_arrays(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a linear map and its loss, without history; as NumPy arrays, uncopied, where it can."""
    if getattr(arrays["target"], "requires_grad", False):
        refuse_target()
    if getattr(arrays["weight"], "requires_grad", False):
        raise ValueError(
            "weight requires grad, but linear_cross_entropy is differentiated by features, projection and bias only; "
            "pass weight.detach(), or multiply the losses of reduction='none' by it"
        )
    arrays = {name: array.detach() if torch.is_tensor(array) else array for name, array in arrays.items()}
    kind = next(array.device.type for array in arrays.values() if torch.is_tensor(array))
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        for name in ("features", "projection", "bias"):
            if torch.is_tensor(arrays[name]):
                arrays[name] = arrays[name].to(dtype)
    # NumPy has no bfloat16, and computes half precision in single anyway.
    wide = {name: _as_single(array) for name, array in arrays.items()}
    if not tensors.are_readable(*wide.values()):
        return arrays
    return {name: tensors.numpy_view(array) for name, array in wide.items()}


def _as_single(array: Any) -> Any:
    return array.float() if torch.is_tensor(array) and array.dtype in (torch.float16, torch.bfloat16) else array


def linear(rows: ChunkedRows, *inputs: Any) -> Any:
    """Return the loss of rows, differentiable once by ``inputs``: features, projection and bias."""
    inputs = _tensors(inputs)
    if torch.is_grad_enabled() and any(array is not None and array.requires_grad for array in inputs):
        return _Linear.apply(rows, *inputs)
    return _as_tensor(rows.value(), inputs[0])


def linear_value_and_gradient(rows: ChunkedRows, *inputs: Any) -> tuple[Any, list[Any]]:
    """Return the loss of rows and its derivatives by ``inputs``, as tensors without history."""
    inputs = _tensors(inputs)
    value, gradient = rows.value_and_gradient(tuple(array is not None for array in inputs))
    return _as_tensor(value, inputs[0]), _as_tensors(gradient, inputs)


def _tensors(inputs: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(None if array is None else torch.as_tensor(array) for array in inputs)


class _Linear(torch.autograd.Function):
    """The loss of rows; a reduced one brings its derivatives along, so that no logits are needed again."""

    @staticmethod
    def forward(ctx: Any, rows: ChunkedRows, *inputs: Any) -> Any:
        ctx.rows = rows
        gradient: Sequence[Any] = ()
        if rows.reduction == "none":
            value = rows.value()
        else:
            value, gradient = rows.value_and_gradient(ctx.needs_input_grad[1:])
        ctx.save_for_backward(*inputs, *_as_tensors(gradient, inputs))
        return _as_tensor(value, inputs[0])

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        inputs, gradient = ctx.saved_tensors[:3], ctx.saved_tensors[3:]
        return (None, *_LinearGradient.apply(ctx.rows, ctx.needs_input_grad[1:], gradient, upstream, *inputs))


class _LinearGradient(torch.autograd.Function):
    """The derivatives of a loss of rows, times what comes from upstream; a second derivative is refused."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ARG004 (PyTorch's signature)
        rows: ChunkedRows,
        wanted: tuple[bool, ...],
        gradient: Sequence[Any],
        upstream: Any,
        *inputs: Any,
    ) -> Any:
        if rows.reduction != "none":
            return tuple(None if part is None else part * upstream for part in gradient)
        if not torch.is_tensor(rows.features):
            upstream = tensors.numpy_view(_as_single(upstream))
        return tuple(_as_tensors(rows.gradient_of(upstream, wanted), inputs))

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> NoReturn:
        raise NotImplementedError(
            "linear_cross_entropy is differentiated once, as it keeps no logits; "
            "for second derivatives use CrossEntropy on the logits"
        )


def _as_tensor(array: Any, like: Any) -> Any:
    """Return an array of the computation as a tensor, in the dtype of an input."""
    return torch.as_tensor(array).to(like.dtype)


def _as_tensors(arrays: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    return [None if array is None else _as_tensor(array, like) for array, like in zip(arrays, inputs, strict=False)]
