"""The continuous ranked probability score of a predicted distribution above zero, in closed form.

It is ∫ (F(x) − 1[y ≤ x])² dx for the predicted distribution function F and the target y, in units of the target.
Gradient and Hessian are overrides: derived ones would subtract numbers that agree in most digits.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from lossfn import constant, fields
from lossfn.equivalents import Equivalent
from lossfn.pointwise import PointwiseLoss

ROOT_HALF = math.sqrt(0.5)
ROOT_HALF_PI = math.sqrt(math.pi / 2)
ROOT_PI_INVERSE = 1 / math.sqrt(math.pi)
# Scaled tails beyond it are multiples of 1 / x; its cube is still in the range of float32.
LARGEST_SCALE = 2.0**40
# Log-scales from which the best constant is searched, and how many of the starts are followed.
WIDTHS = (-1.5, -0.5, 0.3, 1.0, 1.6)
SEARCHES = 4


class CRPSLogNormal(PointwiseLoss):
    """Continuous ranked probability score of a log-normal distribution: mean and log-scale of the logarithm.

    Elicits both if the logarithm of the target is Gaussian; like every proper score it is best in expectation for the
    true distribution. For targets above zero with multiplicative noise. In units of the target, so that large targets
    count for more than in the likelihood, and an exactly fitted row does not make it unbounded. Not convex.

    References
    ----------
    .. [1] Baran and Lerch (2015), "Log-normal distribution based ensemble model output statistics models for
       probabilistic wind-speed forecasting", doi:10.1002/qj.2521.

    See Also
    --------
    LogNormalNLL : the likelihood of the same prediction.

    Examples
    --------
    >>> from lossfn import CRPSLogNormal
    >>> value, gradient = CRPSLogNormal().value_and_gradient([[0.0, 0.0]], [4.0])
    >>> print(value.round(6), gradient.round(6))
    1.983407 [[-1.353965 -0.857488]]
    """

    target = fields.POSITIVE
    heads = ("location", "log_scale")
    elicits = "mean and standard deviation of the logarithm"
    lower_bound = 0.0
    head_symbols = (r"\mu", "s")
    equivalents = (
        Equivalent(
            "scoringrules",
            "scoringrules.crps_lognormal(target, pred[..., 0], numpy.exp(pred[..., 1]))",
            rows="(target > 0) & (abs(pred[:, 1]) < 1)",
            note="loses digits to differences where the scale is small, and overflows where it is large",
        ),
    )

    # The expressions are written for large scales, too, and too long to be read.
    @property
    def formula(self) -> str:
        return (
            r"y \left(2 \Phi\left(\omega\right) - 1\right)"
            r" - 2 e^{\mu + \frac{\sigma^{2}}{2}}"
            r" \left(\Phi\left(\omega - \sigma\right) + \Phi\left(\frac{\sigma}{\sqrt{2}}\right) - 1\right)"
            r",\qquad \sigma = e^{s},\qquad \omega = \frac{\log{\left(y \right)} - \mu}{\sigma}"
            r",\qquad L_{\mu} = L - y \left(2 \Phi\left(\omega\right) - 1\right)"
        )

    @property
    def gradient_formula(self) -> str:
        return (
            r"\begin{pmatrix}L_{\mu} \\ \left(L_{\mu} \sigma + 2 y \varphi\left(\omega\right)"
            r" - \frac{e^{\mu + \frac{\sigma^{2}}{4}}}{\sqrt{\pi}}\right) \sigma\end{pmatrix}"
        )

    @property
    def hessian_formula(self) -> str:
        return (
            r"\begin{pmatrix}L_{\mu} + \frac{2 y \varphi\left(\omega\right)}{\sigma}"
            r" & L_{s} + 2 y \omega \varphi\left(\omega\right)"
            r" \\ L_{s} + 2 y \omega \varphi\left(\omega\right)"
            r" & L_{s} + \left(L_{\mu} + L_{s}\right) \sigma^{2}"
            r" + 2 y \varphi\left(\omega\right) \left(\sigma^{2} \omega + \sigma \omega^{2}\right)"
            r" - \frac{\sigma^{3}}{2 \sqrt{\pi}} e^{\mu + \frac{\sigma^{2}}{4}}\end{pmatrix}"
        )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        parts = _LogNormal.of(xp, pred, target)
        return xp.maximum(target * xp.centred_ndtr(parts.standardised) + parts.slope, 0.0)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        parts = _LogNormal.of(xp, pred, target)
        return parts.slope, parts.by_log_scale

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        parts = _LogNormal.of(xp, pred, target)
        mixed = parts.by_log_scale + xp.xmul(parts.density, parts.standardised)
        location = parts.slope + xp.mulexp(parts.density, -pred[1])
        return (location, mixed), (mixed, parts.by_log_scale_twice)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        # The unit of the target moves the location alone; in that of their mean none overflows.
        logarithm = np.log(target)
        largest = logarithm.max()
        unit = largest + math.log(constant.weighted_mean(np.exp(logarithm - largest), weight))
        relative = np.maximum(np.exp(logarithm - unit), np.finfo(np.float64).tiny)
        median = constant.weighted_quantile(np.log(relative), weight, 0.5)
        candidates = [np.array([median, -math.inf])]
        spread = constant.weighted_mean(np.abs(np.log(relative) - median), weight)
        if spread > 0.0:
            # The score has several minima: narrow distributions at the median and wide ones towards large targets.
            widths = (min(math.log(spread), WIDTHS[-1]), *WIDTHS)
            # Each with the median of the targets, with the largest one, or with their mean.
            locations = ((median, largest - unit, -math.exp(2 * width) / 2) for width in widths)
            starts = [np.array([start, width]) for width, row in zip(widths, locations, strict=True) for start in row]
            nearest = constant.sorted_by_loss(self, starts, relative, weight)[:SEARCHES]
            candidates += [constant.leading_heads(self, relative, weight, start) for start in nearest]
        location, log_scale = constant.sorted_by_loss(self, candidates, relative, weight)[0]
        return np.array([unit + location, log_scale])


class _LogNormal(NamedTuple):
    """What value and derivatives share, for the standardised logarithm ω of the target y and the scale σ.

    ``slope`` is the derivative by the location, m·(1 − 2Φ(ω − σ) + 1 − 2Φ(σ/√2)) for the mean m = e^(μ + σ²/2), and
    ``density`` is 2y·φ(ω). Where σ is large and y below the middle, m may overflow: there all is a sum of multiples of
    e^(μ + σ²/4) and of y·e^(-ω²/2), with tails of the normal distribution over its density.
    """

    standardised: Any
    density: Any
    slope: Any
    by_log_scale: Any
    by_log_scale_twice: Any

    @classmethod
    def of(cls, xp: Any, pred: Any, target: Any) -> _LogNormal:
        location, log_scale = pred
        scale = xp.exp(log_scale)
        deviation = xp.log(target) - location
        standardised = xp.mulexp(deviation, -log_scale)
        density = 2 * target * xp.normpdf(standardised)
        beyond = standardised - scale
        is_far = xp.logical_and(scale >= 1.0, beyond < 0.0)
        # Where two predictions differ, their difference is σ√2 times a standard normal number.
        between = scale * ROOT_HALF

        exponent = location + scale * scale / 2
        signs = xp.centred_ndtr(beyond) + xp.centred_ndtr(between)
        share = xp.exp(-scale * scale / 4) * ROOT_PI_INVERSE
        by_mean = scale * signs + share
        # Mean and scale may be beyond the dtype where their product is not, and it is one multiple of them.
        scaled_mean, scaled_density = xp.exp(exponent + log_scale), xp.mulexp(density, log_scale)
        near_by_scale = scaled_density - scaled_mean * by_mean
        twice_by_mean = by_mean + scale * (signs + scale * (by_mean + share / 2))
        near_twice = scaled_density * (1 + scale * scale) - scaled_mean * twice_by_mean

        # Where they matter, larger scales have let everything overflow.
        size = xp.minimum(xp.where(is_far, scale, 1.0), LARGEST_SCALE)
        distance = xp.minimum(xp.where(is_far, -beyond, 1.0), LARGEST_SCALE)
        growth = xp.exp(location + (scale - between) * (scale + between) / 2)
        tail, target_tail = xp.scaled_tail(size * ROOT_HALF), xp.scaled_tail(distance)
        kernel = target * xp.exp(-standardised * standardised / 2)
        ratio = target_tail * ROOT_HALF_PI
        far_by_scale = growth * (size * tail - ROOT_PI_INVERSE) + density * (1 - size * ratio)
        by_growth = tail + size * (size * tail - 1.5 * ROOT_PI_INVERSE)
        # An infinite multiple of the mean outgrows that of the target.
        counts = growth < math.inf
        by_target = xp.where(counts, density * (size * (1 - size * ratio) - ratio), 0.0)
        far_twice = far_by_scale + scale * (growth * by_growth + by_target)

        slope = xp.where(is_far, growth * tail - kernel * target_tail, -xp.exp(exponent) * signs)
        by_scale = xp.where(is_far, scale * far_by_scale, near_by_scale)
        moved = xp.xmul(density, standardised * standardised) + xp.xmul(density, deviation)
        moved = xp.where(counts, xp.mulexp(moved, log_scale), 0.0)
        by_scale_twice = xp.where(is_far, scale * far_twice, near_twice) + moved
        return cls(standardised, density, slope, by_scale, by_scale_twice)
