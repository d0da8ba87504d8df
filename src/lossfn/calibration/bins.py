"""Bins of probabilities, and sums over them that do not depend on how the rows are split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossfn.calibration.exact import UNIT, exact_sums
from lossfn.calibration.inputs import Rows
from lossfn.engine import threads

Edges = NDArray[np.float64]

# Rows that stay in the cache of a processor.
CHUNK = 2**14


def check_bins(owner: str, bins: Any) -> None:
    """Refuse anything but a whole number of bins."""
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ValueError(f"{owner}: bins must be an integer >= 1; got {bins!r}")


def equal_width(bins: int) -> Edges:
    """Return edges that divide [0, 1] into bins of one width."""
    return np.arange(bins + 1) / bins


def equal_mass(probability: NDArray[Any], weight: NDArray[np.float64] | None, bins: int) -> Edges:
    """Return edges that divide the rows into bins of about one weight.

    Equal probabilities stay together, so that ties may leave bins empty.
    """
    order = np.argsort(probability, kind="stable")
    ordered = probability[order].astype(np.float64)
    ones = np.ones(len(order)) if weight is None else weight[order]
    below = np.concatenate([[0.0], np.cumsum(ones)])
    # A bin begins with the first row that has the share of the bins before it below itself.
    first = np.searchsorted(below[:-1], below[-1] * np.arange(1, bins) / bins)
    inner = ordered[np.minimum(first, len(order) - 1)] if len(order) else np.ones(bins - 1)
    return np.concatenate([[0.0], inner, [1.0]])


def bin_of(probability: NDArray[Any], edges: Edges) -> NDArray[np.intp]:
    """Return the bins [edge, next edge) of probabilities; the last bin includes 1."""
    last = len(edges) - 2
    guess = np.minimum((probability * (last + 1)).astype(np.intp), last)
    # Multiplying rounds; the edges decide.
    guess -= probability < edges[guess]
    guess += (probability >= edges[guess + 1]) & (guess < last)
    return guess


@dataclass(frozen=True)
class BinSums:
    """What is known of each bin of each group: integers all, sums of floating-point numbers in units of 2^UNIT."""

    counts: list[int]
    weight: list[int]
    squared_weight: list[int]
    probability: list[int]
    hits: list[int]

    @classmethod
    def empty(cls, size: int) -> BinSums:
        """Return sums over no rows."""
        return cls(*([0] * size for _ in range(5)))

    def __add__(self, other: BinSums) -> BinSums:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return BinSums(*([a + b for a, b in zip(first, second, strict=True)] for first, second in pairs))


def add_up(rows: Rows, edges: list[Edges]) -> BinSums:
    """Return the sums over the bins of each group, one after the other; threads share the rows."""
    bins = len(edges[0]) - 1
    is_uniform = all(np.array_equal(edge, equal_width(bins)) for edge in edges)
    size = bins * rows.groups
    found: list[BinSums] = []

    def add(first: int, last: int) -> int:
        total = BinSums.empty(size)
        for start in range(first * CHUNK, min(last * CHUNK, len(rows)), CHUNK):
            events, truths, weight = rows.events(start, min(start + CHUNK, len(rows)))
            for group, (p, truth) in enumerate(zip(events, truths, strict=True)):
                edge = edges[group]
                index = bin_of(p, edge) if is_uniform else np.searchsorted(edge[1:-1], p, side="right")
                total += _sums(p, truth, weight, index + group * bins, size)
        found.append(total)
        return 0

    threads.run(add, -(-len(rows) // CHUNK))
    return sum(found, start=BinSums.empty(size))


def _sums(
    p: NDArray[Any], truth: NDArray[np.bool_], weight: NDArray[np.float64] | None, index: NDArray[np.intp], size: int
) -> BinSums:
    misses, hits = np.bincount(2 * index + truth, minlength=2 * size).reshape(size, 2).T.tolist()
    counts = [miss + hit for miss, hit in zip(misses, hits, strict=True)]
    if weight is None:
        whole = [count << -UNIT for count in counts]
        return BinSums(counts, whole, whole, exact_sums(p, index, size), [hit << -UNIT for hit in hits])
    # The products are rounded row by row, before anything is added.
    terms = (weight, weight * weight, weight * p, weight * truth)
    return BinSums(counts, *(exact_sums(term, index, size) for term in terms))
