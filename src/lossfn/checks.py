"""The wording of every refusal: what came in, what was expected, how to get there."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, NoReturn

import numpy as np

from lossfn.fields import Domain

REDUCTIONS = ("mean", "sum", "none", "mean_over_batch")
CURVATURES = ("exact", "majorizing")
#: How far probabilities may sum from 1: a softmax in half precision is off by so much.
SUM_TOLERANCE = 1e-2


def check_reduction(owner: str, reduction: str, denominator: Any) -> None:
    """Refuse an unknown reduction, or a denominator that would not be used or is not a positive number."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{owner}: reduction must be one of {', '.join(REDUCTIONS)}; got {reduction!r}")
    if denominator is None:
        return
    if reduction == "none":
        raise ValueError(f"{owner}: reduction='none' divides by nothing, so denominator={denominator!r} is refused")
    if getattr(denominator, "requires_grad", False):
        raise ValueError(
            f"{owner}: denominator requires grad, but losses are differentiated by the prediction only; "
            "pass denominator.detach(), or divide the result of reduction='sum'"
        )
    if isinstance(denominator, (bool, str)):
        raise TypeError(f"{owner}: denominator must be a finite number > 0; got {denominator!r}")
    # Numbers of other libraries may be traced: there a wrong one makes the result NaN.
    is_number = isinstance(denominator, Real) or (isinstance(denominator, np.ndarray) and denominator.shape == ())
    if isinstance(denominator, (np.ndarray, list, tuple)) and not is_number:
        raise TypeError(f"{owner}: denominator must be one finite number > 0; got {type(denominator).__name__}")
    if is_number and not 0 < float(denominator) < math.inf:
        raise ValueError(f"{owner}: denominator must be a finite number > 0; got {denominator!r}")


def raise_no_loss(owner: str, loss: Any, expected: str = "a loss such as Huber(delta=1.0)") -> NoReturn:
    """Report what was given instead of a loss; many of them have names, as texts."""
    cure = "; lossfn.parse_loss makes a loss of a text" if isinstance(loss, str) else ""
    raise TypeError(f"{owner}: loss must be {expected}; got {loss!r}{cure}")


def check_shapes(owner: str, pred: tuple[int, ...], target: tuple[int, ...], heads: tuple[str, ...]) -> None:
    """Refuse shapes that do not belong together: nothing broadcasts a prediction against a target."""
    if len(heads) > 1:
        expected = (*target, len(heads))
        if pred != expected:
            names = ", ".join(heads)
            raise ValueError(
                f"{owner}: pred must have the target's shape and a last axis of {len(heads)} heads ({names}), "
                f"{expected} here; got pred {pred} and target {target}"
            )
        return
    if pred == target:
        return
    message = f"{owner}: pred and target must have the same shape; got pred {pred} and target {target}"
    if math.prod(pred) == math.prod(target):
        longer, name = (pred, "pred") if len(pred) > len(target) else (target, "target")
        if len(pred) != len(target) and longer[-1:] == (1,):
            raise ValueError(f"{message}. Use {name}[..., 0] or {name}.reshape({min(pred, target, key=len)})")
    raise ValueError(f"{message}. Nothing is broadcast: reshape one of them")


def check_part_shapes(owner: str, parts: tuple[str, ...], shapes: list[tuple[int, ...]]) -> None:
    """Refuse parts of a target that differ in shape."""
    for name, shape in zip(parts[1:], shapes[1:], strict=True):
        if shape != shapes[0]:
            raise ValueError(
                f"{owner}: {parts[0]} and {name} must have the same shape; got {shapes[0]} and {shape}. "
                "Nothing is broadcast: repeat a common value, as numpy.full_like does"
            )


def check_row_shape(owner: str, name: str, shape: tuple[int, ...], elements: tuple[int, ...]) -> None:
    """Refuse a weight or mask that has neither the shape of the rows nor that of the elements."""
    if shape not in (elements, elements[:1]):
        allowed = " or ".join(dict.fromkeys([str(elements[:1]), str(elements)]))
        raise ValueError(f"{owner}: {name} must have shape {allowed}; got {shape}")


def check_class_weights(owner: str, weights: tuple[float, ...], classes: int) -> None:
    """Refuse another number of weights than there are classes."""
    if len(weights) != classes:
        raise ValueError(f"{owner}: class_weight has {len(weights)} weights, but pred has {classes} classes")


def check_weights(owner: str, weight: Any) -> None:
    """Refuse negative, NaN or infinite weights, naming the first."""
    # NaN makes both comparisons false, infinity only the second.
    if weight.size == 0 or (weight.min() >= 0 and weight.max() < math.inf):
        return
    _raise_outside(owner, "weight", np.asarray(weight), (weight >= 0) & (weight < math.inf), "a finite number >= 0", "")


def raise_outside(owner: str, name: str, values: Any, inside: Any, domain: Domain) -> NoReturn:
    """Report the first value outside a domain, with its index and the cure."""
    _raise_outside(owner, name, values, inside, domain.name, domain.cure)


def raise_descending(owner: str, names: tuple[str, str], values: tuple[Any, Any], inside: Any) -> NoReturn:
    """Report the first place where the first of two parts is larger than the second."""
    index = np.unravel_index(np.flatnonzero(~np.asarray(inside))[0], values[0].shape)
    place = _place(index)
    smaller, larger = (f"{name}{place} = {part[index]!s}" for name, part in zip(names, values, strict=True))
    raise ValueError(f"{owner}: {smaller} is larger than {larger}")


def _raise_outside(owner: str, name: str, values: Any, inside: Any, expected: str, cure: str) -> NoReturn:
    outside = np.flatnonzero(~np.asarray(inside))
    index = np.unravel_index(outside[0], values.shape)
    place = _place(index)
    others = f" ({outside.size} values are outside)" if outside.size > 1 else ""
    advice = f"; {cure}" if cure else ""
    raise ValueError(f"{owner}: {name}{place} = {values[index]!s} is not {expected}{others}{advice}")


def _place(index: Sequence[Any]) -> str:
    # A single number, or row, has no index.
    return f"[{', '.join(str(int(position)) for position in index)}]" if index else ""


def raise_row_outside(owner: str, name: str, target: Any, inside: Any, expected: str, cure: str) -> NoReturn:
    """Report the first target of a row-wise loss that is no class, or no distribution."""
    if target.shape == inside.shape:
        _raise_outside(owner, name, target, inside, expected, cure)
    outside = np.flatnonzero(~inside)
    row = target.reshape(-1, target.shape[-1])[outside[0]]
    place = _place(np.unravel_index(outside[0], inside.shape))
    found = f"sums to {row.sum():g}" if (row >= 0).all() else f"holds {row[~(row >= 0)][0]:g}"
    others = f" ({outside.size} rows do not fit)" if outside.size > 1 else ""
    raise ValueError(f"{owner}: {name}{place} is not {expected}: it {found}{others}; {cure}")


def check_function(owner: str, name: str, function: Any, *arguments: str) -> None:
    """Refuse what is no function of these arguments; it may have more."""
    if not callable(function) or len(inspect.signature(function).parameters) < len(arguments):
        got = f"one of {inspect.signature(function)}" if callable(function) else repr(function)
        raise TypeError(f"{owner}: {name} must be a function of ({', '.join(arguments)}); got {got}")


def check_out(owner: str, out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *inputs: Any) -> None:
    """Refuse a buffer for the gradient that does not fit, or that overlaps the inputs."""
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        got = f"{out.shape} {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"{owner}: out must be an array {shape} {dtype}; got {got}")
    if not out.flags.writeable:
        raise ValueError(f"{owner}: out is read-only; pass an array that may be written to")
    is_owner = out.base is None
    for position, given in enumerate(inputs):
        # That two arrays own their memory is quicker to see than where it lies.
        if given is None or (is_owner and type(given) is np.ndarray and given.base is None and given is not out):
            continue
        for array in given if isinstance(given, tuple) else (given,):
            if isinstance(array, np.ndarray) and np.may_share_memory(out, array):
                name = ("pred", "target", "weight", "mask")[position]
                raise ValueError(f"{owner}: out must not share memory with {name}: inputs are never written to")


def refuse_third_derivative() -> NoReturn:
    """Say that losses are differentiated twice only."""
    raise NotImplementedError("losses are differentiated twice; a third derivative is not available")
