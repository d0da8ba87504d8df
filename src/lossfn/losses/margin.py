"""Losses of two classes, labels -1 and +1, through the margin: prediction times label."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from lossfn import constant, fields
from lossfn.equivalents import Equivalent
from lossfn.pointwise import PointwiseLoss


class MarginLoss(PointwiseLoss):
    """A loss φ of the margin, for labels −1 and +1, and what it promises about wrong decisions.

    A score decides for class +1 where it is positive. With probability η of class +1, a score f costs
    η·φ(f) + (1 − η)·φ(−f) on average. If scores of the wrong sign always cost more than the best score (the loss is
    classification-calibrated), the ψ-transform says how much more at least: with θ = |2η − 1|, the price of a wrong
    decision, ψ(θ) is the largest convex function below that difference. Then ψ(excess 0-1 risk) ≤ excess risk of the
    loss, for every score function and every distribution.

    Subclasses define ``psi`` and ``minimiser`` in closed form; tests hold both to the values of the loss.

    Attributes
    ----------
    classification_calibrated : bool
        Whether the best score always has the sign of the more likely class. For convex φ: differentiable at 0 with
        φ'(0) < 0.

    References
    ----------
    .. [1] Bartlett, Jordan and McAuliffe (2006), "Convexity, classification, and risk bounds",
       doi:10.1198/016214505000000907.
    """

    target = fields.SIGNED
    lower_bound = 0.0
    classification_calibrated: ClassVar[bool] = True

    def minimiser(self, probability: Any) -> Any:
        """Return the score that minimises the expected loss if class +1 has this probability.

        Where a whole interval of scores does, its middle is taken, or its finite end.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no minimiser")

    def psi(self, theta: float) -> float:
        """Return the ψ-transform at θ = |2η − 1|, a number in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} defines no ψ-transform")

    def excess_zero_one_bound(self, excess_surrogate: float) -> float:
        """Return the largest excess 0-1 risk that an excess risk of this loss allows.

        Both risks are means over the data distribution minus the least that any score function can reach. Of two losses
        with the same excess risk, the one with the smaller bound promises more: 0.01 allows 0.01 with ``Hinge`` but
        0.1 with ``SquaredMargin``, so the square root is the weaker promise.

        Examples
        --------
        >>> from lossfn import Hinge, SquaredMargin
        >>> for loss in (Hinge(), SquaredMargin()):
        ...     print(f"{loss.excess_zero_one_bound(0.01):.2f}")
        0.01
        0.10
        """
        owner = type(self).__name__
        if not self.classification_calibrated:
            raise ValueError(
                f"{owner} is not classification-calibrated: a score that decides wrongly can have the least expected "
                "loss, so its excess risk bounds no excess 0-1 risk; use Hinge or LogisticMargin"
            )
        is_number = isinstance(excess_surrogate, Real) and not isinstance(excess_surrogate, bool)
        if not (is_number and excess_surrogate >= 0):
            raise ValueError(f"{owner}: excess_surrogate must be a number >= 0; got {excess_surrogate!r}")
        if excess_surrogate == 0 or self.psi(1.0) <= excess_surrogate:
            return float(excess_surrogate > 0)
        # ψ increases. Positive numbers are ordered as their bit patterns, so halving finds the last one allowed.
        low, high = 0, int(np.float64(1.0).view(np.int64))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.psi(_from_bits(middle)) <= excess_surrogate else (low, middle)
        return _from_bits(low)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return self.minimiser(constant.weighted_mean(target > 0, weight))


def _from_bits(pattern: int) -> float:
    return float(np.int64(pattern).view(np.float64))


def half_log_odds(probability: Any) -> Any:
    """Return half the logarithm of the odds; ±∞ for certain classes."""
    with np.errstate(divide="ignore"):
        return (np.log(probability) - np.log1p(-probability)) / 2


class LogisticMargin(MarginLoss):
    """Cross-entropy for labels −1 and +1: log(1 + e^(−margin)); elicits the probability, the sigmoid of the prediction.

    Minus the log-likelihood of a label whose log-odds are the prediction. At margin 0 it is log 2 and not 1: divide it
    by log 2 where it must lie above the 0-1 loss.

    References
    ----------
    .. [1] Cox (1958), "The regression analysis of binary sequences", doi:10.1111/j.2517-6161.1958.tb00292.x.

    See Also
    --------
    BinaryCrossEntropy : the same for labels 0 and 1.

    Examples
    --------
    >>> from lossfn import LogisticMargin
    >>> value, gradient = LogisticMargin().value_and_gradient([0.0, 100.0], [1, -1])
    >>> print(value.round(4), gradient)
    50.3466 [-0.25  0.5 ]
    """

    elicits = "probability"
    convex = True
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.soft_margin_loss(pred, target)"),
        Equivalent(
            "Keras",
            "keras.losses.binary_crossentropy((target + 1) / 2, pred, from_logits=True)",
            note="takes labels 0 and 1",
        ),
        Equivalent(
            "optax", "optax.losses.sigmoid_binary_cross_entropy(pred, (target + 1) / 2)", note="takes labels 0 and 1"
        ),
        Equivalent("scikit-learn SGD", "loss='log_loss'"),
        Equivalent("XGBoost", "objective='binary:logistic'", labels="(target + 1) / 2"),
        Equivalent("LightGBM", "objective='binary'", labels="(target + 1) / 2"),
        Equivalent("CatBoost", "loss_function='Logloss'", labels="(target + 1) / 2"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.softplus(-(pred * target))

    @property
    def value_lipschitz(self) -> float:
        return 1.0

    @property
    def gradient_lipschitz(self) -> float:
        return 0.25

    def minimiser(self, probability: Any) -> Any:
        return 2 * half_log_odds(probability)

    def psi(self, theta: float) -> float:
        # log 2 minus an entropy, so written that it does not cancel for small θ.
        return math.log(2.0) if theta == 1 else theta * math.atanh(theta) + math.log1p(-theta * theta) / 2


class ExponentialMargin(MarginLoss):
    """e^(−margin), the loss of AdaBoost; elicits the probability: predictions are half the log-odds.

    No likelihood. Rows on the wrong side count exponentially, so a few wrong labels can dominate.

    References
    ----------
    .. [1] Friedman, Hastie and Tibshirani (2000), "Additive logistic regression: a statistical view of boosting",
       doi:10.1214/aos/1016218223.

    See Also
    --------
    LogisticMargin : linear on the wrong side.

    Examples
    --------
    >>> from lossfn import ExponentialMargin
    >>> value, gradient = ExponentialMargin().value_and_gradient([0.0, 1.0], [1, -1], reduction="sum")
    >>> print(value.round(4), gradient.round(4))
    3.7183 [-1.      2.7183]
    """

    elicits = "probability"
    convex = True

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.exp(-(pred * target))

    def minimiser(self, probability: Any) -> Any:
        return half_log_odds(probability)

    def psi(self, theta: float) -> float:
        return theta * theta / (1 + math.sqrt(1 - theta * theta))


class SquaredMargin(MarginLoss):
    """(1 − margin)², least squares on labels −1 and +1; elicits the probability, (1 + prediction) / 2.

    Equals ``SquaredError`` on these labels. It also penalises rows that are right by more than the margin 1.

    References
    ----------
    .. [1] Suykens and Vandewalle (1999), "Least squares support vector machine classifiers",
       doi:10.1023/A:1018628609742.

    See Also
    --------
    SquaredHinge : costs nothing beyond the margin.

    Examples
    --------
    >>> from lossfn import SquaredMargin
    >>> value, gradient = SquaredMargin().value_and_gradient([3.0, 0.5], [1, -1], reduction="sum")
    >>> print(value, gradient)
    6.25 [4. 3.]
    """

    elicits = "probability"
    convex = True
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.mse_loss(pred, target)"),
        Equivalent("Keras", "keras.losses.mean_squared_error(target, pred)"),
        Equivalent("optax", "optax.losses.squared_error(pred, target)"),
        Equivalent("scikit-learn", "sklearn.metrics.mean_squared_error(target, pred)"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        gap = 1 - pred * target
        return gap * gap

    @property
    def gradient_lipschitz(self) -> float:
        return 2.0

    def minimiser(self, probability: Any) -> Any:
        return 2 * probability - 1

    def psi(self, theta: float) -> float:
        return theta * theta
