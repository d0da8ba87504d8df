"""Cross-entropy with two temperatures: bounded, and with probabilities that fall like a power."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from lossfn import constant, fields
from lossfn.fields import at_least, closed_fraction
from lossfn.losses.focal import largest_derivatives
from lossfn.losses.links import batch_of_predictions, sigmoid
from lossfn.parameters import is_exactly
from lossfn.pointwise import PointwiseLoss


class Terms(NamedTuple):
    """What value and derivatives of one element share.

    ``less`` and ``more`` are the probabilities of the less and the more likely class, ``ratio`` their quotient; the
    others are powers of these, formed from each other, so that no exponent is a rounded difference.
    """

    wrong: Any
    less: Any
    more: Any
    less_by_power: Any  # less^(1 - t1)
    ratio_first: Any  # ratio^t1
    ratio_second: Any  # ratio^t2
    decay: Any  # less^(t2 - 1)


class BiTempered(PointwiseLoss):
    """Cross-entropy with a tempered logarithm (t1) and tempered probabilities (t2); elicits the probability of class 1.

    With ``t1`` below 1 no row costs more than 1 / (1 − t1), so wrong labels far from the boundary do little harm. With
    ``t2`` above 1 probabilities approach 0 and 1 like a power of the logit, so wrong labels near the boundary pull
    less. With both temperatures 1 it equals ``BinaryCrossEntropy``, the log-likelihood of a label; otherwise it is a
    proper score, but neither a likelihood nor convex. A matrix (N, K) of independent labels is the multi-label case.

    Parameters
    ----------
    t1 : float
        Temperature of the logarithm, from 0 (squared error of the probabilities) to 1.
    t2 : float
        Temperature of the probabilities, at least 1.

    References
    ----------
    .. [1] Amid, Warmuth, Anil and Koren (2019), "Robust bi-tempered logistic loss based on Bregman divergences",
       doi:10.48550/arXiv.1906.03361.

    See Also
    --------
    BinaryCrossEntropy : both temperatures are 1.
    SquaredErrorOnSigmoid : the case ``t1=0, t2=1``.

    Examples
    --------
    >>> from lossfn import BiTempered
    >>> loss = BiTempered(t1=0.5, t2=2.0)
    >>> print(loss.elementwise([3.0, -3.0, -1e6], [1, 1, 1]).round(4))
    [0.1041 0.8922 1.998 ]
    """

    t1: float = closed_fraction(default=0.8, symbol="t_1", doc="temperature of the logarithm", structural=(1.0,))
    t2: float = at_least(1.0, default=1.2, symbol="t_2", doc="temperature of the probabilities", structural=(1.0,))

    target = fields.BINARY
    elicits = "probability"
    lower_bound = 0.0
    variants = ({}, {"t1": 0.0, "t2": 2.0}, {"t1": 0.5, "t2": 1.0}, {"t1": 1.0, "t2": 1.5})
    head_symbols = ("z",)

    @property
    def _logarithm_is_plain(self) -> bool:
        return is_exactly(self.t1, 1)

    @property
    def _softmax_is_plain(self) -> bool:
        return is_exactly(self.t2, 1)

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on parameters here
        return self.t1 == self.t2 == 1

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = (2 * target - 1) * pred
        if self._logarithm_is_plain and self._softmax_is_plain:
            return xp.softplus(-margin)
        terms = self._terms(xp, margin)
        if self._logarithm_is_plain:
            return xp.where(terms.wrong, self._surprise(xp, margin, terms), -xp.log1p(-terms.less))
        first, second = 1 - self.t1, 2 - self.t1
        # The integral of v^(-t1) (1 - v) from the probability of the label to 1, and the power of the other class.
        logarithm = xp.log1p(-terms.less)
        small = xp.expm1mx(second * logarithm) / second - xp.expm1mx(first * logarithm) / first
        exponent = -first * self._surprise(xp, margin, terms)
        # For t1 near 1 the power is near 1.
        fallen = xp.where(exponent > -1, -xp.expm1(exponent), 1 - terms.less_by_power)
        large = fallen / first - (1 - terms.less * terms.less_by_power) / second
        other = xp.where(terms.wrong, xp.power(terms.more, second), terms.less * terms.less_by_power)
        return xp.where(terms.wrong, large, small) + other / second

    def _surprise(self, xp: Any, margin: Any, terms: Terms) -> Any:
        """Return -log(less), which far away has a value where less itself has vanished."""
        if self._softmax_is_plain:
            return xp.softplus(xp.abs(margin))
        tau = self.t2 - 1
        far = (xp.log(xp.abs(margin) + xp.power(terms.more, -tau) / tau) + xp.log(tau)) / tau
        return xp.where(terms.decay < 0.125, far, -xp.log(terms.less))

    def _terms(self, xp: Any, margin: Any) -> Terms:
        size = xp.abs(margin)
        if self._softmax_is_plain:
            less, less_by_power = xp.sigmoid(-size), xp.exp((self.t1 - 1) * xp.softplus(size))
            more, decay, ratio_decay = 1 - less, 1, 1
        else:
            # Where less has vanished, its power may not.
            less, less_by_power = xp.tempered_tail(size, self.t2, 1), xp.tempered_tail(size, self.t2, 1 - self.t1)
            more = 1 - less
            tau = self.t2 - 1
            other = xp.power(more, -tau)
            decay = 1 / (tau * size + other)
            ratio_decay = other * decay
        if self._logarithm_is_plain:
            less_by_power = 1
        ratio_first = xp.power(less, self.t1) / xp.power(more, self.t1)
        return Terms(margin < 0, less, more, less_by_power, ratio_first, less / more * ratio_decay, decay)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        sign = 2 * target - 1
        if self._logarithm_is_plain and self._softmax_is_plain:
            return -sign * xp.sigmoid(-sign * pred)
        terms = self._terms(xp, sign * pred)
        other = xp.where(terms.wrong, terms.more, terms.less)
        return -sign * other * terms.decay * terms.less_by_power * (1 + terms.ratio_first) / (1 + terms.ratio_second)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = (2 * target - 1) * pred
        if self._logarithm_is_plain and self._softmax_is_plain:
            return xp.dsigmoid(margin)
        wrong, less, more, less_by_power, first, second, decay = self._terms(xp, margin)
        ratio = less / more
        # t1 (1 - ratio^(t1+1)) - t2 (1 + ratio^t1) (1 - ratio^(t2+1)) / (1 + ratio^t2), without the difference of ones.
        slope_of_ratio = (
            -(self.t2 - self.t1)
            - self.t1 * ratio * first
            - self.t2 * (first - second - ratio * second * (1 + first)) / (1 + second)
        )
        bracket = less * (1 + first) + xp.where(wrong, more, -less) * slope_of_ratio
        return less_by_power * decay * decay * bracket / (1 + second) / (1 + second)

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        return largest_derivatives(self)

    @property
    def value_lipschitz(self) -> float:
        return self._bounds[0]

    @property
    def gradient_lipschitz(self) -> float:
        return self._bounds[1]

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        share = constant.weighted_mean(target, weight)
        with np.errstate(divide="ignore"):
            logarithms = np.log(share), np.log1p(-share)
            if self.t2 == 1:
                return logarithms[0] - logarithms[1]
            tau = self.t2 - 1
            own, other = (np.expm1(-tau * logarithm) / tau for logarithm in logarithms)
            return other - own

    def inverse_link(self, pred: Any) -> Any:
        # Both slopes are the probability times the same factor, which may have vanished.
        owner = type(self).__name__
        if self.t2 == 1:
            return sigmoid(owner, pred)
        batch = batch_of_predictions(owner, pred)
        less = batch.ops.tempered_tail(batch.ops.abs(batch.pred), self.t2, 1)
        return batch.finish(batch.xp.where(batch.pred > 0, 1 - less, less))
