"""Losses of a residual that need no parameter: the mean and the median."""

from __future__ import annotations

from typing import Any

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.pointwise import PointwiseLoss


class SquaredError(PointwiseLoss):
    """Squared residual, without a factor ½; elicits the mean and is the likelihood of Gaussian noise.

    Its pull grows with the residual, so a few large errors dominate the fit: look at robust losses when the noise has
    heavy tails.

    References
    ----------
    .. [1] Gneiting (2011), "Making and evaluating point forecasts", doi:10.1198/jasa.2011.r10138.

    See Also
    --------
    HalfSquaredError : the same with the factor ½ that makes the gradient the residual.

    Examples
    --------
    >>> from lossfn import SquaredError
    >>> value, gradient = SquaredError().value_and_gradient([1.0, 4.0], [0.0, 0.0])
    >>> print(value, gradient)
    8.5 [1. 4.]
    """

    elicits = "mean"
    convex = True
    even_with_decreasing_weight = True
    lower_bound = 0.0
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.mse_loss(pred, target)"),
        Equivalent("Keras", "keras.losses.mean_squared_error(target, pred)"),
        Equivalent("optax", "optax.losses.squared_error(pred, target)"),
        Equivalent("scikit-learn", "sklearn.metrics.mean_squared_error(target, pred)"),
        Equivalent("XGBoost", "objective='reg:squarederror'", factor="1 / 2"),
        Equivalent("LightGBM", "objective='regression'", factor="1 / 2"),
        Equivalent("CatBoost", "loss_function='RMSE'", factor="1 / 2"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        return residual * residual

    @property
    def gradient_lipschitz(self) -> float:
        return 2.0

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return constant.weighted_mean(target, weight)


class HalfSquaredError(PointwiseLoss):
    """Half the squared residual: gradient = residual, Hessian = 1; elicits the mean.

    References
    ----------
    .. [1] Gneiting (2011), "Making and evaluating point forecasts", doi:10.1198/jasa.2011.r10138.

    See Also
    --------
    SquaredError : twice this loss.

    Examples
    --------
    >>> from lossfn import HalfSquaredError
    >>> HalfSquaredError().gradient([3.0], [1.0], reduction="sum")
    array([2.])
    """

    elicits = "mean"
    convex = True
    even_with_decreasing_weight = True
    lower_bound = 0.0
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.mse_loss(pred, target)", factor="2"),
        Equivalent("Keras", "keras.losses.mean_squared_error(target, pred)", factor="2"),
        Equivalent("optax", "optax.losses.l2_loss(pred, target)"),
        Equivalent("scikit-learn", "sklearn.metrics.mean_squared_error(target, pred)", factor="2"),
        Equivalent("XGBoost", "objective='reg:squarederror'"),
        Equivalent("LightGBM", "objective='regression'"),
        Equivalent("CatBoost", "loss_function='RMSE'"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        return residual * residual / 2

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return constant.weighted_mean(target, weight)


class AbsoluteError(PointwiseLoss):
    """Absolute residual; elicits the median and is the likelihood of Laplace noise.

    Every residual pulls equally hard, so outliers do not dominate. The gradient is the sign, 0 at a tie; the Hessian
    is 0 and leaves out the spike at the kink.

    References
    ----------
    .. [1] Koenker and Bassett (1978), "Regression quantiles", doi:10.2307/1913643.

    See Also
    --------
    Pinball : other quantiles; at ``tau=0.5`` it is half this loss.
    Huber : smooth near zero.

    Examples
    --------
    >>> from lossfn import AbsoluteError
    >>> value, gradient = AbsoluteError().value_and_gradient([1.0, 4.0, 0.0], [0.0, 5.0, 0.0], reduction="sum")
    >>> print(value, gradient)
    2.0 [ 1. -1.  0.]
    """

    elicits = "median"
    convex = True
    smoothness = 0
    even_with_decreasing_weight = True
    lower_bound = 0.0
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.l1_loss(pred, target)"),
        Equivalent("Keras", "keras.losses.mean_absolute_error(target, pred)"),
        Equivalent("scikit-learn", "sklearn.metrics.mean_absolute_error(target, pred)"),
        Equivalent("XGBoost", "objective='reg:absoluteerror'"),
        Equivalent("LightGBM", "objective='regression_l1'"),
        Equivalent("CatBoost", "loss_function='MAE'", factor="1 / 2"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.abs(pred - target)

    @property
    def value_lipschitz(self) -> float:
        return 1.0

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return constant.weighted_quantile(target, weight, 0.5)
