"""The catalogue of losses, one family a file."""

from __future__ import annotations

from lossfn.losses.binary import BinaryCrossEntropy, BinaryFocal
from lossfn.losses.counts import Poisson
from lossfn.losses.likelihood import GaussianNLL
from lossfn.losses.margin import Hinge
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
    BinaryFocal,
    LogScore,
    Brier,
    Spherical,
    Hinge,
    Poisson,
    GaussianNLL,
)

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "BinaryFocal",
    "Brier",
    "Expectile",
    "GaussianNLL",
    "HalfSquaredError",
    "Hinge",
    "Huber",
    "LogCosh",
    "LogScore",
    "Pinball",
    "Poisson",
    "PseudoHuber",
    "SmoothL1",
    "Spherical",
    "SquaredError",
]
