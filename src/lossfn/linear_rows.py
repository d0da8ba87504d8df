"""Losses of the rows of a linear map, a few rows at a time: the logits of all rows never exist together.

No formula stands here: every chunk of logits goes through the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lossfn import reduce
from lossfn.engine.batch import Batch
from lossfn.engine.paths import forced, forced_path
from lossfn.engine.products import add_product
from lossfn.engine.threads import Turns, limit, products_in_one_thread, share
from lossfn.softmax import SoftmaxLoss

#: Entries of the gradient of the projection that are added to at a time: all that their product needs as memory.
BLOCK = 2**20
#: Rows of a chunk that one thread needs for products as quick as those of many rows.
LEAST_ROWS = 160


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
        values, weight = self._empty_values(is_reduced=is_reduced), self._weight()
        buffer = self._buffer(self.chunk)
        with np.errstate(all="ignore"):
            for rows in self._places(weight, self.chunk):
                _, logits = self._logits(rows, weight, buffer)
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

        def add(number: int, rows: Any, turns: Turns, buffers: list[Any], plus: Callable[..., None]) -> Any:
            """Add what some rows contribute to the derivatives; return their loss."""
            buffer = buffers.pop()
            with np.errstate(all="ignore"), turns.whole(number):
                features, logits = self._logits(rows, weight, buffer)
                # The derivatives take the place of the logits.
                out = logits.pred
                function = "value_and_gradient" if is_reduced else "elements_and_gradient"
                value = self._evaluate(function, logits, scale, out)[0]
                if not is_reduced:
                    values[rows] = value
                slopes = out if out.dtype == features.dtype else xp.astype(out, features.dtype)

                def by_features() -> None:
                    if of_features is not None:
                        of_features[rows] = self._computed(xp.matmul(slopes, self.projection))

                def by_projection() -> None:
                    if of_projection is not None:
                        for part, block in enumerate(self._blocks()):
                            with turns.turn(number, part):
                                plus(of_projection[block], slopes[:, block], features)

                # Neighbours would wait for each other if both came to the projection at the same time.
                for step in (by_features, by_projection) if number % 2 else (by_projection, by_features):
                    step()
                if of_bias is not None:
                    with turns.turn(number, -1):
                        of_bias[...] += xp.sum(out, axis=0)
            buffers.append(buffer)
            return value

        parts = self._in_parts(add, weight)
        if is_reduced:
            values = sum(parts, start=values)
        if of_features is not None:
            of_features = of_features.reshape(self.shape)
        found = (of_features, of_projection, of_bias)
        return values, LinearGradient(*(None if part is None else batch.finish(part) for part in found))

    def _in_parts(self, add: Callable[..., Any], weight: Any) -> list[Any]:
        """Call ``add`` for the rows of each chunk, of which each thread has a part; return the results in order."""
        workers = self._workers(weight)
        with products_in_one_thread() if workers > 1 else nullcontext(False) as are_apart:
            workers = workers if are_apart else 1
            size = self.chunk // workers
            buffers = [self._buffer(size) for _ in range(workers)]
            places = self._places(weight, size)
            turns = Turns(len(places), len(self._blocks()) + 1)
            if workers == 1:
                return [add(number, rows, turns, buffers, self._plus) for number, rows in enumerate(places)]

            # Kernels with threads of their own would wait for those that wait here.
            path = forced_path() or "kernel"

            def in_one_thread(number: int, rows: Any) -> Any:
                with forced(path):
                    return add(number, rows, turns, buffers, add_product)

            return share(in_one_thread, tuple(enumerate(places)))

    def _plus(self, total: Any, left: Any, right: Any) -> None:
        """Add leftᵀ·right to ``total``, with as many threads as the library takes."""
        # ``add_product`` has threads of another library, which would wait by spinning while these work.
        total += self._computed(self.batch.xp.matmul(left.T, right))

    def _workers(self, weight: Any) -> int:
        """Return how many threads compute chunks, each its own: 1 where they would be too small for matrix products.

        Otherwise the threads of a product would wait for each other at its end, by spinning, while kernels compute.
        """
        count = self.features.shape[0] if weight is None else int(np.count_nonzero(weight))
        if self.batch.library != "numpy" or count <= self.chunk or self.chunk < LEAST_ROWS * limit():
            return 1
        return limit()

    def _reduced(self, values: Any) -> Any:
        if self.reduction == "none":
            return self.batch.finish(values.reshape(self.batch.shape))
        return self.batch.as_scalar(reduce.divide(values, self.divisor))

    def _blocks(self) -> list[slice]:
        """Return blocks of classes, to whose part of the projection is added: no second array of its size is needed."""
        classes, size = self.projection.shape
        step = max(1, BLOCK // max(1, size))
        return [slice(first, min(first + step, classes)) for first in range(0, classes, step)]

    def _places(self, weight: Any, size: int) -> list[Any]:
        """Return which rows each chunk of a size holds; those without weight are left out."""
        if weight is None:
            count = self.features.shape[0]
            return [slice(first, min(first + size, count)) for first in range(0, count, size)]
        kept = self.batch.xp.nonzero(weight != 0)[0]
        return [kept[first : first + size] for first in range(0, kept.shape[0], size)]

    def _buffer(self, size: int) -> Any:
        """Return memory for the logits of a chunk of a size."""
        shape = min(size, self.features.shape[0]), self.projection.shape[0]
        return self.batch.xp.empty(shape, dtype=self.features.dtype, device=self.batch.device)

    def _logits(self, rows: Any, weight: Any, buffer: Any) -> tuple[Any, Batch]:
        """Return the features of some rows, and the batch of their logits, which stand in ``buffer``."""
        batch = self.batch
        features = self.features[rows]
        count = features.shape[0]
        logits = batch.xp.matmul(features, self.projection.T, out=buffer[:count])
        if self.bias is not None:
            logits += self.bias
        targets = [target.reshape(-1, *target.shape[len(batch.shape) :])[rows] for target in batch.targets]
        of_rows = None if weight is None else weight[rows]
        dtypes = batch.dtype, batch.dtype
        scores = self._computed(logits)
        return features, Batch(batch.library, scores, tuple(targets), of_rows, None, (count,), *dtypes, batch.device)

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
