"""Losses that measure an error relative to the size of the target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.fields import Domain
from lossfn.pointwise import PointwiseLoss

ABOVE_MINUS_ONE = Domain(
    "a finite number > -1",
    low=-1.0,
    open_low=True,
    example=1.0,
    cure="log(1 + y) exists only there: use SquaredError, or shift the target",
)
PREDICTION_ABOVE_MINUS_ONE = Domain(
    "a number > -1",
    low=-1.0,
    open_low=True,
    closed_at_infinity=True,
    example=1.0,
    cure="for a model whose output is any number, train SquaredError on log(1 + target)",
)
DIVISOR = Domain(
    "a finite number other than 0",
    without_zero=True,
    example=1.0,
    cure="a percentage of 0 is undefined: leave such rows out with mask=(target != 0), or use AbsoluteError",
)


class SquaredLogError(PointwiseLoss):
    """Squared difference of log(1 + prediction) and log(1 + target); elicits exp(E log(1 + Y)) − 1.

    That is the geometric mean of 1 + target, minus 1: below the mean, because errors count as ratios. It is the
    likelihood of noise that is Gaussian in log(1 + target). Predictions and targets must be above −1. Not convex: a
    prediction above e·(1 + target) − 1 is pulled back more weakly the farther it is. The metric RMSLE is the square
    root of its mean.

    References
    ----------
    .. [1] Gneiting (2011), "Making and evaluating point forecasts", doi:10.1198/jasa.2011.r10138.

    See Also
    --------
    AbsolutePercentageError : errors relative to the target itself.

    Examples
    --------
    >>> from lossfn import SquaredLogError
    >>> print(SquaredLogError()([9.0, 99.0], [99.0, 9.0]).round(6))
    5.301898
    """

    target = ABOVE_MINUS_ONE
    prediction = PREDICTION_ABOVE_MINUS_ONE
    elicits = "shifted geometric mean"
    lower_bound = 0.0
    equivalents = (
        Equivalent(
            "Keras",
            "keras.losses.mean_squared_logarithmic_error(target, pred)",
            rows="(pred > 1e-3) & (target > 1e-3)",
            note="numbers below 1e-7 count as 1e-7",
        ),
        Equivalent("scikit-learn", "sklearn.metrics.mean_squared_log_error(target, pred)"),
        Equivalent("scikit-learn", "sklearn.metrics.root_mean_squared_log_error(target, pred) ** 2"),
        Equivalent("torchmetrics", "torchmetrics.functional.mean_squared_log_error(pred, target)"),
        Equivalent(
            "XGBoost", "objective='reg:squaredlogerror'", factor="1 / 2", curvature="numpy.maximum(hessian, 2e-6)"
        ),
    )

    def _log_ratio(self, xp: Any, pred: Any, target: Any) -> Any:
        smaller, larger = xp.minimum(pred, target), xp.maximum(pred, target)
        # Logarithms of large numbers would cancel. Below 0 they are no larger than their condition number, and the
        # quotient could overflow.
        size = xp.where(smaller < 0, xp.log1p(larger) - xp.log1p(smaller), xp.log1p((larger - smaller) / (1 + smaller)))
        return xp.where(pred < target, -size, size)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        log_ratio = self._log_ratio(xp, pred, target)
        return log_ratio * log_ratio

    # A quotient of the same two logarithms decides the sign of both derivatives.

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.where(pred < math.inf, 2 * self._log_ratio(xp, pred, target) / (1 + pred), 0)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        curvature = 2 * (1 - self._log_ratio(xp, pred, target)) / (1 + pred) / (1 + pred)
        return xp.where(pred < math.inf, curvature, 0)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return np.expm1(constant.weighted_mean(np.log1p(target), weight))


class AbsolutePercentageError(PointwiseLoss):
    """Absolute residual divided by |target|, as a fraction (0.1 is 10 %); elicits the (−1)-median.

    That is the median after weighting the distribution by 1 / |y|: it lies below the median of positive targets, so
    forecasts trained with it are systematically low, and small targets dominate. A target 0 is refused, because no
    number is right there: leave such rows out with ``mask=(target != 0)``, or use ``AbsoluteError`` divided by
    the mean target of all rows (weighted MAPE). The gradient at a tie is 0; the Hessian is 0 and leaves out the spike
    there.

    References
    ----------
    .. [1] Gneiting (2011), "Making and evaluating point forecasts", doi:10.1198/jasa.2011.r10138.

    See Also
    --------
    SymmetricAbsolutePercentageError : bounded, and defined at 0.
    AbsoluteError : elicits the median itself.

    Examples
    --------
    >>> from lossfn import AbsolutePercentageError
    >>> value, gradient = AbsolutePercentageError().value_and_gradient([9.0, 60.0], [10.0, 50.0], reduction="sum")
    >>> print(value.round(6), gradient)
    0.3 [-0.1   0.02]
    """

    target = DIVISOR
    elicits = "(-1)-median"
    convex = True
    smoothness = 0
    lower_bound = 0.0
    equivalents = (
        Equivalent(
            "Keras",
            "keras.losses.mean_absolute_percentage_error(target, pred)",
            factor="100",
            note="targets are kept above 1e-7 in size",
        ),
        Equivalent("scikit-learn", "sklearn.metrics.mean_absolute_percentage_error(target, pred)"),
        Equivalent(
            "torchmetrics",
            "torchmetrics.functional.mean_absolute_percentage_error(pred, target)",
            note="targets are kept above 1.17e-6 in size",
        ),
        Equivalent(
            "LightGBM",
            "objective='mape'",
            rows="abs(target) >= 1",
            note="smaller targets count as 1",
            curvature="1",
            exact_leaves=True,
        ),
        Equivalent(
            "CatBoost",
            "loss_function='MAPE'",
            rows="abs(target) >= 1",
            note="smaller targets count as 1",
            curvature="1",
            exact_leaves=True,
        ),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.abs(pred - target) / xp.abs(target)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        size = np.abs(target)
        # Only ratios of weights count, and these cannot overflow.
        return constant.weighted_quantile(target, weight * (size.min() / size), 0.5)


class SymmetricAbsolutePercentageError(PointwiseLoss):
    """2·|prediction − target| / (|prediction| + |target|), between 0 and 2 (200 %).

    Where both are 0 the loss is 0: the forecast is right. Where they differ in sign, or one of them is 0, it is 2
    whatever their sizes, so that predictions there feel no pull. Despite the name it is not symmetric: predictions too
    low by some amount cost more than those too high by it. Not convex, and it elicits no named functional: report it
    where a competition asks for it, and train with a loss that elicits what is wanted.

    The gradient at a tie and at prediction 0 is 0; the Hessian is 0 there and leaves out the spikes. Some authors leave
    out the factor 2 or multiply by 100.

    References
    ----------
    .. [1] Hyndman and Koehler (2006), "Another look at measures of forecast accuracy",
       doi:10.1016/j.ijforecast.2006.03.001.

    See Also
    --------
    AbsolutePercentageError : relative to the target alone.

    Examples
    --------
    >>> from lossfn import SymmetricAbsolutePercentageError
    >>> loss = SymmetricAbsolutePercentageError()
    >>> print(loss.elementwise([100.0, 150.0, 0.0, -1.0], [150.0, 100.0, 0.0, 3.0]))
    [0.4 0.4 0.  2. ]
    """

    elicits = "no named functional"
    smoothness = 0
    lower_bound = 0.0
    equivalents = (
        Equivalent(
            "torchmetrics",
            "torchmetrics.functional.symmetric_mean_absolute_percentage_error(pred, target)",
            note="the sum of sizes is kept above 1.17e-6",
        ),
    )

    def _has_pull(self, xp: Any, pred: Any, target: Any) -> Any:
        positive = xp.logical_and(pred > 0, target > 0)
        same_sign = xp.logical_or(positive, xp.logical_and(pred < 0, target < 0))
        return xp.logical_and(same_sign, xp.abs(pred) < math.inf)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        size, target_size = xp.abs(pred), xp.abs(target)
        larger = xp.maximum(size, target_size)
        # Divided by the larger one, because the sum may overflow.
        ratio = 2 * xp.xdivy(xp.abs(pred - target), larger) / (1 + xp.xdivy(xp.minimum(size, target_size), larger))
        unlike = xp.where(larger > 0, 2, 0)
        return xp.where(self._has_pull(xp, pred, target), ratio, unlike)

    # The derivative of the quotient is a difference of nearly equal numbers.

    def _pull(self, xp: Any, pred: Any, target: Any) -> tuple[Any, Any]:
        """Return the gradient's size and the mean size, by which one division after the other cannot overflow."""
        half = xp.abs(pred) / 2 + xp.abs(target) / 2
        return xp.xdivy(xp.xdivy(xp.abs(target), half), half), half

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        pull, _ = self._pull(xp, pred, target)
        return xp.where(self._has_pull(xp, pred, target), xp.xmul(xp.sign(pred - target), pull), 0)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        pull, half = self._pull(xp, pred, target)
        direction = -xp.sign(pred - target) * xp.sign(pred)
        return xp.where(self._has_pull(xp, pred, target), xp.xmul(direction, xp.xdivy(pull, half)), 0)
