"""Loss functions defined once: values, gradients, Hessians and kernels derived from one expression."""

from lossfn.catalogue import catalogue, parse_loss
from lossfn.define import define
from lossfn.loss import Loss, check
from lossfn.losses import (
    AbsoluteError,
    AsymmetricFocal,
    BinaryConfidencePenalty,
    BinaryCrossEntropy,
    BinaryFocal,
    Brier,
    Expectile,
    ExponentialMargin,
    GaussianNLL,
    HalfSquaredError,
    Hinge,
    Huber,
    LogCosh,
    LogisticMargin,
    LogScore,
    ModifiedHuber,
    Perceptron,
    Pinball,
    Poisson,
    PseudoHuber,
    Ramp,
    SavageMargin,
    SigmoidMargin,
    SmoothedHinge,
    SmoothL1,
    Spherical,
    SquaredError,
    SquaredErrorOnSigmoid,
    SquaredHinge,
    SquaredMargin,
    ZeroOne,
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
    if name == "calibration":
        import lossfn.calibration

        return lossfn.calibration
    raise AttributeError(f"module 'lossfn' has no attribute {name!r}")


__all__ = [
    "AbsoluteError",
    "AccuracyWarning",
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
    "Loss",
    "ModifiedHuber",
    "Perceptron",
    "Pinball",
    "PointwiseLoss",
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
    "Total",
    "ZeroOne",
    "catalogue",
    "check",
    "compare",
    "define",
    "parse_loss",
    "to_signed",
]
