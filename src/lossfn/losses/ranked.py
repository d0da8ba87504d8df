"""Losses of the K - 1 events "at most class k" of ordered classes, whose probabilities softmax gives."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from lossfn.engine import rows
from lossfn.engine.namespaces import ArrayNamespace
from lossfn.equivalents import Equivalent
from lossfn.reduce import sum_classes
from lossfn.rowwise import RowwiseLoss
from lossfn.softmax import Softmax, softmax_of


class Events(NamedTuple):
    """For each of the K - 1 events "at most class k": its probability, that of the rest, its share in the target."""

    at_most: Any
    above: Any
    share: Any


def _up_to(xp: Any, values: Any) -> Any:
    """Return for each event the sum over the classes up to k."""
    return xp.cumulative_sum(values, axis=-1)[..., :-1]


def _beyond(xp: Any, values: Any) -> Any:
    """Return for each event the sum over the classes above k, from their own end: 1 - the rest would cancel."""
    return xp.flip(xp.cumulative_sum(xp.flip(values, axis=-1), axis=-1)[..., :-1], axis=-1)


def _events(ops: ArrayNamespace, scores: Any, target: Any) -> tuple[Softmax, Events]:
    row = softmax_of(ops, scores)
    shares = target if len(target.shape) == len(scores.shape) else rows.one_hot(ops.xp, target, scores)
    p = row.probability
    return row, Events(_up_to(ops.xp, p), _beyond(ops.xp, p), _up_to(ops.xp, shares))


def _gather(ops: ArrayNamespace, scores: Any, of_later: Any, of_earlier: Any) -> Any:
    """Return for each class the sum of ``of_later`` over the events k ≥ class, and of ``of_earlier`` over the rest."""
    xp = ops.xp
    none = xp.zeros_like(scores[..., :1])
    later = xp.flip(xp.cumulative_sum(xp.flip(of_later, axis=-1), axis=-1), axis=-1)
    earlier = xp.cumulative_sum(of_earlier, axis=-1)
    return xp.concat([later, none], axis=-1) + xp.concat([none, earlier], axis=-1)


class RankedLoss(RowwiseLoss):
    """Σ over the events "at most class k" of a function of their probability C.

    Subclasses define that function and its first two derivatives in C; those in the scores follow by the chain rule:
    by the score of a class, C changes by p times 1 − C for classes up to k, and by −p C for those above.
    """

    def event_value(self, event: Events) -> Any:
        """Return what each event contributes."""
        raise NotImplementedError(f"{type(self).__name__} defines no event_value")

    def event_slope(self, event: Events) -> Any:
        """Return its derivative in the probability of the event."""
        raise NotImplementedError(f"{type(self).__name__} defines no event_slope")

    #: Its second derivative: a constant.
    event_curvature: ClassVar[float] = 0.0

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""
        _, event = _events(ops, scores, target)
        return sum_classes(ops.xp, self.event_value(event))

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        row, event = _events(ops, scores, target)
        return row.probability * self._pull(ops, scores, event)

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return the Hessian of each row times a vector."""
        xp = ops.xp
        row, event = _events(ops, scores, target)
        moved = row.probability * vector
        # vector - p·vector, without cancellation where one class has nearly all.
        apart = row.rest * vector - (sum_classes(xp, moved, keepdims=True) - moved)
        change = event.above * _up_to(xp, moved) - event.at_most * _beyond(xp, moved)
        slope = self.event_slope(event)
        bend = self.event_curvature * change
        pull_change = _gather(
            ops, scores, bend * event.above - slope * change, -(bend * event.at_most + slope * change)
        )
        return row.probability * (apart * self._pull(ops, scores, event) + pull_change)

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the diagonal of the Hessian of each row."""
        row, event = _events(ops, scores, target)
        p = row.probability
        bend = self.event_curvature
        spread = _gather(ops, scores, bend * event.above * event.above, bend * event.at_most * event.at_most)
        return p * ((row.rest - p) * self._pull(ops, scores, event) + p * spread)

    def _pull(self, ops: ArrayNamespace, scores: Any, event: Events) -> Any:
        """Return the gradient divided by the probabilities."""
        slope = self.event_slope(event)
        return _gather(ops, scores, slope * event.above, -slope * event.at_most)


class RankedProbabilityScore(RankedLoss):
    """Ranked probability score of ordered classes: Σₖ (P(class ≤ k) − 1{y ≤ k})²; strictly proper.

    The sum of the Brier scores of the K − 1 events "at most class k", so that a near miss costs less than a far one.
    Between 0 and K − 1; some authors divide by K − 1. Scores are logits of a softmax, in which it is not convex;
    for probabilities there is ``lossfn.scoring.ranked_probability_score``.

    References
    ----------
    .. [1] Epstein (1969), "A scoring system for probability forecasts of ranked categories",
       doi:10.1175/1520-0450(1969)008<0985:ASSFPF>2.0.CO;2.

    See Also
    --------
    CumulativeLink : likelihood of ordered classes, with one location for all of them.
    MulticlassBrier : classes without an order.

    Examples
    --------
    >>> from lossfn import RankedProbabilityScore
    >>> print(RankedProbabilityScore()([[0.0, 0.0, 0.0]], [0]).round(6))
    0.555556
    """

    elicits = "probabilities"
    gives_probability = True
    event_curvature = 2.0
    equivalents = (
        Equivalent(
            "scoringrules",
            "scoringrules.rps_score(target + 1, scipy.special.softmax(pred, -1))",
            note="takes ranks from 1 on and probabilities",
        ),
    )

    @property
    def formula(self) -> str:
        return r"\sum_{k} \left(\sum_{j \le k} p_{j} - 1\{y \le k\}\right)^{2}"

    @property
    def gradient_formula(self) -> str:
        return (
            r"2 p_{j} \sum_{k} (F_{k} - 1\{y \le k\}) (1\{j \le k\} - F_{k})"
            r",\qquad p = \operatorname{softmax}(z),\qquad F_{k} = \sum_{j \le k} p_{j}"
        )

    def event_value(self, event: Events) -> Any:
        miss = _miss(event)
        return miss * miss

    def event_slope(self, event: Events) -> Any:
        return 2.0 * _miss(event)

    @np.errstate(all="ignore")
    def inverse_link(self, pred: Any) -> Any:
        """Return the probabilities that scores imply: their softmax."""
        batch = rows.prepare_scores(type(self).__name__, pred)
        return batch.finish(softmax_of(batch.ops, batch.pred).probability)


def _miss(event: Events) -> Any:
    """Return probability - share, each weighed with what the other leaves, so that nothing cancels."""
    return (1.0 - event.share) * event.at_most - event.share * event.above


class OrdinalAbsolute(RankedLoss):
    """Expected absolute error of the rank, E|rank − y|, where softmax gives the probabilities of the ranks.

    Linear in the probabilities, hence not proper: the minimiser is certain of the median rank. It optimises the mean
    absolute error of ranks drawn from the prediction; where probabilities are needed use ``RankedProbabilityScore``.

    References
    ----------
    .. [1] Gneiting (2011), "Making and evaluating point forecasts", doi:10.1198/jasa.2011.r10138.

    See Also
    --------
    RankedProbabilityScore : squares instead, and is proper.

    Examples
    --------
    >>> from lossfn import OrdinalAbsolute
    >>> print(OrdinalAbsolute()([[0.0, 0.0, 0.0]], [0]).round(6))
    1.0
    """

    elicits = "median rank"

    @property
    def formula(self) -> str:
        return r"\sum_{k} p_{k} \left|k - y\right|"

    @property
    def gradient_formula(self) -> str:
        return r"p_{j} (|j - y| - L),\qquad p = \operatorname{softmax}(z)"

    @property
    def hessian_formula(self) -> str:
        return (
            r"p_{i} \left(\delta_{ij} (|i - y| - L) - p_{j} (|i - y| + |j - y| - 2 L)\right)"
            r",\qquad p = \operatorname{softmax}(z)"
        )

    def event_value(self, event: Events) -> Any:
        return (1.0 - event.share) * event.at_most + event.share * event.above

    def event_slope(self, event: Events) -> Any:
        return 1.0 - 2.0 * event.share

    def inverse_link(self, pred: Any) -> Any:
        """Refuse: the minimiser says nothing but the median."""
        raise ValueError(f"{type(self).__name__} estimates the median rank, not probabilities")
