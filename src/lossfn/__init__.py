"""Loss functions defined once: values, gradients, Hessians and kernels derived from one expression."""

from lossfn.catalogue import catalogue, parse_loss
from lossfn.define import define
from lossfn.loss import Loss, check
from lossfn.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    BinaryFocal,
    Brier,
    Expectile,
    GaussianNLL,
    HalfSquaredError,
    Hinge,
    Huber,
    LogCosh,
    LogScore,
    Pinball,
    Poisson,
    PseudoHuber,
    SmoothL1,
    Spherical,
    SquaredError,
)
from lossfn.numerics import to_signed
from lossfn.pointwise import AccuracyWarning, PointwiseLoss
from lossfn.reduce import Total

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Comparing needs scikit-learn and pandas, which importing lossfn must not.
    if name == "compare":
        from lossfn.comparison import compare

        return compare
    raise AttributeError(f"module 'lossfn' has no attribute {name!r}")


__all__ = [
    "AbsoluteError",
    "AccuracyWarning",
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
    "Loss",
    "Pinball",
    "PointwiseLoss",
    "Poisson",
    "PseudoHuber",
    "SmoothL1",
    "Spherical",
    "SquaredError",
    "Total",
    "catalogue",
    "check",
    "compare",
    "define",
    "parse_loss",
    "to_signed",
]
