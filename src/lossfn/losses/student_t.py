"""The likelihood of Student-t noise whose location, scale and degrees of freedom are all predicted."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.fields import real
from lossfn.losses.likelihood import Likelihood

# Below this size of u/√ν, its square is invisible beside 1.
LINEAR = 2.0**-27


class StudentTNLL(Likelihood):
    """Negative log-likelihood of Student-t noise whose location, log-scale and log degrees of freedom are predicted.

    Elicits the three parameters. Few degrees of freedom mean heavy tails: 1 is the Cauchy distribution, many are the
    Gaussian one, and rows far away then count less. The scale is in units of the target; the standard deviation of the
    noise is √(ν/(ν−2)) times as large, and infinite up to ν = 2.

    With degrees of freedom below 1 the likelihood of every sample is unbounded: one row may be fitted exactly with a
    vanishing scale while the tails reach all others. So ``optimal_constant`` is the best one with at least 1.

    Parameters
    ----------
    constants : bool
        Whether to add ½ log 2π, which depends on no prediction.
    min_log_scale : float, optional
        A floor under the log-scale; ``count_floored`` says how many predictions it touches. Off by default.

    References
    ----------
    .. [1] Lange, Little and Taylor (1989), "Robust statistical modeling using the t distribution",
       doi:10.1080/01621459.1989.10478852.

    See Also
    --------
    GaussianNLL : the limit of many degrees of freedom.

    Examples
    --------
    >>> from lossfn import StudentTNLL
    >>> value, gradient = StudentTNLL().value_and_gradient([[1.0, 0.0, 0.0]], [3.0])
    >>> print(value.round(6), gradient.round(6))
    1.835229 [[-0.8      -0.6      -0.188428]]
    """

    min_log_scale: float | None = real(default=None, symbol=r"s_{\min}", doc="floor under the log-scale", optional=True)

    heads = ("location", "log_scale", "log_df")
    elicits = "location, scale and degrees of freedom"
    log_normaliser = math.log(2 * math.pi) / 2
    variants = ({}, {"constants": True}, {"min_log_scale": -3.0})
    head_symbols = (r"\mu", "s", r"\lambda")
    equivalents = (
        Equivalent(
            "PyTorch",
            "-torch.distributions.StudentT(torch.exp(pred[..., 2]), pred[..., 0], torch.exp(pred[..., "
            "1])).log_prob(target)",
            when="constants and min_log_scale is None",
        ),
        Equivalent(
            "SciPy",
            "-scipy.stats.t.logpdf(target, numpy.exp(pred[..., 2]), pred[..., 0], numpy.exp(pred[..., 1]))",
            when="constants and min_log_scale is None",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.logs_t(target, numpy.exp(pred[..., 2]), pred[..., 0], numpy.exp(pred[..., 1]))",
            when="constants and min_log_scale is None",
        ),
    )

    # What is computed keeps its digits for all sizes of scale, residual and degrees of freedom; it is too long to read.
    @property
    def formula(self) -> str:
        if not self._is_plain:
            return super().formula
        start = f"{self.constant_term:.6g} + " if self.constants else ""
        return (
            rf"{start}s + " + r"\frac{\nu + 1}{2} \log{\left(1 + \frac{\omega^{2}}{\nu} \right)} - g"
            r",\qquad \nu = e^{\lambda},\qquad \sigma = e^{s},\qquad \omega = \frac{\mu - y}{\sigma}"
            r",\qquad w = \frac{\nu + 1}{\nu + \omega^{2}}"
            r",\qquad g = \log{\left(\Gamma\left(\frac{\nu + 1}{2}\right) \right)}"
            r" - \log{\left(\Gamma\left(\frac{\nu}{2}\right) \right)} - \frac{1}{2} \log{\left(\frac{\nu}{2} \right)}"
            r",\qquad g_{1} = \frac{\nu}{2} \left(\psi\left(\frac{\nu + 1}{2}\right)"
            r" - \psi\left(\frac{\nu}{2}\right)\right) - \frac{1}{2}"
            r",\qquad g_{2} = g_{1} + \frac{1}{2} + \frac{\nu^{2}}{4} \left(\psi_{1}\left(\frac{\nu + 1}{2}\right)"
            r" - \psi_{1}\left(\frac{\nu}{2}\right)\right)"
        )

    @property
    def gradient_formula(self) -> str:
        if not self._is_plain:
            return super().gradient_formula
        return (
            r"\begin{pmatrix}\frac{w \omega}{\sigma} \\ 1 - w \omega^{2} \\ \frac{\nu}{2}"
            r" \log{\left(1 + \frac{\omega^{2}}{\nu} \right)} - \frac{w \omega^{2}}{2} - g_{1}\end{pmatrix}"
        )

    @property
    def hessian_formula(self) -> str:
        if not self._is_plain:
            return super().hessian_formula
        location_scale = r"- \frac{2 \nu w \omega}{\left(\nu + \omega^{2}\right) \sigma}"
        location_df = r"\frac{\nu \omega \left(\omega^{2} - 1\right)}{\left(\nu + \omega^{2}\right)^{2} \sigma}"
        scale_df = r"- \frac{\nu \omega^{2} \left(\omega^{2} - 1\right)}{\left(\nu + \omega^{2}\right)^{2}}"
        location = r"\frac{w \left(\nu - \omega^{2}\right)}{\left(\nu + \omega^{2}\right) \sigma^{2}}"
        scale = r"\frac{2 \nu w \omega^{2}}{\nu + \omega^{2}}"
        df = (
            r"\frac{\nu}{2} \left(\log{\left(1 + \frac{\omega^{2}}{\nu} \right)} - \frac{\omega^{2}}{\nu + \omega^{2}}"
            r" - \frac{\omega^{2} \left(\omega^{2} - 1\right)}{\left(\nu + \omega^{2}\right)^{2}}\right) - g_{2}"
        )
        rows = ((location, location_scale, location_df), (location_scale, scale, scale_df), (location_df, scale_df, df))
        return r"\begin{pmatrix}" + r" \\ ".join(" & ".join(row) for row in rows) + r"\end{pmatrix}"

    @property
    def _is_plain(self) -> bool:
        return self.min_log_scale is None

    def unfloored(self, xp: Any, pred: Any, target: Any) -> Any:
        _, log_scale, log_df = pred
        standardised, scaled = _standardised(xp, pred, target)
        logarithm = _log_one_plus_square(xp, pred, target, scaled)
        # Halved first: twice the result may be beyond the dtype.
        half_square = standardised / 2 * standardised
        rest = xp.mulexp(xp.log1pmx(scaled * scaled) / 2, log_df)
        near = half_square + xp.where(half_square < math.inf, rest, 0.0)
        is_near = xp.abs(scaled) < 1.0
        half_energy = xp.where(is_near, near, xp.mulexp(logarithm / 2, log_df))
        # Far away the scale drops out of log(scale) + log(1 + u²/ν)/2, which are large and of opposite signs.
        exponent = _exponent(xp, pred, target)
        apart = xp.log(xp.abs(pred[0] - target)) - log_df / 2 + xp.softplus(-exponent) / 2
        size = xp.where(is_near, log_scale + logarithm / 2, apart)
        return size - xp.gamma_step(log_df) + half_energy + self.constant_term

    def unfloored_gradient(self, xp: Any, pred: Any, target: Any) -> Any:
        parts = _Parts.of(xp, pred, target)
        return (
            parts.influence + parts.influence_over_df,
            parts.rest - parts.df_share,
            parts.half_excess - parts.share / 2 - xp.gamma_step_slope(pred[2]),
        )

    def unfloored_hessian(self, xp: Any, pred: Any, target: Any) -> Any:
        _, log_scale, log_df = pred
        parts = _Parts.of(xp, pred, target)
        share, rest, df_share = parts.share, parts.rest, parts.df_share
        residual = pred[0] - target
        slope = rest * (rest - share)
        far = (rest - share) * share / residual
        # The square of a large residual may be beyond the dtype where ν divided by it is not.
        is_large = xp.abs(residual) > 1.0
        times_df = xp.mulexp(xp.where(is_large, far, far / residual), log_df)
        location = xp.where(
            parts.is_near,
            xp.mulexp(slope, -2 * log_scale) + xp.mulexp(slope, -2 * log_scale - log_df),
            far / residual + xp.where(is_large, times_df / residual, times_df),
        )
        location_scale = -2 * parts.faded(xp, parts.influence + parts.influence_over_df)
        location_df = xp.xmul(share, parts.influence) - rest * parts.influence_over_df
        scale_df = share * rest - parts.df_square
        df = parts.half_excess + scale_df / 2 - xp.gamma_step_curvature(log_df)
        return (
            (location, location_scale, location_df),
            (location_scale, 2 * parts.faded(xp, share + df_share), scale_df),
            (location_df, scale_df, df),
        )

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        from scipy.optimize import minimize_scalar

        free = dataclasses.replace(self, min_log_scale=None)
        values, position = np.unique(target, return_inverse=True)
        share = np.bincount(position, weight) / weight.sum()
        if share.max() >= 0.5:
            # Even with one degree of freedom half of the rows fitted exactly outweigh the others.
            return np.array([values[share.argmax()], -math.inf, 0.0])

        def fit(inverse_df: float) -> Any:
            log_df = -math.log(inverse_df) if inverse_df else math.inf
            return np.array([*constant.location_and_log_scale(free, target, weight, (log_df,)), log_df])

        def total(inverse_df: float) -> float:
            return float(free(np.tile(fit(inverse_df), (len(target), 1)), target, weight=weight))

        best = float(minimize_scalar(total, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-10}).x)
        return fit(min((best, 0.0, 1.0), key=total))


def _standardised(xp: Any, pred: Any, target: Any) -> tuple[Any, Any]:
    """Return u = residual / scale and u/√ν."""
    location, log_scale, _ = pred
    standardised = xp.mulexp(location - target, -log_scale)
    return standardised, _over_root(xp, pred, target, standardised, 2)


def _over_root(xp: Any, pred: Any, target: Any, standardised: Any, degree: int) -> Any:
    """Return u divided by a root of ν, also where u is beyond the dtype."""
    location, log_scale, log_df = pred
    beyond = xp.mulexp(location - target, -log_scale - log_df / degree)
    return xp.where(xp.abs(standardised) < math.inf, xp.mulexp(standardised, -log_df / degree), beyond)


def _log_one_plus_square(xp: Any, pred: Any, target: Any, scaled: Any) -> Any:
    """Return log(1 + u²/ν), also where u or u/√ν is beyond the dtype."""
    return xp.where(xp.abs(scaled) < 1.0, xp.log1psq(scaled), xp.softplus(_exponent(xp, pred, target)))


def _exponent(xp: Any, pred: Any, target: Any) -> Any:
    """Return log(u²/ν)."""
    location, log_scale, log_df = pred
    return 2 * (xp.log(xp.abs(location - target)) - log_scale) - log_df


class _Parts(NamedTuple):
    """What gradient and Hessian share, for the standardised residual u and q = u²/ν.

    ``share`` is q/(1 + q), ``rest`` is 1/(1 + q), ``root`` is √(1 + q), ``df_share`` and ``df_square`` are ν
    times the share and its square, and ``half_excess`` is ν·(log(1 + q) - q/(1 + q))/2.
    ``influence`` is u/(1 + q) divided by the scale: the gradient of the location up to a factor 1 + 1/ν. Where q is
    small, u² has what is needed, and where it is large, q: the other one may be beyond the dtype.
    """

    is_near: Any
    share: Any
    rest: Any
    root: Any
    df_share: Any
    df_square: Any
    half_excess: Any
    influence: Any
    influence_over_df: Any

    @classmethod
    def of(cls, xp: Any, pred: Any, target: Any) -> _Parts:
        location, log_scale, log_df = pred
        residual = location - target
        standardised, scaled = _standardised(xp, pred, target)
        is_near = xp.abs(scaled) < 1.0
        share, rest = xp.unit(scaled) * xp.unit(scaled), xp.rh(scaled) * xp.rh(scaled)
        df_share = xp.where(is_near, standardised * standardised * rest, xp.mulexp(share, log_df))
        logarithm = _log_one_plus_square(xp, pred, target, scaled)
        difference = xp.where(is_near, -xp.log1pmx(-share), logarithm - share)
        # u⁴/ν as a fourth power: u² and q may be beyond the dtype where it is not.
        root = _over_root(xp, pred, target, standardised, 4)
        fourth = root * root * root * root
        df_square = xp.where(is_near, fourth * rest * rest, xp.mulexp(share * share, log_df))
        # Below the limit the difference is q²/2, which may vanish where ν·q²/2 does not.
        half_excess = xp.where(xp.abs(scaled) < LINEAR, fourth / 4, xp.mulexp(difference / 2, log_df))
        near, far = xp.mulexp(residual, -2 * log_scale) * rest, share / residual
        # Dividing by ν keeps the ratio of both exact; where ν is small, the numerator alone may be below the dtype.
        many = xp.logical_and(log_df > 0.0, xp.abs(near) < math.inf)
        near_over_df = xp.mulexp(
            xp.where(many, near, residual * rest), xp.where(many, -log_df, -2 * log_scale - log_df)
        )
        return cls(
            is_near=is_near,
            share=share,
            rest=rest,
            root=1 / xp.rh(scaled),
            df_share=df_share,
            df_square=df_square,
            half_excess=half_excess,
            influence=xp.where(is_near, near, xp.mulexp(far, log_df)),
            influence_over_df=xp.where(is_near, near_over_df, far),
        )

    def faded(self, xp: Any, number: Any) -> Any:
        """Return number/(1 + q) by the root of the divisor, which may itself be beyond the dtype."""
        return xp.where(self.is_near, self.rest * number, xp.xdivy(xp.xdivy(number, self.root), self.root))
