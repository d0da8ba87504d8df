"""Every loss of the library, family by family."""

from __future__ import annotations

from lossfn.losses.amounts import Gamma, InverseGaussian, Tweedie
from lossfn.losses.barron import Barron
from lossfn.losses.binary import BinaryConfidencePenalty, BinaryCrossEntropy, SquaredErrorOnSigmoid
from lossfn.losses.binomial import Binomial
from lossfn.losses.bounded_margin import Ramp, SavageMargin, SigmoidMargin, ZeroOne
from lossfn.losses.counts import NegativeBinomial, Poisson, ZeroInflatedPoisson
from lossfn.losses.crps import CRPSLaplace, CRPSLogistic, CRPSNormal, CRPSStudentT
from lossfn.losses.crps_positive import CRPSLogNormal
from lossfn.losses.distillation import Distillation
from lossfn.losses.focal import AsymmetricFocal, BinaryFocal
from lossfn.losses.heavy_tails import LaplaceNLL, LogisticNLL
from lossfn.losses.hinge import Hinge, ModifiedHuber, Perceptron, SmoothedHinge, SquaredHinge
from lossfn.losses.likelihood import BetaNLL, GaussianNLL, LogNormalNLL
from lossfn.losses.margin import ExponentialMargin, LogisticMargin, SquaredMargin
from lossfn.losses.mixture import MixtureDensity
from lossfn.losses.multiclass import (
    ConfidencePenalty,
    CrossEntropy,
    GeneralizedCrossEntropy,
    LogitAdjusted,
    PolyCrossEntropy,
    SoftmaxFocal,
    SymmetricCrossEntropy,
)
from lossfn.losses.multiclass_margin import CrammerSinger, WestonWatkins
from lossfn.losses.multiclass_scores import MulticlassBrier, SphericalScore
from lossfn.losses.ordinal import Coral, Corn, CumulativeLink
from lossfn.losses.probability import Brier, LogScore, Spherical
from lossfn.losses.quantile import Expectile, IntervalScore, MultiQuantile, Pinball, SmoothedPinball
from lossfn.losses.ranked import OrdinalAbsolute, RankedProbabilityScore
from lossfn.losses.redescending import Cauchy, GemanMcClure, StudentT, TukeyBiweight, Welsch
from lossfn.losses.regression import (
    AbsoluteError,
    HalfSquaredError,
    LinEx,
    Minkowski,
    SquaredError,
)
from lossfn.losses.relative import AbsolutePercentageError, SquaredLogError, SymmetricAbsolutePercentageError
from lossfn.losses.robust import Fair, Huber, LogCosh, PseudoHuber, SmoothL1
from lossfn.losses.student_t import StudentTNLL
from lossfn.losses.tempered import BiTempered
from lossfn.losses.tube import EpsilonInsensitive, SquaredEpsilonInsensitive

#: Every loss of the library, in the order in which documents list them.
LOSSES = (
    SquaredError,
    HalfSquaredError,
    AbsoluteError,
    Minkowski,
    LinEx,
    EpsilonInsensitive,
    SquaredEpsilonInsensitive,
    SquaredLogError,
    AbsolutePercentageError,
    SymmetricAbsolutePercentageError,
    Huber,
    SmoothL1,
    PseudoHuber,
    LogCosh,
    Fair,
    Cauchy,
    GemanMcClure,
    Welsch,
    TukeyBiweight,
    StudentT,
    Barron,
    Pinball,
    SmoothedPinball,
    MultiQuantile,
    IntervalScore,
    Expectile,
    BinaryCrossEntropy,
    SquaredErrorOnSigmoid,
    BinaryConfidencePenalty,
    BinaryFocal,
    AsymmetricFocal,
    BiTempered,
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
    NegativeBinomial,
    ZeroInflatedPoisson,
    Binomial,
    Gamma,
    InverseGaussian,
    Tweedie,
    GaussianNLL,
    BetaNLL,
    LogNormalNLL,
    LaplaceNLL,
    LogisticNLL,
    StudentTNLL,
    CRPSNormal,
    CRPSLaplace,
    CRPSLogistic,
    CRPSStudentT,
    CRPSLogNormal,
)

#: Losses of rows of scores, one for each class.
ROW_LOSSES = (
    CrossEntropy,
    SoftmaxFocal,
    PolyCrossEntropy,
    GeneralizedCrossEntropy,
    SymmetricCrossEntropy,
    ConfidencePenalty,
    LogitAdjusted,
    MulticlassBrier,
    SphericalScore,
    WestonWatkins,
    CrammerSinger,
    Distillation,
    CumulativeLink,
    Coral,
    Corn,
    RankedProbabilityScore,
    OrdinalAbsolute,
    MixtureDensity,
)
