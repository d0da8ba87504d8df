"""Likelihoods of noise with heavier tails than Gaussian, whose size is predicted, too."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.fields import real
from lossfn.losses.likelihood import Likelihood
from lossfn.losses.robust import LogCosh


class LaplaceNLL(Likelihood):
    """Negative log-likelihood of Laplace noise whose location and log-scale are both predicted.

    Elicits the median and the mean absolute deviation from it. The scale is that deviation, in units of the target; the
    standard deviation of the noise is √2 times as large. Unbounded below where a row is fitted exactly, unless the
    log-scale has a floor.

    Parameters
    ----------
    constants : bool
        Whether to add log 2, which depends on no prediction.
    min_log_scale : float, optional
        A floor under the log-scale; ``count_floored`` says how many predictions it touches. Off by default.

    References
    ----------
    .. [1] Kotz, Kozubowski and Podgórski (2001), "The Laplace Distribution and Generalizations",
       doi:10.1007/978-1-4612-0173-1.

    See Also
    --------
    AbsoluteError : the same likelihood with a scale that is the same for all rows.
    CRPSLaplace : the same prediction scored in units of the target; never unbounded.

    Examples
    --------
    >>> from lossfn import LaplaceNLL
    >>> value, gradient = LaplaceNLL().value_and_gradient([[1.0, 0.0]], [3.0])
    >>> print(value, gradient)
    2.0 [[-1. -1.]]
    """

    min_log_scale: float | None = real(default=None, symbol=r"s_{\min}", doc="floor under the log-scale", optional=True)

    heads = ("location", "log_scale")
    elicits = "median and mean absolute deviation"
    smoothness = 0
    log_normaliser = math.log(2.0)
    variants = ({}, {"constants": True}, {"min_log_scale": -3.0})
    head_symbols = (r"\mu", "s")
    equivalents = (
        Equivalent(
            "PyTorch",
            "-torch.distributions.Laplace(pred[..., 0], torch.exp(pred[..., 1])).log_prob(target)",
            when="constants and min_log_scale is None",
        ),
        Equivalent(
            "SciPy",
            "-scipy.stats.laplace.logpdf(target, pred[..., 0], numpy.exp(pred[..., 1]))",
            when="constants and min_log_scale is None",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.logs_laplace(target, pred[..., 0], numpy.exp(pred[..., 1]))",
            when="constants and min_log_scale is None",
        ),
    )

    def unfloored(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        standardised = xp.mulexp(xp.abs(location - target), -log_scale)
        return xp.where(standardised < math.inf, log_scale, 0.0) + standardised + self.constant_term

    def unfloored_gradient(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        residual = location - target
        return xp.mulexp(xp.sign(residual), -log_scale), 1.0 - xp.mulexp(xp.abs(residual), -log_scale)

    def unfloored_hessian(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        residual = location - target
        mixed = -xp.mulexp(xp.sign(residual), -log_scale)
        return (0.0, mixed), (mixed, xp.mulexp(xp.abs(residual), -log_scale))

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        median = constant.weighted_quantile(target, weight, 0.5)
        with np.errstate(divide="ignore"):
            return self.raised_constant(median, np.log(constant.weighted_mean(np.abs(target - median), weight)))


class LogisticNLL(Likelihood):
    """Negative log-likelihood of logistic noise whose location and log-scale are both predicted.

    Elicits the location and scale of a logistic distribution: tails between Gaussian and Laplace ones, smooth at the
    centre. The scale is in units of the target; the standard deviation of the noise is π/√3 times as large. Unbounded
    below where a row is fitted exactly, unless the log-scale has a floor.

    Parameters
    ----------
    constants : bool
        Whether to add log 4, which depends on no prediction.
    min_log_scale : float, optional
        A floor under the log-scale; ``count_floored`` says how many predictions it touches. Off by default.

    References
    ----------
    .. [1] Balakrishnan (1991), "Handbook of the Logistic Distribution", doi:10.1201/9781482277098.

    See Also
    --------
    LogCosh : the same likelihood with a scale that is the same for all rows.
    CRPSLogistic : the same prediction scored in units of the target; never unbounded.

    Examples
    --------
    >>> from lossfn import LogisticNLL
    >>> value, gradient = LogisticNLL().value_and_gradient([[1.0, 0.0]], [3.0])
    >>> print(value.round(6), gradient.round(6))
    0.867562 [[-0.761594 -0.523188]]
    """

    min_log_scale: float | None = real(default=None, symbol=r"s_{\min}", doc="floor under the log-scale", optional=True)

    heads = ("location", "log_scale")
    elicits = "logistic location and scale"
    log_normaliser = math.log(4.0)
    variants = ({}, {"constants": True}, {"min_log_scale": -3.0})
    head_symbols = (r"\mu", "s")
    equivalents = (
        Equivalent(
            "SciPy",
            "-scipy.stats.logistic.logpdf(target, pred[..., 0], numpy.exp(pred[..., 1]))",
            constant=True,
            when="min_log_scale is None",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.logs_logistic(target, pred[..., 0], numpy.exp(pred[..., 1]))",
            constant=True,
            when="min_log_scale is None",
        ),
    )

    def unfloored(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        half = xp.mulexp(location - target, -log_scale) / 2
        return xp.where(xp.abs(half) < math.inf, log_scale, 0.0) + 2 * xp.log_cosh(half) + self.constant_term

    def unfloored_gradient(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        standardised = xp.mulexp(location - target, -log_scale)
        influence = xp.tanh(standardised / 2)
        return xp.mulexp(influence, -log_scale), 1.0 - standardised * influence

    def unfloored_hessian(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        standardised = xp.mulexp(location - target, -log_scale)
        slope = xp.tanh(standardised / 2) + xp.xmul(xp.sech2(standardised / 2), standardised) / 2
        mixed = -xp.mulexp(slope, -log_scale)
        return (logistic_curvature(xp, standardised, log_scale, 2), mixed), (mixed, standardised * slope)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        free = dataclasses.replace(self, min_log_scale=None)
        location, log_scale = constant.location_and_log_scale(free, target, weight)
        if self.min_log_scale is not None and log_scale < self.min_log_scale:
            # With the scale of the floor the likelihood of the location is a LogCosh loss.
            location = LogCosh(scale=2 * math.exp(self.min_log_scale)).optimal_constant(target, weight=weight)
        return self.raised_constant(location, log_scale)


def logistic_curvature(xp: Any, standardised: Any, log_scale: Any, power: int) -> Any:
    """Return 2·sigmoid(u)·sigmoid(-u) / scale^power; both factors may be beyond the dtype where the result is not."""
    size = xp.abs(standardised)
    # An infinite u outgrows the logarithm of every scale.
    exponent = -size - power * xp.where(size < math.inf, log_scale, 0.0)
    return 2 * xp.mulexp(xp.sigmoid(size) * xp.sigmoid(size), exponent)
