"""Search for a distribution under which a score prefers another forecast to the distribution itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

from lossfn import fields
from lossfn.loss import Loss
from lossfn.losses.ranked import RankedLoss
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss
from lossfn.scoring.cases import Array
from lossfn.softmax import SoftmaxLoss

#: A function from forecasts (N, K) to the scores (N, K) of each outcome.
Table = Callable[[Array], Array]

#: Forecasts of the grid, at most, and the finest grid.
FORECASTS, FINEST = 500, 200
#: Distributions around which shifts are tried, and the size of these shifts.
CENTRES = 60
SHIFTS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
#: Differences of expected scores below this share of the scores may be rounding.
ROUNDING = 1e-13
#: Stands for an infinite advantage, below every finite one.
INFINITE = 5e-324


@dataclass(frozen=True)
class Propriety:
    """What the search found; true unless the score is improper.

    Attributes
    ----------
    verdict : {"strictly proper", "proper", "improper"}
        ``"improper"`` is proved by the counter-example; the others say that none was found.
    truth, forecast : tuple of float, or None
        For an improper score a distribution P and the forecast Q that scores better under it than P itself; for one
        that is proper but not strictly, a P and Q ≠ P that score alike.
    advantage : float
        Expected score of P minus that of Q, under P.
    steps : int
        The grid had this many steps from probability 0 to 1.
    """

    verdict: str
    truth: tuple[float, ...] | None
    forecast: tuple[float, ...] | None
    advantage: float
    steps: int

    def __bool__(self) -> bool:
        return self.verdict != "improper"


def is_proper(
    score: PointwiseLoss | RowwiseLoss | Callable[[Array, int], Any],
    *,
    classes: int = 2,
    link: Callable[[Array], Array] | None = None,
) -> Propriety:
    """Search for a counter-example to the propriety of a score: a forecast that beats the truth.

    A score (lower is better) is proper if no forecast Q has a lower expected score under P than P itself, and strictly
    proper if every Q ≠ P has a higher one. A constant score is proper, not strictly.

    All pairs of a grid of distributions are compared: 200 steps for two classes, 30 for three, fewer for more (at most
    500 distributions). Around 60 of them, shifts of probability from one class to another of 1e-2 to 1e-6 are tried.
    What beats its truth by most is refined. So a minimiser that is off by 1e-6 is found where expected scores are
    smooth, and ties only between points of the grid.

    Parameters
    ----------
    score : PointwiseLoss, RowwiseLoss or callable
        A loss of two classes in any input space, a loss of rows of scores, or ``score(probabilities, label)`` of one
        whole row (K,) of probabilities and a label 0 to K − 1.
    classes : int
        K, for a loss of rows and for a callable.
    link : callable, optional
        For a loss of two classes: from the probabilities of class 1 to predictions. By default predictions are what
        their domain says: probabilities, log-probabilities, or else logits. For a loss of rows: from the probabilities
        (N, K) to rows of scores. By default these are what softmax needs: the logarithms of the probabilities, or the
        probabilities where the loss takes them; losses without softmax need a link.

    Returns
    -------
    Propriety
        Verdict and counter-example; true unless improper.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
       doi:10.1198/016214506000001437.

    See Also
    --------
    savage : makes proper scores.

    Examples
    --------
    >>> import lossfn
    >>> from lossfn.scoring import is_proper
    >>> is_proper(lossfn.BinaryCrossEntropy()).verdict
    'strictly proper'
    >>> found = is_proper(lossfn.BinaryFocal(gamma=2.0))
    >>> print(found.verdict, [round(p, 3) for p in found.truth], [round(p, 3) for p in found.forecast])
    improper [0.115, 0.885] [0.318, 0.682]
    >>> is_proper(lossfn.CrossEntropy(), classes=3).verdict
    'strictly proper'
    >>> is_proper(lambda probabilities, label: 1 - probabilities[label], classes=3).verdict
    'improper'
    """
    table, classes = _table_of(score, classes, link)
    steps = _finest_grid(classes)
    grid = simplex_grid(classes, steps)
    scores = table(grid)
    best = _best_pair(grid, grid, scores, scores)
    # Shifts from a few distributions: all in one table, then each compared with its own centre.
    centres = grid[:: max(1, len(grid) // CENTRES)]
    for shift in SHIFTS:
        for moved, centre in _shifted(centres, shift):
            advantage = _advantage(centre, table(centre), table(moved))
            index = int(np.argmax(advantage))
            if advantage[index] > best[0]:
                best = (float(advantage[index]), centre[index], moved[index])
    if best[0] > 0:
        largest, forecast = _refined(table, *best[1:], 1 / steps)
        largest = math.inf if largest == INFINITE else largest
        return Propriety("improper", _numbers(best[1]), _numbers(forecast), largest, steps)
    tie = _widest_tie(grid, scores)
    if tie is None:
        return Propriety("strictly proper", None, None, 0.0, steps)
    return Propriety("proper", _numbers(tie[0]), _numbers(tie[1]), 0.0, steps)


def simplex_grid(classes: int, steps: int) -> Array:
    """Return all distributions (N, K) whose probabilities are whole multiples of 1/steps."""
    bars = np.array(list(combinations(range(steps + classes - 1), classes - 1)))
    ends = np.full((len(bars), 1), steps + classes - 1)
    counts = np.diff(np.hstack([np.full_like(ends, -1), bars, ends]), axis=1) - 1
    grid: Array = counts / steps
    return grid


def _table_of(score: Any, classes: int, link: Callable[[Array], Array] | None) -> tuple[Table, int]:
    if isinstance(score, PointwiseLoss):
        if score.task != "binary" or len(score.heads) > 1:
            raise TypeError(f"is_proper: a loss of two classes is needed; {score!r} has targets that are no labels")
        if classes != 2:
            raise ValueError(f"is_proper: {score!r} has two classes; got classes={classes}")
        return _table_of_loss(score, link), 2
    if isinstance(score, type) or not callable(score):
        raise TypeError(f"is_proper: a loss such as Brier() or score(probabilities, label) is needed; got {score!r}")
    if classes < 2:
        raise ValueError(f"is_proper: classes must be at least 2; got {classes}")
    if isinstance(score, RowwiseLoss):
        return _table_of_rows(score, classes, link), classes
    if isinstance(score, Loss):
        raise TypeError(f"is_proper: a loss of one prediction or of rows is needed; got {score!r}")
    if link is not None:
        raise TypeError("is_proper: link= is for losses; a callable is given probabilities")

    def table(forecasts: Array) -> Array:
        scores = np.array([[_score_of(score, row, label) for label in range(classes)] for row in forecasts])
        return _without_nan(forecasts, scores)

    return table, classes


def _score_of(score: Callable[[Array, int], Any], probabilities: Array, label: int) -> float:
    found = np.asarray(score(probabilities, label))
    if found.size != 1:
        raise TypeError(
            f"is_proper: score(probabilities, label) must return one number; got {found.size}. It is given the whole "
            "row of probabilities; that of the class that came true is probabilities[label]"
        )
    return float(found.item())


def _table_of_rows(loss: RowwiseLoss, classes: int, link: Callable[[Array], Array] | None) -> Table:
    if len(loss.parts) > 1 or loss.number_parts:
        raise TypeError(f"is_proper: a loss whose targets are classes is needed; {loss!r} has other ones")
    if link is None:
        link = _link_of_rows(loss)

    def table(forecasts: Array) -> Array:
        with np.errstate(divide="ignore"):
            pred = np.ascontiguousarray(link(forecasts))
        with np.errstate(over="ignore"):
            scores = [loss.elementwise(pred, np.full(len(pred), label)) for label in range(classes)]
        return _without_nan(forecasts, np.stack(scores, axis=1))

    return table


def _link_of_rows(loss: RowwiseLoss) -> Callable[[Array], Array]:
    """Return the function from probabilities to scores whose softmax they are."""
    if not isinstance(loss, (SoftmaxLoss, RankedLoss)):
        raise TypeError(
            f"is_proper: the scores of {loss!r} are not those of a softmax, so they give no probabilities by "
            "themselves; say with link= how scores follow from probabilities (N, K)"
        )
    return np.asarray if getattr(loss, "inputs", "logits") == "probabilities" else np.log


def _table_of_loss(loss: PointwiseLoss, link: Callable[[Array], Array] | None) -> Table:
    negative = -1.0 if loss.target is fields.SIGNED else 0.0

    def table(forecasts: Array) -> Array:
        with np.errstate(divide="ignore"):
            if link is not None:
                pred = link(forecasts[:, 1])
            elif loss.prediction == fields.PROBABILITY:
                pred = forecasts[:, 1]
            elif loss.prediction == fields.LOG_PROBABILITY:
                pred = np.log(forecasts[:, 1])
            else:
                pred = np.log(forecasts[:, 1]) - np.log(forecasts[:, 0])
        pred = np.ascontiguousarray(pred)
        scores = [loss.elementwise(pred, np.full_like(pred, label)) for label in (negative, 1.0)]
        return _without_nan(forecasts, np.stack(scores, axis=1))

    return table


def _without_nan(forecasts: Array, scores: Array) -> Array:
    wrong = np.isnan(scores)
    if wrong.any():
        row, label = np.argwhere(wrong)[0]
        raise ValueError(f"is_proper: the score of forecast {_numbers(forecasts[row])} and label {label} is NaN")
    return scores


def _finest_grid(classes: int) -> int:
    steps = 1
    while steps < FINEST and math.comb(steps + classes, classes - 1) <= FORECASTS:
        steps += 1
    return steps


def _expected(truths: Array, scores: Array) -> Array:
    """Return Σₖ P(k)·S(k), where what cannot happen does not count, even if its score is infinite."""
    with np.errstate(invalid="ignore"):
        expected: Array = np.where(truths == 0, 0.0, truths * scores).sum(axis=-1)
    return expected


def _advantage(truths: Array, own: Array, others: Array) -> Array:
    """Return by how much, rounding aside, forecasts with scores ``others`` beat the truths; negative if they lose."""
    with np.errstate(invalid="ignore"):
        difference = _expected(truths, own) - _expected(truths, others)
        rounding = ROUNDING * (_expected(truths, np.abs(own)) + _expected(truths, np.abs(others)))
        beyond = np.where(np.isfinite(difference) & (np.abs(difference) <= rounding), 0.0, difference)
    # Both infinite: neither is better. Only one: proof enough, but a finite advantage says more.
    advantage: Array = np.where(np.isnan(beyond), -np.inf, np.where(beyond == np.inf, INFINITE, beyond))
    return advantage


def _best_pair(truths: Array, forecasts: Array, own: Array, others: Array) -> tuple[float, Array, Array]:
    advantage = _advantage(truths[:, None], own[:, None], others[None])
    row, column = np.unravel_index(int(np.argmax(advantage)), advantage.shape)
    return float(advantage[row, column]), truths[row], forecasts[column]


def _widest_tie(grid: Array, scores: Array) -> tuple[Array, Array] | None:
    advantage = _advantage(grid[:, None], scores[:, None], scores[None])
    distance = np.abs(grid[:, None] - grid[None]).sum(axis=-1)
    distance[advantage < 0] = 0
    row, column = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return (grid[row], grid[column]) if distance[row, column] > 0 else None


def _shifted(centres: Array, shift: float) -> list[tuple[Array, Array]]:
    """Return forecasts with probability shifted between each two classes, beside the distributions they come from."""
    pairs = []
    for gains, loses in permutations(range(centres.shape[1]), 2):
        moved = centres.copy()
        moved[:, gains] += shift
        moved[:, loses] -= shift
        inside = moved[:, loses] >= 0
        pairs.append((moved[inside], centres[inside]))
    return pairs


def _refined(table: Table, truth: Array, forecast: Array, step: float) -> tuple[float, Array]:
    """Return the largest advantage, and its forecast, that shorter and shorter shifts lead to."""
    own = table(truth[None])
    best = float(_advantage(truth[None], own, table(forecast[None]))[0])
    while step > 1e-9:
        around = np.concatenate([moved for moved, _ in _shifted(forecast[None], step)])
        advantage = _advantage(truth[None], own, table(around))
        index = int(np.argmax(advantage))
        if advantage[index] > best:
            best, forecast = float(advantage[index]), around[index]
        else:
            step /= 2
    return best, forecast


def _numbers(distribution: Array) -> tuple[float, ...]:
    return tuple(float(p) for p in distribution)
