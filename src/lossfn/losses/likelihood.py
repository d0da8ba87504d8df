"""Likelihoods of a target whose whole distribution is predicted, one head for each of its parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.fields import choice
from lossfn.pointwise import PointwiseLoss


class GaussianNLL(PointwiseLoss):
    """Negative log-likelihood of Gaussian noise whose mean and log-variance are both predicted.

    Elicits mean and variance. Unbounded below: with an exactly fitted row the log-variance runs to −∞.

    Parameters
    ----------
    constants : bool
        Whether to add ½ log 2π, which depends on no prediction.

    References
    ----------
    .. [1] Nix and Weigend (1994), "Estimating the mean and variance of the target probability distribution",
       doi:10.1109/ICNN.1994.374138.

    Examples
    --------
    >>> from lossfn import GaussianNLL
    >>> value, gradient = GaussianNLL().value_and_gradient([[1.0, 0.0]], [3.0])
    >>> print(value, gradient)
    2.0 [[-2.  -1.5]]
    """

    constants: bool = choice(default=False, options=(False, True), doc="whether to add the constant of the density")

    heads = ("mean", "log_variance")
    elicits = "mean and variance"
    variants = ({}, {"constants": True})
    head_symbols = (r"\mu", "s")
    equivalents = (
        Equivalent(
            "PyTorch",
            "torch.nn.functional.gaussian_nll_loss(pred[..., 0], target, torch.exp(pred[..., 1]), full=constants)",
            note="takes the variance, and keeps it above 1e-6",
        ),
        Equivalent(
            "SciPy",
            "-scipy.stats.norm.logpdf(target, pred[..., 0], numpy.exp(pred[..., 1] / 2))",
            constant=True,
            note="takes the standard deviation",
        ),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        mean, log_variance = pred
        standardised = xp.mulexp(mean - target, -log_variance / 2)
        constant_term = math.log(2 * math.pi) / 2 if self.constants else 0.0
        half_square = standardised * standardised / 2
        # An infinite square outgrows the log-variance, even that of a vanishing variance.
        return xp.where(half_square < math.inf, log_variance, 0.0) / 2 + half_square + constant_term

    # Derived forms multiply a vanishing residual by an infinite precision.

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        mean, log_variance = pred
        standardised = xp.mulexp(mean - target, -log_variance / 2)
        return xp.mulexp(mean - target, -log_variance), 0.5 - standardised * standardised / 2

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        mean, log_variance = pred
        standardised = xp.mulexp(mean - target, -log_variance / 2)
        mixed = -xp.mulexp(mean - target, -log_variance)
        return (xp.exp(-log_variance), mixed), (mixed, standardised * standardised / 2)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        mean = constant.weighted_mean(target, weight)
        with np.errstate(divide="ignore"):
            return np.array([mean, np.log(constant.weighted_mean((target - mean) ** 2, weight))])
