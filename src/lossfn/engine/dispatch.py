"""The paths that compute a pointwise loss; which of them does is decided in ``paths.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

from lossfn import checks, reduce
from lossfn.engine import threads
from lossfn.engine.batch import Batch, eagerly, is_traced, nan_outside
from lossfn.engine.definition import Definition
from lossfn.engine.kernels import BLOCK, KINDS, Variant, kernel
from lossfn.engine.namespaces import limited
from lossfn.engine.paths import adapter, path_of
from lossfn.fields import Domain, Parts, domains_of

#: How many axes of heads each output of a kernel has.
AXES = {"elements": 0, "gradient": 1, "hessian": 2}


class Evaluator:
    """The paths of one loss: its definition, the values of its parameters and its domains."""

    def __init__(
        self,
        owner: str,
        definition: Definition,
        parameters: tuple[float, ...],
        prediction: Domain,
        target: Domain | Parts,
    ) -> None:
        self.owner = owner
        self.definition = definition
        self.parameters = parameters
        self.prediction = prediction
        self.target = target
        kinds: tuple[Any, ...] = (np.float32, np.float64)
        self._typed = {
            np.dtype(kind).char: (
                kind,
                tuple(kind(limited(number, float(np.finfo(kind).max))) for number in parameters),
            )
            for kind in kinds
        }
        self._loops: dict[tuple[str, str, bool, bool], tuple[Callable[..., int], Any, tuple[Any, ...]]] = {}

    def parameters_in(self, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        """Return the parameters as numbers of a dtype; finite ones stay so."""
        return self._typed[dtype.char][1]

    def weighted_sum(self, batch: Batch) -> Any:
        """Return Σ w·ℓ, differentiable where the framework differentiates."""
        path = path_of(batch.library, batch.targets[0])
        if path != "arrays":
            return self._run_kernel(path, "value", batch, 1.0)
        return reduce.accumulate(batch.library, self.elements(batch))

    def elements(self, batch: Batch) -> Any:
        """Return w·ℓ per element, differentiable where the framework differentiates."""
        path = path_of(batch.library, batch.targets[0])
        if path != "arrays":
            elements = np.empty(batch.shape, batch.dtype)
            self._run_kernel(path, "elements", batch, 1.0, elements)
            return elements
        with _quietly():
            weight, keep = _weight_and_keep(batch)
            (values,) = self._call("value", batch, keep)
            return _weighted(batch, values, weight, keep)

    def value_and_gradient(self, batch: Batch, scale: Any, out: Any = None) -> tuple[Any, Any]:
        """Return Σ w·ℓ and the scaled gradient."""
        path = path_of(batch.library, batch.targets[0])
        if path != "arrays":
            gradient = np.empty(batch.pred.shape, batch.dtype) if out is None else out
            return self._run_kernel(path, "value_and_gradient", batch, scale, gradient), gradient
        elements, gradient = self._with_gradient(batch, scale, out)
        return reduce.accumulate(batch.library, elements), gradient

    def elements_and_gradient(self, batch: Batch, scale: Any, out: Any = None) -> tuple[Any, Any]:
        """Return w·ℓ per element and the scaled gradient."""
        path = path_of(batch.library, batch.targets[0])
        if path == "arrays":
            return self._with_gradient(batch, scale, out)
        elements = np.empty(batch.shape, batch.dtype)
        gradient = np.empty(batch.pred.shape, batch.dtype) if out is None else out
        self._run_kernel(path, "elements_and_gradient", batch, scale, elements, gradient)
        return elements, gradient

    def _with_gradient(self, batch: Batch, scale: Any, out: Any) -> tuple[Any, Any]:
        with _quietly():
            weight, keep = _weight_and_keep(batch)
            value, *parts = self._call("value_and_gradient", batch, keep)
            elements = _weighted(batch, value, weight, keep)
            gradient = self._assemble(batch, parts, scale if weight is None else weight * scale, keep, 1)
        if out is not None:
            out[...] = gradient
            gradient = out
        return elements, gradient

    def derivatives(self, kind: str, batch: Batch, scale: Any) -> tuple[Any, ...]:
        """Return the arrays of a kind of kernel: w·ℓ per element, and the scaled gradient, Hessian or curvature."""
        axes = [AXES[output] for output in KINDS[kind][1]]
        heads = len(self.definition.heads)
        path = path_of(batch.library, batch.targets[0])
        if path != "arrays":
            tails = [() if heads == 1 else (heads,) * count for count in axes]
            arrays = [np.empty(batch.shape + tail, batch.dtype) for tail in tails]
            self._run_kernel(path, kind, batch, scale, *arrays)
            return tuple(arrays)
        results = []
        with _quietly():
            weight, keep = _weight_and_keep(batch)
            parts = self._call(KINDS[kind][0], batch, keep)
            scaled = scale if weight is None else weight * scale
            for count in axes:
                taken, parts = parts[: heads**count], parts[heads**count :]
                results.append(self._assemble(batch, taken, scaled if count else weight, keep, count))
        return tuple(results)

    def check_values(self, batch: Batch, keep: Any = None) -> None:
        """Refuse the first target or prediction outside its domain, where ``keep`` is not false."""
        heads = self._heads(batch.pred)
        arguments = [*heads, *batch.targets, *map(batch.ops.number, self.parameters)]
        (inside,) = self.definition.evaluate("valid_target", batch.ops, *arguments)
        if keep is not None:
            inside = inside | ~keep
        if not bool(inside.all()):
            self._refuse_target(batch, _to_numpy(inside))
        if not self.definition.checks_prediction:
            return
        for head in heads:
            inside = self.prediction.condition(batch.ops, head) | (head != head)
            if keep is not None:
                inside = inside | ~keep
            if not bool(inside.all()):
                checks.raise_outside(self.owner, "pred", _to_numpy(head), _to_numpy(inside), self.prediction)

    def _inside(self, batch: Batch, heads: list[Any], targets: list[Any]) -> Any:
        """Return whether targets and predictions lie in their domains."""
        (inside,) = self.definition.evaluate(
            "valid_target", batch.ops, *heads, *targets, *map(batch.ops.number, self.parameters)
        )
        if self.definition.checks_prediction:
            for head in heads:
                inside = inside & (self.prediction.condition(batch.ops, head) | (head != head))
        return inside

    def _refuse_target(self, batch: Batch, inside: Any) -> NoReturn:
        """Report the first part that lies outside its domain; if none does, they are out of order."""
        names, values = self.target.labels, [_to_numpy(part) for part in batch.targets]
        for name, part, domain in zip(names, values, domains_of(self.target), strict=True):
            own = inside | domain.condition(np, part)
            if not own.all():
                checks.raise_outside(self.owner, name, part, own, domain)
        for smaller, larger in pairwise(range(len(names))):
            pair = values[smaller], values[larger]
            own = inside | (pair[0] <= pair[1])
            if not own.all():
                checks.raise_descending(self.owner, (names[smaller], names[larger]), pair, own)
        raise AssertionError("a target is refused for no reason")

    def _heads(self, pred: Any) -> list[Any]:
        count = len(self.definition.heads)
        return [pred] if count == 1 else [pred[..., position] for position in range(count)]

    def _call(self, function: str, batch: Batch, keep: Any) -> tuple[Any, ...]:
        with eagerly(batch.library):
            traced = is_traced(batch.library, batch.pred, *batch.targets, batch.weight, batch.mask)
            if not traced:
                self.check_values(batch, _weight_and_keep(batch)[1])
        heads, targets = self._heads(batch.pred), list(batch.targets)
        number = batch.ops.number
        if keep is not None:
            # Harmless stand-ins, so that nothing in a dropped row can reach a value or a gradient.
            heads = [batch.xp.where(keep, head, number(self.prediction.example)) for head in heads]
            examples = [number(domain.example) for domain in domains_of(self.target)]
            targets = [batch.xp.where(keep, *pair) for pair in zip(targets, examples, strict=True)]
        if traced:
            # Where no value can be refused, a wrong one gives NaN: a sum keeps it for both derivatives.
            zero = nan_outside(batch, self._inside(batch, heads, targets))
            heads = [head + zero for head in heads]
        arguments = [*heads, *targets, *map(number, self.parameters)]
        if batch.library != "numpy":
            results: tuple[Any, ...] = adapter(batch.library).evaluate(function, self.definition, batch.ops, arguments)
            return results
        return self.definition.evaluate(function, batch.ops, *arguments)

    def _assemble(self, batch: Batch, parts: Sequence[Any], factor: Any, keep: Any, axes: int) -> Any:
        parts = [batch.xp.astype(_weighted(batch, part, factor, keep), batch.dtype) for part in parts]
        if len(parts) == 1:
            return parts[0]
        heads = len(self.definition.heads)
        stacked = batch.xp.stack(parts, axis=-1)
        return stacked if axes == 1 else stacked.reshape(*batch.shape, heads, heads)

    def _loop(self, kind: str, batch: Batch) -> tuple[Callable[..., int], Any, tuple[Any, ...]]:
        """Return the compiled loop for a batch, the type of its numbers, and the parameters of that type."""
        key = (kind, batch.dtype.char, batch.weight is not None, batch.mask is not None)
        found = self._loops.get(key)
        if found is None:
            loop = kernel(self.definition, Variant(kind, batch.dtype.name, *key[2:]))
            found = self._loops[key] = (loop, *self._typed[key[1]])
        return found

    def _run_kernel(self, path: str, kind: str, batch: Batch, scale: float, *outputs: np.ndarray[Any, Any]) -> float:
        loop, number, parameters = self._loop(kind, batch)
        arrays = [*batch.targets, batch.pred]
        if batch.weight is not None:
            arrays.append(_repeated(batch.weight, batch.shape))
        if batch.mask is not None:
            arrays.append(_repeated(batch.mask, batch.shape))
        blocks = -(-arrays[0].size // BLOCK)
        sums = np.empty(blocks)
        arguments = (*map(np.ndarray.ravel, (*arrays, *outputs)), sums, number(scale), *parameters)
        invalid = threads.run(loop, blocks, *arguments) if path == "threads" else loop(0, blocks, *arguments)
        if invalid:
            self.check_values(batch, _weight_and_keep(batch)[1])
        # What sums.sum() calls, where there are several.
        return float(sums.item() if blocks == 1 else np.add.reduce(sums))


def _quietly() -> AbstractContextManager[Any]:
    # Infinite values and overflow are results, not accidents; kernels do not report them either.
    return np.errstate(all="ignore")


def _weight_and_keep(batch: Batch) -> tuple[Any, Any]:
    """Return the weight of the elements and where it is not zero, or twice ``None``."""
    keep = batch.kept()
    if keep is not None and keep.shape != batch.shape:
        keep = batch.xp.broadcast_to(keep, batch.shape)
    return batch.element_weight(), keep


def _weighted(batch: Batch, values: Any, factor: Any, keep: Any) -> Any:
    if keep is None:
        return values if factor is None else values * factor
    # Even where the stand-in for a dropped row has an infinite loss.
    return batch.xp.where(keep, values * factor, batch.ops.number(0.0))


def _repeated(rows: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return a weight or mask of rows, or of elements, for each element."""
    return rows if rows.shape == shape else np.broadcast_to(reduce.apply_to_elements(rows, shape), shape)


def _to_numpy(array: Any) -> np.ndarray[Any, Any]:
    return np.asarray(array.detach() if hasattr(array, "detach") else array)
