"""What score functions of NumPy arrays share: the cases of a call, how they are checked, shared out and reduced."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from lossfn import checks, fields, reduce
from lossfn.engine import batch as batches, threads
from lossfn.engine.batch import Batch

Array = np.ndarray[Any, Any]

#: Numbers that a block of cases holds: its temporaries stay in the processor's second-level cache.
BLOCK = 32768


class Reduction(TypedDict, total=False):
    """How the scores of the cases are combined: the options of every loss, with the same meaning and defaults."""

    weight: Any
    mask: Any
    reduction: str
    denominator: Any


@dataclass(frozen=True)
class Cases:
    """The checked options of one call: which cases count, how much, and in which dtype the result is wanted."""

    batch: Batch
    owner: str
    reduction: str
    denominator: Any
    factor: Any
    result_dtype: np.dtype[Any]

    @property
    def keep(self) -> Array:
        """Whether each case counts; what has no weight is neither checked nor used."""
        return np.broadcast_to(True if self.factor is None else self.factor != 0, self.batch.shape)

    def check(self, name: str, values: Array, inside: Array, domain: fields.Domain) -> None:
        """Refuse the first value of a case that counts and lies outside its domain; cases come first."""
        if inside.all():
            return
        dropped = ~self.keep.reshape(self.batch.shape + (1,) * (values.ndim - len(self.batch.shape)))
        inside = inside | dropped
        if not inside.all():
            checks.raise_outside(self.owner, name, values, inside, domain)

    def finish(self, scores: Array) -> Any:
        """Return the reduced scores in the dtype of the forecast."""
        if self.factor is not None:
            scores = np.where(self.keep, np.where(self.keep, scores, 0) * self.factor, 0)
        if self.reduction == "none":
            return scores.astype(self.result_dtype)
        weight = self.factor if self.reduction == "mean" else None
        divisor = reduce.denominator_of(
            "numpy", self.reduction, self.denominator, weight, self.batch.mask, self.batch.shape, self.owner
        )
        return self.result_dtype.type(reduce.divide(scores.sum(), divisor))


def prepare(owner: str, name: str, forecast: Any, shape: tuple[int, ...], options: Reduction) -> Cases:
    """Check the options of a call whose cases have this shape; the result has the dtype of the forecast."""
    unknown = set(options) - set(Reduction.__annotations__)
    if unknown:
        known = ", ".join(Reduction.__annotations__)
        raise TypeError(f"{owner}: unknown option {sorted(unknown)[0]!r}; there are {known}")
    reduction, denominator = options.get("reduction", "mean"), options.get("denominator")
    checks.check_reduction(owner, reduction, denominator)
    # Nothing but weights, masks and their shapes is looked at here.
    stand_in = np.broadcast_to(np.float64(0), shape)
    batch = batches.prepare(owner, ("score",), stand_in, stand_in, options.get("weight"), options.get("mask"))
    dtype = forecast.dtype
    if dtype.name not in batches.COMPUTE:
        raise TypeError(
            f"{owner}: {name} must be float16, bfloat16, float32 or float64; got {dtype}; convert it with "
            f"{name}.astype(float)"
        )
    return Cases(batch, owner, reduction, denominator, batch.element_weight(), dtype)


def as_arrays(owner: str, **values: Any) -> tuple[Array, ...]:
    """Convert lists and columns of data frames; refuse what is not an array of real numbers of NumPy."""
    library = batches.library_of(owner, **values)
    if library != "numpy":
        raise TypeError(f"{owner}: works on NumPy arrays; got {library}. Convert them first")
    arrays = tuple(batches.as_numpy(owner, name, value) for name, value in values.items())
    for name, array in zip(values, arrays, strict=True):
        if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
            raise TypeError(f"{owner}: {name} must be real, integer or boolean; got dtype {array.dtype}")
    return arrays


def check_shape(owner: str, name: str, shape: tuple[int, ...], expected: tuple[int, ...], meaning: str) -> None:
    """Refuse an array whose shape is not that of the cases and the axes that it adds."""
    if shape != expected:
        raise ValueError(f"{owner}: {name} must have {meaning}, {expected} here; got {shape}")


def prepare_vectors(owner: str, ensemble: Any, target: Any, options: Reduction) -> tuple[Cases, Array, Array]:
    """Return the cases, and in float64 their members (N, M, D) and targets (N, D)."""
    members, truth = as_arrays(owner, ensemble=ensemble, target=target)
    if truth.ndim < 1 or members.ndim < 2:
        raise ValueError(
            f"{owner}: ensemble must have shape (..., M, D) and target (..., D); got ensemble {members.shape} and "
            f"target {truth.shape}"
        )
    cases = prepare(owner, "ensemble", members, truth.shape[:-1], options)
    expected = (*truth.shape[:-1], members.shape[-2], truth.shape[-1])
    check_shape(
        owner, "ensemble", members.shape, expected, "the shape of target with an axis of members before the last"
    )
    cases.check("target", truth, np.isfinite(truth), fields.REAL)
    size = truth.shape[-1]
    if not size:
        raise ValueError(f"{owner}: at least one component is needed; got target {truth.shape}")
    return cases, members.reshape(-1, members.shape[-2], size).astype(float), truth.reshape(-1, size).astype(float)


def in_blocks(score: Callable[[slice], Array], shape: tuple[int, ...], size: int) -> Array:
    """Return ``score`` of all cases, ``size`` numbers each: a block at a time, blocks shared among threads."""
    count = math.prod(shape)
    scores = np.empty(count)
    rows = max(1, BLOCK // max(1, size))
    blocks = -(-count // rows)

    def fill(first: int, last: int) -> int:
        # What one thread ignores, the others do not.
        with np.errstate(all="ignore"):
            for block in range(first, last):
                rows_of_block = slice(block * rows, min(count, (block + 1) * rows))
                scores[rows_of_block] = score(rows_of_block)
        return 0

    if blocks == 1:
        fill(0, 1)
    else:
        threads.run(fill, blocks)
    return scores.reshape(shape)
