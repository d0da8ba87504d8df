"""Losses of a residual for plain regression: the mean, the median, and what a power or an exponential makes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.fields import at_least, nonzero
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
        Equivalent("scikit-learn", "sklearn.metrics.root_mean_squared_error(target, pred) ** 2"),
        Equivalent(
            "scikit-learn",
            "(1 - sklearn.metrics.r2_score(target, pred)) * target.var()",
            note="relative to the best constant",
        ),
        Equivalent("scikit-learn SGD", "loss='squared_error'", factor="1 / 2"),
        Equivalent("torchmetrics", "torchmetrics.functional.mean_squared_error(pred, target)"),
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
        Equivalent("scikit-learn SGD", "loss='squared_error'"),
        Equivalent(
            "SciPy", "scipy.optimize.least_squares(lambda x: pred - target, [0.0], max_nfev=1).cost / len(pred)"
        ),
        Equivalent("torchmetrics", "torchmetrics.functional.mean_squared_error(pred, target)", factor="2"),
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
        Equivalent(
            "scikit-learn",
            "(1 - sklearn.metrics.d2_absolute_error_score(target, pred)) * abs(target - numpy.median(target)).mean()",
            note="relative to the best constant",
        ),
        Equivalent("scikit-learn SGD", "loss='epsilon_insensitive', epsilon=0.0"),
        Equivalent("torchmetrics", "torchmetrics.functional.mean_absolute_error(pred, target)"),
        Equivalent("XGBoost", "objective='reg:absoluteerror'", curvature="1", exact_leaves=True),
        Equivalent("LightGBM", "objective='regression_l1'", curvature="1", exact_leaves=True),
        Equivalent("CatBoost", "loss_function='MAE'", factor="1 / 2", curvature="2", exact_leaves=True),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.abs(pred - target)

    @property
    def value_lipschitz(self) -> float:
        return 1.0

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return constant.weighted_quantile(target, weight, 0.5)


class LinEx(PointwiseLoss):
    """e^(a·r) − a·r − 1 with r = prediction − target: exponential on one side, linear on the other.

    For a > 0 predictions that are too high cost exponentially, for a < 0 those that are too low. Elicits the
    exponential mean −log(E e^(−a·Y)) / a, which lies below the mean for a > 0. Near zero it is a²·r²/2, so that
    ``a**-2 * LinEx(a=a)`` tends to the half squared error as a tends to 0. Use it where the cost of errors is
    known to grow so; one outlier on the exponential side decides everything.

    Parameters
    ----------
    a : float
        Rate of the exponential, in units of 1 / target; not 0.

    References
    ----------
    .. [1] Zellner (1986), "Bayesian estimation and prediction using asymmetric loss functions",
       doi:10.1080/01621459.1986.10478289.

    See Also
    --------
    Expectile : asymmetric too, quadratic on both sides.

    Examples
    --------
    >>> from lossfn import LinEx
    >>> print(LinEx(a=1.0).elementwise([2.0, -2.0], [0.0, 0.0]).round(6))
    [4.389056 1.135335]
    """

    a: float = nonzero(default=0.5, symbol="a", doc="rate of the exponential, in units of 1 / target")

    elicits = "exponential mean"
    convex = True
    lower_bound = 0.0
    variants = ({}, {"a": -0.25})

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.expm1mx(self.a * (pred - target))

    # A small factor a brings back what overflows in the exponential alone.

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        scaled = self.a * (pred - target)
        return xp.where(scaled < 1, self.a * xp.expm1(scaled), xp.mulexp(self.a, scaled) - self.a)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.mulexp(self.a * self.a, self.a * (pred - target))

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        exponent = -self.a * target
        # The largest exponent is taken out, so that nothing overflows.
        largest = exponent.max()
        return -(largest + np.log(constant.weighted_mean(np.exp(exponent - largest), weight))) / self.a


class Minkowski(PointwiseLoss):
    """Absolute residual to the power p, without a factor 1/p: between the median and the mid-range.

    ``p=1`` is the absolute error and ``p=2`` the squared error, both exactly. Elicits the Lp-location and is the
    likelihood of generalised Gaussian noise. Below p = 2 the curvature at a tie is infinite; a large p lets the largest
    residual decide.

    Parameters
    ----------
    p : float
        The power, at least 1.

    References
    ----------
    .. [1] Chen (1996), "Conditional Lp-quantiles and their application to the testing of symmetry in non-parametric
       regression", doi:10.1016/0167-7152(95)00163-8.

    See Also
    --------
    AbsoluteError, SquaredError

    Examples
    --------
    >>> from lossfn import Minkowski
    >>> value, gradient = Minkowski(p=3.0).value_and_gradient([2.0, -1.0], [0.0, 0.0], reduction="sum")
    >>> print(value, gradient)
    9.0 [12. -3.]
    """

    p: float = at_least(1.0, default=1.5, symbol="p", doc="power of the absolute residual", structural=(1.0, 2.0))

    elicits = "M-location"
    convex = True
    lower_bound = 0.0
    variants = ({}, {"p": 1.0}, {"p": 2.0}, {"p": 3.0})
    equivalents = (
        Equivalent("torchmetrics", "torchmetrics.functional.minkowski_distance(pred, target, p=p) ** p / len(pred)"),
        Equivalent("CatBoost", "loss_function=f'Lq:q={p}'", when="p >= 2"),
        Equivalent("CatBoost", "loss_function=f'Lq:q={p}'", when="p < 2", curvature="1"),
    )

    @property
    def smoothness(self) -> float:  # type: ignore[override]  # depends on a parameter here
        if self.p == 1:
            return 0
        return 1 if self.p < 2 else math.inf if self.p % 2 == 0 else math.ceil(self.p) - 1

    @property
    def even_with_decreasing_weight(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return self.p <= 2

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.power(xp.abs(pred - target), self.p)

    # The square of a sign would make the second derivative 0 at a tie.

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        return self.p * (xp.sign(residual) * xp.power(xp.abs(residual), self.p - 1))

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return self.p * (self.p - 1) * xp.power(xp.abs(pred - target), self.p - 2)

    @property
    def value_lipschitz(self) -> float | None:
        return 1.0 if self.p == 1 else None

    @property
    def gradient_lipschitz(self) -> float | None:
        return 2.0 if self.p == 2 else None
