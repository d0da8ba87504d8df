"""Likelihoods of ordered classes: thresholds on one location, or one binary question for each threshold."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from lossfn.engine import rows
from lossfn.engine.namespaces import ArrayNamespace
from lossfn.fields import choice
from lossfn.losses.interval import Interval, logistic_interval, normal_interval
from lossfn.reduce import sum_classes
from lossfn.rowwise import RowwiseLoss


class CumulativeLink(RowwiseLoss):
    """Negative log-likelihood of ordered classes: a location, thresholds θ, and logistic or normal noise.

    P(rank = k) = F(θₖ₊₁ − location) − F(θₖ − location), without cancellation, with θ₀ = −∞ and θ_K = ∞. A row holds K
    scores for K ranks: the location, the first threshold, and the K − 2 raw increments: each threshold lies softplus
    of its increment above the one before, so that they are always in order. Location and first threshold matter
    through their difference alone: give the location no bias, or keep the thresholds as K − 1 parameters that all rows
    share (the usual model). It fails where the spread differs between rows: then add a scale of one's own.

    Parameters
    ----------
    link : {"logit", "probit"}
        Logistic noise (proportional odds) or normal noise.

    References
    ----------
    .. [1] McCullagh (1980), "Regression models for ordinal data", doi:10.1111/j.2517-6161.1980.tb01109.x.

    See Also
    --------
    Coral : one logit for each threshold, without a likelihood of the rank.
    RankedProbabilityScore : probabilities by softmax, no assumption on noise.

    Examples
    --------
    >>> from lossfn import CumulativeLink
    >>> print(CumulativeLink()([[0.0, -1.0, 1.0]], [1]).round(6))
    1.175256
    """

    link: str = choice(default="logit", options=("logit", "probit"), doc="logistic or normal noise")

    elicits = "probabilities"
    accepts_distributions = False
    shift_invariant = False
    one_score_a_class = False
    variants = ({}, {"link": "probit"})

    @property
    def formula(self) -> str:
        return r"-\log\left(F(\theta_{y+1} - \mu) - F(\theta_{y} - \mu)\right)"

    def _interval(self, ops: ArrayNamespace, scores: Any, rank: Any) -> Interval:
        """Return the log-probability of ranks (..., n) and its derivatives, from the ends of their intervals."""
        xp = ops.xp
        last = scores.shape[-1] - 1
        raw = scores[..., 1:]
        steps = xp.concat([raw[..., :1] - scores[..., :1], ops.softplus(raw[..., 1:])], axis=-1)
        ends = xp.cumulative_sum(steps, axis=-1)
        below, above = xp.clip(rank - 1, 0, last - 1), xp.clip(rank, 0, last - 1)
        infinity = ops.number(math.inf)
        lower = xp.where(rank > 0, xp.take_along_axis(ends, below, axis=-1), -infinity)
        upper = xp.where(rank < last, xp.take_along_axis(ends, above, axis=-1), infinity)
        function = logistic_interval if self.link == "logit" else normal_interval
        return function(ops, lower, upper, xp.take_along_axis(raw, above, axis=-1))

    def _motion(self, ops: ArrayNamespace, scores: Any, rank: Any) -> tuple[Any, Any, Any]:
        """Return how each score moves the interval, how that changes, and which score is its width."""
        xp = ops.xp
        position = xp.cumulative_sum(xp.ones_like(scores, dtype=rank.dtype), axis=-1) - 1
        zero, one = ops.number(0.0), ops.number(1.0)
        is_step = (position >= 2) & (position <= rank)
        place = xp.where(is_step, ops.sigmoid(scores), zero)
        place = xp.where(position == 0, -one, xp.where(position == 1, one, place))
        bend = xp.where(is_step, ops.dsigmoid(scores), zero)
        # The lowest interval has no width, though the score after its rank is the first threshold.
        return place, bend, (position == rank + 1) & (rank > 0)

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""
        return (self._interval(ops, scores, target[..., None]).value + rows.nan_rows(ops, scores))[..., 0]

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        rank = target[..., None]
        interval = self._interval(ops, scores, rank)
        place, _, is_width = self._motion(ops, scores, rank)
        gradient = ops.xp.where(is_width, interval.by_raw, ops.xmul(place, interval.by_place))
        return gradient + rows.nan_rows(ops, scores)

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return the Hessian of each row times a vector: through place and width of the interval."""
        rank = target[..., None]
        interval = self._interval(ops, scores, rank)
        place, bend, is_width = self._motion(ops, scores, rank)
        moved = sum_classes(ops.xp, place * vector, keepdims=True)
        widened = sum_classes(ops.xp, ops.xp.where(is_width, vector, ops.number(0.0)), keepdims=True)
        # Without a width its derivatives are not defined.
        by_place = interval.by_place_twice * moved + ops.xmul(widened, interval.by_place_and_raw)
        by_raw = interval.by_place_and_raw * moved + interval.by_raw_twice * widened
        product = place * by_place + bend * interval.by_place * vector
        return ops.xp.where(is_width, by_raw, product) + rows.nan_rows(ops, scores)

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the diagonal of the Hessian of each row."""
        rank = target[..., None]
        interval = self._interval(ops, scores, rank)
        place, bend, is_width = self._motion(ops, scores, rank)
        diagonal = place * place * interval.by_place_twice + bend * interval.by_place
        return ops.xp.where(is_width, interval.by_raw_twice, diagonal) + rows.nan_rows(ops, scores)

    @np.errstate(all="ignore")
    def inverse_link(self, pred: Any) -> Any:
        """Return the probability of each rank."""
        batch = rows.prepare_scores(type(self).__name__, pred)
        position = batch.xp.cumulative_sum(batch.xp.ones_like(batch.pred, dtype=batch.xp.int64), axis=-1) - 1
        return batch.finish(batch.ops.exp(-self._interval(batch.ops, batch.pred, position).value))


class ThresholdLoss(RowwiseLoss):
    """Σ over thresholds of the binary cross-entropy of "the rank is above k", for K − 1 logits and K ranks.

    Subclasses say which thresholds a rank is asked about.
    """

    convex = True
    accepts_distributions = False
    shift_invariant = False
    one_score_a_class = False

    #: Whether only those are asked that all lower thresholds have let through.
    is_conditional: ClassVar[bool]

    def classes_of(self, width: int) -> int:
        """Return one class more than there are thresholds."""
        return width + 1

    def _questions(self, ops: ArrayNamespace, scores: Any, target: Any) -> tuple[Any, Any]:
        """Return the logits with the sign of their answer, and whether each is asked."""
        xp = ops.xp
        position = xp.cumulative_sum(xp.ones_like(scores, dtype=target.dtype), axis=-1) - 1
        rank = target[..., None]
        is_asked = (position <= rank) if self.is_conditional else (position == position)
        return xp.where(rank > position, -ops.number(1.0), ops.number(1.0)), is_asked

    def _each(self, ops: ArrayNamespace, scores: Any, values: Any, is_asked: Any) -> Any:
        return ops.xp.where(is_asked, values, ops.number(0.0)) + rows.nan_rows(ops, scores)

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""
        sign, is_asked = self._questions(ops, scores, target)
        return sum_classes(ops.xp, self._each(ops, scores, ops.softplus(sign * scores), is_asked))

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        sign, is_asked = self._questions(ops, scores, target)
        return self._each(ops, scores, sign * ops.sigmoid(sign * scores), is_asked)

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return the Hessian of each row, which is diagonal, times a vector."""
        return self.row_hessian_diagonal(ops, scores, target) * vector

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the diagonal of the Hessian of each row."""
        _, is_asked = self._questions(ops, scores, target)
        return self._each(ops, scores, ops.dsigmoid(scores), is_asked)

    @property
    def gradient_lipschitz(self) -> float | None:
        return 0.25


class Coral(ThresholdLoss):
    """Σ of the binary cross-entropies of "rank > k" for all K − 1 thresholds: ordinal regression in the CORAL manner.

    A row holds K − 1 logits, of P(rank > 0) to P(rank > K − 2). That they descend is the network's affair: one vector
    of weights shared by all logits, and K − 1 biases of their own. Counts each row once (``reduction="mean"`` divides
    the sum over thresholds by the rows, not by rows times thresholds). Proper for the probabilities of the thresholds.

    References
    ----------
    .. [1] Cao, Mirjalili and Raschka (2020), "Rank consistent ordinal regression for neural networks",
       doi:10.1016/j.patrec.2020.11.008.

    See Also
    --------
    Corn : conditional thresholds, whose probabilities are consistent without shared weights.

    Examples
    --------
    >>> from lossfn import Coral
    >>> print(Coral()([[2.0, -1.0]], [1]).round(6))
    0.44019
    """

    elicits = "probabilities"
    is_conditional = False

    @property
    def formula(self) -> str:
        return r"\sum_{k < y} \log(1 + e^{-z_{k}}) + \sum_{k \ge y} \log(1 + e^{z_{k}})"

    @property
    def gradient_formula(self) -> str:
        return r"\sigma(z_{k}) - 1\{k < y\},\qquad \sigma(z) = \frac{1}{1 + e^{-z}}"

    @property
    def hessian_formula(self) -> str:
        return r"\delta_{ij} \sigma(z_{i}) (1 - \sigma(z_{i})),\qquad \sigma(z) = \frac{1}{1 + e^{-z}}"

    @np.errstate(all="ignore")
    def inverse_link(self, pred: Any) -> Any:
        """Return the probability of each rank; NaN for rows whose logits ascend somewhere: they imply none."""
        batch = rows.prepare_scores(type(self).__name__, pred, self.classes_of)
        ops, xp, z = batch.ops, batch.xp, batch.pred
        edge = xp.zeros_like(z[..., :1]) + math.inf
        upper, lower = xp.concat([edge, z], axis=-1), xp.concat([z, -edge], axis=-1)
        # σ(u) - σ(l) as a product.
        probability = -ops.sigmoid(upper) * ops.sigmoid(-lower) * ops.expm1(lower - upper)
        is_ordered = xp.all(upper >= lower, axis=-1, keepdims=True)
        return batch.finish(xp.where(is_ordered, probability, ops.number(math.nan)))


class Corn(ThresholdLoss):
    """Σ of the binary cross-entropies of "rank > k, given rank ≥ k" over the thresholds that a row reaches.

    A row holds K − 1 logits, of conditional probabilities; their products are consistent whatever the network. It is
    the negative log-likelihood of the rank (a continuation-ratio model). Threshold k counts on rows with rank ≥ k
    only; ``reduction="mean"`` divides by the number of rows. Implementations that divide by the number of questions
    asked have this value with ``denominator=numpy.minimum(target + 1, K - 1).sum()``.

    References
    ----------
    .. [1] Shi, Cao and Raschka (2023), "Deep neural networks for rank-consistent ordinal regression based on
       conditional probabilities", doi:10.1007/s10044-023-01181-9.

    See Also
    --------
    CumulativeLink : one location for all thresholds.

    Examples
    --------
    >>> from lossfn import Corn
    >>> print(Corn()([[2.0, -1.0]], [0]).round(6))
    2.126928
    """

    elicits = "probabilities"
    is_conditional = True

    @property
    def formula(self) -> str:
        return r"\sum_{k < y} \log(1 + e^{-z_{k}}) + 1\{y < K - 1\} \log(1 + e^{z_{y}})"

    @property
    def gradient_formula(self) -> str:
        return r"1\{k \le y\} \sigma(z_{k}) - 1\{k < y\},\qquad \sigma(z) = \frac{1}{1 + e^{-z}}"

    @property
    def hessian_formula(self) -> str:
        return r"1\{i \le y\}\, \delta_{ij} \sigma(z_{i}) (1 - \sigma(z_{i})),\qquad \sigma(z) = \frac{1}{1 + e^{-z}}"

    @np.errstate(all="ignore")
    def inverse_link(self, pred: Any) -> Any:
        """Return the probability of each rank."""
        batch = rows.prepare_scores(type(self).__name__, pred, self.classes_of)
        ops, xp, z = batch.ops, batch.xp, batch.pred
        none = xp.zeros_like(z[..., :1])
        # The last rank is reached and never left.
        reached = xp.concat([none, xp.cumulative_sum(ops.log_sigmoid(z), axis=-1)], axis=-1)
        left = xp.concat([ops.log_sigmoid(-z), none], axis=-1)
        return batch.finish(ops.exp(reached + left))
