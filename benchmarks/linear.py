"""Time the linear cross-entropy beside the matrix products that it must do: ``python -m benchmarks.linear [--quick]``.

Value and all derivatives, two threads for everybody; contestants take turns, and medians are compared. The products are
those of all rows at once: logits, derivatives of the features, derivatives of the projection. The memory is the peak
that one call reaches beyond its inputs and results, as NumPy reports it.
"""

from __future__ import annotations

import math
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

# First: it sets the number of threads before the libraries look.
import benchmarks.two_threads  # isort: skip  # noqa: F401

import numpy as np

import lossfn
from benchmarks.tables import report, table
from benchmarks.turns import time_in_turns

ROWS, SIZE, CLASSES = 8192, 512, 32000
#: Turns to warm up, of two calls each, and rounds.
WARM_UP, ROUNDS = 1, 7

TITLE = "## Cross-entropy of a linear map"
WORDS = f"""\
Value and all derivatives of `linear_cross_entropy` with {ROWS:,} rows, {SIZE} features and {CLASSES:,} classes in
float32, beside the three matrix products that it must do, all rows at once, into arrays that are there already. Wanted
is a ratio of at most 1.15, and at most 10 % of the memory of the logits. `python -m benchmarks.linear` measures this
section alone."""


def problem(rows: int = ROWS) -> tuple[Any, Any, Any]:
    """Return features, projection and class indices."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((rows, SIZE), dtype=np.float32)
    projection = rng.standard_normal((CLASSES, SIZE), dtype=np.float32) / np.float32(SIZE**0.5)
    return features, projection, rng.integers(0, CLASSES, rows)


def products(features: Any, projection: Any) -> Callable[[], Any]:
    """Return the three matrix products, into arrays that are there already."""
    logits = np.empty((len(features), CLASSES), np.float32)
    of_features, of_projection = np.empty_like(features), np.empty_like(projection)

    def run() -> None:
        np.matmul(features, projection.T, out=logits)
        np.matmul(logits, projection, out=of_features)
        np.matmul(logits.T, features, out=of_projection)

    return run


def peak_memory(run: Callable[[], Any]) -> int:
    """Return the bytes that a call allocates at its peak beyond what it returns."""
    tracemalloc.start()
    result = run()
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return peak - kept


def main() -> None:
    """Measure, print and write."""
    features, projection, target = problem()
    runs = {
        "matrix products": products(features, projection),
        "linear_cross_entropy": lambda: lossfn.linear_cross_entropy_value_and_gradient(features, projection, target),
    }
    quick = "--quick" in sys.argv
    seconds, _ = time_in_turns(runs, warm_up=WARM_UP, least=2 if quick else ROUNDS, limit=math.inf)
    ours = runs["linear_cross_entropy"]
    share = peak_memory(ours) / (ROWS * CLASSES * features.itemsize)
    ratio = seconds["linear_cross_entropy"] / seconds["matrix products"]
    cells = [*(f"{value:.2f} s" for value in seconds.values()), f"{ratio:.2f}", f"{100 * share:.1f} %"]
    report(TITLE, WORDS, table([*runs, "ratio", "peak memory / logits"], [cells], left=0), quick=quick)


if __name__ == "__main__":
    main()
