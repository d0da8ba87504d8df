"""Rows of scores and what they are compared with: recognised, refused where they do not fit, evaluated.

A row is one sample: K scores, and the index of a class or a distribution over the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from lossfn import checks, reduce
from lossfn.engine import batch as batches, tensors
from lossfn.engine.batch import Batch, eagerly, is_traced, nan_outside
from lossfn.engine.libraries import compatible, library_of_namespace
from lossfn.engine.namespaces import ArrayNamespace
from lossfn.engine.paths import adapter, path_of
from lossfn.fields import EXTENDED_REAL, REAL, Domain


class Part(NamedTuple):
    """What one part of a target may hold.

    Class indices, distributions where allowed, scores of another model, or one real number for each row.
    """

    name: str
    is_scores: bool = False
    may_be_distribution: bool = True
    is_number: bool = False


class RowFunctions(Protocol):
    """What a row-wise loss defines, on arrays of any library; ``scores`` are (..., K).

    ``Target`` makes a target of its parts.
    """

    Target: ClassVar[Any]

    def classes_of(self, width: int) -> int:
        """Return how many classes rows of ``width`` scores tell apart."""

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return the Hessian of each row times a vector of the shape of ``scores``."""

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the diagonal of the Hessian of each row."""


ClassesOf = Callable[[int], int]


def same_number(width: int) -> int:
    """Return how many classes there are where each has a score of its own."""
    return width


def prepare(
    owner: str,
    pred: Any,
    target: Any,
    weight: Any,
    mask: Any,
    parts: tuple[Part, ...] = (Part("target"),),
    classes_of: ClassesOf = same_number,
    *,
    by_kernel: bool = True,
) -> Batch:
    """Return the batch of a call, with shapes, dtypes and weights checked; class indices become int64.

    ``by_kernel`` says whether a kernel will compute it, for which tensors become NumPy arrays of the same memory.
    """
    names = tuple(part.name for part in parts)
    targets = batches.split(owner, target, names)
    given = {"pred": pred, **dict(zip(names, targets, strict=True)), "weight": weight, "mask": mask}
    library = batches.library_of(owner, **given)
    from_memory = library == "torch" and by_kernel and tensors.are_readable(*given.values())
    if from_memory:
        given = {name: tensors.numpy_view(array) for name, array in given.items()}
        library = "numpy"
    xp = compatible(library)
    device = batches.device_of(library, pred, *targets)
    arrays = {
        name: batches.as_array(owner, name, value, xp, device) for name, value in given.items() if value is not None
    }
    pred = arrays["pred"]
    dtype, result_dtype = batches.dtypes_of(owner, library, pred)
    _check_scores(owner, tuple(pred.shape), classes_of)
    shape = tuple(pred.shape[:-1])
    pred = _cast(xp, pred, dtype)
    targets = tuple(_as_target(owner, part, arrays[part.name], xp, pred) for part in parts)
    weight, mask = batches.weight_and_mask(owner, library, arrays, shape, dtype)
    caller_library = "torch" if from_memory else ""
    return Batch(library, pred, targets, weight, mask, shape, dtype, result_dtype, device, caller_library)


def prepare_scores(owner: str, pred: Any, classes_of: ClassesOf = same_number) -> Batch:
    """Return a batch of scores alone, without targets."""
    library = batches.library_of(owner, pred=pred)
    xp = compatible(library)
    device = batches.device_of(library, pred)
    pred = batches.as_array(owner, "pred", pred, xp, device)
    _check_scores(owner, tuple(pred.shape), classes_of)
    dtype, _ = batches.dtypes_of(owner, library, pred)
    return Batch(library, _cast(xp, pred, dtype), (), None, None, tuple(pred.shape[:-1]), dtype, pred.dtype, device)


def _check_scores(owner: str, pred: tuple[int, ...], classes_of: ClassesOf) -> None:
    if not pred or not pred[-1] or classes_of(pred[-1]) < 2:
        raise ValueError(
            f"{owner}: pred must hold at least two scores a row in its last axis; got pred {pred}. "
            "For one score and two classes use BinaryCrossEntropy or another binary loss"
        )


def _as_target(owner: str, part: Part, target: Any, xp: Any, pred: Any) -> Any:
    """Return class indices as integers, a distribution in the dtype of the scores."""
    name = part.name
    scores, shape = tuple(pred.shape), tuple(target.shape)
    if part.is_number:
        if shape != scores[:-1]:
            raise ValueError(f"{owner}: {name} must be numbers {scores[:-1]}, one for each row of pred; got {shape}")
        return batches.as_real(owner, name, target, xp, pred.dtype)
    if shape == scores and (part.may_be_distribution or part.is_scores):
        return batches.as_real(owner, name, target, xp, pred.dtype)
    if part.is_scores:
        raise ValueError(f"{owner}: {name} must have the shape of pred {scores}; got {shape}")
    if shape == scores:
        raise ValueError(f"{owner}: {name} must be class indices {scores[:-1]}; got {shape}. Use {name}.argmax(-1)")
    if shape == scores[:-1]:
        if not xp.isdtype(target.dtype, "integral"):
            raise TypeError(
                f"{owner}: {name} of shape {shape} holds class indices, which must be integers; got {target.dtype}. "
                "Convert them, or pass a distribution over the classes for each row"
            )
        # JAX has no int64 by default.
        return target if library_of_namespace(xp) == "jax" else _cast(xp, target, xp.int64)
    message = (
        f"{owner}: {name} must be class indices {scores[:-1]} or distributions {scores} for pred {scores}; "
        f"got {name} {shape}"
    )
    if shape == (*scores[:-1], 1):
        raise ValueError(f"{message}. Use {name}[..., 0]")
    if len(scores) > 2 and shape == (scores[0], *scores[2:]):
        raise ValueError(f"{message}. Classes come last: move them there, as by numpy.moveaxis(pred, 1, -1)")
    raise ValueError(f"{message}. Nothing is broadcast: reshape one of them")


def _cast(xp: Any, array: Any, dtype: Any) -> Any:
    return array if array.dtype == dtype else xp.astype(array, dtype)


def is_indexed(batch: Batch) -> bool:
    """Whether the target holds class indices, not distributions."""
    return len(batch.targets[0].shape) == len(batch.shape)


def one_hot(xp: Any, index: Any, like: Any) -> Any:
    """Return 1 at the class of each row and 0 elsewhere, in the shape and dtype of ``like``."""
    numbers = xp.cumulative_sum(xp.ones_like(like, dtype=index.dtype), axis=-1) - 1
    return xp.astype(index[..., None] == numbers, like.dtype)


def nan_rows(ops: ArrayNamespace, scores: Any) -> Any:
    """Return NaN (..., 1) for rows that hold NaN and 0 for others; what is added to results that leave scores out."""
    # Their own NaN, because a number NaN stops JAX where it looks for them.
    largest = ops.xp.max(scores, axis=-1, keepdims=True)
    return ops.xp.where(largest != largest, largest, ops.number(0.0))


class RowEvaluator:
    """The paths of one row-wise loss: array code, and kernels where there are any."""

    def __init__(
        self,
        owner: str,
        functions: RowFunctions,
        parts: tuple[Part, ...],
        kernels: Any = None,
        prediction: Domain = EXTENDED_REAL,
    ) -> None:
        self.owner = owner
        self.functions = functions
        self.parts = parts
        self.kernels = kernels
        self.prediction = prediction

    def has_kernel(self, kind: str) -> bool:
        """Whether there is a kernel that computes a kind of result."""
        return self.kernels is not None and kind in ("value", "value_and_gradient")

    def weighted_sum(self, batch: Batch) -> Any:
        """Return Σ w·ℓ, differentiable where the framework differentiates."""
        path = self._path(batch)
        if path != "arrays":
            return self._checked(batch, self.kernels.value(path, batch))
        return reduce.accumulate(batch.library, self.elements(batch))

    def elements(self, batch: Batch) -> Any:
        """Return w·ℓ per row, differentiable where the framework differentiates."""
        path = self._path(batch)
        if path != "arrays":
            return self._checked(batch, self.kernels.elements(path, batch))
        self.check_concrete(batch)
        with np.errstate(all="ignore"):
            weight, keep, scores, targets = self._harmless(batch)
            return _weighted(batch, self._function("row_value", batch)(scores, *targets), weight, keep, 0)

    def value_and_gradient(self, batch: Batch, scale: Any, out: Any = None) -> tuple[Any, Any]:
        """Return Σ w·ℓ and the scaled gradient."""
        path = self._path(batch)
        if path != "arrays":
            gradient = np.empty(batch.pred.shape, batch.dtype) if out is None else out
            return self._checked(batch, self.kernels.value_and_gradient(path, batch, scale, gradient)), gradient
        elements, gradient = self._with_gradient(batch, scale, out)
        return reduce.accumulate(batch.library, elements), gradient

    def elements_and_gradient(self, batch: Batch, scale: Any, out: Any = None) -> tuple[Any, Any]:
        """Return w·ℓ per row and the scaled gradient."""
        if self._path(batch) == "arrays":
            return self._with_gradient(batch, scale, out)
        return self.elements(batch), self.value_and_gradient(batch, scale, out)[1]

    def _with_gradient(self, batch: Batch, scale: Any, out: Any) -> tuple[Any, Any]:
        self.check_concrete(batch)
        with np.errstate(all="ignore"):
            weight, keep, scores, targets = self._harmless(batch)
            elements = _weighted(batch, self._function("row_value", batch)(scores, *targets), weight, keep, 0)
            slopes = self._function("row_gradient", batch)(scores, *targets)
            gradient = _weighted(batch, slopes, scale if weight is None else weight * scale, keep, 1)
        if out is not None:
            out[...] = gradient
            gradient = out
        return elements, gradient

    def derivatives(self, kind: str, batch: Batch, scale: Any, *vector: Any) -> tuple[Any, ...]:
        """Return scaled derivatives: of the kinds ``hessian``, ``hessian_diagonal`` and ``hessian_product``."""
        self.check_concrete(batch)
        with np.errstate(all="ignore"):
            weight, keep, scores, targets = self._harmless(batch)
            factor = scale if weight is None else weight * scale
            if kind == "hessian":
                return (_weighted(batch, self._hessian(batch, scores, targets), factor, keep, 2),)
            values = getattr(self.functions, f"row_{kind}")(batch.ops, scores, self.functions.Target(*targets), *vector)
            return (_weighted(batch, values, factor, keep, 1),)

    def _harmless(self, batch: Batch) -> tuple[Any, Any, Any, tuple[Any, ...]]:
        """Return weight, what is kept, and scores and targets with stand-ins where rows are dropped."""
        xp, keep, scores, targets = batch.xp, batch.kept(), batch.pred, batch.targets
        if keep is not None:
            keep = xp.broadcast_to(keep, batch.shape)
            scores = xp.where(keep[..., None], scores, xp.zeros_like(scores))
            targets = tuple(
                xp.where(keep, target, xp.zeros_like(target))
                if len(target.shape) == len(batch.shape)
                else xp.where(keep[..., None], target, xp.ones_like(target) / target.shape[-1])
                for target in targets
            )
        if not self.prediction.takes_any_score and is_traced(batch.library, scores):
            scores = scores + nan_outside(batch, self._holds(batch, scores))
        if is_traced(batch.library, *targets):
            # Where no class can be refused, a wrong one gives NaN: a sum keeps it for both derivatives. Nothing looks
            # for its score, because reading beyond an array ends every computation on an accelerator.
            harmless = []
            for part, target in zip(self.parts, targets, strict=True):
                if len(target.shape) == len(batch.shape) and not part.is_number:
                    inside = (target >= 0) & (target < self.functions.classes_of(scores.shape[-1]))
                    scores = scores + nan_outside(batch, inside)[..., None]
                    target = xp.where(inside, target, xp.zeros_like(target))
                harmless.append(target)
            targets = tuple(harmless)
        return batch.element_weight(), keep, scores, targets

    def check_values(self, batch: Batch, keep: Any = None) -> None:
        """Refuse the first score or target that the loss does not take, where ``keep`` is not false."""
        self._check_scores(batch, keep)
        xp, classes = batch.xp, self.functions.classes_of(batch.pred.shape[-1])
        for part, target in zip(self.parts, batch.targets, strict=True):
            if part.is_scores:
                continue
            if part.is_number:
                inside, expected, cure = xp.isfinite(target), REAL.name, "rows are skipped by mask="
            elif len(target.shape) == len(batch.shape):
                inside = (target >= 0) & (target < classes)
                expected, cure = f"a class index from 0 to {classes - 1}", "rows are skipped by mask= or ignore_index="
            else:
                inside = xp.all(target >= 0, axis=-1) & (xp.abs(xp.sum(target, axis=-1) - 1) <= checks.SUM_TOLERANCE)
                expected, cure = "a distribution: numbers >= 0 that sum to 1", "independent labels take a binary loss"
            if keep is not None:
                inside = inside | ~keep
            if not bool(xp.all(inside)):
                checks.raise_row_outside(self.owner, part.name, np.asarray(target), np.asarray(inside), expected, cure)

    def _check_scores(self, batch: Batch, keep: Any) -> None:
        if self.prediction.takes_any_score:
            return
        inside = self._holds(batch, batch.pred)
        if keep is not None:
            inside = inside | ~batch.xp.broadcast_to(keep, batch.shape)[..., None]
        if not bool(batch.xp.all(inside)):
            checks.raise_outside(self.owner, "pred", np.asarray(batch.pred), np.asarray(inside), self.prediction)

    def _holds(self, batch: Batch, scores: Any) -> Any:
        """Return where scores are what the loss takes, or NaN."""
        return self.prediction.condition(batch.ops, scores) | (scores != scores)

    def check_concrete(self, batch: Batch) -> None:
        """Check rows that count, where values can be looked at."""
        with eagerly(batch.library):
            if not is_traced(batch.library, batch.pred, *batch.targets, batch.weight, batch.mask):
                self.check_values(batch, batch.kept())

    def _path(self, batch: Batch) -> str:
        return "arrays" if self.kernels is None else path_of(batch.library, batch.pred)

    def _checked(self, batch: Batch, result: tuple[Any, int]) -> Any:
        values, invalid = result
        if invalid:
            self.check_concrete(batch)
        return values

    def _function(self, name: str, batch: Batch) -> Any:
        if batch.library == "numpy":
            function, joined = getattr(self.functions, name), self.functions.Target
            return lambda scores, *targets: function(batch.ops, scores, joined(*targets))
        return adapter(batch.library).rowwise(name, self.functions, batch.ops)

    def _hessian(self, batch: Batch, scores: Any, targets: tuple[Any, ...]) -> Any:
        """Return the full block, one Hessian-vector product with each unit vector."""
        first = one_hot(batch.xp, batch.xp.zeros_like(scores[..., 0], dtype=batch.xp.int32), scores)
        units = [batch.xp.roll(first, position, axis=-1) for position in range(scores.shape[-1])]
        product, target = self.functions.row_hessian_product, self.functions.Target(*targets)
        return batch.xp.stack([product(batch.ops, scores, target, unit) for unit in units], axis=-2)


def _weighted(batch: Batch, values: Any, factor: Any, keep: Any, axes: int) -> Any:
    """Return weighted rows; ``axes`` says how many axes over classes follow those of the rows."""
    tail: Sequence[None] = (None,) * axes
    index = (..., *tail)
    if factor is not None:
        values = values * (factor[index] if getattr(factor, "shape", ()) else factor)
    values = batch.xp.astype(values, batch.dtype)
    return values if keep is None else batch.xp.where(keep[index], values, batch.ops.number(0.0))
