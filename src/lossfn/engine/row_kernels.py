"""Kernels of softmax losses: a few rows at a time, so that a row is still in the cache when its gradient is written.

Short rows are taken several at once: a loop of ten classes would leave most of a vector empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np

from lossfn.engine import threads
from lossfn.engine.batch import Batch
from lossfn.engine.kernels import load
from lossfn.engine.row_source import Variant, rows_per_block, source

#: Fewer classes are taken one after another, for several rows at once: by themselves they fill no vectors.
FEW = 16
#: So many classes fill vectors by themselves; fewer do with those of the next row.
MANY = 128


class Terms(Protocol):
    """What kernels need to know of a softmax loss."""

    needs_target_class_only: ClassVar[bool]

    @property
    def divisor(self) -> float:
        """What divides the scores."""

    @property
    def label_smoothing(self) -> float:
        """The share of a target that is spread over all classes."""

    @property
    def z_loss(self) -> float:
        """The factor on the squared log-sum-exp."""

    @property
    def term(self) -> Any:
        """The pointwise loss of one class."""

    def offset(self, classes: int) -> tuple[float, ...] | None:
        """Return what is added to the scores of each class, or ``None``."""


class RowKernels:
    """The kernels of one softmax loss for NumPy arrays."""

    def __init__(self, loss: Terms) -> None:
        self._loss = loss
        self._loops: dict[Variant, Callable[..., int]] = {}

    def value(self, path: str, batch: Batch) -> tuple[float, int]:
        """Return Σ w·ℓ, and how many rows have no valid target."""
        return self._run(path, "value", batch, 1.0, np.empty(0, batch.dtype))

    def elements(self, path: str, batch: Batch) -> tuple[Any, int]:
        """Return w·ℓ per row, and how many rows have no valid target."""
        elements = np.empty(batch.shape, batch.dtype)
        return elements, self._run(path, "elements", batch, 1.0, elements)[1]

    def value_and_gradient(self, path: str, batch: Batch, scale: float, out: Any) -> tuple[float, int]:
        """Return Σ w·ℓ and how many rows have no valid target; write the scaled gradient to ``out``.

        ``out`` may be the scores themselves.
        """
        return self._run(path, "value_and_gradient", batch, scale, out)

    def _run(self, path: str, kind: str, batch: Batch, scale: float, output: Any) -> tuple[float, int]:
        loss, number = self._loss, batch.dtype.type
        classes = batch.pred.shape[-1]
        count = batch.size
        weight = batch.element_weight()
        indexed = batch.targets[0].ndim == len(batch.shape)
        hard = indexed and loss.needs_target_class_only and not loss.label_smoothing
        offset = loss.offset(classes)
        # Scores that the gradient overwrites are read from a copy of each block.
        in_place = np.may_share_memory(batch.pred, output)
        moved = offset is not None or loss.divisor != 1.0 or in_place
        band = "few" if classes < FEW else "some" if classes < MANY else "many"
        # NumPy makes the name of a dtype anew each time.
        variant = Variant(kind, number.__name__, band, weight is not None, indexed, hard, moved, bool(loss.z_loss))
        evaluator = loss.term._evaluator
        loop = self._loops.get(variant)
        if loop is None:
            definition = evaluator.definition
            name = f"lossfn_rows_{definition.key}_" + "_".join(map(str, variant))
            loop = load(name, lambda *, cached: source(definition, variant, cached=cached))
            self._loops[variant] = loop
        target = batch.targets[0].reshape(-1)
        if weight is None:
            weight = np.empty(0, batch.dtype)
        else:
            weight = np.ascontiguousarray(np.broadcast_to(weight, batch.shape)).reshape(-1)
        per_block = rows_per_block(classes)
        blocks = -(-count // per_block)
        sums = np.zeros(blocks)
        smoothing = loss.label_smoothing
        numbers = (scale / loss.divisor, loss.divisor, 1 - smoothing, smoothing / classes, loss.z_loss)
        arguments = (
            count,
            per_block,
            classes,
            np.ascontiguousarray(batch.pred).reshape(-1),
            np.ascontiguousarray(target),
            weight,
            np.zeros(classes if moved else 0, batch.dtype) if offset is None else np.asarray(offset, batch.dtype),
            output.reshape(-1),
            sums,
            tuple(map(number, numbers)),
            *evaluator.parameters_in(batch.dtype),
        )
        invalid = threads.run(loop, blocks, *arguments) if path == "threads" else loop(0, blocks, *arguments)
        return float(sums.sum()), invalid
