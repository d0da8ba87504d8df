"""Measure one loss by all paths and list where it breaks the rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks import rule
from benchmarks.exact import KINDS, Table, limits, reference
from benchmarks.measure import PATHS, Score, compute, numbers_for_nan, score, wrong_limits
from benchmarks.points import Points, finite_points, in_precision, limit_points, nan_points, thinned
from benchmarks.tables import number
from lossfn import PointwiseLoss, fields


@dataclass
class Judgement:
    """What was measured for one loss and dtype.

    Attributes
    ----------
    loss, dtype : PointwiseLoss, str
        The loss as the catalogue lists it, and the dtype to which its parameters were rounded.
    points, exact : Points, dict
        The finite points and the exact entries there.
    scores : dict
        By path and kind.
    wrong : list of str
        Where the rule is broken.
    """

    loss: PointwiseLoss
    dtype: str
    points: Points
    exact: Table
    scores: dict[tuple[str, str], Score] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def units(self, kind: str) -> float:
        """Return the largest error of all paths."""
        return max(score.units for (_, of_kind), score in self.scores.items() if of_kind == kind)


def judge(
    loss: PointwiseLoss,
    dtype: str,
    size: int,
    values: float = np.inf,
    seed: int = 0,
    paths: Sequence[str] = PATHS,
) -> Judgement:
    """Measure one loss in one dtype, at about ten times ``size`` points; another ``seed`` draws others.

    Derivatives and their conditions are differences of values in high precision, which take nearly all of the time;
    a limit on ``values`` leaves points out.
    """
    rounded = in_precision(loss, dtype)
    units = rule.claim(loss).units
    points, at_limits = finite_points(rounded, dtype, size, seed), limit_points(rounded, dtype)
    if np.isfinite(values):
        most = max(1, int(values / values_for_a_point(loss)))
        points, at_limits = thinned(points, most), thinned(at_limits, max(1, most // 3))
    at_nan = nan_points(rounded, dtype)
    result = Judgement(loss, dtype, points, reference(rounded, points))
    exact_limits = limits(rounded, at_limits)
    for path in paths:
        finite, infinite, nan = (compute(rounded, place, path) for place in (points, at_limits, at_nan))
        for kind in KINDS:
            found = score(rounded, points, result.exact[kind], finite[kind])
            result.scores[path, kind] = found
            wrong = [*breaches(kind, found, units, is_nonnegative=loss.lower_bound >= 0)]
            wrong += [f"limit: {text}" for text in wrong_limits(at_limits, exact_limits[kind], infinite[kind], units)]
            wrong += [f"not NaN: {text}" for text in numbers_for_nan(at_nan, nan[kind])]
            result.wrong += [f"{kind} by {path}: {text}" for text in wrong]
    return result


def values_for_a_point(loss: PointwiseLoss) -> int:
    """Return about how many values the differences of one point take: all derivatives, and how each of them changes."""
    heads, coordinates = len(loss.heads), len(loss.heads) + len(fields.domains_of(loss.target))
    return (1 + heads + heads**2) * (1 + coordinates)


def breaches(kind: str, result: Score, units: float, *, is_nonnegative: bool) -> Iterator[str]:
    """Yield how a score breaks the rule."""
    if result.units > units:
        yield f"{number(result.units)} units at {result.place}"
    if result.subnormal_units > rule.SUBNORMAL_UNITS:
        yield f"not even small at {result.subnormal_place}"
    if result.wrong_overflows:
        yield f"not infinite at {result.overflow_place}"
    if kind == "value" and is_nonnegative and result.negative_place:
        yield f"negative at {result.negative_place}"
