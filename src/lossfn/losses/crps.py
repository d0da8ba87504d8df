"""The continuous ranked probability score of a predicted distribution, in closed form.

It is ∫ (F(x) − 1[y ≤ x])² dx for the predicted distribution function F and the target y: in units of the target, zero
for a certain and right forecast, and the absolute error for a certain one. Each score is |r| times a sign-like function
plus the scale times a bounded one, so that neither a vanishing nor a huge scale overflows. Gradient and Hessian are
overrides: derived ones would subtract numbers that agree in most digits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.losses.heavy_tails import logistic_curvature
from lossfn.pointwise import PointwiseLoss


class LocationScaleScore(PointwiseLoss):
    """What the scores share: a location and a log-scale that are shifted and stretched with the target."""

    heads = ("location", "log_scale")
    lower_bound = 0.0
    head_symbols = (r"\mu", "s")

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return np.array(constant.location_and_log_scale(self, target, weight))


class CRPSNormal(LocationScaleScore):
    """Continuous ranked probability score of a normal distribution whose mean and log standard deviation are predicted.

    Elicits mean and standard deviation if the noise is Gaussian; like every proper score it is best in expectation for
    the true distribution. In units of the target, never negative, and linear in large residuals: outliers move it less
    than the likelihood, and an exactly fitted row does not make it unbounded.

    References
    ----------
    .. [1] Gneiting, Raftery, Westveld and Goldman (2005), "Calibrated probabilistic forecasting using ensemble model
       output statistics and minimum CRPS estimation", doi:10.1175/MWR2904.1.

    See Also
    --------
    GaussianNLL : the likelihood of the same prediction.

    Examples
    --------
    >>> from lossfn import CRPSNormal
    >>> value, gradient = CRPSNormal().value_and_gradient([[1.0, 0.0]], [3.0])
    >>> print(value.round(6), gradient.round(6))
    1.452792 [[-0.9545   -0.456208]]
    """

    elicits = "mean and standard deviation"
    equivalents = (
        Equivalent("scoringrules", "scoringrules.crps_normal(target, pred[..., 0], numpy.exp(pred[..., 1]))"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        size = xp.abs(location - target)
        standardised = xp.mulexp(size, -log_scale)
        spread = 2 * xp.normpdf(standardised) - 1 / math.sqrt(math.pi)
        return size * xp.centred_ndtr(standardised) + xp.mulexp(spread, log_scale)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        standardised = xp.mulexp(location - target, -log_scale)
        spread = 2 * xp.normpdf(standardised) - 1 / math.sqrt(math.pi)
        return xp.centred_ndtr(standardised), xp.mulexp(spread, log_scale)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        standardised = xp.mulexp(location - target, -log_scale)
        square = standardised * standardised
        # Density and scale may both be beyond the dtype where their quotient is not.
        exponent = -square / 2 - xp.where(square < math.inf, log_scale, 0.0)
        density = xp.normpdf(standardised)
        spread = 2 * (density + xp.xmul(density, square)) - 1 / math.sqrt(math.pi)
        mixed = -2 * xp.xmul(density, standardised)
        return (math.sqrt(2 / math.pi) * xp.exp(exponent), mixed), (mixed, xp.mulexp(spread, log_scale))


class CRPSLaplace(LocationScaleScore):
    """Continuous ranked probability score of a Laplace distribution whose location and log-scale are predicted.

    Elicits the median and the mean absolute deviation from it if the noise is Laplace. In units of the target, never
    negative, linear in large residuals.

    References
    ----------
    .. [1] Jordan, Krüger and Lerch (2019), "Evaluating probabilistic forecasts with scoringRules",
       doi:10.18637/jss.v090.i12.

    See Also
    --------
    LaplaceNLL : the likelihood of the same prediction.

    Examples
    --------
    >>> from lossfn import CRPSLaplace
    >>> value, gradient = CRPSLaplace().value_and_gradient([[1.0, 0.0]], [3.0])
    >>> print(value.round(6), gradient.round(6))
    1.385335 [[-0.864665 -0.343994]]
    """

    elicits = "median and mean absolute deviation"
    smoothness = 2
    equivalents = (
        Equivalent("scoringrules", "scoringrules.crps_laplace(target, pred[..., 0], numpy.exp(pred[..., 1]))"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        size = xp.abs(location - target)
        return size + xp.mulexp(xp.exp(-xp.mulexp(size, -log_scale)) - 0.75, log_scale)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        residual = location - target
        size = xp.mulexp(xp.abs(residual), -log_scale)
        decay = xp.exp(-size)
        return -xp.sign(residual) * xp.expm1(-size), xp.mulexp(decay + xp.xmul(decay, size) - 0.75, log_scale)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        residual = xp.mulexp(location - target, -log_scale)
        size = xp.abs(residual)
        decay = xp.exp(-size)
        # Decay and scale may both be beyond the dtype where their quotient is not.
        exponent = -size - xp.where(size < math.inf, log_scale, 0.0)
        mixed = -xp.xmul(decay, residual)
        return (xp.exp(exponent), mixed), (
            mixed,
            xp.mulexp(decay + xp.xmul(decay, size + size * size) - 0.75, log_scale),
        )


class CRPSLogistic(LocationScaleScore):
    """Continuous ranked probability score of a logistic distribution whose location and log-scale are predicted.

    Elicits location and scale if the noise is logistic. In units of the target, never negative, linear in large
    residuals.

    References
    ----------
    .. [1] Taillardat, Mestre, Zamo and Naveau (2016), "Calibrated ensemble forecasts using quantile regression forests
       and ensemble model output statistics", doi:10.1175/MWR-D-15-0260.1.

    See Also
    --------
    LogisticNLL : the likelihood of the same prediction.

    Examples
    --------
    >>> from lossfn import CRPSLogistic
    >>> value, gradient = CRPSLogistic().value_and_gradient([[1.0, 0.0]], [3.0])
    >>> print(value.round(6), gradient.round(6))
    1.253856 [[-0.761594 -0.269332]]
    """

    elicits = "logistic location and scale"
    equivalents = (
        Equivalent("scoringrules", "scoringrules.crps_logistic(target, pred[..., 0], numpy.exp(pred[..., 1]))"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        size = xp.abs(location - target)
        return size + xp.mulexp(2 * xp.softplus(-xp.mulexp(size, -log_scale)) - 1, log_scale)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        standardised = xp.mulexp(location - target, -log_scale)
        return xp.tanh(standardised / 2), xp.mulexp(2 * xp.binary_entropy(standardised) - 1, log_scale)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        standardised = xp.mulexp(location - target, -log_scale)
        density = xp.dsigmoid(standardised)
        spread = 2 * (xp.binary_entropy(standardised) + xp.xmul(density, standardised * standardised)) - 1
        mixed = -2 * xp.xmul(density, standardised)
        return (logistic_curvature(xp, standardised, log_scale, 1), mixed), (mixed, xp.mulexp(spread, log_scale))
