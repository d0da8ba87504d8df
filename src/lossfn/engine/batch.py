"""Recognise what a caller passed, refuse what does not fit, and bring it into the form that computing needs."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import numpy as np

from lossfn import checks, reduce
from lossfn.engine import tensors
from lossfn.engine.libraries import compatible
from lossfn.engine.namespaces import ArrayNamespace, array_namespace

#: What the engine computes in: half precision is computed in float32 and cast back.
COMPUTE = {"float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64"}

# The common case, without the time that numpy.dtype.name takes.
_NATIVE = {np.dtype(np.float32), np.dtype(np.float64)}


@dataclass(slots=True)
class Batch:
    """Prediction, target, weights and mask of one call, of one library and in the dtype of the computation.

    ``targets`` are the parts of the target: mostly one. ``caller_library`` is set where another library computes:
    NumPy arrays may be the memory of PyTorch tensors.
    """

    library: str
    pred: Any
    targets: tuple[Any, ...]
    weight: Any
    mask: Any
    shape: tuple[int, ...]
    dtype: Any
    result_dtype: Any
    device: Any = None
    caller_library: str = ""

    @property
    def ops(self) -> ArrayNamespace:
        """The primitives for these arrays."""
        return array_namespace(self.library, self.dtype, self.device)

    @property
    def xp(self) -> Any:
        """The array-API namespace of the library."""
        return compatible(self.library)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def element_weight(self) -> Any:
        """Return one weight per element, 0 where masked, or ``None``."""
        if self.weight is None and self.mask is None:
            return None
        return reduce.element_weight(self.xp, self.weight, self.mask, self.shape, self.dtype)

    def kept(self) -> Any:
        """Return which elements count, broadcastable, or ``None`` where all do: what has no weight does not.

        Weights that are differentiated by PyTorch drop nothing: their derivative is the loss, at a weight of 0, too.
        """
        if getattr(self.weight, "requires_grad", False):
            return None if self.mask is None else reduce.apply_to_elements(self.mask, self.shape)
        weight = self.element_weight()
        return None if weight is None else weight != 0

    def finish(self, values: Any) -> Any:
        """Return results in the library and dtype of the prediction."""
        if self.dtype != self.result_dtype:
            # Infinity is a result, in half precision from 65520 on.
            with np.errstate(over="ignore"):
                values = self.xp.astype(values, self.result_dtype)
        return self.hand_back(values)

    def as_scalar(self, value: Any) -> Any:
        """Return a number of the caller's library and dtype."""
        if self.library == "numpy":
            return self.hand_back(self.result_dtype.type(value))
        return self.xp.astype(value, self.result_dtype)

    def hand_back(self, values: Any) -> Any:
        """Return results in the library of the caller."""
        # A number of rows stays one.
        return tensors.tensor_view(values) if self.caller_library == "torch" and not isinstance(values, int) else values


def library_of(owner: str, **arrays: Any) -> str:
    """Return which array library the arguments belong to; mixing two is refused."""
    library = _common_library(*(array.__class__ for array in arrays.values()))
    return library if library is not None else _refuse_mixture(owner, **arrays)


def namespace_of(owner: str, array: Any) -> tuple[Any, Any]:
    """Return the array-API namespace of an array, and the array itself, which may have been a list."""
    library = library_of(owner, array=array)
    return compatible(library), as_numpy(owner, "array", array) if library == "numpy" else array


def _refuse_mixture(owner: str, **arrays: Any) -> NoReturn:
    found = {name: _library(array.__class__) for name, array in arrays.items()}
    listed = ", ".join(f"{name} is from {library}" for name, library in found.items() if library is not None)
    raise TypeError(f"{owner}: arrays of one library are needed; {listed}. Convert them first")


@cache
def _common_library(*kinds: Any) -> str | None:
    libraries = {library for kind in kinds if (library := _library(kind)) is not None}
    if len(libraries) > 1:
        return None
    return libraries.pop() if libraries else "numpy"


@cache
def _library(kind: Any) -> str | None:
    for base in kind.__mro__:
        root: str = base.__module__.partition(".")[0]
        if root in ("jax", "jaxlib"):
            return "jax"
        # PyTorch has lists and tuples of its own.
        if root == "numpy" or (root == "torch" and hasattr(kind, "dtype")):
            return root
    return None


def prepare(
    owner: str,
    heads: tuple[str, ...],
    pred: Any,
    target: Any,
    weight: Any = None,
    mask: Any = None,
    parts: tuple[str, ...] = ("target",),
) -> Batch:
    """Return the batch of a call, with shapes, dtypes and weights checked; ``parts`` names the parts of the target."""
    if weight is mask is None and pred.__class__ is target.__class__ is np.ndarray and len(heads) == len(parts) == 1:
        # The common case, in a third of the time.
        shape, dtype = pred.shape, pred.dtype
        if shape == target.shape and dtype == target.dtype and dtype in _NATIVE:
            return Batch("numpy", pred, (target,), None, None, shape, dtype, dtype)
    targets = (target,) if len(parts) == 1 else split(owner, target, parts)
    library = _common_library(pred.__class__, *map(type, targets), weight.__class__, mask.__class__)
    if library is None:
        _refuse_mixture(owner, pred=pred, **dict(zip(parts, targets, strict=True)), weight=weight, mask=mask)
    if library == "numpy":
        return _prepare_numpy(owner, heads, pred, targets, weight, mask, parts)
    if library == "torch" and tensors.are_readable(pred, *targets, weight, mask):
        pred, weight, mask, *views = map(tensors.numpy_view, (pred, weight, mask, *targets))
        return _prepare_numpy(owner, heads, pred, tuple(views), weight, mask, parts, library)
    xp = compatible(library)
    device = device_of(library, pred, *targets)
    named = {"pred": pred, **dict(zip(parts, targets, strict=True)), "weight": weight, "mask": mask}
    arrays = {name: as_array(owner, name, value, xp, device) for name, value in named.items() if value is not None}
    dtype, result_dtype = dtypes_of(owner, library, arrays["pred"])
    pred = as_real(owner, "pred", arrays["pred"], xp, dtype)
    targets = tuple(as_real(owner, name, arrays[name], xp, dtype) for name in parts)
    shape = tuple(targets[0].shape)
    checks.check_part_shapes(owner, parts, [tuple(part.shape) for part in targets])
    checks.check_shapes(owner, tuple(pred.shape), shape, heads)
    weight, mask = weight_and_mask(owner, library, arrays, shape, dtype)
    return Batch(library, pred, targets, weight, mask, shape, dtype, result_dtype, device)


def split(owner: str, target: Any, parts: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the parts of a target; an array of pairs could mean two things, so only a tuple is taken."""
    if len(parts) == 1:
        return (target,)
    if isinstance(target, tuple) and len(target) == len(parts):
        return target
    names = ", ".join(name.removeprefix("target.") for name in parts)
    got = f"a tuple of {len(target)}" if isinstance(target, tuple) else type(target).__name__
    raise TypeError(f"{owner}: target must be a tuple ({names}) of arrays; got {got}. Use {owner}.Target({names})")


def as_array(owner: str, name: str, value: Any, xp: Any, device: Any) -> Any:
    """Convert lists, numbers and data-frame columns to the library of the others; refuse sparse arrays."""
    if isinstance(value, np.ndarray):
        return as_numpy(owner, name, value)
    if _library(value.__class__) is None:
        # A copy, because PyTorch warns of the read-only arrays that data frames hand out.
        return xp.asarray(np.array(as_numpy(owner, name, value)), device=device)
    if hasattr(value, "todense") or "sparse" in str(getattr(value, "layout", "")):
        raise TypeError(f"{owner}: {name} is a sparse array; pass its dense form")
    return value


def _prepare_numpy(
    owner: str,
    heads: tuple[str, ...],
    pred: Any,
    targets: tuple[Any, ...],
    weight: Any,
    mask: Any,
    parts: tuple[str, ...],
    caller_library: str = "",
) -> Batch:
    pred = as_numpy(owner, "pred", pred)
    dtype = result_dtype = pred.dtype
    if dtype not in _NATIVE:
        dtype = np.dtype(compute_dtype(owner, dtype.name))
        pred = pred.astype(dtype)
    if len(parts) == 1:
        targets = (_numbers(owner, "target", targets[0], dtype),)
        shape = targets[0].shape
    else:
        targets = tuple(_numbers(owner, name, part, dtype) for name, part in zip(parts, targets, strict=True))
        shape = targets[0].shape
        checks.check_part_shapes(owner, parts, [part.shape for part in targets])
    if pred.shape != shape or len(heads) > 1:
        checks.check_shapes(owner, pred.shape, shape, heads)
    if weight is not None:
        weight = _numbers(owner, "weight", weight, dtype)
        checks.check_row_shape(owner, "weight", weight.shape, shape)
        checks.check_weights(owner, weight)
    if mask is not None:
        mask = as_numpy(owner, "mask", mask)
        check_mask(owner, mask, shape, is_bool=mask.dtype == np.bool_)
    return Batch("numpy", pred, targets, weight, mask, shape, dtype, result_dtype, caller_library=caller_library)


def to_numpy(owner: str, name: str, value: Any) -> np.ndarray[Any, Any]:
    """Return an array of NumPy; tensors of PyTorch and arrays of JAX are copied from their device."""
    if library_of(owner, **{name: value}) == "torch":
        value = value.detach().cpu()
        # NumPy has no bfloat16.
        value = value.float() if "bfloat16" in str(value.dtype) else value
        value = value.numpy()
    return as_numpy(owner, name, value)


def as_numpy(owner: str, name: str, value: Any) -> np.ndarray[Any, Any]:
    """Convert lists, scalars and data-frame columns; refuse what converting would damage."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{owner}: {name} is a masked array; pass {name}.data and mask=~{name}.mask")
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise TypeError(f"{owner}: {name} is a sparse array; pass {name}.toarray()")
    return np.asarray(value)


def _numbers(owner: str, name: str, value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    array = as_numpy(owner, name, value)
    return array if array.dtype == dtype else as_real(owner, name, array, np, dtype)


def as_real(owner: str, name: str, array: Any, xp: Any, dtype: Any) -> Any:
    """Return numbers in a dtype; refuse what is no number, or loses a part by that."""
    if array.dtype == dtype:
        return array
    # NumPy does not know the half precision of other libraries.
    is_half = "bfloat16" in str(array.dtype)
    if not is_half and not xp.isdtype(array.dtype, ("bool", "integral", "real floating")):
        raise TypeError(f"{owner}: {name} must be real, integer or boolean; got dtype {array.dtype}")
    return xp.astype(array, dtype)


def weight_and_mask(
    owner: str, library: str, arrays: Mapping[str, Any], shape: tuple[int, ...], dtype: Any
) -> tuple[Any, Any]:
    """Return the weight, as real numbers, and the mask among the arrays of a call, checked; ``None`` for none."""
    xp, weight, mask = compatible(library), arrays.get("weight"), arrays.get("mask")
    if weight is not None:
        weight = as_real(owner, "weight", weight, xp, dtype)
        checks.check_row_shape(owner, "weight", tuple(weight.shape), shape)
        if not is_traced(library, weight):
            with eagerly(library):
                checks.check_weights(owner, weight)
    if mask is not None:
        check_mask(owner, mask, shape, is_bool=mask.dtype == xp.bool)
    return weight, mask


def device_of(library: str, *arrays: Any) -> Any:
    """Return the device of the first PyTorch tensor; the other libraries need none."""
    if library != "torch":
        return None
    return next((array.device for array in arrays if _library(array.__class__) == "torch"), None)


def dtypes_of(owner: str, library: str, pred: Any) -> tuple[Any, Any]:
    """Return the dtype in which predictions are computed, and that of the results."""
    dtype = pred.dtype
    return _compute_dtype_in(library, owner, dtype), tensors.result_dtype(pred) if library == "torch" else dtype


@cache
def _compute_dtype_in(library: str, owner: str, dtype: Any) -> Any:
    found = getattr(compatible(library), compute_dtype(owner, dtype_name(dtype)))
    return np.dtype(found) if library == "numpy" else found


def dtype_name(dtype: Any) -> str:
    """Return what a dtype is called, without the library that it belongs to."""
    return str(dtype).removeprefix("torch.")


def compute_dtype(owner: str, name: str) -> str:
    """Return the dtype in which predictions of a dtype are computed; others are refused."""
    if name not in COMPUTE:
        cure = (
            "" if name.startswith("complex") else "; convert it with pred.astype(float), in PyTorch with pred.float()"
        )
        raise TypeError(f"{owner}: pred must be float16, bfloat16, float32 or float64; got {name}{cure}")
    return COMPUTE[name]


def check_mask(owner: str, mask: Any, shape: tuple[int, ...], *, is_bool: bool) -> None:
    """Refuse a mask that is not boolean or has not the shape of rows or elements."""
    if not is_bool:
        raise TypeError(f"{owner}: mask must be boolean (True keeps an element); got dtype {mask.dtype}")
    checks.check_row_shape(owner, "mask", tuple(mask.shape), shape)


def eagerly(library: str) -> AbstractContextManager[Any]:
    """Return a context in which checks of known values are not traced, although code around them may be."""
    if library != "jax":
        return nullcontext()
    context: AbstractContextManager[Any] = sys.modules["jax"].ensure_compile_time_eval()
    return context


def nan_outside(batch: Batch, inside: Any) -> Any:
    """Return 0 for each element inside and NaN for the others, without a number NaN, which may stop JAX."""
    return batch.ops.number(0.0) / batch.xp.astype(inside, batch.dtype)


def is_traced(library: str, *arrays: Any) -> bool:
    """Whether values cannot be looked at: code is being traced, or an array lies on an accelerator."""
    arrays = tuple(array for array in arrays if array is not None)
    if library == "jax":
        jax = sys.modules["jax"]
        return any(isinstance(array, jax.core.Tracer) or array.device.platform != "cpu" for array in arrays)
    if library == "torch":
        torch = sys.modules["torch"]
        if torch.compiler.is_compiling() or tensors.is_recorded():
            return True
        return not all(map(tensors.is_plain, arrays))
    return False
