"""Losses of more than two classes that estimate their probabilities."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from lossfn import fields
from lossfn.fields import choice, half_open_fraction, nonnegative, positive
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

    inputs: str = choice(
        default="logits", options=("logits", "log_probabilities", "probabilities"), doc="what scores are"
    )
    label_smoothing: float = half_open_fraction(default=0.0, symbol=r"\varepsilon", doc="share spread over all classes")
    temperature: float = positive(default=1.0, symbol="T", doc="divides the logits")
    z_loss: float = nonnegative(default=0.0, symbol=r"\zeta", doc="factor on the squared log-sum-exp of the logits")

    elicits = "probabilities"
    convex = True

    @cached_property
    def term(self) -> PointwiseLoss:
        return LogScoreTerm()
