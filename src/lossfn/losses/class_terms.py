"""What one class contributes to a softmax loss: pointwise losses of its log-probability and its share in the target."""

from __future__ import annotations

from typing import Any

from lossfn import fields
from lossfn.fields import nonnegative, positive, real
from lossfn.parameters import is_exactly
from lossfn.pointwise import PointwiseLoss

# Powers that are products: those that are usual for softmax, fewer than for the two classes of ``focal``.
WHOLE_GAMMAS = (0.0, 1.0, 2.0, 3.0)


class ClassTerm(PointwiseLoss):
    """A loss of the log-probability of one class; the target is the share of that class."""

    target = fields.PROBABILITY
    prediction = fields.LOG_PROBABILITY
    head_symbols = (r"\ell",)


class LogTerm(ClassTerm):
    """Minus the share times the log-probability."""

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return -xp.xmul(target, pred)


class LogTermOfProbability(PointwiseLoss):
    """Minus the share times the logarithm of a probability."""

    target = fields.PROBABILITY
    prediction = fields.PROBABILITY
    head_symbols = ("p",)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return -xp.xlogy(target, pred)


class FocalTerm(ClassTerm):
    """The log term times (1 - p)^gamma."""

    gamma: float = nonnegative(
        default=2.0, symbol=r"\gamma", doc="how fast easy rows lose weight", structural=WHOLE_GAMMAS
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        if is_exactly(self.gamma, *WHOLE_GAMMAS):
            if is_exactly(self.gamma, 0):
                return -xp.xmul(target, pred)
            focus = xp.power(-xp.expm1(pred), self.gamma)
        else:
            # The same power; certainty, where its derivatives are 0·∞, is a case of its own.
            focus = xp.where(pred < 0, xp.exp(self.gamma * xp.log1mexp(pred)), 0)
        return xp.xmul(target, xp.xmul(focus, -pred))


class PolyTerm(ClassTerm):
    """The log term and epsilon (1 - p)."""

    epsilon: float = real(default=1.0, symbol=r"\epsilon", doc="factor on 1 - p")

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        plain = -xp.xmul(target, pred) - self.epsilon * target * xp.expm1(pred)
        # Near certainty and for epsilon near -1, the two would cancel.
        near = -target * ((1 + self.epsilon) * pred + self.epsilon * xp.expm1mx(pred))
        return xp.where(pred < -1, plain, near)


class PowerTerm(ClassTerm):
    """The share times (1 - p^q) / q, between the log term (q = 0) and 1 - p (q = 1)."""

    q: float = positive(default=0.7, symbol="q", doc="exponent")

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return -target * xp.expm1(self.q * pred) / self.q


class SymmetricTerm(ClassTerm):
    """alpha times the log term, and beta times the cross-entropy with prediction and target exchanged.

    Of the latter, ``log_zero`` times probability minus share is taken away, which sums to nothing over the classes: so
    absent classes contribute nothing, and the gradient of improbable ones does not cancel.
    """

    alpha: float = nonnegative(default=0.1, symbol=r"\alpha", doc="factor on the cross-entropy")
    beta: float = nonnegative(default=1.0, symbol=r"\beta", doc="factor on the reverse cross-entropy")
    log_zero: float = real(default=-4.0, symbol="A", doc="what stands for the logarithm of 0")

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        rest = xp.where(target > 0, self.log_zero * (1 - target) - xp.log(target), 0)
        reverse = self.log_zero * target * xp.expm1(pred) + rest * xp.exp(pred)
        return -self.alpha * xp.xmul(target, pred) + self.beta * reverse


class EntropyTerm(ClassTerm):
    """The log term and lam p log p: minus lam times the entropy."""

    lam: float = nonnegative(default=0.1, symbol=r"\lambda", doc="factor on the entropy")

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return -xp.xmul(target, pred) + self.lam * xp.xmul(xp.exp(pred), pred)


class SquareTerm(ClassTerm):
    """The squared difference of probability and share."""

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        # Near a certain class the difference is minus the complement.
        difference = xp.where(target < 1, xp.exp(pred) - target, xp.expm1(pred))
        return difference * difference


class SquareTermOfProbability(PointwiseLoss):
    """The squared difference of a probability and the share."""

    target = fields.PROBABILITY
    prediction = fields.PROBABILITY
    head_symbols = ("p",)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return (pred - target) * (pred - target)


class SphericalTerm(ClassTerm):
    """Minus the share times the square root of the probability that the doubled scores give."""

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return -target * xp.exp(pred / 2)
