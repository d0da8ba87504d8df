"""The error of computed numbers in units in the last place, divided by the condition number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import mpmath
import numpy as np

from benchmarks import rule
from benchmarks.exact import KINDS, Entry
from benchmarks.points import Array, Points
from lossfn import PointwiseLoss
from lossfn.engine import paths

#: Array code, and kernels: those of training and of curvature, and the joint one of Newton steps.
ARRAYS, KERNEL, JOINT_KERNEL = "arrays", "kernel", "joint kernel"
PATHS = (ARRAYS, KERNEL, JOINT_KERNEL)
#: For tests, where compiling takes most of the time: the other kernels have the formulas of array code.
QUICK_PATHS = (ARRAYS, JOINT_KERNEL)

#: Comparing takes a few digits more than the dtype has; larger numbers are not printed.
DIGITS = 60
UNPRINTABLE = mpmath.mpf(10) ** 400


@dataclass
class Score:
    """How far computed numbers are from exact ones.

    Attributes
    ----------
    units, place : float, str
        The largest error in units in the last place of the exact number, divided by max(1, condition), and where.
    subnormals, subnormal_units, subnormal_place : int, float, str
        How many exact numbers are subnormal, and the largest error there in units of the smallest number.
    overflows, wrong_overflows, overflow_place : int, int, str
        How many exact numbers lie beyond the dtype, and how many of these are not computed as that infinity.
    left_out : Counter
        How many numbers were left out, by reason.
    negative_place : str
        Where a computed number is below zero.
    """

    units: float = 0.0
    place: str = ""
    subnormals: int = 0
    subnormal_units: float = 0.0
    subnormal_place: str = ""
    overflows: int = 0
    wrong_overflows: int = 0
    overflow_place: str = ""
    left_out: Counter[str] = field(default_factory=Counter)
    negative_place: str = ""

    def add(self, entry: Entry, got: float, reason: str, info: Any, place: Callable[[], str]) -> None:
        """Count one computed number; ``reason`` is why the rule is relaxed at its point, if it is."""
        if got < 0:
            self.negative_place = place()
        if not entry.numbers:
            reason = rule.HIDDEN
        if entry.crosses_kink:
            reason = rule.CROSSING
        if rule.is_left_out(reason, got):
            self.left_out[reason] += 1
            return
        if not entry.numbers:
            self.overflows += 1
            self.wrong_overflows += 1
            self.overflow_place = place()
            return
        units, exact = min((error(number, entry.sensitivity, got, info), abs(number)) for number in entry.numbers)
        if exact > mpmath.mpf(float(info.max)):
            self.overflows += 1
            if units > rule.FEW.units:
                self.wrong_overflows += 1
                self.overflow_place = place()
        elif 0 < exact < mpmath.mpf(float(info.smallest_normal)):
            self.subnormals += 1
            if units > self.subnormal_units:
                self.subnormal_units, self.subnormal_place = units, place()
        elif units > self.units:
            self.units, self.place = units, place()


def compute(loss: PointwiseLoss, points: Points, path: str) -> dict[str, Array]:
    """Return value, gradient and Hessian of every point by one path, one row for each point."""
    pred, target = points.pred, points.target
    with paths.forced(ARRAYS if path == ARRAYS else KERNEL), np.errstate(all="ignore"):
        if path == JOINT_KERNEL:
            values, gradient, hessian = loss.value_gradient_and_hessian(pred, target, reduction="none")
        else:
            # Values one by one: the sum over one element is that element, and the kernel for sums is there anyway.
            singles = [Points(points.heads[[row]], _row(target, row)) for row in range(len(points))]
            values = np.array([loss.value_and_gradient(one.pred, one.target, reduction="sum")[0] for one in singles])
            gradient, hessian = loss.gradient_and_hessian(pred, target, reduction="sum")
    results = zip(KINDS, (values, gradient, hessian), strict=True)
    return {kind: result.reshape(len(points), -1) for kind, result in results}


def _row(target: Any, row: int) -> Any:
    return type(target)(*(part[[row]] for part in target)) if isinstance(target, tuple) else target[[row]]


def score(loss: PointwiseLoss, points: Points, entries: list[list[Entry]], computed: Array) -> Score:
    """Return the score of computed numbers, one row for each point."""
    info = np.finfo(points.heads.dtype)
    reasons = rule.reasons(loss, points)
    result = Score()
    with mpmath.workdps(DIGITS):
        for row, got, entry in _pairs(entries, computed):
            result.add(entry, got, reasons[row], info, partial(describe, points, row, got, entry))
    return result


def wrong_limits(points: Points, entries: list[list[Entry]], computed: Array, units: float) -> Iterator[str]:
    """Yield where a limit is not met: infinite, zero, or to so many units."""
    info = np.finfo(points.heads.dtype)
    smallest = mpmath.mpf(float(info.smallest_subnormal))
    with mpmath.workdps(DIGITS):
        for row, got, entry in _pairs(entries, computed):
            if not entry.numbers:
                if math.isnan(got):
                    yield describe(points, row, got, entry)
                continue
            (exact,) = entry.numbers
            is_zero = abs(exact) < smallest / 2
            if got != 0 if is_zero else error(exact, entry.sensitivity, got, info) > units:
                yield describe(points, row, got, entry)


def numbers_for_nan(points: Points, computed: Array) -> Iterator[str]:
    """Yield where a prediction is NaN and a result is not."""
    for row, results in enumerate(computed):
        if not np.isnan(results).all():
            yield f"{_inputs(points, row)}: {', '.join(map(str, results))}"


def error(exact: Any, sensitivity: Any, got: float, info: Any) -> float:
    """Return the error in units in the last place of the exact number, divided by max(1, condition)."""
    if math.isnan(got):
        return math.inf
    computed = mpmath.mpf(got)
    if math.isinf(got):
        # As if it were the first number beyond the dtype.
        computed = mpmath.ldexp(math.copysign(1.0, got), int(info.maxexp))
        if mpmath.sign(exact) == mpmath.sign(computed) and abs(exact) >= abs(computed):
            return 0.0
    size = abs(exact)
    exponent = max(mpmath.mag(size) - 1, int(info.minexp)) if size else int(info.minexp)
    unit = mpmath.ldexp(1, exponent - int(info.nmant))
    if size:
        unit *= max(1, sensitivity / size)
    else:
        unit = max(unit, mpmath.ldexp(sensitivity, -int(info.nmant)))
    return float(abs(computed - exact) / unit)


def describe(points: Points, row: int, got: float, entry: Entry) -> str:
    """Return the inputs, the computed and the exact number of a point."""
    number = entry.numbers[0] if entry.numbers else mpmath.mpf(0)
    if abs(number) > UNPRINTABLE:
        exact = "beyond the dtype"
    elif 0 < abs(number) < 1 / UNPRINTABLE:
        exact = "next to nothing"
    else:
        exact = mpmath.nstr(number, 9)
    return f"{_inputs(points, row)}: {got!r}, exactly {exact}"


def _inputs(points: Points, row: int) -> str:
    heads, parts = (", ".join(repr(float(number)) for number in table[row]) for table in (points.heads, points.parts))
    return f"prediction {heads}, target {parts}"


def _pairs(entries: list[list[Entry]], computed: Array) -> Iterator[tuple[int, float, Entry]]:
    for row, (numbers, exact) in enumerate(zip(computed, entries, strict=True)):
        for got, entry in zip(numbers, exact, strict=True):
            yield row, float(got), entry
