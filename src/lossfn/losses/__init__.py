"""The catalogue of losses, one family a file."""

from __future__ import annotations

from lossfn.losses.binary import BinaryConfidencePenalty, BinaryCrossEntropy, SquaredErrorOnSigmoid
from lossfn.losses.bounded_margin import Ramp, SavageMargin, SigmoidMargin, ZeroOne
from lossfn.losses.counts import Poisson
from lossfn.losses.focal import AsymmetricFocal, BinaryFocal
from lossfn.losses.hinge import Hinge, ModifiedHuber, Perceptron, SmoothedHinge, SquaredHinge
from lossfn.losses.likelihood import GaussianNLL
from lossfn.losses.margin import ExponentialMargin, LogisticMargin, SquaredMargin
from lossfn.losses.probability import Brier, LogScore, Spherical
from lossfn.losses.quantile import Expectile, Pinball
from lossfn.losses.regression import AbsoluteError, HalfSquaredError, SquaredError
from lossfn.losses.robust import Huber, LogCosh, PseudoHuber, SmoothL1

#: Every loss of the library, in the order in which documents list them.
LOSSES = (
    SquaredError,
    HalfSquaredError,
    AbsoluteError,
    Huber,
    SmoothL1,
    PseudoHuber,
    LogCosh,
    Pinball,
    Expectile,
    BinaryCrossEntropy,
    SquaredErrorOnSigmoid,
    BinaryConfidencePenalty,
    BinaryFocal,
    AsymmetricFocal,
    LogScore,
    Brier,
    Spherical,
    Hinge,
    SquaredHinge,
    SmoothedHinge,
    ModifiedHuber,
    Perceptron,
    LogisticMargin,
    ExponentialMargin,
    SquaredMargin,
    ZeroOne,
    Ramp,
    SavageMargin,
    SigmoidMargin,
    Poisson,
    GaussianNLL,
)

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "AsymmetricFocal",
    "BinaryConfidencePenalty",
    "BinaryCrossEntropy",
    "BinaryFocal",
    "Brier",
    "Expectile",
    "ExponentialMargin",
    "GaussianNLL",
    "HalfSquaredError",
    "Hinge",
    "Huber",
    "LogCosh",
    "LogScore",
    "LogisticMargin",
    "ModifiedHuber",
    "Perceptron",
    "Pinball",
    "Poisson",
    "PseudoHuber",
    "Ramp",
    "SavageMargin",
    "SigmoidMargin",
    "SmoothL1",
    "SmoothedHinge",
    "Spherical",
    "SquaredError",
    "SquaredErrorOnSigmoid",
    "SquaredHinge",
    "SquaredMargin",
    "ZeroOne",
]
