"""Losses of the rows of a linear map, a few rows at a time: the logits of all rows never exist together.

No formula stands here: every chunk of logits goes through the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lossfn import reduce
from lossfn.engine.batch import Batch
from lossfn.softmax import SoftmaxLoss

#: Entries of the gradient of the projection that are added at a time, while they are in the cache.
BLOCK = 2**20


class LinearGradient(NamedTuple):
    """The derivatives by the features (..., d), the projection (K, d) and the bias (K,).

    ``None`` stands for what there is not: the bias, or what nobody asked for.
    """

    features: Any
    projection: Any
    bias: Any


@dataclass
class LinearRows:
    """The rows of a call, and what is summed over them.

    Attributes
    ----------
    loss : SoftmaxLoss
        What becomes of logits.
    batch : Batch
        Targets, weights and mask of all rows; its scores are a stand-in that takes no memory.
    features, projection, bias : array
        The linear map, ``features`` with one axis of rows.
    shape : tuple of int
        Of the features that the caller passed.
    reduction, divisor : str, number
        What divides the sum.
    chunk : int
        Rows whose logits exist at a time.
    caller_library : str
        The library that the caller uses. Tensors that NumPy can read are computed as NumPy arrays.
    """

    loss: SoftmaxLoss
    batch: Batch
    features: Any
    projection: Any
    bias: Any
    shape: tuple[int, ...]
    reduction: str
    divisor: Any
    chunk: int
    caller_library: str

    def value(self) -> Any:
        """Return the reduced loss, or that of each row."""
        is_reduced = self.reduction != "none"
        values = self._empty_values(is_reduced=is_reduced)
        with np.errstate(all="ignore"):
            for rows, _, logits in self._chunks(self._weight()):
                if is_reduced:
                    values += self._evaluate("weighted_sum", logits)
                else:
                    values[rows] = self._evaluate("elements", logits)
        return self._reduced(values)

    def value_and_gradient(self, wanted: tuple[bool, bool, bool]) -> tuple[Any, LinearGradient]:
        """Return the value and the derivatives that are wanted; where the value is unreduced, those of the sum."""
        scale = reduce.reciprocal(self.batch.library, self.divisor)
        is_reduced = self.reduction != "none"
        values, gradient = self._values_and_gradient(self._weight(), scale, wanted, is_reduced=is_reduced)
        return self._reduced(values), gradient

    def gradient_of(self, upstream: Any, wanted: tuple[bool, bool, bool]) -> LinearGradient:
        """Return the derivatives of the sum of unreduced values, each times its number in ``upstream``."""
        weight, xp = self._weight(), self.batch.xp
        upstream = xp.astype(upstream.reshape(-1), self.batch.dtype)
        if weight is not None:
            # What is dropped stays so, whatever stands upstream.
            upstream = xp.where(weight != 0, weight * upstream, xp.zeros_like(weight))
        return self._values_and_gradient(upstream, 1.0, wanted, is_reduced=True)[1]

    def _values_and_gradient(
        self, weight: Any, scale: Any, wanted: tuple[bool, bool, bool], *, is_reduced: bool
    ) -> tuple[Any, LinearGradient]:
        batch, xp = self.batch, self.batch.xp
        of_features, of_projection, of_bias = (
            xp.zeros(array.shape, dtype=batch.dtype, device=batch.device) if is_wanted else None
            for array, is_wanted in zip((self.features, self.projection, self.bias), wanted, strict=True)
        )
        values = self._empty_values(is_reduced=is_reduced)
        with np.errstate(all="ignore"):
            for rows, features, logits in self._chunks(weight):
                # The derivatives take the place of the logits.
                out = logits.pred
                if is_reduced:
                    values += self._evaluate("value_and_gradient", logits, scale, out)[0]
                else:
                    values[rows] = self._evaluate("elements_and_gradient", logits, scale, out)[0]
                slopes = out if out.dtype == features.dtype else xp.astype(out, features.dtype)
                if of_features is not None:
                    of_features[rows] = self._computed(xp.matmul(slopes, self.projection))
                if of_projection is not None:
                    self._add_product(of_projection, slopes, features)
                if of_bias is not None:
                    of_bias += xp.sum(out, axis=0)
        if of_features is not None:
            of_features = of_features.reshape(self.shape)
        parts = (of_features, of_projection, of_bias)
        return values, LinearGradient(*(None if part is None else batch.finish(part) for part in parts))

    def _reduced(self, values: Any) -> Any:
        if self.reduction == "none":
            return self.batch.finish(values.reshape(self.batch.shape))
        return self.batch.as_scalar(reduce.divide(values, self.divisor))

    def _add_product(self, of_projection: Any, slopes: Any, features: Any) -> None:
        """Add slopesᵀ features: by blocks of classes, so that no second array of this size is needed."""
        xp, (classes, size) = self.batch.xp, self.projection.shape
        step = max(1, BLOCK // max(1, size))
        for first in range(0, classes, step):
            block = slice(first, min(first + step, classes))
            of_projection[block] += self._computed(xp.matmul(slopes[:, block].T, features))

    def _chunks(self, weight: Any) -> Iterator[tuple[Any, Any, Batch]]:
        """Yield which rows a chunk holds, their features, and the batch of their logits.

        The logits of all chunks share one buffer. Rows without weight are left out.
        """
        batch, xp = self.batch, self.batch.xp
        targets = [target.reshape(-1, *target.shape[len(batch.shape) :]) for target in batch.targets]
        kept = None if weight is None else xp.nonzero(weight != 0)[0]
        count = self.features.shape[0] if kept is None else kept.shape[0]
        shape = (min(self.chunk, count), self.projection.shape[0])
        buffer = xp.empty(shape, dtype=self.features.dtype, device=batch.device)
        for first in range(0, count, self.chunk):
            last = min(first + self.chunk, count)
            rows = slice(first, last) if kept is None else kept[first:last]
            features = self.features[rows]
            logits = xp.matmul(features, self.projection.T, out=buffer[: last - first])
            if self.bias is not None:
                logits += self.bias
            of_rows = None if weight is None else weight[rows]
            yield (
                rows,
                features,
                Batch(
                    batch.library,
                    self._computed(logits),
                    tuple(target[rows] for target in targets),
                    of_rows,
                    None,
                    (last - first,),
                    batch.dtype,
                    batch.dtype,
                    batch.device,
                ),
            )

    def _evaluate(self, function: str, logits: Batch, *options: Any) -> Any:
        evaluator = self.loss._evaluator
        try:
            return getattr(evaluator, function)(logits, *options)
        except ValueError:
            # Name the row as the caller counts, not within its chunk.
            evaluator.check_concrete(self.batch)
            raise

    def _weight(self) -> Any:
        weight = self.batch.element_weight()
        return None if weight is None else self.batch.xp.broadcast_to(weight, self.batch.shape).reshape(-1)

    def _empty_values(self, *, is_reduced: bool) -> Any:
        """Return zeros: one for the sum, or one for each row."""
        batch = self.batch
        values = batch.xp.zeros((batch.size,), dtype=batch.dtype, device=batch.device)
        return reduce.accumulate(batch.library, values[:0]) if is_reduced else values

    def _computed(self, values: Any) -> Any:
        """Return values in the dtype that losses are computed in: products of matrices may be in half precision."""
        return values if values.dtype == self.batch.dtype else self.batch.xp.astype(values, self.batch.dtype)
