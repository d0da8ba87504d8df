"""Likelihoods of amounts, with the logarithm of the mean as prediction: the Tweedie family."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from lossfn import constant, fields
from lossfn.equivalents import Equivalent
from lossfn.fields import real
from lossfn.losses.counts import POISSON
from lossfn.losses.deviance import ExponentialFamily, constants_field, shortfall


class Gamma(ExponentialFamily):
    """Negative log-likelihood of an amount whose standard deviation is proportional to its mean; elicits the mean.

    The log mean is predicted. The value is that of the exponential distribution, of which nothing is dropped; for a
    gamma distribution of shape k all terms that depend on the prediction are k times as large. Unbounded below: an
    amount near 0 fits a mean near 0.

    References
    ----------
    .. [1] McCullagh and Nelder (1989), "Generalized linear models", doi:10.1007/978-1-4899-3242-6.

    See Also
    --------
    Tweedie : also amounts that can be exactly 0.
    InverseGaussian : heavier tails.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import Gamma
    >>> value, gradient = Gamma().value_and_gradient(np.log([2.0, 8.0]), [2.0, 4.0], reduction="sum")
    >>> print(value.round(6), gradient.round(6) + 0.0)
    4.272589 [0.  0.5]
    """

    target = fields.POSITIVE
    convex = True
    equivalents = (
        Equivalent("PyTorch", "-torch.distributions.Exponential(torch.exp(-pred)).log_prob(target)"),
        Equivalent(
            "scikit-learn",
            "sklearn.metrics.mean_gamma_deviance(target, numpy.exp(pred))",
            factor="2",
            constant=True,
            note="takes the mean",
        ),
        Equivalent("SciPy", "-scipy.stats.expon.logpdf(target, scale=numpy.exp(pred))"),
        Equivalent(
            "torchmetrics",
            "torchmetrics.functional.tweedie_deviance_score(torch.exp(pred), target, power=2)",
            factor="2",
            constant=True,
            note="takes the mean",
        ),
        Equivalent("scoringrules", "scoringrules.logs_exponential(target, numpy.exp(-pred))"),
        Equivalent("XGBoost", "objective='reg:gamma'"),
        Equivalent("LightGBM", "objective='gamma'"),
    )

    def varying(self, xp: Any, pred: Any, target: Any) -> Any:
        quotient = xp.mulexp(target, -pred)
        # An infinite quotient outgrows the logarithm of a vanishing mean.
        return xp.where(quotient < math.inf, pred, 0) + quotient

    def half_deviance(self, xp: Any, pred: Any, target: Any) -> Any:
        return shortfall(xp, 1, xp.mulexp(target, -pred) - 1, xp.log(target) - pred)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return 1 - xp.mulexp(target, -pred)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.mulexp(target, -pred)


class InverseGaussian(ExponentialFamily):
    """Negative log-likelihood of an amount whose variance is the cube of its mean; elicits the mean.

    The log mean is predicted. The shape λ is 1; for another one all terms that depend on the prediction are λ times as
    large. Not convex: where a mean is far above its target the loss flattens out.

    Parameters
    ----------
    constants : bool
        Whether to add ½ log(2π y³) + 1 / (2y), which does not depend on the prediction.

    References
    ----------
    .. [1] McCullagh and Nelder (1989), "Generalized linear models", doi:10.1007/978-1-4899-3242-6.

    See Also
    --------
    Gamma, Tweedie

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import InverseGaussian
    >>> print(InverseGaussian().gradient(np.log([2.0, 2.0]), [2.0, 6.0], reduction="sum").round(12) + 0.0)
    [ 0. -1.]
    """

    constants: bool = constants_field()

    target = fields.POSITIVE
    variants = ({}, {"constants": True})
    equivalents = (
        Equivalent(
            "scikit-learn",
            "sklearn.metrics.mean_tweedie_deviance(target, numpy.exp(pred), power=3)",
            factor="2",
            constant=True,
            note="takes the mean",
        ),
        Equivalent(
            "SciPy", "-scipy.stats.invgauss.logpdf(target, numpy.exp(pred))", when="constants", note="takes the mean"
        ),
        Equivalent(
            "torchmetrics",
            "torchmetrics.functional.tweedie_deviance_score(torch.exp(pred), target, power=3)",
            factor="2",
            constant=True,
            note="takes the mean",
        ),
    )

    def varying(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.mulexp(xp.mulexp(target, -pred) / 2 - 1, -pred)

    def half_deviance(self, xp: Any, pred: Any, target: Any) -> Any:
        excess = xp.mulexp(target, -pred) - 1
        # The quotient first, and out of SymPy's reach: the square may overflow where it does not.
        return xp.xdivy(excess, target) * excess / 2

    def saturated(self, xp: Any, target: Any) -> Any:
        return 1.5 * xp.log(target) + math.log(2 * math.pi) / 2

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.mulexp(1 - xp.mulexp(target, -pred), -pred)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.mulexp(2 * xp.mulexp(target, -pred) - 1, -pred)


# Powers whose likelihood has a name, and an expression of its own.
NAMED: dict[float, ExponentialFamily] = {1.0: POISSON, 2.0: Gamma(), 3.0: InverseGaussian()}


class Tweedie(ExponentialFamily):
    """Negative quasi-log-likelihood of a target whose variance is a power of its mean; elicits the mean.

    The log mean is predicted. Between 1 and 2 this is the likelihood of a sum of a random number of gamma amounts,
    which can be exactly 0: rainfall, claims. Powers 1, 2 and 3 equal ``Poisson``, ``Gamma`` and ``InverseGaussian``,
    and power 0 ``HalfSquaredError`` of the mean; other powers use μ^(2-p) / (2-p) − y μ^(1-p) / (1-p). The terms of the
    target that are dropped differ between powers: compare powers by another score. Powers nearer than 0.05 to 1 or 2,
    but not equal, lose digits of the value. There is no ``constants``, which would make it the full likelihood: that
    needs the dispersion, which is no parameter here, and for most powers between 1 and 2 an infinite series (Dunn and
    Smyth), which no expression holds. ``Poisson`` and ``InverseGaussian`` have it; ``deviance`` is there always.

    Parameters
    ----------
    power : float
        The power p of the mean to which the variance is proportional: at most 0, or at least 1. No distribution has a
        power between 0 and 1. Targets may be any number up to 0, must be >= 0 from 1 on, and > 0 from 2 on.

    References
    ----------
    .. [1] Jorgensen (1987), "Exponential dispersion models", doi:10.1111/j.2517-6161.1987.tb01685.x.
    .. [2] Dunn and Smyth (2005), "Series evaluation of Tweedie exponential dispersion model densities",
       doi:10.1007/s11222-005-4070-y.

    See Also
    --------
    Poisson, Gamma, InverseGaussian

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import Tweedie
    >>> loss = Tweedie(power=1.5)
    >>> print(loss.gradient(np.log([4.0, 4.0]), [4.0, 0.0], reduction="sum").round(12) + 0.0)
    [0. 2.]
    >>> print(loss.deviance(np.log([4.0, 4.0]), [4.0, 0.0], reduction="none").round(12))
    [0. 8.]
    """

    power: float = real(
        default=1.5, symbol="p", doc="power of the mean that the variance follows", structural=(0.0, 1.0, 2.0, 3.0)
    )

    variants = ({}, {"power": 0.0}, {"power": 2.0}, {"power": 2.5}, {"power": -1.0})
    equivalents = (
        Equivalent(
            "scikit-learn",
            "sklearn.metrics.mean_tweedie_deviance(target, numpy.exp(pred), power=power)",
            factor="2",
            constant=True,
            note="takes the mean",
        ),
        Equivalent(
            "scikit-learn",
            "(1 - sklearn.metrics.d2_tweedie_score(target, numpy.exp(pred), power=power)) * "
            "sklearn.metrics.mean_tweedie_deviance(target, numpy.full(len(target), target.mean()), "
            "power=power)",
            factor="2",
            constant=True,
            when="power >= 1",
            note="takes the mean; relative to the best constant",
        ),
        Equivalent(
            "torchmetrics",
            "torchmetrics.functional.tweedie_deviance_score(torch.exp(pred), target, power=power)",
            factor="2",
            constant=True,
            note="takes the mean",
        ),
        Equivalent("XGBoost", "objective='reg:tweedie', tweedie_variance_power=power", when="1 < power < 2"),
        Equivalent("LightGBM", "objective='tweedie', tweedie_variance_power=power", when="1 < power < 2"),
        Equivalent("CatBoost", "loss_function=f'Tweedie:variance_power={power}'", when="1 < power < 2"),
    )

    _form: ClassVar[ExponentialFamily | str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.power < 1:
            raise ValueError(f"Tweedie: power must be <= 0 or >= 1, no distribution has another; got {self.power!r}")
        # What an expression does depends on this, and not on the power, which may have become a symbol.
        form = "squares" if self.power == 0 else NAMED.get(self.power, "growing" if self.power < 0 else "powers")
        object.__setattr__(self, "_form", form)
        at_least = fields.NONNEGATIVE if self.power < 2 else fields.POSITIVE
        object.__setattr__(self, "target", fields.REAL if self.power <= 0 else at_least)

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return 1 <= self.power <= 2

    @property
    def lower_bound(self) -> float:  # type: ignore[override]  # depends on a parameter here
        return 0.0 if self.power == 0 or 1 < self.power < 2 else -math.inf

    def varying(self, xp: Any, pred: Any, target: Any) -> Any:
        match self._form:
            case ExponentialFamily() as named:
                return named.varying(xp, pred, target)
            case "squares":
                residual = xp.exp(pred) - target
                return residual * residual / 2
        p = self.power
        scale, excess, distance = self._next_to_target(xp, pred, target)
        divisor = (1 - p) * (2 - p)
        return (
            xp.where(distance < 0.5, scale * (excess * divisor - 1), self._scaled(xp, pred, target, 1 - p, 2 - p))
            / divisor
        )

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        if isinstance(self._form, ExponentialFamily):
            return self._form.gradient_expression(xp, pred, target)
        return self._scaled(xp, pred, target, 1, 1)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        if isinstance(self._form, ExponentialFamily):
            return self._form.hessian_expression(xp, pred, target)
        return self._scaled(xp, pred, target, 2 - self.power, 1 - self.power)

    def _scaled(self, xp: Any, pred: Any, target: Any, first: Any, second: Any) -> Any:
        """Return first·μ^(2-p) − second·y·μ^(1-p), by the larger of μ and y: the other is in units of it."""
        p = self.power
        times = xp.mulexp(target, -pred)
        is_mean_larger = xp.abs(times) <= 1
        by_mean = xp.mulexp(first - second * times, (2 - p) * pred)
        rest = first / xp.where(is_mean_larger, 1, times) - second
        if self._form == "powers":
            by_target = xp.mulexp(target, (1 - p) * pred) * rest
        else:
            # Here a power of the mean may overflow where the rest brings it back.
            by_target = xp.mulexp(target * rest, (1 - p) * pred)
        return xp.where(is_mean_larger, by_mean, by_target)

    def _next_to_target(self, xp: Any, pred: Any, target: Any) -> tuple[Any, Any, Any]:
        """Return y^(2-p), half the deviance in units of it, and how far μ is from y, as the logarithm of their ratio.

        Next to y the value hardly depends on μ, so that a rounded multiple of its logarithm would cost digits.
        """
        p = self.power
        log_ratio = pred - xp.log(target)
        excess = xp.expm1mx((2 - p) * log_ratio) / (2 - p) + xp.expm1mx((1 - p) * log_ratio) / (p - 1)
        return xp.power(target, 2 - p), excess, xp.where(target > 0, xp.abs(log_ratio), math.inf)

    def half_deviance(self, xp: Any, pred: Any, target: Any) -> Any:
        match self._form:
            case ExponentialFamily() as named:
                return named.half_deviance(xp, pred, target)
            case "squares":
                return self.varying(xp, pred, target)
        p = self.power
        scale, excess, distance = self._next_to_target(xp, pred, target)
        far = self._scaled(xp, pred, target, 1 - p, 2 - p) + xp.where(target > 0, scale, 0)
        return xp.where(distance < 2.0, scale * excess, far / (1 - p) / (2 - p))

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(np.maximum(constant.weighted_mean(target, weight), 0.0))
