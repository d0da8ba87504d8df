"""Proper scores of a forecast probability of class 1: its own value is the best forecast."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossfn import constant, fields
from lossfn.equivalents import Equivalent
from lossfn.losses.binary import LABELS, BinaryCrossEntropy
from lossfn.pointwise import PointwiseLoss


class ProbabilityScore(PointwiseLoss):
    """What scores of a forecast probability share: predictions are probabilities, and the best constant is the mean."""

    target = fields.PROBABILITY
    prediction = fields.PROBABILITY
    head_symbols = ("p",)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return constant.weighted_mean(target, weight)


class LogScore(ProbabilityScore):
    """Minus the logarithm of the probability that was given to what happened; strictly proper, lower is better.

    The likelihood of a label, in nats. A certain and wrong forecast costs +∞, so that one may decide a comparison. For
    fitting a model, ``BinaryCrossEntropy`` on logits is the same score without the rounding of probabilities near 1.

    Predictions are probabilities; targets are labels 0 and 1, or probabilities, for which it is the expected score.

    References
    ----------
    .. [1] Good (1952), "Rational decisions", doi:10.1111/j.2517-6161.1952.tb00104.x.
    .. [2] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
       doi:10.1198/016214506000001437.

    See Also
    --------
    BinaryCrossEntropy : the same on logits.
    Brier : bounded, so that no single forecast decides.

    Examples
    --------
    >>> from lossfn import LogScore
    >>> print(LogScore().elementwise([0.9, 0.9, 0.0], [1, 0, 0]).round(4))
    [0.1054 2.3026 0.    ]
    """

    elicits = "probability"
    convex = True
    lower_bound = 0.0
    equivalents = (
        Equivalent(
            "PyTorch", "torch.nn.functional.binary_cross_entropy(pred, target)", note="the logarithm stops at -100"
        ),
        Equivalent("PyTorch", "torch.nn.BCELoss()(pred, target)", note="the logarithm stops at -100"),
        Equivalent(
            "Keras",
            "keras.losses.binary_crossentropy(target, pred)",
            note="probabilities are clipped to [1e-7, 1 - 1e-7]",
        ),
        Equivalent(
            "scikit-learn",
            "sklearn.metrics.log_loss(target > 0.5, pred)",
            rows=LABELS,
            note="probabilities are clipped by the resolution of their type",
        ),
        Equivalent(
            "scikit-learn",
            "(1 - sklearn.metrics.d2_log_loss_score(target > 0.5, pred)) * sklearn.metrics.log_loss(target, "
            "numpy.full(len(target), target.mean()))",
            rows=LABELS,
            note="relative to the best constant",
        ),
        Equivalent("scoringrules", "scoringrules.log_score(target, pred)", rows=LABELS),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return BinaryCrossEntropy(inputs="probabilities").expression(xp, pred, target)


class Brier(ProbabilityScore):
    """Squared difference of forecast probability and outcome; strictly proper, lower is better.

    Between 0 and 1; a constant forecast of ½ scores ¼. The Brier score over both classes, as in Brier's paper and for
    several classes, is twice this. Targets are labels 0 and 1, or probabilities t, for which (p − t)² leaves out the
    t·(1 − t) of the expected score that no forecast can change.

    References
    ----------
    .. [1] Brier (1950), "Verification of forecasts expressed in terms of probability",
       doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    See Also
    --------
    LogScore : punishes certain and wrong forecasts without limit.
    SquaredError : the same of any number.

    Examples
    --------
    >>> from lossfn import Brier
    >>> print(Brier().elementwise([0.9, 0.9, 0.5], [1, 0, 1]).round(4))
    [0.01 0.81 0.25]
    """

    elicits = "probability"
    convex = True
    lower_bound = 0.0
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.mse_loss(pred, target)"),
        Equivalent("Keras", "keras.losses.mean_squared_error(target, pred)"),
        Equivalent("scikit-learn", "sklearn.metrics.brier_score_loss(target > 0.5, pred)", rows=LABELS),
        Equivalent(
            "scikit-learn",
            "(1 - sklearn.metrics.d2_brier_score(target > 0.5, pred)) * target.var()",
            rows=LABELS,
            note="relative to the best constant",
        ),
        Equivalent("torchmetrics", "torchmetrics.functional.mean_squared_error(pred, target)"),
        Equivalent("scoringrules", "scoringrules.brier_score(target, pred)", rows=LABELS),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        return residual * residual

    @property
    def value_lipschitz(self) -> float:
        return 2.0

    @property
    def gradient_lipschitz(self) -> float:
        return 2.0


class Spherical(ProbabilityScore):
    """Minus the probability given to what happened, over the length of the vector (p, 1 − p); strictly proper.

    Between −1, for a certain and right forecast, and 0; lower is better. It depends on the angle between forecast and
    outcome, and is not convex: a forecast far off pulls little. Targets are labels 0 and 1, or probabilities, for
    which it is the expected score.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
       doi:10.1198/016214506000001437.

    See Also
    --------
    Brier, LogScore

    Examples
    --------
    >>> from lossfn import Spherical
    >>> print(Spherical().elementwise([1.0, 0.6, 0.6], [1, 1, 0]).round(4))
    [-1.     -0.8321 -0.5547]
    """

    elicits = "probability"
    lower_bound = -1.0

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return -(target * pred + (1 - target) * (1 - pred)) / _length(xp, pred)

    # Derived, the gradient would be a difference of two numbers that are alike near a certain forecast.
    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return (pred - target) / _length(xp, pred) ** 3

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        length = _length(xp, pred)
        return (1 - 3 * (pred - target) * (2 * pred - 1) / length**2) / length**3

    @property
    def value_lipschitz(self) -> float:
        # The slope p/length³ of label 0 is largest where 4p² = p + 1.
        steepest = (1 + np.sqrt(17)) / 8
        return float(steepest / np.hypot(steepest, 1 - steepest) ** 3)

    @property
    def gradient_lipschitz(self) -> float:
        # The curvature of label 0 is largest where 8p³ - 4p² - 5p + 2 = 0, at the middle root.
        sharpest = np.sort(np.roots([8, -4, -5, 2]).real)[1]
        return float((1 + sharpest - 4 * sharpest**2) / np.hypot(sharpest, 1 - sharpest) ** 5)


def _length(xp: Any, probability: Any) -> Any:
    other = 1 - probability
    return xp.sqrt(probability * probability + other * other)
