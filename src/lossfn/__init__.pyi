"""The index of lossfn: every public name and where it lives. Importing lossfn imports none of them."""

from . import calibration as calibration, numerics as numerics, scoring as scoring
from .comparison import compare as compare
from .custom import define as define
from .linear import (
    linear_cross_entropy as linear_cross_entropy,
    linear_cross_entropy_value_and_gradient as linear_cross_entropy_value_and_gradient,
)
from .loss import Loss as Loss, check as check
from .losses.amounts import Gamma as Gamma, InverseGaussian as InverseGaussian, Tweedie as Tweedie
from .losses.barron import Barron as Barron
from .losses.binary import (
    BinaryConfidencePenalty as BinaryConfidencePenalty,
    BinaryCrossEntropy as BinaryCrossEntropy,
    SquaredErrorOnSigmoid as SquaredErrorOnSigmoid,
)
from .losses.binomial import Binomial as Binomial
from .losses.bounded_margin import (
    Ramp as Ramp,
    SavageMargin as SavageMargin,
    SigmoidMargin as SigmoidMargin,
    ZeroOne as ZeroOne,
)
from .losses.counts import (
    NegativeBinomial as NegativeBinomial,
    Poisson as Poisson,
    ZeroInflatedPoisson as ZeroInflatedPoisson,
)
from .losses.crossing import crossing_rate as crossing_rate, rearrange as rearrange
from .losses.crps import (
    CRPSLaplace as CRPSLaplace,
    CRPSLogistic as CRPSLogistic,
    CRPSNormal as CRPSNormal,
    CRPSStudentT as CRPSStudentT,
)
from .losses.crps_positive import CRPSLogNormal as CRPSLogNormal
from .losses.distillation import Distillation as Distillation
from .losses.focal import AsymmetricFocal as AsymmetricFocal, BinaryFocal as BinaryFocal
from .losses.heavy_tails import LaplaceNLL as LaplaceNLL, LogisticNLL as LogisticNLL
from .losses.hinge import (
    Hinge as Hinge,
    ModifiedHuber as ModifiedHuber,
    Perceptron as Perceptron,
    SmoothedHinge as SmoothedHinge,
    SquaredHinge as SquaredHinge,
)
from .losses.likelihood import BetaNLL as BetaNLL, GaussianNLL as GaussianNLL, LogNormalNLL as LogNormalNLL
from .losses.margin import (
    ExponentialMargin as ExponentialMargin,
    LogisticMargin as LogisticMargin,
    SquaredMargin as SquaredMargin,
)
from .losses.mixture import MixtureDensity as MixtureDensity
from .losses.multiclass import (
    ConfidencePenalty as ConfidencePenalty,
    CrossEntropy as CrossEntropy,
    GeneralizedCrossEntropy as GeneralizedCrossEntropy,
    LogitAdjusted as LogitAdjusted,
    PolyCrossEntropy as PolyCrossEntropy,
    SoftmaxFocal as SoftmaxFocal,
    SymmetricCrossEntropy as SymmetricCrossEntropy,
)
from .losses.multiclass_margin import CrammerSinger as CrammerSinger, WestonWatkins as WestonWatkins
from .losses.multiclass_scores import MulticlassBrier as MulticlassBrier, SphericalScore as SphericalScore
from .losses.ordinal import Coral as Coral, Corn as Corn, CumulativeLink as CumulativeLink
from .losses.probability import Brier as Brier, LogScore as LogScore, Spherical as Spherical
from .losses.quantile import (
    Expectile as Expectile,
    IntervalScore as IntervalScore,
    MultiQuantile as MultiQuantile,
    Pinball as Pinball,
    SmoothedPinball as SmoothedPinball,
)
from .losses.ranked import OrdinalAbsolute as OrdinalAbsolute, RankedProbabilityScore as RankedProbabilityScore
from .losses.redescending import (
    Cauchy as Cauchy,
    GemanMcClure as GemanMcClure,
    StudentT as StudentT,
    TukeyBiweight as TukeyBiweight,
    Welsch as Welsch,
)
from .losses.regression import (
    AbsoluteError as AbsoluteError,
    HalfSquaredError as HalfSquaredError,
    LinEx as LinEx,
    Minkowski as Minkowski,
    SquaredError as SquaredError,
)
from .losses.relative import (
    AbsolutePercentageError as AbsolutePercentageError,
    SquaredLogError as SquaredLogError,
    SymmetricAbsolutePercentageError as SymmetricAbsolutePercentageError,
)
from .losses.robust import (
    Fair as Fair,
    Huber as Huber,
    LogCosh as LogCosh,
    PseudoHuber as PseudoHuber,
    SmoothL1 as SmoothL1,
)
from .losses.student_t import StudentTNLL as StudentTNLL
from .losses.tempered import BiTempered as BiTempered
from .losses.tube import (
    EpsilonInsensitive as EpsilonInsensitive,
    SquaredEpsilonInsensitive as SquaredEpsilonInsensitive,
)
from .numerics import to_signed as to_signed
from .objective import scipy_objective as scipy_objective
from .pointwise import AccuracyWarning as AccuracyWarning, PointwiseLoss as PointwiseLoss
from .reduce import Total as Total
from .registry import catalogue as catalogue, parse_loss as parse_loss
from .robustness import (
    efficient_tuning as efficient_tuning,
    gaussian_efficiency as gaussian_efficiency,
    robust_scale as robust_scale,
)
from .rowwise import RowwiseLoss as RowwiseLoss
from .softmax import SoftmaxLoss as SoftmaxLoss

__version__: str
