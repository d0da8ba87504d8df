"""What callers pass as probabilities, targets and weights: converted to NumPy, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossfn import checks, fields
from lossfn.engine.batch import to_numpy
from lossfn.fields import Domain

# Squares of weights, and sums of squares of any number of rows, are neither 0 nor infinite.
SMALLEST_WEIGHT = 1e-140

KINDS = ("positive", "top_label", "class_wise")


@dataclass(frozen=True)
class Rows:
    """Predicted probabilities and what came true: ``(N,)`` and labels 0/1, or ``(N, K)`` and class indices."""

    owner: str
    kind: str
    probability: NDArray[Any]
    target: NDArray[Any]
    weight: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def groups(self) -> int:
        """How many reliabilities the rows have: one for each class if ``class_wise``."""
        return self.probability.shape[1] if self.kind == "class_wise" else 1

    def events(self, first: int, last: int) -> tuple[list[Any], list[Any], NDArray[np.float64] | None]:
        """Return for some rows the probabilities of the events, whether they came true, and the weights.

        There is one array for each group. Rows of weight 0 are left out, and are not checked.
        """
        part = slice(first, last)
        weight = None if self.weight is None else self.weight[part]
        p, y = self.probability[part], self.target[part]
        if weight is not None and not weight.all():
            kept = weight > 0
            rows = np.flatnonzero(kept) + first
            p, y, weight = p[kept], y[kept], weight[kept]
        else:
            rows = np.arange(first, first + len(y)) if len(y) else np.arange(0)
        _check(self.owner, "probability", p, fields.PROBABILITY, rows)
        if self.kind == "positive":
            _check(self.owner, "target", y, fields.BINARY, rows)
            return [p], [y != 0], weight
        classes = p.shape[1]
        _check(self.owner, "target", y, Domain(f"a class index from 0 to {classes - 1}", 0.0, classes - 1.0), rows)
        _check_sums(self.owner, p, rows)
        if self.kind == "top_label":
            return [p.max(axis=1)], [p.argmax(axis=1) == y], weight
        return list(p.T), [y == index for index in range(classes)], weight


def read(owner: str, kind: str, probability: Any, target: Any, weight: Any) -> Rows:
    """Return what a caller passed, with kind, shapes, dtypes and weights checked; ``events`` checks values."""
    if kind not in KINDS:
        raise ValueError(f"{owner}: kind must be one of {', '.join(KINDS)}; got {kind!r}")
    p = to_numpy(owner, "probability", probability)
    y = to_numpy(owner, "target", target)
    if p.dtype.kind != "f":
        raise TypeError(f"{owner}: probability must be floating; got dtype {p.dtype}; convert it with astype(float)")
    if y.dtype.kind not in "biuf":
        raise TypeError(f"{owner}: target must hold labels 0/1 or class indices; got dtype {y.dtype}")
    if kind == "positive":
        if p.shape != y.shape:
            cure = "; probabilities of K classes need kind='top_label' or 'class_wise'" if p.ndim == y.ndim + 1 else ""
            raise ValueError(
                f"{owner}: probability and target must have the same shape; got probability {p.shape} and target "
                f"{y.shape}{cure}"
            )
    elif p.ndim != 2 or y.shape != p.shape[:1]:
        raise ValueError(
            f"{owner}: kind={kind!r} needs probability (N, K) and target (N,) with class indices; got probability "
            f"{p.shape} and target {y.shape}"
        )
    elif y.dtype.kind not in "iu":
        raise TypeError(f"{owner}: target must hold class indices, integers from 0; got dtype {y.dtype}")
    w = None if weight is None else _weights(owner, weight, y.shape)
    if kind == "positive":
        p, y, w = p.reshape(-1), y.reshape(-1), None if w is None else w.reshape(-1)
    return Rows(owner, kind, p, y, w)


def _weights(owner: str, weight: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    values = to_numpy(owner, "weight", weight).astype(np.float64)
    if values.shape != shape:
        raise ValueError(f"{owner}: weight must have shape {shape}; got {values.shape}")
    checks.check_weights(owner, values)
    unfit = (values > 0) & ~((values >= SMALLEST_WEIGHT) & (values <= 1 / SMALLEST_WEIGHT))
    if unfit.any():
        raise ValueError(
            f"{owner}: weights must be 0 or between {SMALLEST_WEIGHT:g} and {1 / SMALLEST_WEIGHT:g}, so that they can "
            f"be squared; got {values[unfit][0]:g}. Divide all by their mean"
        )
    return values


def _check(owner: str, name: str, values: NDArray[Any], domain: Domain, rows: NDArray[np.intp]) -> None:
    """Refuse values outside a domain, naming the first by its row among all rows."""
    inside = domain.condition(np, values)
    if inside.all():
        return
    place = np.unravel_index(np.flatnonzero(~inside)[0], values.shape)
    index = ", ".join(map(str, [rows[place[0]], *place[1:]]))
    advice = f"; {domain.cure}" if domain.cure else ""
    raise ValueError(f"{owner}: {name}[{index}] = {values[place]!s} is not {domain.name}{advice}")


def _check_sums(owner: str, probability: NDArray[Any], rows: NDArray[np.intp]) -> None:
    sums = probability.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(sums - 1) > checks.SUM_TOLERANCE)
    if len(wrong):
        raise ValueError(
            f"{owner}: the probabilities of row {rows[wrong[0]]} add up to {sums[wrong[0]]:g}, not to 1; logits are "
            "converted by lossfn.numerics.softmax, and labels that do not exclude each other need kind='positive'"
        )
