"""PyTorch tensors as memory: which of them kernels can read, and how.

Whoever transforms, traces or compiles a function passes tensors whose numbers are not there, or whose history would be
lost. Operations of PyTorch compute these.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from lossfn.engine.paths import forced_path


def is_being_compiled() -> bool:
    """Whether ``torch.compile`` reads the code that calls this, instead of running it."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_dynamo_compiling()


def as_node(loss: Any, method: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of a loss as one node of a graph that ``torch.compile`` builds."""
    # A statement, because the compiler reads no other import.
    from lossfn.torch import in_graph

    return in_graph(loss, method, *arguments, **options)


def are_readable(pred: Any, *others: Any) -> bool:
    """Whether kernels may read these arguments, PyTorch tensors among them, and no history is lost by that."""
    return not any(map(_is_tracked, (pred, *others))) and _are_in_memory(pred, others)


def is_differentiated(pred: Any, *others: Any) -> bool:
    """Whether kernels may read these arguments, and ``pred`` is a PyTorch tensor that wants a gradient."""
    if not _is_tracked(pred):
        return False
    for array in others:
        if getattr(array, "requires_grad", False):
            return False
    return _are_in_memory(pred, others)


def is_plain(tensor: Any) -> bool:
    """Whether a tensor is an ordinary one on the CPU, and no wrapper inside of a transform of functions."""
    known = _known()
    return type(tensor) in known.plain and bool(tensor.is_cpu) and not known.is_wrapped(tensor)


def numpy_view(array: Any) -> Any:
    """Return a tensor as a NumPy array of the same memory; anything else as it is."""
    if array is None or not isinstance(array, sys.modules["torch"].Tensor):
        return array
    return array.numpy(force=True)


def tensor_view(values: Any) -> Any:
    """Return a NumPy array, or number, as a tensor of the same memory."""
    return sys.modules["torch"].from_numpy(np.asarray(values))


def is_recorded() -> bool:
    """Whether operations of PyTorch are being traced or replaced: tensors may be plain and yet stand for others."""
    torch = sys.modules["torch"]
    return torch._C._len_torch_dispatch_stack() > 0 or torch._C._get_tracing_state() is not None


def result_dtype(pred: Any) -> Any:
    """Return the dtype of results: that of the predictions, but of half precision within autocast the single one."""
    torch = sys.modules["torch"]
    is_half = pred.dtype in (torch.float16, torch.bfloat16)
    return torch.float32 if is_half and torch.is_autocast_enabled(pred.device.type) else pred.dtype


def _is_tracked(array: Any) -> bool:
    return getattr(array, "requires_grad", False) and sys.modules["torch"].is_grad_enabled()


def _are_in_memory(pred: Any, others: tuple[Any, ...]) -> bool:
    if forced_path() == "arrays" or _is_transformed() or is_recorded():
        return False
    known = _known()
    return _holds_numbers(pred, known, known.of_pred) and all(
        _holds_numbers(array, known, known.of_others) for array in others if array is not None
    )


def refuse_two_forward_levels() -> None:
    """Refuse forward over forward mode: PyTorch takes the tangents of every function of ours for constants there."""
    functorch = sys.modules["torch"]._C._functorch
    levels = [level.key() for level in functorch.get_interpreter_stack() or ()]
    if levels.count(functorch.TransformType.Jvp) > 1:
        raise NotImplementedError(
            "PyTorch would silently give 0 for a second derivative by forward over forward mode (jvp of jvp, jacfwd of "
            "jacfwd); use torch.func.hessian, or jacrev for one of the two"
        )


def _is_transformed() -> bool:
    """Whether operations of PyTorch are being mapped, or differentiated otherwise than backward."""
    torch = sys.modules["torch"]
    return bool(torch._C._are_functorch_transforms_active()) or torch.autograd.forward_ad._current_level >= 0


def _holds_numbers(array: Any, known: _Known, dtypes: frozenset[Any]) -> bool:
    """Whether an argument is no tensor, or one that lies in memory and has one of these dtypes."""
    if type(array) in known.plain:
        is_plain = array.is_cpu and array.dtype in dtypes and array.layout is known.strided
        # What escaped from a transform of functions is a wrapper.
        return bool(is_plain) and not known.is_wrapped(array)
    return not isinstance(array, known.tensor)


class _Known(NamedTuple):
    """What is looked up for every call: kinds of tensors, and the dtypes that kernels take."""

    tensor: type
    plain: tuple[type, ...]
    strided: Any
    is_wrapped: Callable[[Any], bool]
    of_pred: frozenset[Any]
    of_others: frozenset[Any]


@cache
def _known() -> _Known:
    torch = sys.modules["torch"]
    real = (torch.float32, torch.float64)
    # NumPy has no bfloat16.
    others = (torch.float16, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    plain = (torch.Tensor, torch.nn.Parameter)
    is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return _Known(torch.Tensor, plain, torch.strided, is_wrapped, frozenset(real), frozenset(real + others))
