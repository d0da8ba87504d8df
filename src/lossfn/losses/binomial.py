"""The likelihood of successes out of a number of trials, with the logit of a success as prediction."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lossfn import fields
from lossfn.equivalents import Equivalent
from lossfn.losses.deviance import ExponentialFamily, constants_field, shortfall


class Binomial(ExponentialFamily):
    """Negative log-likelihood of successes out of a number of trials; elicits the probability of a success.

    The prediction is the logit of that probability, the target a tuple: ``Binomial.Target(successes, trials)``. With
    one trial a row it equals ``BinaryCrossEntropy``. Any numbers 0 <= successes <= trials are accepted, as a
    quasi-likelihood.

    Parameters
    ----------
    constants : bool
        Whether to add minus the logarithm of the binomial coefficient, which does not depend on the prediction.

    References
    ----------
    .. [1] McCullagh and Nelder (1989), "Generalized linear models", doi:10.1007/978-1-4899-3242-6.

    See Also
    --------
    BinaryCrossEntropy : one trial a row.

    Examples
    --------
    >>> from lossfn import Binomial
    >>> target = Binomial.Target(successes=[3, 0], trials=[4, 2])
    >>> value, gradient = Binomial().value_and_gradient([0.0, 0.0], target, reduction="sum")
    >>> print(value.round(6), gradient)
    4.158883 [-1.  1.]
    >>> print(Binomial().optimal_constant(target))
    0.0
    """

    class Target(NamedTuple):
        """Successes out of trials, arrays of one shape."""

        successes: Any
        trials: Any

    constants: bool = constants_field()

    target = fields.Parts(Target, (fields.NONNEGATIVE, fields.NONNEGATIVE), ("k", "n"), ascending=True)
    elicits = "probability of success"
    convex = True
    link = "logit"
    lower_bound = 0.0
    variants = ({}, {"constants": True})
    equivalents = (
        Equivalent(
            "PyTorch",
            "-torch.distributions.Binomial(target.trials, logits=pred).log_prob(target.successes)",
            when="constants",
            rows="(target.successes % 1 == 0) & (target.trials % 1 == 0)",
        ),
        Equivalent(
            "SciPy",
            "-scipy.stats.binom.logpmf(target.successes, target.trials, scipy.special.expit(pred))",
            when="constants",
            rows="(target.successes % 1 == 0) & (target.trials % 1 == 0)",
        ),
    )

    def varying(self, xp: Any, pred: Any, target: Any) -> Any:
        successes, trials = target
        return xp.xmul(successes, xp.softplus(-pred)) + xp.xmul(trials - successes, xp.softplus(pred))

    def half_deviance(self, xp: Any, pred: Any, target: Any) -> Any:
        successes, trials = target
        slope = self.gradient_expression(xp, pred, target)
        won = -xp.softplus(-pred) - xp.log(xp.xdivy(successes, trials))
        lost = -xp.softplus(pred) - xp.log(xp.xdivy(trials - successes, trials))
        return shortfall(xp, successes, slope, won) + shortfall(xp, trials - successes, -slope, lost)

    def saturated(self, xp: Any, target: Any) -> Any:
        successes, trials = target
        fewer = xp.minimum(successes, trials - successes)
        more = trials - fewer
        # Large parts of the three numbers cancel in the logarithm of a quotient and in the small Stirling errors.
        difference = xp.stirling_error(more) - xp.stirling_error(trials)
        return xp.stirling_excess(fewer) + xp.where(fewer > 0, xp.log1p(-xp.xdivy(fewer, trials)) / 2 + difference, 0)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        successes, trials = target
        return (trials - successes) * xp.sigmoid(pred) - successes * xp.sigmoid(-pred)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return target.trials * xp.dsigmoid(pred)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        successes, trials = target
        with np.errstate(divide="ignore"):
            return np.log(weight @ successes) - np.log(weight @ (trials - successes))
