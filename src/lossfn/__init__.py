"""Loss functions defined once: values, gradients, Hessians and kernels derived from one expression."""

from lossfn.catalogue import catalogue, parse_loss
from lossfn.define import define
from lossfn.loss import Loss, check
from lossfn.losses import (
    AbsoluteError,
    AbsolutePercentageError,
    AsymmetricFocal,
    Barron,
    BinaryConfidencePenalty,
    BinaryCrossEntropy,
    BinaryFocal,
    BiTempered,
    Brier,
    Cauchy,
    ConfidencePenalty,
    CrammerSinger,
    CrossEntropy,
    Distillation,
    EpsilonInsensitive,
    Expectile,
    ExponentialMargin,
    Fair,
    GaussianNLL,
    GemanMcClure,
    GeneralizedCrossEntropy,
    HalfSquaredError,
    Hinge,
    Huber,
    LinEx,
    LogCosh,
    LogisticMargin,
    LogitAdjusted,
    LogScore,
    Minkowski,
    ModifiedHuber,
    MulticlassBrier,
    Perceptron,
    Pinball,
    Poisson,
    PolyCrossEntropy,
    PseudoHuber,
    Ramp,
    SavageMargin,
    SigmoidMargin,
    SmoothedHinge,
    SmoothL1,
    SoftmaxFocal,
    Spherical,
    SphericalScore,
    SquaredEpsilonInsensitive,
    SquaredError,
    SquaredErrorOnSigmoid,
    SquaredHinge,
    SquaredLogError,
    SquaredMargin,
    StudentT,
    SymmetricAbsolutePercentageError,
    SymmetricCrossEntropy,
    TukeyBiweight,
    Welsch,
    WestonWatkins,
    ZeroOne,
)
from lossfn.numerics import to_signed
from lossfn.pointwise import AccuracyWarning, PointwiseLoss
from lossfn.reduce import Total
from lossfn.robustness import efficient_tuning, gaussian_efficiency, robust_scale
from lossfn.rowwise import RowwiseLoss
from lossfn.softmax import SoftmaxLoss

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
    "AbsolutePercentageError",
    "AccuracyWarning",
    "AsymmetricFocal",
    "Barron",
    "BiTempered",
    "BinaryConfidencePenalty",
    "BinaryCrossEntropy",
    "BinaryFocal",
    "Brier",
    "Cauchy",
    "ConfidencePenalty",
    "CrammerSinger",
    "CrossEntropy",
    "Distillation",
    "EpsilonInsensitive",
    "Expectile",
    "ExponentialMargin",
    "Fair",
    "GaussianNLL",
    "GemanMcClure",
    "GeneralizedCrossEntropy",
    "HalfSquaredError",
    "Hinge",
    "Huber",
    "LinEx",
    "LogCosh",
    "LogScore",
    "LogisticMargin",
    "LogitAdjusted",
    "Loss",
    "Minkowski",
    "ModifiedHuber",
    "MulticlassBrier",
    "Perceptron",
    "Pinball",
    "PointwiseLoss",
    "Poisson",
    "PolyCrossEntropy",
    "PseudoHuber",
    "Ramp",
    "RowwiseLoss",
    "SavageMargin",
    "SigmoidMargin",
    "SmoothL1",
    "SmoothedHinge",
    "SoftmaxFocal",
    "SoftmaxLoss",
    "Spherical",
    "SphericalScore",
    "SquaredEpsilonInsensitive",
    "SquaredError",
    "SquaredErrorOnSigmoid",
    "SquaredHinge",
    "SquaredLogError",
    "SquaredMargin",
    "StudentT",
    "SymmetricAbsolutePercentageError",
    "SymmetricCrossEntropy",
    "Total",
    "TukeyBiweight",
    "Welsch",
    "WestonWatkins",
    "ZeroOne",
    "catalogue",
    "check",
    "compare",
    "define",
    "efficient_tuning",
    "gaussian_efficiency",
    "parse_loss",
    "robust_scale",
    "to_signed",
]
