"""Losses of quantiles, and of expectiles, their smooth counterparts."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from lossfn import constant
from lossfn.engine.batch import namespace_of
from lossfn.engine.primitives import PRIMITIVES
from lossfn.equivalents import Equivalent
from lossfn.fields import choice, open_fraction, open_fractions, positive
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
    SmoothedPinball : without the kink.
    MultiQuantile : several levels at once.
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
        Equivalent(
            "scikit-learn",
            "(1 - sklearn.metrics.d2_pinball_score(target, pred, alpha=tau)) * "
            "sklearn.metrics.mean_pinball_loss(target, numpy.full(len(target), numpy.quantile(target, tau)), "
            "alpha=tau)",
            note="relative to the best constant",
        ),
        Equivalent("scoringrules", "scoringrules.quantile_score(target, pred, tau)"),
        Equivalent("XGBoost", "objective='reg:quantileerror', quantile_alpha=tau", curvature="1", exact_leaves=True),
        Equivalent("LightGBM", "objective='quantile', alpha=tau", curvature="1", exact_leaves=True),
        Equivalent("CatBoost", "loss_function=f'Quantile:alpha={tau}'", curvature="1", exact_leaves=True),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return pinball(xp, self.tau, pred - target)

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


class SmoothedPinball(PointwiseLoss):
    """Pinball loss averaged over residuals within ``±width``: its kink is rounded, beyond it is ``Pinball`` itself.

    It elicits the ``tau``-quantile of the target plus noise that is uniform on ``±width``. Its Hessian is positive near
    the target, where that of the pinball loss is 0, which Newton steps and boosting need.

    Parameters
    ----------
    tau : float
        The level of the quantile, strictly between 0 and 1.
    width : float
        Residual size from which on the loss is ``Pinball``, in units of the target.

    References
    ----------
    .. [1] Fernandes, Guerre and Horta (2021), "Smoothing quantile regressions",
       doi:10.1080/07350015.2019.1660177.

    See Also
    --------
    Pinball : not smooth.

    Examples
    --------
    >>> from lossfn import SmoothedPinball
    >>> loss = SmoothedPinball(tau=0.9, width=0.5)
    >>> print(loss.gradient([8.0, 10.0, 12.0], [10.0, 10.0, 10.0], reduction="sum").round(4))
    [-0.9 -0.4  0.1]
    """

    tau: float = open_fraction(default=0.5, symbol=r"\tau", doc="level of the quantile")
    width: float = positive(
        default=1.0, symbol="w", doc="residual size from which on it is the pinball loss", in_target_units=True
    )

    elicits = "smoothed quantile"
    convex = True
    smoothness = 1
    variants = ({}, {"tau": 0.1, "width": 0.3}, {"tau": 0.9, "width": 20.0})

    @property
    def lower_bound(self) -> float:  # type: ignore[override]  # depends on parameters here
        return self.width * self.tau * (1 - self.tau)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        # Squares, not the polynomial that they make: nothing cancels.
        above, below = self.width + residual, self.width - residual
        inside = ((1 - self.tau) * above * (above / self.width) + self.tau * below * (below / self.width)) / 4
        return self._by_place(xp, residual, -self.tau * residual, inside, (1 - self.tau) * residual)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        inside = residual / (2 * self.width) + (1 - 2 * self.tau) / 2
        return self._by_place(xp, residual, -self.tau, inside, 1 - self.tau)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return self._by_place(xp, pred - target, 0, 1 / (2 * self.width), 0)

    def _by_place(self, xp: Any, residual: Any, below: Any, inside: Any, above: Any) -> Any:
        return xp.where(residual < -self.width, below, xp.where(residual > self.width, above, inside))

    @property
    def value_lipschitz(self) -> float:
        return max(self.tau, 1 - self.tau)

    @property
    def gradient_lipschitz(self) -> float:
        return 1 / (2 * self.width)


class MultiQuantile(PointwiseLoss):
    """Sum of the pinball losses of several levels, one head for each; elicits all these quantiles at once.

    Quantiles that are fitted level by level can cross: a higher level may fall below a lower one. With
    ``crossing="impossible"`` the heads are the lowest quantile and raw increments, which a softplus makes positive;
    ``inverse_link`` gives the quantiles for both. The mean over ever more levels tends to half the CRPS.

    Parameters
    ----------
    taus : tuple of float
        The levels, ascending, two or more, strictly between 0 and 1.
    crossing : {"allowed", "impossible"}
        What the heads are: the quantiles themselves, or the lowest one and raw increments, for which the loss is not
        convex.

    References
    ----------
    .. [1] Chernozhukov, Fernandez-Val and Galichon (2010), "Quantile and probability curves without crossing",
       doi:10.3982/ECTA7880.

    See Also
    --------
    Pinball : one level.
    IntervalScore : a central interval.
    crossing_rate, rearrange : for quantiles that may cross.

    Examples
    --------
    >>> from lossfn import MultiQuantile
    >>> loss = MultiQuantile(taus=(0.1, 0.5, 0.9))
    >>> value, gradient = loss.value_and_gradient([[8.0, 11.0, 12.0]], [10.0])
    >>> print(value.round(4), gradient)
    0.9 [[-0.1  0.5  0.1]]
    >>> MultiQuantile(taus=(0.1, 0.5, 0.9), crossing="impossible").inverse_link([8.0, 0.0, 1.0]).round(4)
    array([ 8.    ,  8.6931, 10.0064])
    """

    taus: tuple[float, ...] = open_fractions(default=(0.1, 0.5, 0.9), symbol=r"\tau", doc="levels of the quantiles")
    crossing: str = choice(default="allowed", options=("allowed", "impossible"), doc="whether quantiles may cross")

    elicits = "quantiles"
    smoothness = 0
    lower_bound = 0.0
    variants = ({}, {"taus": (0.25, 0.75), "crossing": "impossible"})
    equivalents = (
        Equivalent(
            "scoringrules",
            "scoringrules.quantile_score(target[:, None], pred, numpy.array(taus)).sum(axis=-1)",
            when="crossing == 'allowed'",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.crps_quantile(target, pred, numpy.array(taus))",
            factor="2 / len(taus)",
            when="crossing == 'allowed'",
        ),
        Equivalent(
            "XGBoost",
            "objective='reg:quantileerror', quantile_alpha=taus",
            when="crossing == 'allowed'",
            curvature="1",
            exact_leaves=True,
        ),
        Equivalent(
            "CatBoost",
            "loss_function='MultiQuantile:alpha=' + ','.join(map(str, taus))",
            when="crossing == 'allowed'",
            curvature="1",
            exact_leaves=True,
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = self.crossing == "allowed"
        first, others = ("quantile_1", "quantile_{}") if allowed else ("lowest", "increment_{}")
        count = len(self.taus)
        object.__setattr__(self, "heads", (first, *(others.format(i) for i in range(2, count + 1))))
        symbols = tuple(rf"\hat{{q}}_{{{i}}}" if allowed or i == 1 else f"d_{{{i}}}" for i in range(1, count + 1))
        object.__setattr__(self, "head_symbols", symbols)

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return self.crossing == "allowed"

    @property
    def value_lipschitz(self) -> float | None:
        taus = np.array(self.taus)
        if self.crossing == "allowed":
            return float(np.linalg.norm(np.maximum(taus, 1 - taus)))
        # A target lies above the first few quantiles, and increments move all quantiles from theirs on.
        slopes = np.where(np.arange(len(taus)) < np.arange(len(taus) + 1)[:, None], -taus, 1 - taus)
        return float(np.linalg.norm(slopes[:, ::-1].cumsum(axis=1), axis=1).max())

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        quantiles = pred if self.crossing == "allowed" else ascending(xp.softplus, pred)
        losses = [pinball(xp, tau, level - target) for tau, level in zip(self.taus, quantiles, strict=True)]
        return sum(losses[1:], start=losses[0])

    def inverse_link(self, pred: Any) -> Any:
        """Return the quantiles, on the last axis."""
        if self.crossing == "allowed":
            return pred
        xp, pred = namespace_of(type(self).__name__, pred)
        heads = [pred[..., position] for position in range(len(self.taus))]
        return xp.stack(ascending(partial(PRIMITIVES["softplus"].array, xp), heads), axis=-1)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        quantiles = np.array([constant.weighted_quantile(target, weight, tau) for tau in self.taus])
        if self.crossing == "allowed":
            return quantiles
        with np.errstate(divide="ignore"):
            # The inverse of softplus; −∞ where two levels have one quantile.
            steps = np.diff(quantiles)
            return np.concatenate([quantiles[:1], steps + np.log(-np.expm1(-steps))])


class IntervalScore(PointwiseLoss):
    """Width of a central interval plus a penalty for missing the target; elicits the two quantiles that bound it.

    Also known as the Winkler score. The heads are the lower and the upper end. A miss costs 2 / (1 − level) per unit
    of distance, so the score is 2 / (1 − level) times the sum of the pinball losses at (1 − level) / 2 and
    (1 + level) / 2. The interval predicts single targets; a confidence interval of the mean is far shorter.

    Parameters
    ----------
    level : float
        The share of targets that the interval should hold, strictly between 0 and 1.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
       doi:10.1198/016214506000001437.

    See Also
    --------
    MultiQuantile : any levels.

    Examples
    --------
    >>> from lossfn import IntervalScore
    >>> print(IntervalScore(level=0.9)([[8.0, 12.0], [8.0, 12.0]], [10.0, 13.0], reduction="none"))
    [ 4. 24.]
    """

    level: float = open_fraction(default=0.9, symbol=r"\gamma", doc="share of targets inside the interval")

    heads = ("lower", "upper")
    elicits = "quantiles"
    convex = True
    smoothness = 0
    lower_bound = 0.0
    head_symbols = ("l", "u")
    variants = ({}, {"level": 0.5})
    equivalents = (
        Equivalent("scoringrules", "scoringrules.interval_score(target, pred[..., 0], pred[..., 1], 1 - level)"),
    )

    @property
    def value_lipschitz(self) -> float | None:
        # Ends that have changed places may both be missed.
        return math.sqrt(2.0) * (1 + self.level) / (1 - self.level)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        missed = (1 + self.level) / (1 - self.level)
        # One term for each end: the width, a difference of ends, would cancel against the penalties.
        below, above = pred[0] - target, pred[1] - target
        lower = xp.where(below > 0, missed * below, -below)
        return lower + xp.where(above < 0, -missed * above, above)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        levels = ((1 - self.level) / 2, (1 + self.level) / 2)
        return np.array([constant.weighted_quantile(target, weight, level) for level in levels])


def pinball(xp: Any, tau: Any, residual: Any) -> Any:
    """Return the pinball loss of a residual."""
    above = xp.where(residual > 0, (1 - tau) * residual, 0)
    return xp.where(residual < 0, -tau * residual, above)


def ascending(softplus: Any, heads: Any) -> list[Any]:
    """Return the quantiles for the lowest of them and raw increments."""
    quantiles = [heads[0]]
    for head in heads[1:]:
        quantiles.append(quantiles[-1] + softplus(head))
    return quantiles
