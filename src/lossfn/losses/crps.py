"""The continuous ranked probability score of a predicted distribution, in closed form.

It is ∫ (F(x) − 1[y ≤ x])² dx for the predicted distribution function F and the target y: in units of the target, zero
for a certain and right forecast, and the absolute error for a certain one. Each score is |r| times a sign-like function
plus the scale times a bounded one, so that neither a vanishing nor a huge scale overflows. Gradient and Hessian are
overrides: derived ones would subtract numbers that agree in most digits.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.fields import above
from lossfn.losses.heavy_tails import logistic_curvature
from lossfn.pointwise import PointwiseLoss

# From the first on, Student's t is the normal distribution in all digits; the second stands for a vanishing exponent.
LARGEST_DF, TINY = 2.0**80, 2.0**-100


class LocationScaleScore(PointwiseLoss):
    """What the scores share: a location and a log-scale that are shifted and stretched with the target."""

    heads = ("location", "log_scale")
    lower_bound = 0.0
    head_symbols = (r"\mu", "s")

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        best = np.array(constant.location_and_log_scale(self, target, weight))
        # A certain forecast, which no finite scale reaches, is scored by its absolute error.
        certain = np.array([constant.weighted_quantile(target, weight, 0.5), -math.inf])
        return constant.sorted_by_loss(self, [certain, best], target, weight)[0]


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


class CRPSStudentT(LocationScaleScore):
    """Continuous ranked probability score of Student's t distribution whose location and log-scale are predicted.

    Elicits both if the noise is Student's t with these degrees of freedom, which stay fixed: the score has no closed
    derivative by them. For heavy tails, where ``CRPSNormal`` would take outliers for a wide distribution. In units
    of the target, never negative, linear in large residuals.

    Parameters
    ----------
    df : float
        Degrees of freedom, more than 1: 3 to 5 are usual, and many are the normal distribution.

    References
    ----------
    .. [1] Jordan, Krüger and Lerch (2019), "Evaluating probabilistic forecasts with scoringRules",
       doi:10.18637/jss.v090.i12.

    See Also
    --------
    StudentTNLL : the likelihood, with degrees of freedom that are predicted, too.

    Examples
    --------
    >>> from lossfn import CRPSStudentT
    >>> value, gradient = CRPSStudentT(df=5.0).value_and_gradient([[1.0, 0.0]], [3.0])
    >>> print(value.round(6), gradient.round(6))
    1.397036 [[-0.898061 -0.399085]]
    """

    df: float = above(1.0, default=4.0, symbol=r"\nu", doc="degrees of freedom")

    elicits = "Student-t location and scale"
    variants = ({}, {"df": 2.0}, {"df": 30.0})
    equivalents = (
        Equivalent("scoringrules", "scoringrules.crps_t(target, df, pred[..., 0], numpy.exp(pred[..., 1]))"),
    )

    # The expressions are written for all sizes of residual and scale, and too long to be read.
    @property
    def formula(self) -> str:
        return (
            r"\left(\omega \left(2 F_{\nu}\left(\omega\right) - 1\right) + c\right) \sigma,\qquad \sigma = e^{s},"
            r"\qquad \omega = \frac{y - \mu}{\sigma},\qquad c ="
            r" 2 f_{\nu}\left(\omega\right) \frac{\nu + \omega^{2}}{\nu - 1} - \frac{2 \sqrt{\nu}}{\nu - 1}"
            r" \frac{B\left(\frac{1}{2}, \nu - \frac{1}{2}\right)}"
            r"{B\left(\frac{1}{2}, \frac{\nu}{2}\right)^{2}}"
        )

    @property
    def gradient_formula(self) -> str:
        return r"\begin{pmatrix}1 - 2 F_{\nu}\left(\omega\right) \\ c \sigma\end{pmatrix}"

    @property
    def hessian_formula(self) -> str:
        return (
            r"\begin{pmatrix}\frac{2 f_{\nu}\left(\omega\right)}{\sigma} & 2 \omega f_{\nu}\left(\omega\right)"
            r" \\ 2 \omega f_{\nu}\left(\omega\right)"
            r" & \left(c + 2 \omega^{2} f_{\nu}\left(\omega\right)\right) \sigma\end{pmatrix}"
        )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return student_t_score(xp, self.df, pred, target)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        parts = _StudentT.of(xp, self.df, pred, target)
        return xp.centred_t(parts.standardised, self.df), xp.mulexp(parts.spread, pred[1])

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        parts = _StudentT.of(xp, self.df, pred, target)
        unit, rest = xp.unit(parts.scaled), xp.rh(parts.scaled)
        decay = parts.root_of_decay * parts.root_of_decay
        height = 2 * parts.centre
        # The square of a root, because density and scale may be beyond the dtype where their quotient is not.
        near = xp.mulexp(parts.root_of_decay * rest, -log_scale / 2)
        far = xp.mulexp(parts.root_of_decay * unit / xp.abs(location - target), log_scale / 2)
        twice_by_location = height * xp.where(parts.is_near, near * near, parts.df * far * far)
        # With many degrees of freedom a small residual is lost beside their root.
        near, far = decay * rest * rest * parts.standardised, xp.sqrt(parts.df) * (decay * unit) * rest
        mixed = -height * xp.where(parts.is_near, near, far)
        spread = parts.spread + height * parts.df * (decay * unit) * unit
        return (twice_by_location, mixed), (mixed, xp.mulexp(spread, log_scale))


def student_t_score(xp: Any, df: Any, pred: Any, target: Any) -> Any:
    """Return the score of Student's t for the two heads, as an expression."""
    location, log_scale = pred
    size = xp.abs(location - target)
    spread = _StudentT.of(xp, df, pred, target).spread
    return size * xp.centred_t(xp.mulexp(size, -log_scale), df) + xp.mulexp(spread, log_scale)


class _StudentT(NamedTuple):
    """What the derivatives share, for the standardised residual u, ``scaled`` = u/√ν and q = u²/ν.

    ``centre`` is the density of u at zero, and that of u is centre·D/(1 + q) for the decay D = (1 + q)^((1 - ν)/2).
    ``spread`` is the score less |u|·(2F(u) - 1), for a scale of 1.
    """

    df: Any
    standardised: Any
    scaled: Any
    is_near: Any
    centre: Any
    root_of_decay: Any
    spread: Any

    @classmethod
    def of(cls, xp: Any, df: Any, pred: Any, target: Any) -> _StudentT:
        location, log_scale = pred
        residual = location - target
        df = xp.minimum(df, LARGEST_DF)
        log_df = xp.log(df)
        standardised = xp.mulexp(residual, -log_scale)
        scaled = standardised / xp.sqrt(df)
        is_near = xp.abs(scaled) < 1.0
        finite = xp.abs(scaled) < math.inf
        beyond = 2 * (xp.log(xp.abs(residual)) - log_scale) - log_df
        logarithm = xp.where(finite, xp.log1psq(scaled), beyond)
        # A number next to 1 may round to it; there the limit is what a tiny number gives.
        half = xp.maximum((df - 1) / 2, TINY)
        centre = xp.t_centre_density(df)
        # Near ν = 1 numerator and denominator vanish together.
        spread = xp.t_centre_score(df) + centre * df / half * xp.expm1(-half * logarithm)
        # A power of the root keeps the digits of a large exponent, and the exponent those of the root next to 1.
        by_power = xp.power(xp.rh(scaled), half)
        decay = xp.where(xp.logical_or(is_near, xp.logical_not(finite)), xp.exp(-half / 2 * logarithm), by_power)
        return cls(df, standardised, scaled, is_near, centre, decay, spread)
