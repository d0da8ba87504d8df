"""Likelihoods of Gaussian noise whose size is predicted, too, and what all likelihoods share."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from lossfn import constant, fields
from lossfn.engine import batch as batches
from lossfn.equivalents import Equivalent
from lossfn.fields import choice, nonnegative, real
from lossfn.pointwise import PointwiseLoss

#: Log-variances beyond it may be those of variances beyond single precision.
LARGE = 60.0


class Likelihood(PointwiseLoss):
    """What the likelihoods share: the second head is the logarithm of the noise's size, and may have a floor.

    Where a row is fitted exactly, the likelihood grows without bound as the size of the noise goes to zero. A floor
    under the second head prevents that: below it the head counts as the floor and has no gradient. The floor is the
    parameter called ``min_`` and the name of the head.

    Subclasses define ``unfloored`` and its derivatives: derived ones would multiply a vanishing residual by an infinite
    precision.
    """

    constants: bool = choice(default=False, options=(False, True), doc="whether to add the constant of the density")

    log_normaliser: ClassVar[float]

    def unfloored(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the loss without a floor."""
        raise NotImplementedError(f"{type(self).__name__} defines no likelihood")

    def unfloored_gradient(self, xp: Any, pred: Any, target: Any) -> tuple[Any, ...]:
        """Return its derivative by each head."""
        raise NotImplementedError(f"{type(self).__name__} defines no gradient")

    def unfloored_hessian(self, xp: Any, pred: Any, target: Any) -> tuple[tuple[Any, ...], ...]:
        """Return its second derivatives."""
        raise NotImplementedError(f"{type(self).__name__} defines no Hessian")

    def infimum(self, log_size: float) -> float:
        """Return the largest lower bound of the loss where the second head is at least ``log_size``."""
        return log_size + self.constant_term

    @property
    def constant_term(self) -> float:
        """The constant of the density where it is asked for."""
        return self.log_normaliser if self.constants else 0.0

    @property
    def floor(self) -> Any:
        """The least that the second head counts as, ``None`` without a floor."""
        return getattr(self, f"min_{self.heads[1]}")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.floor is not None:
            object.__setattr__(self, "smoothness", 0)
            object.__setattr__(self, "lower_bound", self.infimum(self.floor))

    def count_floored(self, pred: Any) -> int:
        """Return how many predictions lie at or below the floor, where the size of the noise has no gradient.

        Examples
        --------
        >>> from lossfn import LaplaceNLL
        >>> LaplaceNLL(min_log_scale=-3.0).count_floored([[0.5, -7.0], [0.2, 1.0]])
        1
        """
        owner = type(self).__name__
        library = batches.library_of(owner, pred=pred)
        array = batches.as_numpy(owner, "pred", pred) if library == "numpy" else pred
        if array.ndim == 0 or array.shape[-1] != len(self.heads):
            names = ", ".join(self.heads)
            raise ValueError(f"{owner}: pred needs a last axis of {len(self.heads)} heads ({names}); got {array.shape}")
        return 0 if self.floor is None else int((array[..., 1] <= self.floor).sum())

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return self.unfloored(xp, self._raised(xp, pred), target)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        gradient = self.unfloored_gradient(xp, self._raised(xp, pred), target)
        return tuple(self._unless_floored(xp, pred, entry, head) for head, entry in enumerate(gradient))

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        hessian = self.unfloored_hessian(xp, self._raised(xp, pred), target)
        return tuple(
            tuple(self._unless_floored(xp, pred, entry, first, second) for second, entry in enumerate(row))
            for first, row in enumerate(hessian)
        )

    def _raised(self, xp: Any, pred: Any) -> Any:
        location, log_size, *others = pred
        return pred if self.floor is None else (location, xp.maximum(log_size, self.floor), *others)

    def _unless_floored(self, xp: Any, pred: Any, entry: Any, *heads: int) -> Any:
        return entry if self.floor is None or 1 not in heads else xp.where(pred[1] > self.floor, entry, 0.0)

    def raised_constant(self, location: Any, log_size: Any) -> Any:
        """Return a constant prediction whose size of the noise is at least the floor."""
        return np.array([location, log_size if self.floor is None else max(log_size, self.floor)])


class GaussianNLL(Likelihood):
    """Negative log-likelihood of Gaussian noise whose mean and log-variance are both predicted.

    Elicits mean and variance. Unbounded below: with an exactly fitted row the log-variance runs to −∞, unless it has a
    floor.

    Parameters
    ----------
    constants : bool
        Whether to add ½ log 2π, which depends on no prediction.
    min_log_variance : float, optional
        A floor under the log-variance; ``count_floored`` says how many predictions it touches. Off by default.

    References
    ----------
    .. [1] Nix and Weigend (1994), "Estimating the mean and variance of the target probability distribution",
       doi:10.1109/ICNN.1994.374138.

    See Also
    --------
    BetaNLL : does not neglect the rows that are hard to fit.
    CRPSNormal : the same prediction scored in units of the target; never unbounded.

    Examples
    --------
    >>> from lossfn import GaussianNLL
    >>> value, gradient = GaussianNLL().value_and_gradient([[1.0, 0.0]], [3.0])
    >>> print(value, gradient)
    2.0 [[-2.  -1.5]]
    """

    min_log_variance: float | None = real(
        default=None, symbol=r"s_{\min}", doc="floor under the log-variance", optional=True
    )

    heads = ("mean", "log_variance")
    elicits = "mean and variance"
    log_normaliser = math.log(2 * math.pi) / 2
    variants = ({}, {"constants": True}, {"min_log_variance": -3.0})
    head_symbols = (r"\mu", "s")
    equivalents = (
        Equivalent(
            "PyTorch",
            "torch.nn.functional.gaussian_nll_loss(pred[..., 0], target, torch.exp(pred[..., 1]), full=constants)",
            when="min_log_variance is None",
            note="takes the variance, and keeps it above 1e-6",
        ),
        Equivalent(
            "PyTorch",
            "-torch.distributions.Normal(pred[..., 0], torch.exp(pred[..., 1] / 2)).log_prob(target)",
            when="constants and min_log_variance is None",
            note="takes the standard deviation",
        ),
        Equivalent(
            "SciPy",
            "-scipy.stats.norm.logpdf(target, pred[..., 0], numpy.exp(pred[..., 1] / 2))",
            when="min_log_variance is None",
            constant=True,
            note="takes the standard deviation",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.logs_normal(target, pred[..., 0], numpy.exp(pred[..., 1] / 2))",
            when="constants and min_log_variance is None",
            note="takes the standard deviation",
        ),
    )

    def unfloored(self, xp: Any, pred: Any, target: Any) -> Any:
        mean, log_variance = pred
        standardised = xp.mulexp(mean - target, -log_variance / 2)
        half_square = standardised * standardised / 2
        # An infinite square outgrows the log-variance, even that of a vanishing variance.
        return xp.where(half_square < math.inf, log_variance, 0.0) / 2 + half_square + self.constant_term

    def unfloored_gradient(self, xp: Any, pred: Any, target: Any) -> Any:
        mean, log_variance = pred
        standardised = xp.mulexp(mean - target, -log_variance / 2)
        return xp.mulexp(mean - target, -log_variance), 0.5 - standardised * standardised / 2

    def unfloored_hessian(self, xp: Any, pred: Any, target: Any) -> Any:
        mean, log_variance = pred
        standardised = xp.mulexp(mean - target, -log_variance / 2)
        mixed = -xp.mulexp(mean - target, -log_variance)
        return (xp.exp(-log_variance), mixed), (mixed, standardised * standardised / 2)

    def infimum(self, log_size: float) -> float:
        return log_size / 2 + self.constant_term

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        mean = constant.weighted_mean(target, weight)
        with np.errstate(divide="ignore"):
            return self.raised_constant(mean, np.log(constant.weighted_mean((target - mean) ** 2, weight)))


class BetaNLL(PointwiseLoss):
    """Gaussian likelihood whose rows count by a power of their predicted variance, through which no gradient flows.

    Elicits mean and variance. The likelihood's gradient of the mean is divided by the variance, so that rows that are
    hard to fit are given up: their variance grows and they stop counting. Here that division is undone in part
    (``beta = 0.5``) or in full (``beta = 1``, the gradient of half the squared error); ``beta = 0`` is the likelihood.
    The value is that of the weighted rows, but gradient and Hessian take the weights as constants: they are on purpose
    not its derivatives. To compare models, use the likelihood itself.

    Parameters
    ----------
    beta : float
        The power of the variance, at least 0; from 0 to 1 in practice.

    References
    ----------
    .. [1] Seitzer, Tavakoli, Antic and Martius (2022), "On the pitfalls of heteroscedastic uncertainty estimation with
       probabilistic neural networks", doi:10.48550/arXiv.2203.09168.

    See Also
    --------
    GaussianNLL : the likelihood.

    Examples
    --------
    >>> import math
    >>> from lossfn import BetaNLL
    >>> value, gradient = BetaNLL(beta=1.0).value_and_gradient([[1.0, math.log(4.0)]], [3.0])
    >>> print(value.round(6), gradient)
    4.772589 [[-2.  0.]]
    """

    beta: float = nonnegative(
        default=0.5, symbol=r"\beta", doc="power of the variance by which rows count", structural=(0.0, 1.0)
    )

    heads = ("mean", "log_variance")
    elicits = "mean and variance"
    surrogate = True
    variants = ({}, {"beta": 0.0}, {"beta": 1.0})
    head_symbols = (r"\mu", "s")
    equivalents = (
        Equivalent(
            "PyTorch",
            "torch.nn.functional.gaussian_nll_loss(pred[..., 0], target, torch.exp(pred[..., 1]))",
            when="beta == 0",
            note="takes the variance, and keeps it above 1e-6",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta > 0:
            # The minimum of s·e^(βs)/2.
            object.__setattr__(self, "lower_bound", -1 / (2 * math.e * self.beta))

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        mean, log_variance = pred
        stopped = xp.stop_gradient(log_variance)
        # One exponent: apart, square and weight may be beyond the dtype. The difference is zero, but not its gradient.
        change = xp.where(xp.abs(log_variance) < math.inf, stopped - log_variance, 0.0)
        standardised = xp.mulexp(mean - target, ((self.beta - 1) * stopped + change) / 2)
        half_square = standardised * standardised / 2
        spread = xp.where(half_square < math.inf, log_variance, 0.0) / 2
        return xp.mulexp(spread, self.beta * stopped) + half_square

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        mean, log_variance = pred
        log_precision = (self.beta - 1) * log_variance
        standardised = xp.mulexp(mean - target, log_precision / 2)
        spread = xp.exp(self.beta * log_variance) / 2 - standardised * standardised / 2
        # Both terms may be beyond the dtype where their ratio is not.
        in_units = xp.mulexp(mean - target, -log_variance / 2)
        of_large = xp.mulexp(0.5 - in_units * in_units / 2, self.beta * log_variance)
        return xp.mulexp(mean - target, log_precision), xp.where(log_variance > LARGE, of_large, spread)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        mean, log_variance = pred
        log_precision = (self.beta - 1) * log_variance
        standardised = xp.mulexp(mean - target, log_precision / 2)
        mixed = -xp.mulexp(mean - target, log_precision)
        return (xp.exp(log_precision), mixed), (mixed, standardised * standardised / 2)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return GaussianNLL().optimal_constant(target, weight=weight)


class LogNormalNLL(Likelihood):
    """Negative log-likelihood of a log-normal target: its logarithm has a predicted mean and log-scale.

    Elicits mean and standard deviation of log y, for targets above zero with multiplicative noise. The scale is that
    standard deviation, a relative error of the target where it is small; e to the power of the location is the
    median of the target, not its mean. Unbounded below where a row is fitted exactly, unless the log-scale has a floor.

    Parameters
    ----------
    constants : bool
        Whether to add log y + ½ log 2π, which depends on no prediction.
    min_log_scale : float, optional
        A floor under the log-scale; ``count_floored`` says how many predictions it touches. Off by default.

    References
    ----------
    .. [1] Limpert, Stahel and Abbt (2001), "Log-normal distributions across the sciences: keys and clues",
       doi:10.1641/0006-3568(2001)051[0341:LNDATS]2.0.CO;2.

    See Also
    --------
    GaussianNLL : for additive noise.

    Examples
    --------
    >>> from lossfn import LogNormalNLL
    >>> value, gradient = LogNormalNLL().value_and_gradient([[2.0, 0.0]], [1.0])
    >>> print(value, gradient)
    2.0 [[ 2. -3.]]
    """

    min_log_scale: float | None = real(default=None, symbol=r"s_{\min}", doc="floor under the log-scale", optional=True)

    target = fields.POSITIVE
    heads = ("location", "log_scale")
    elicits = "mean and standard deviation of the logarithm"
    log_normaliser = math.log(2 * math.pi) / 2
    variants = ({}, {"constants": True}, {"min_log_scale": -3.0})
    head_symbols = (r"\mu", "s")
    equivalents = (
        Equivalent(
            "PyTorch",
            "-torch.distributions.LogNormal(pred[..., 0], torch.exp(pred[..., 1])).log_prob(target)",
            when="constants and min_log_scale is None",
        ),
        Equivalent(
            "SciPy",
            "-scipy.stats.lognorm.logpdf(target, numpy.exp(pred[..., 1]), scale=numpy.exp(pred[..., 0]))",
            when="constants and min_log_scale is None",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.logs_lognormal(target, pred[..., 0], numpy.exp(pred[..., 1]))",
            when="constants and min_log_scale is None",
            rows="abs(numpy.log(target) - pred[:, 0]) < 5 * numpy.exp(pred[:, 1])",
            note="infinite where the density is below the smallest number",
        ),
    )

    def unfloored(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        standardised = xp.mulexp(location - xp.log(target), -log_scale)
        half_square = standardised * standardised / 2
        constant_term = xp.log(target) + self.constant_term if self.constants else 0.0
        return xp.where(half_square < math.inf, log_scale, 0.0) + half_square + constant_term

    def unfloored_gradient(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        residual = location - xp.log(target)
        standardised = xp.mulexp(residual, -log_scale)
        return xp.mulexp(residual, -2 * log_scale), 1.0 - standardised * standardised

    def unfloored_hessian(self, xp: Any, pred: Any, target: Any) -> Any:
        location, log_scale = pred
        residual = location - xp.log(target)
        standardised = xp.mulexp(residual, -log_scale)
        mixed = -2 * xp.mulexp(residual, -2 * log_scale)
        return (xp.exp(-2 * log_scale), mixed), (mixed, 2 * standardised * standardised)

    def infimum(self, log_size: float) -> float:
        # The logarithm of a target next to zero is smaller than any number.
        return -math.inf if self.constants else log_size

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        mean = constant.weighted_mean(np.log(target), weight)
        with np.errstate(divide="ignore"):
            return self.raised_constant(mean, np.log(constant.weighted_mean((np.log(target) - mean) ** 2, weight)) / 2)
