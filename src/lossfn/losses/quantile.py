"""Asymmetric losses of a residual: quantiles and expectiles."""

from __future__ import annotations

from typing import Any

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.fields import open_fraction
from lossfn.pointwise import PointwiseLoss


class Pinball(PointwiseLoss):
    """Absolute residual weighted ``tau`` below the target and ``1 - tau`` above; elicits the ``tau``-quantile.

    Under-prediction costs ``tau`` per unit, so a high ``tau`` pushes predictions up. At ``tau=0.5`` it is half the
    absolute error. The gradient at a tie is 0; the Hessian is 0 and leaves out the spike at the kink.

    Parameters
    ----------
    tau : float
        The level of the quantile, strictly between 0 and 1.

    References
    ----------
    .. [1] Koenker and Bassett (1978), "Regression quantiles", doi:10.2307/1913643.

    See Also
    --------
    Expectile : the smooth, squared counterpart.

    Examples
    --------
    >>> from lossfn import Pinball
    >>> value, gradient = Pinball(tau=0.9).value_and_gradient([8.0, 12.0], [10.0, 10.0], reduction="sum")
    >>> print(value.round(4), gradient.round(4))
    2.0 [-0.9  0.1]
    """

    tau: float = open_fraction(default=0.5, symbol=r"\tau", doc="level of the quantile")

    elicits = "quantile"
    convex = True
    smoothness = 0
    lower_bound = 0.0
    variants = ({}, {"tau": 0.1}, {"tau": 0.9})
    equivalents = (
        Equivalent("scikit-learn", "sklearn.metrics.mean_pinball_loss(target, pred, alpha=tau)"),
        Equivalent("XGBoost", "objective='reg:quantileerror', quantile_alpha=tau"),
        Equivalent("LightGBM", "objective='quantile', alpha=tau"),
        Equivalent("CatBoost", "loss_function=f'Quantile:alpha={tau}'"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        above = xp.where(residual > 0, (1 - self.tau) * residual, 0)
        return xp.where(residual < 0, -self.tau * residual, above)

    @property
    def value_lipschitz(self) -> float:
        return max(self.tau, 1 - self.tau)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return constant.weighted_quantile(target, weight, self.tau)


class Expectile(PointwiseLoss):
    """Squared residual weighted ``tau`` below the target and ``1 - tau`` above; elicits the ``tau``-expectile.

    At ``tau=0.5`` it is half the squared error, and the expectile is the mean.

    Parameters
    ----------
    tau : float
        The level, strictly between 0 and 1.

    References
    ----------
    .. [1] Newey and Powell (1987), "Asymmetric least squares estimation and testing", doi:10.2307/1911031.

    See Also
    --------
    Pinball : quantiles.

    Examples
    --------
    >>> from lossfn import Expectile
    >>> Expectile(tau=0.9).gradient([8.0, 12.0], [10.0, 10.0], reduction="sum").round(4)
    array([-3.6,  0.4])
    """

    tau: float = open_fraction(default=0.5, symbol=r"\tau", doc="level of the expectile")

    elicits = "expectile"
    convex = True
    smoothness = 1
    lower_bound = 0.0
    variants = ({}, {"tau": 0.1}, {"tau": 0.9})
    equivalents = (Equivalent("CatBoost", "loss_function=f'Expectile:alpha={tau}'"),)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        return xp.where(residual < 0, self.tau, 1 - self.tau) * residual * residual

    @property
    def gradient_lipschitz(self) -> float:
        return 2 * max(self.tau, 1 - self.tau)
