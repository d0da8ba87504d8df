"""Losses of more than two classes that estimate their probabilities."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from lossfn import fields
from lossfn.pointwise import PointwiseLoss
from lossfn.softmax import SoftmaxLoss


class LogScoreTerm(PointwiseLoss):
    """Minus the share of a class times its log-probability."""

    target = fields.PROBABILITY
    prediction = fields.LOG_PROBABILITY
    head_symbols = (r"\ell",)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return -xp.xmul(target, pred)


class CrossEntropy(SoftmaxLoss):
    """Negative log-likelihood."""

    elicits = "probabilities"
    convex = True

    @cached_property
    def term(self) -> PointwiseLoss:
        return LogScoreTerm()
