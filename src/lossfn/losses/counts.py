"""Likelihoods of counts and rates, with the logarithm as link."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossfn import constant, fields
from lossfn.equivalents import Equivalent
from lossfn.pointwise import PointwiseLoss


class Poisson(PointwiseLoss):
    """Negative log-likelihood of a Poisson count whose log rate is predicted; elicits the mean.

    The term log y!, which does not depend on the prediction, is dropped: the value can be negative. Any target >= 0 is
    accepted, as a quasi-likelihood.

    References
    ----------
    .. [1] McCullagh and Nelder (1989), "Generalized linear models", doi:10.1007/978-1-4899-3242-6.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import Poisson
    >>> print(Poisson().gradient(np.log([3.0, 5.0]), [3, 1], reduction="sum").round(12) + 0.0)
    [0. 4.]
    """

    target = fields.NONNEGATIVE
    elicits = "mean"
    convex = True
    link = "log"
    head_symbols = ("z",)
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.poisson_nll_loss(pred, target)"),
        Equivalent("Keras", "keras.losses.poisson(target, numpy.exp(pred))", note="takes the rate, plus 1e-7"),
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
            constant=True,
            note="takes whole counts and the rate",
        ),
        Equivalent("XGBoost", "objective='count:poisson'"),
        Equivalent("LightGBM", "objective='poisson'"),
        Equivalent("CatBoost", "loss_function='Poisson'"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        rate = xp.exp(pred)
        # The rate outgrows every multiple of its logarithm; where it overflows the difference could be NaN.
        return xp.where(rate < math.inf, rate - xp.xmul(target, pred), rate)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        with np.errstate(divide="ignore"):
            return np.log(constant.weighted_mean(target, weight))
