"""Likelihoods with their deviance: how far a prediction is from the best one that its target allows."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Self

import numpy as np

from lossfn import constant
from lossfn.fields import choice
from lossfn.pointwise import PointwiseLoss


def constants_field() -> Any:
    """Declare ``constants``, of families whose likelihood has terms of the target alone."""
    return choice(default=False, options=(False, True), doc="whether to add the terms of the target alone")


class ExponentialFamily(PointwiseLoss):
    """A negative log-likelihood in three parts, which its subclasses state.

    ``varying`` are the terms that depend on the prediction, in the form that is quickest. ``saturated`` is the least
    value that any prediction reaches. ``half_deviance`` is what the prediction adds to it: a form in which nothing
    cancels, 0 where the prediction is the target. Without ``constants`` a loss is the first, with ``constants`` the sum
    of the other two; they differ by terms of the target alone, so that all share one gradient and one Hessian. Unless
    they say otherwise, subclasses predict the logarithm of the mean.
    """

    elicits = "mean"
    link: ClassVar[str | tuple[str, ...]] = "log"
    head_symbols: ClassVar[tuple[str, ...]] = ("z",)

    def varying(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the terms that depend on the prediction."""
        raise NotImplementedError(f"{type(self).__name__} defines no varying terms")

    def half_deviance(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the negative log-likelihood minus that of the saturated prediction."""
        raise NotImplementedError(f"{type(self).__name__} defines no deviance")

    def saturated(self, xp: Any, target: Any) -> Any:
        """Return the negative log-likelihood of the prediction that is the target."""
        raise NotImplementedError(f"{type(self).__name__} defines no saturated likelihood")

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        # Not every family has such terms, and then no such parameter either.
        if getattr(self, "constants", False):
            return self.half_deviance(xp, pred, target) + self.saturated(xp, target)
        return self.varying(xp, pred, target)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the gradient of all three parts."""
        raise NotImplementedError(f"{type(self).__name__} defines no gradient")

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the Hessian of all three parts."""
        raise NotImplementedError(f"{type(self).__name__} defines no Hessian")

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        """Return the best constant prediction."""
        with np.errstate(divide="ignore"):
            return np.log(constant.weighted_mean(target, weight))

    @property
    def deviance(self) -> Deviance:
        """The unit deviance as a loss: twice the log-likelihood that a prediction falls short of the saturated one.

        It is 0 where the prediction is the target and never negative; its gradient is twice that of the likelihood.

        Examples
        --------
        >>> import numpy as np
        >>> from lossfn import Poisson
        >>> deviance = Poisson().deviance
        >>> print(deviance(np.log([2.0, 5.0]), [2, 0], reduction="none").round(12) + 0.0)
        [ 0. 10.]
        """
        return Deviance(self)


class Deviance(PointwiseLoss):
    """Twice what a prediction falls short of the saturated one in log-likelihood: ``Poisson().deviance``."""

    likelihood: ExponentialFamily = dataclasses.field()

    def __post_init__(self) -> None:
        for trait in ("heads", "target", "prediction", "link", "head_symbols", "elicits", "convex"):
            object.__setattr__(self, trait, getattr(self.likelihood, trait))

    lower_bound = 0.0

    def __repr__(self) -> str:
        return f"{self.likelihood!r}.deviance"

    def _with_symbols(self, prefix: str = "p_") -> tuple[Self, dict[str, float], dict[str, str]]:
        clone, values, latex = self.likelihood._with_symbols(prefix)
        copied = object.__new__(type(self))
        object.__setattr__(copied, "likelihood", clone)
        return copied, values, latex

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return 2 * self.likelihood.half_deviance(xp, pred, target)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return _doubled(self.likelihood.gradient_expression(xp, pred, target))

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return _doubled(self.likelihood.hessian_expression(xp, pred, target))

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        return self.likelihood.closed_form_constant(target, weight)

    def inverse_link(self, pred: Any) -> Any:
        return self.likelihood.inverse_link(pred)


def _doubled(derivative: Any) -> Any:
    return tuple(map(_doubled, derivative)) if isinstance(derivative, tuple) else 2 * derivative


def shortfall(xp: Any, share: Any, change: Any, log_ratio: Any) -> Any:
    """Return change - share·log(1 + change / share), never negative, given log_ratio, that logarithm.

    Deviances are sums of such terms. Near 0 the difference would cancel; far from it the quotient could overflow, and a
    logarithm that is known otherwise is more precise than that of the rounded quotient.
    """
    ratio = xp.xdivy(change, share)
    is_far = xp.logical_or(ratio <= -0.5, ratio >= 4)
    far = change - xp.xmul(share, log_ratio)
    # An infinite change outgrows its logarithm.
    near = xp.where(change < math.inf, -share * xp.log1pmx(ratio), change)
    return xp.where(xp.logical_and(is_far, change < math.inf), far, near)
