"""Measure the accuracy of every loss, print it and write it into ``docs/accuracy.md``.

``python -m benchmarks.accuracy [--quick] [--seed N]``
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch

import lossfn
from benchmarks import row_accuracy, rule
from benchmarks.exact import KINDS
from benchmarks.judge import Judgement, judge
from benchmarks.measure import ARRAYS, JOINT_KERNEL, KERNEL, Score, score
from benchmarks.native import native_functions
from benchmarks.points import FLOATS, in_precision
from benchmarks.tables import machine, number, short, table, write
from lossfn import PointwiseLoss, RowwiseLoss

#: Points of each sort (ordinary, all magnitudes, near kinks, ...); there are about ten times as many in all.
SIZE = 48
QUICK_SIZE = 6
#: High-precision values for the points of a loss, nine for a point with one head and 65 with three.
VALUES = 1800


@dataclass
class Row:
    """One loss and dtype: ours, and the functions of other libraries."""

    own: Judgement
    native: dict[str, dict[str, Score]]


def measure(loss: PointwiseLoss, dtype: str, size: int, seed: int) -> Row:
    """Measure one loss, and what other libraries offer for it, at the same points."""
    own = judge(loss, dtype, size, VALUES, seed)
    rounded, points = in_precision(loss, dtype), own.points
    native = {}
    for peer in native_functions(rounded):
        native[f"{peer.library} `{peer.call}`"] = {
            kind: score(rounded, points, own.exact[kind], function(points.pred, points.target).reshape(len(points), -1))
            for kind, function in peer.functions.items()
        }
    # Large, and not needed any more.
    own.exact.clear()
    return Row(own, native)


def document(rows: list[Row], of_rows: list[row_accuracy.Result], seconds: float) -> str:
    """Return the document."""
    results = [row.own for row in rows]
    wrong = [f"* `{short(result.loss)}`, {result.dtype}, {text}" for result in results for text in result.wrong]
    verdict = "Every loss meets the rule, by both paths, in both dtypes." if not wrong else "\n".join(wrong)
    libraries = ("numpy", "numba", "mpmath", "torch", "scikit-learn", "scipy")
    parts = [
        f"# Accuracy\n\nPrinted by `make accuracy` in {seconds:.0f} s. {machine(*libraries)}",
        INTRODUCTION.format(points=sum(len(result.points) for result in results), few=rule.FEW.units),
    ]
    parts += [f"## {dtype}\n\n" + own_table([each for each in results if each.dtype == dtype]) for dtype in FLOATS]
    parts += [
        f"## Where the rule is not met\n\n{verdict}",
        f"## Exceptions\n\n{exceptions(results)}",
        f"## Beside other libraries\n\n{NATIVE}\n\n{native_table(rows)}",
        row_accuracy.section(of_rows),
    ]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
Each number below is the largest error, over the whole domain, in units in the last place of the exact result and
divided by max(1, relative condition number). The condition counts predictions and continuous targets, not labels. Exact
results come from mpmath: the expression in a few hundred digits, its derivatives by differences, no derivative rule.

The rule: at most {few} for losses of few primitives, more for long chains and for terms that cancel (column *claims*);
results beyond the dtype are that infinity; infinite predictions give the limit, NaN gives NaN; a loss that cannot be
negative never is. At a kink the documented subgradient is expected, and of a curvature that jumps there either side.

{points} points: predictions and targets of all magnitudes down to subnormal ones and up to the largest number, ordinary
ones, both sides of and exactly at every kink, ±0, labels at both ends, residuals from one unit in the last place up.
*Expression* is the path of small arrays, *kernel* that of large ones: the worse of the kernels of training and
curvature, and of the one that computes all three."""

NATIVE = """\
The same rule on the same points: the function of the other library, and beside it the larger error of our two paths. A
dash: not offered. ∞: NaN where there is an exact number, or zero or infinite where it is not."""


def own_table(results: list[Judgement]) -> str:
    """Return our errors: a row for each loss, a column for each kind and path."""
    header = ["loss", "claims", *(f"{kind}, {path}" for kind in KINDS for path in ("expression", "kernel"))]
    rows = []
    for result in results:
        errors = [
            number(max(result.scores[path, kind].units for path in together))
            for kind in KINDS
            for together in ((ARRAYS,), (KERNEL, JOINT_KERNEL))
        ]
        rows.append([f"`{short(result.loss)}`", f"{rule.claim(result.loss).units:.0f}", *errors])
    reasons = [f"`{name}` claims {claim.units:.0f}: {claim.reason}." for name, claim in rule.CHAINS.items()]
    return table(header, rows) + "\n\n" + "\n".join(reasons)


def native_table(rows: list[Row]) -> str:
    """Return the errors of other libraries, each followed by ours."""
    cells = []
    for row in rows:
        for call, scores in row.native.items():
            errors = []
            for kind in KINDS:
                offered = kind in scores
                errors += [number(scores[kind].units), number(row.own.units(kind))] if offered else ["-", "-"]
            cells.append([f"`{short(row.own.loss)}`", row.own.dtype, call, *errors])
    header = ["loss", "dtype", "function", *(text for kind in KINDS for text in (f"its {kind}", "ours"))]
    return table(header, cells, left=3)


def exceptions(results: list[Judgement]) -> str:
    """Return what was left out and why, and how results outside the normal numbers fare."""
    scores = [found for result in results for found in result.scores.values()]
    left_out = sum((found.left_out for found in scores), Counter[str]())
    subnormals, overflows = sum(found.subnormals for found in scores), sum(found.overflows for found in scores)
    worst = max(scores, key=lambda found: found.subnormal_units)
    infinite = overflows - sum(found.wrong_overflows for found in scores)
    lines = [f"* {left_out[name]} × {name}. {reason}" for name, reason in rule.REASONS.items()]
    lines.append(
        f"* {subnormals} × subnormal result. Subnormal intermediate results have few digits: the largest error is "
        f"{number(worst.subnormal_units)} smallest numbers, at {worst.subnormal_place}."
    )
    lines.append(f"* {overflows} × result beyond the dtype. {infinite} are computed as that infinity.")
    return "\n".join(lines)


#: A loss, the dtype, and the number of points of each sort or the length of rows.
Task = tuple[PointwiseLoss | RowwiseLoss, str, int]


def _job(task: Task, seed: int) -> Row | row_accuracy.Result:
    torch.set_num_threads(1)
    loss, dtype, size = task
    with np.errstate(all="ignore"):
        if isinstance(loss, RowwiseLoss):
            return row_accuracy.judge(loss, dtype, size, seed)
        return measure(loss, dtype, size, seed)


def main() -> int:
    """Measure, print and write; the exit status says whether the rule is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer points, default parameters; print only")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draw other points; print only")
    options = parser.parse_args()
    quick, seed = options.quick, options.seed
    start = time.perf_counter()
    pointwise = [entry for entry in lossfn.catalogue() if isinstance(entry.loss, lossfn.PointwiseLoss)]
    losses = [loss for entry in pointwise for loss in entry.variants[: 1 if quick else None]]
    size = QUICK_SIZE if quick else SIZE
    tasks: list[Task] = [*row_accuracy.tasks(quick=quick)]
    tasks += [(loss, dtype, size) for dtype in FLOATS for loss in losses]
    # Fresh processes: forked ones would inherit the threads of the libraries.
    with get_context("spawn").Pool(2) as pool:
        found = pool.map(partial(_job, seed=seed), tasks, chunksize=1)
    rows = [result for result in found if isinstance(result, Row)]
    of_rows = [result for result in found if isinstance(result, row_accuracy.Result)]
    text = document(rows, of_rows, time.perf_counter() - start)
    sys.stdout.write(text)
    if not quick and seed == 0:
        write("accuracy.md", text)
    return int(any(row.own.wrong for row in rows) or any(result.wrong for result in of_rows))


if __name__ == "__main__":
    sys.exit(main())
