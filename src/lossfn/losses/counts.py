"""Likelihoods of counts, with the logarithm of the rate as prediction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossfn import constant, fields
from lossfn.equivalents import Equivalent
from lossfn.fields import positive
from lossfn.losses.deviance import ExponentialFamily, constants_field, shortfall


class Poisson(ExponentialFamily):
    """Negative log-likelihood of a Poisson count whose log rate is predicted; elicits the mean.

    Any target >= 0 is accepted, as a quasi-likelihood. When counts vary more than Poisson counts do, look at
    ``NegativeBinomial``; when there are more zeros, at ``ZeroInflatedPoisson``.

    Parameters
    ----------
    constants : bool
        Whether to add log y!, which does not depend on the prediction. Without it the value can be negative.

    References
    ----------
    .. [1] McCullagh and Nelder (1989), "Generalized linear models", doi:10.1007/978-1-4899-3242-6.

    See Also
    --------
    NegativeBinomial, ZeroInflatedPoisson, Tweedie

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import Poisson
    >>> print(Poisson().gradient(np.log([3.0, 5.0]), [3, 1], reduction="sum").round(12) + 0.0)
    [0. 4.]
    >>> print(Poisson(constants=True)(np.log([3.0]), [3]).round(6))
    1.495923
    """

    constants: bool = constants_field()

    target = fields.NONNEGATIVE
    convex = True
    variants = ({}, {"constants": True})
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.poisson_nll_loss(pred, target)", when="not constants"),
        Equivalent(
            "PyTorch",
            "-torch.distributions.Poisson(torch.exp(pred)).log_prob(target)",
            when="constants",
            rows="target % 1 == 0",
            note="takes the rate",
        ),
        Equivalent(
            "Keras",
            "keras.losses.poisson(target, numpy.exp(pred))",
            when="not constants",
            note="takes the rate, plus 1e-7",
        ),
        Equivalent(
            "scikit-learn",
            "sklearn.metrics.mean_poisson_deviance(target, numpy.exp(pred))",
            factor="2",
            constant=True,
            note="takes the rate",
        ),
        Equivalent(
            "SciPy",
            "-scipy.stats.poisson.logpmf(target, numpy.exp(pred))",
            when="constants",
            rows="target % 1 == 0",
            note="takes the rate",
        ),
        Equivalent(
            "torchmetrics",
            "torchmetrics.functional.tweedie_deviance_score(torch.exp(pred), target, power=1)",
            factor="2",
            constant=True,
            note="takes the rate",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.logs_poisson(target, numpy.exp(pred))",
            when="constants",
            rows="target % 1 == 0",
            note="takes the rate",
        ),
        Equivalent(
            "XGBoost",
            "objective='count:poisson', max_delta_step=0.7",
            note="leaf values stay within max_delta_step",
            curvature="numpy.exp(pred + 0.7)",
        ),
        Equivalent("LightGBM", "objective='poisson', poisson_max_delta_step=0.7", curvature="numpy.exp(pred + 0.7)"),
        Equivalent("CatBoost", "loss_function='Poisson'"),
    )

    @property
    def lower_bound(self) -> float:  # type: ignore[override]  # depends on a parameter here
        return 0.0 if self.constants else -math.inf

    def varying(self, xp: Any, pred: Any, target: Any) -> Any:
        rate = xp.exp(pred)
        # The rate outgrows every multiple of its logarithm; where it overflows the difference could be NaN.
        return xp.where(rate < math.inf, rate - xp.xmul(target, pred), rate)

    def half_deviance(self, xp: Any, pred: Any, target: Any) -> Any:
        return shortfall(xp, target, xp.exp(pred) - target, pred - xp.log(target))

    def saturated(self, xp: Any, target: Any) -> Any:
        return xp.stirling_excess(target)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.exp(pred) - target

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.exp(pred)


class NegativeBinomial(ExponentialFamily):
    """Negative log-likelihood of an overdispersed count whose log mean is predicted; elicits the mean.

    The variance is μ + α μ² for a mean μ and the dispersion α: Poisson counts whose rates vary from row to row. SciPy's
    ``nbinom`` calls 1/α ``n`` and 1/(1 + α μ) ``p``. Any target >= 0 is accepted, as a quasi-likelihood.

    Parameters
    ----------
    dispersion : float
        How much the variance exceeds that of a Poisson count, as a multiple of the squared mean; towards 0 the loss
        becomes ``Poisson``, up to terms of the target.
    constants : bool
        Whether to add minus the logarithm of the binomial coefficient, which does not depend on the prediction.

    References
    ----------
    .. [1] Cameron and Trivedi (1986), "Econometric models based on count data", doi:10.1002/jae.3950010104.

    See Also
    --------
    Poisson, Tweedie

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import NegativeBinomial
    >>> value, gradient = NegativeBinomial(dispersion=0.5, constants=True).value_and_gradient(np.log([4.0]), [2])
    >>> print(value.round(6), gradient.round(6))
    1.909543 [0.666667]
    """

    dispersion: float = positive(default=1.0, symbol=r"\alpha", doc="variance beyond the mean, over its square")
    constants: bool = constants_field()

    target = fields.NONNEGATIVE
    convex = True
    lower_bound = 0.0
    variants = ({}, {"dispersion": 0.1, "constants": True})
    equivalents = (
        Equivalent(
            "PyTorch",
            "-torch.distributions.NegativeBinomial(1 / dispersion, logits=pred + "
            "numpy.log(dispersion)).log_prob(target)",
            when="constants",
            rows="target % 1 == 0",
        ),
        Equivalent(
            "SciPy",
            "-scipy.stats.nbinom.logpmf(target, 1 / dispersion, 1 / (1 + dispersion * numpy.exp(pred)))",
            when="constants",
            rows="target % 1 == 0",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.logs_negbinom(target, 1 / dispersion, 1 / (1 + dispersion * numpy.exp(pred)))",
            when="constants",
            rows="target % 1 == 0",
        ),
    )

    # The likelihood of y tails and 1/α heads of a coin that shows tails with probability αμ / (1 + αμ).

    def varying(self, xp: Any, pred: Any, target: Any) -> Any:
        odds, against = self._odds(xp, pred)
        log_odds = pred + xp.log(self.dispersion)
        # Logarithms of 1 + odds; where the odds overflow, 1 is lost.
        heads = xp.where(odds < math.inf, xp.log1p(odds), log_odds)
        tails = xp.where(against < math.inf, xp.log1p(against), -log_odds)
        return xp.xmul(target, tails) + heads / self.dispersion

    def half_deviance(self, xp: Any, pred: Any, target: Any) -> Any:
        odds, against = self._odds(xp, pred)
        target_odds = self.dispersion * target
        log_dispersion = xp.log(self.dispersion)
        heads = xp.where(odds < math.inf, xp.log1p(odds), pred + log_dispersion)
        slope = self.gradient_expression(xp, pred, target)
        # The logarithm of the mean over 1 + odds, and that of the target, for large ones without their difference.
        tails = xp.where(odds > 1, -xp.log1p(against) - log_dispersion, pred - xp.log1p(odds))
        large = -xp.log1p(xp.xdivy(1, target_odds)) - log_dispersion
        target_tails = xp.where(target_odds > 1, large, xp.log(target) - xp.log1p(target_odds))
        of_tails = shortfall(xp, target, slope, tails - target_tails)
        return of_tails + shortfall(xp, 1 / self.dispersion, -slope, xp.log1p(target_odds) - heads)

    def saturated(self, xp: Any, target: Any) -> Any:
        heads = 1 / self.dispersion
        difference = xp.stirling_error(heads) - xp.stirling_error(target + heads)
        rest = xp.where(target > 0, xp.log1p(self.dispersion * target) / 2 + difference, 0)
        return xp.stirling_excess(target) + rest

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        # (μ - y) / (1 + α μ), for large means divided by them.
        large = (1 - xp.mulexp(target, -pred)) / (self.dispersion + xp.exp(-pred))
        return xp.where(pred > 0, large, (xp.exp(pred) - target) / (1 + self.dispersion * xp.exp(pred)))

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        odds, against = self._odds(xp, pred)
        return (1 / self.dispersion + target) / (1 + against) / (1 + odds)

    def _odds(self, xp: Any, pred: Any) -> tuple[Any, Any]:
        return xp.mulexp(self.dispersion, pred), xp.mulexp(1 / self.dispersion, -pred)


class ZeroInflatedPoisson(ExponentialFamily):
    """Negative log-likelihood of a Poisson count that is 0 more often: some rows never count anything.

    Two heads are predicted: the log rate of the rows that count, and the logit of the share of rows that do not. The
    mean is rate·(1 − share); ``inverse_link`` gives rate and share. Not convex. Where zeros are not more frequent than
    Poisson counts allow, the logit runs to −∞, which is ``Poisson``.

    Parameters
    ----------
    constants : bool
        Whether to add log y!, which does not depend on the prediction. Without it the value can be negative.

    References
    ----------
    .. [1] Lambert (1992), "Zero-inflated Poisson regression, with an application to defects in manufacturing",
       doi:10.2307/1269547.

    See Also
    --------
    Poisson, NegativeBinomial

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import ZeroInflatedPoisson
    >>> loss = ZeroInflatedPoisson()
    >>> best = loss.optimal_constant([0, 0, 0, 1, 2, 3])
    >>> print(loss.inverse_link(best).round(4))
    [1.5936 0.3725]
    """

    constants: bool = constants_field()

    target = fields.NONNEGATIVE
    heads = ("log_rate", "zero_logit")
    link = ("log", "logit")
    elicits = "rate and share of zeros"
    head_symbols = ("z", "a")

    @property
    def lower_bound(self) -> float:  # type: ignore[override]  # depends on a parameter here
        return 0.0 if self.constants else -math.inf

    def varying(self, xp: Any, pred: Any, target: Any) -> Any:
        counted = POISSON.varying(xp, pred[0], target) + xp.softplus(pred[1])
        return xp.where(target > 0, counted, self._of_zero(xp, pred))

    def half_deviance(self, xp: Any, pred: Any, target: Any) -> Any:
        counted = POISSON.half_deviance(xp, pred[0], target) + xp.softplus(pred[1])
        return xp.where(target > 0, counted, self._of_zero(xp, pred))

    def saturated(self, xp: Any, target: Any) -> Any:
        return xp.stirling_excess(target)

    def _of_zero(self, xp: Any, pred: Any) -> Any:
        # softplus(x) - softplus(x - rate), which cancels for small rates and for x < 0, as one logarithm; where both
        # are large, the smaller of them and a correction.
        rate, x = xp.exp(pred[0]), -pred[1]
        moderate = xp.log1p(xp.xdivy(-xp.expm1(-rate), xp.exp(-x) + xp.exp(-rate)))
        large = xp.minimum(x, rate) - xp.softplus(-xp.abs(x - rate)) + xp.softplus(-x)
        is_moderate = xp.logical_and(xp.minimum(x, rate) < 30, x < math.inf)
        return xp.where(is_moderate, moderate, large)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        rate, x = xp.exp(pred[0]), -pred[1]
        is_counted = target > 0
        by_rate = xp.where(is_counted, rate - target, xp.xmul(xp.sigmoid(x - rate), rate))
        return by_rate, xp.where(is_counted, xp.sigmoid(pred[1]), -self._slope(xp, x, rate))

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        rate, x = xp.exp(pred[0]), -pred[1]
        is_counted = target > 0
        weighted = xp.xmul(xp.sigmoid(x - rate), rate)
        # 1 - rate·(1 - sigmoid), which cancels for a rate of 1.
        by_rate = xp.xmul(weighted, weighted - xp.expm1(pred[0]))
        mixed = -xp.xmul(xp.dsigmoid(x - rate), rate)
        # The difference of the sigmoids of -x and x - rate, which cancels where they are near each other.
        gap = 2 * x - rate
        near = -xp.sigmoid(-x) * xp.sigmoid(rate - x) * xp.expm1(gap)
        difference = xp.where(xp.abs(gap) < 1, near, xp.sigmoid(-x) - xp.sigmoid(x - rate))
        by_share = self._slope(xp, x, rate) * difference
        mixed = xp.where(is_counted, 0, mixed)
        return (
            (xp.where(is_counted, rate, by_rate), mixed),
            (mixed, xp.where(is_counted, xp.dsigmoid(pred[1]), by_share)),
        )

    def _slope(self, xp: Any, x: Any, rate: Any) -> Any:
        return -xp.sigmoid(x) * xp.sigmoid(rate - x) * xp.expm1(-rate)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        from scipy.special import lambertw

        share = weight[target == 0].sum() / weight.sum()
        if share == 1:
            # Nothing is ever counted: the rate is 0, and whether rows could count does not matter.
            return np.array([-math.inf, math.inf])
        # The mean of counts that are not 0 is rate / (1 - e^-rate).
        mean = constant.weighted_mean(target[target > 0], weight[target > 0])
        rate = mean + float(lambertw(-mean * math.exp(-mean)).real) if mean > 1 else 0.0
        if share <= math.exp(-rate):
            return np.array([np.log(constant.weighted_mean(target, weight)), -math.inf])
        return np.array([math.log(rate), math.log((share - math.exp(-rate)) / (1 - share))])


POISSON = Poisson()
