"""Numbers and functions from outside the project: adding a loss adds one row here.

Numbers marked "formula" come from the textbook formula in the comment, evaluated with mpmath at 40 digits and pasted;
they share no code with the library. Both they and the results are doubles, so they agree to a few rounding errors:
1e-14 relative, times 10 where logits enter through an exponential.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import CATALOGUE, assert_close, draw, label

from lossfn import (
    AbsoluteError,
    AbsolutePercentageError,
    AsymmetricFocal,
    Barron,
    BetaNLL,
    BinaryConfidencePenalty,
    BinaryCrossEntropy,
    BinaryFocal,
    Binomial,
    BiTempered,
    Brier,
    Cauchy,
    CRPSLaplace,
    CRPSLogistic,
    CRPSLogNormal,
    CRPSNormal,
    CRPSStudentT,
    EpsilonInsensitive,
    Expectile,
    ExponentialMargin,
    Fair,
    Gamma,
    GaussianNLL,
    GemanMcClure,
    HalfSquaredError,
    Hinge,
    Huber,
    IntervalScore,
    InverseGaussian,
    LaplaceNLL,
    LinEx,
    LogCosh,
    LogisticMargin,
    LogisticNLL,
    LogNormalNLL,
    LogScore,
    Minkowski,
    ModifiedHuber,
    MultiQuantile,
    NegativeBinomial,
    Perceptron,
    Pinball,
    Poisson,
    PseudoHuber,
    Ramp,
    SavageMargin,
    SigmoidMargin,
    SmoothedHinge,
    SmoothedPinball,
    SmoothL1,
    Spherical,
    SquaredEpsilonInsensitive,
    SquaredError,
    SquaredErrorOnSigmoid,
    SquaredHinge,
    SquaredLogError,
    SquaredMargin,
    StudentT,
    StudentTNLL,
    SymmetricAbsolutePercentageError,
    TukeyBiweight,
    Tweedie,
    Welsch,
    ZeroInflatedPoisson,
    ZeroOne,
)


class Row(NamedTuple):
    """Mean value, and gradients and Hessians of single elements, with their source."""

    loss: Any
    pred: Any
    target: Any
    mean: float
    source: str
    gradient: Any = None
    hessian: Any = None


ROWS = [
    Row(
        SquaredError(), [2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0], 0.375,
        "example of sklearn.metrics.mean_squared_error", [-1.0, 1.0, 0.0, 2.0], [2.0, 2.0, 2.0, 2.0],
    ),
    Row(
        HalfSquaredError(), [1.1, 2.2, 2.8, 10.0], [1.0, 2.0, 3.0, 100.0], 1012.51125,
        "by hand: (0.005 + 0.02 + 0.02 + 4050) / 4", [0.1, 0.2, -0.2, -90.0], [1.0, 1.0, 1.0, 1.0],
    ),
    Row(
        AbsoluteError(), [1.1, 2.2, 2.8, 10.0], [1.0, 2.0, 3.0, 100.0], 22.625,
        "by hand: (0.1 + 0.2 + 0.2 + 90) / 4", [1.0, 1.0, -1.0, -1.0], [0.0, 0.0, 0.0, 0.0],
    ),
    Row(
        Huber(delta=1.0), [1.1, 2.2, 2.8, 10.0], [1.0, 2.0, 3.0, 100.0], 22.38625,
        "by hand: (0.005 + 0.02 + 0.02 + 89.5) / 4", [0.1, 0.2, -0.2, -1.0], [1.0, 1.0, 1.0, 0.0],
    ),
    Row(
        SmoothL1(beta=0.5), [2.0], [0.0], 1.75,
        "by hand: |2| - 0.5 / 2; the Huber loss with delta 0.5 would be 0.875", [1.0], [0.0],
    ),
    Row(
        PseudoHuber(delta=3.0), [4.0], [0.0], 6.0,
        "by hand, the 3-4-5 triangle: 9 (5/3 - 1), 4 / (5/3), (3/5)^3", [2.4], [0.216],
    ),
    Row(
        LogCosh(), [1000.0], [0.0], 999.30685281944005469,
        "formula: 1000 - log 2, where cosh itself overflows", [1.0], [0.0],
    ),
    Row(
        LogCosh(), [1.0], [0.0], 0.43378083048302718703,
        "formula: log(cosh 1), tanh 1, 1 / cosh(1)^2", [0.76159415595576488812], [0.41997434161402606939],
    ),
    Row(
        LogCosh(scale=2.0), [3.0], [0.0], 3.4217606840551869974,
        "formula: 4 log(cosh 1.5), 2 tanh 1.5, 1 / cosh(1.5)^2", [1.8102965072897328765], [0.1807066389236485306],
    ),
    Row(
        Minkowski(p=3.0), [2.0, -1.0], [0.0, 0.0], 4.5,
        "by hand: (8 + 1) / 2, 3 r² times the sign, 6 times the size", [12.0, -3.0], [12.0, 6.0],
    ),
    Row(
        Minkowski(p=1.5), [2.0], [0.0], 2.8284271247461900976,
        "formula: r^1.5 and its derivatives by mpmath.diff",
        [2.1213203435596425732], [0.5303300858899106433],
    ),
    Row(
        LinEx(a=0.5), [1.5], [0.0], 0.36700001661267466855,
        "formula: e^(r/2) - r/2 - 1 and its derivatives by mpmath.diff",
        [0.55850000830633733427], [0.52925000415316866714],
    ),
    Row(
        EpsilonInsensitive(epsilon=0.5), [0.25, 0.5, -2.0, 3.0], [0.0, 0.0, 0.0, 0.0], 1.0,
        "by hand: (0 + 0 + 1.5 + 2.5) / 4", [0.0, 0.0, -1.0, 1.0], [0.0, 0.0, 0.0, 0.0],
    ),
    Row(
        SquaredEpsilonInsensitive(epsilon=0.5), [0.25, -2.0, 3.0], [0.0, 0.0, 0.0], 8.5 / 3,
        "by hand: (0 + 2.25 + 6.25) / 3", [0.0, -3.0, 5.0], [0.0, 2.0, 2.0],
    ),
    Row(
        SquaredLogError(), [2.5, 5.0, 4.0, 8.0], [3.0, 5.0, 2.5, 7.0], 0.039730122984593799098,
        "formula: squares of log(3.5 / 4), log(5 / 3.5), log(9 / 8); scikit-learn's documentation prints 0.039...",
    ),
    Row(
        SquaredLogError(), [1.5], [3.0], 0.22090341150416284504,
        "formula: (log 2.5 - log 4)² and its derivatives by mpmath.diff",
        [-0.37600290339658844292], [0.47040116135863537717],
    ),
    Row(
        AbsolutePercentageError(), [2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0], 0.32738095238095238095,
        "example of sklearn.metrics.mean_absolute_percentage_error: 0.3273...",
        [-1 / 3, 2.0, 0.0, 1 / 7], [0.0, 0.0, 0.0, 0.0],
    ),
    Row(
        SymmetricAbsolutePercentageError(), [100.0, 150.0, 0.0, -1.0], [150.0, 100.0, 0.0, 3.0], 0.7,
        "by hand: 50 / 125 either way, 0 where both are 0, 2 across signs; 4 y / (p + y)²",
        [-600 / 62500, 400 / 62500, 0.0, 0.0], [1200 / 250**3, -800 / 250**3, 0.0, 0.0],
    ),
    Row(
        Fair(scale=2.0), [2.0], [0.0], 1.2274112777602187623,
        "formula: 4 (1 - log 2), r / (1 + r/c), 1 / (1 + r/c)²", [1.0], [0.25],
    ),
    Row(
        Cauchy(scale=2.0), [2.0, 4.0], [0.0, 0.0], math.log(10.0),
        "by hand: 2 log 2 and 2 log 5; r / (1 + (r/c)²)", [1.0, 0.8], [0.0, -0.12],
    ),
    Row(
        GemanMcClure(scale=2.0), [2.0], [0.0], 1.0,
        "by hand: r²/2 / (1 + 1), r / (1 + 1)², (1 - 3) / (1 + 1)³", [0.5], [-0.25],
    ),
    Row(
        Welsch(scale=2.0), [1.0], [0.0], 0.44239843385719026351,
        "formula: c²/2 (1 - exp(-(r/c)²)) and its derivatives by mpmath.diff",
        [0.77880078307140486825], [0.38940039153570243412],
    ),
    Row(
        TukeyBiweight(c=2.0), [1.0, 2.0, 3.0], [0.0, 0.0, 0.0], (37 / 96 + 2 / 3 + 2 / 3) / 3,
        "by hand: c²/6 (1 - (3/4)³), then c²/6; r (1 - (r/c)²)²", [0.5625, 0.0, 0.0], [-0.1875, 0.0, 0.0],
    ),
    Row(
        StudentT(df=3.0, scale=2.0), [2.0], [0.0], 2 * math.log(4 / 3),
        "by hand: 2 log(1 + 1/3), (df + 1) r / (df scale² + r²)", [0.5], [0.125],
    ),
    Row(
        Barron(alpha=-2.5, scale=2.0), [3.0], [0.0], 0.71567759566818620165,
        "Barron (2019), equation 1, and its derivatives by mpmath.diff",
        [0.30120066786994827732], [-0.05020011131165804622],
    ),
    Row(
        Barron(alpha=-1e17, scale=2.0), [3.0], [0.0], 0.6753475326416502723,
        "Barron (2019), equation 1, and its derivatives by mpmath.diff: 2 - alpha is -alpha",
        [0.24348935051876230043], [-0.10145389604948428774],
    ),
    Row(
        Barron(alpha=-math.inf, scale=2.0), [2.0], [0.0], 0.3934693402873665764,
        "Barron (2019), equation 5: 1 - exp(-1/2)", [0.30326532985631671180], [0.0],
    ),
    Row(
        Pinball(tau=0.1), [8.0, 12.0], [10.0, 10.0], 1.0,
        "by hand: 0.1 · 2 below the target, 0.9 · 2 above", [-0.1, 0.9], [0.0, 0.0],
    ),
    Row(
        Pinball(tau=0.9), [8.0, 12.0], [10.0, 10.0], 1.0,
        "by hand: 0.9 · 2 below the target, 0.1 · 2 above", [-0.9, 0.1], [0.0, 0.0],
    ),
    Row(
        Pinball(tau=0.1), [0.0, 2.0, 3.0], [1.0, 2.0, 3.0], 0.1 / 3,
        "example of sklearn.metrics.mean_pinball_loss: 0.03...",
    ),
    Row(
        Expectile(tau=0.9), [8.0, 12.0], [10.0, 10.0], 2.0,
        "by hand: (0.9 · 4 + 0.1 · 4) / 2", [-3.6, 0.4], [1.8, 0.2],
    ),
    Row(
        BinaryCrossEntropy(), [-2.0, 1.5, 0.5, -1.0, 3.0], [0, 1, 1, 0, 1], 0.23285346245955929592,
        "formula: -log of the probability of the label; sigmoid(z) - y",
        [0.11920292202211755594, -0.18242552380635634039, -0.37754066879814543536, 0.26894142136999512075,
         -0.047425873177566780879],
    ),
    Row(
        BinaryCrossEntropy(inputs="probabilities"), [0.9, 0.1, 0.2, 0.65], [1, 0, 0, 1], 0.2161618746805791539,
        "example of sklearn.metrics.log_loss: 0.21616", [-1 / 0.9, 1 / 0.9, 1.25, -1 / 0.65],
    ),
    Row(
        BinaryCrossEntropy(inputs="log_probabilities"), [math.log(0.5)], [1], math.log(2.0),
        "by hand: a coin", [-1.0], [0.0],
    ),
    Row(
        BinaryCrossEntropy(), [1000.0, -1000.0], [0, 1], 1000.0,
        "by hand: log(1 + e^1000) is 1000 to the last digit", [1.0, -1.0], [0.0, 0.0],
    ),
    Row(
        BinaryFocal(gamma=2.0), [math.log(9.0)], [1], 0.00105360515657826,
        "Lin et al. (2017), section 3: at p = 0.9 a hundredth of the cross-entropy, -log(0.9) = 0.105360515657826",
    ),
    Row(
        BinaryFocal(gamma=2.0, alpha=0.25), [0.7], [1], 0.011097630935326918736,
        "formula: -α (1 - p)² log p and its derivatives by mpmath.diff",
        [-0.023963680610126536284], [0.045411334618697254722],
    ),
    Row(
        BinaryFocal(gamma=2.0, alpha=0.25), [0.7], [0], 0.36940865971238142213,
        "formula: -(1 - α) p² log(1 - p) and its derivatives by mpmath.diff",
        [0.46889542172532292527], [0.37009093181366465594],
    ),
    Row(
        LogScore(), [0.9, 0.1, 0.2, 0.65], [1, 0, 0, 1], 0.2161618746805791539,
        "example of sklearn.metrics.log_loss: 0.21616", [-1 / 0.9, 1 / 0.9, 1.25, -1 / 0.65],
    ),
    Row(
        Brier(), [0.1, 0.9, 0.8, 0.3], [0, 1, 1, 0], 0.0375,
        "example of sklearn.metrics.brier_score_loss: 0.0375", [0.2, -0.2, -0.4, 0.6], [2.0, 2.0, 2.0, 2.0],
    ),
    Row(
        Spherical(), [0.6], [1], -0.83205029433784365934,
        "formula: -p / √(p² + (1 - p)²) and its derivatives by mpmath.diff",
        [-1.0667311465869791674], [3.8976714971447311727],
    ),
    Row(
        Spherical(), [0.3], [0], -0.91914503001805790409,
        "formula: -(1 - p) / √(p² + (1 - p)²) and its derivatives by mpmath.diff",
        [0.67917120444684076952], [3.669085817126611194],
    ),
    Row(
        AsymmetricFocal(gamma_pos=0.0, gamma_neg=4.0, margin=0.05), [1.0], [0], 0.24586022467608253326,
        "formula: -q^4 log(1 - q), q = p - 0.05, and its derivatives by mpmath.diff",
        [0.41653390005213981238], [0.44145362687691126868],
    ),
    Row(
        AsymmetricFocal(gamma_pos=1.0, gamma_neg=4.0, margin=0.05), [0.7], [1], 0.13378206111139847229,
        "formula: -(1 - p) log p and its derivatives by mpmath.diff",
        [-0.19949089190881564041], [0.25077025432107673606],
    ),
    Row(
        BiTempered(t1=0.5, t2=2.0), [1.5], [1], 0.19152760059900967453,
        "formula: Amid et al. (2019), equation 4, the probability by solving log_t2 p - log_t2 (1 - p) = z",
        [-0.087608760858087891633], [0.051646186220788763163],
    ),
    Row(
        BiTempered(t1=0.9999, t2=1.2), [-0.5], [1], 0.93286410636930965905,
        "as above, and its derivatives by mpmath.diff", [-0.52030494671156115277], [0.14555833579948821846],
    ),
    Row(
        SquaredErrorOnSigmoid(), [-0.5], [1], 0.38745561900026007557,
        "formula: (p - 1)^2 and its derivatives by mpmath.diff", [-0.29256050705391522963], [0.038799961437263873616],
    ),
    Row(
        SquaredErrorOnSigmoid(), [1.5], [0.25], 0.3221407860264889733,
        "formula: (p - 1/4)^2 and its derivatives by mpmath.diff", [0.16930343881991910194], [-0.063043573471700617242],
    ),
    Row(
        BinaryConfidencePenalty(lam=0.5), [2.0], [1], -0.055738916500631307718,
        "formula: -log p - H(p) / 2 and its derivatives by mpmath.diff",
        [-0.014209336618611038592], [0.077527877049106713499],
    ),
    Row(
        Hinge(), [-2.0, 3.0, 0.5, -0.5, 1.5], [-1, 1, 1, -1, 1], 0.2,
        "by hand: margins 2, 3, 0.5, 0.5, 1.5", [0.0, 0.0, -1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0],
    ),
    Row(
        SquaredHinge(), [-2.0, 3.0, 0.5, -0.5, 1.5], [-1, 1, 1, -1, -1], 1.35,
        "by hand: (0 + 0 + 0.25 + 0.25 + 6.25) / 5", [0.0, 0.0, -1.0, 1.0, 5.0], [0.0, 0.0, 2.0, 2.0, 2.0],
    ),
    Row(
        SmoothedHinge(width=0.5), [2.0, 0.75, -1.0], [1, 1, 1], 0.60416666666666666667,
        "by hand: (0 + 0.0625 + 2 - 0.25) / 3", [0.0, -0.5, -1.0], [0.0, 2.0, 0.0],
    ),
    Row(
        ModifiedHuber(), [2.0, 0.5, -3.0], [1, 1, 1], 12.25 / 3,
        "by hand: (0 + 0.25 + 12) / 3", [0.0, -1.0, -4.0], [0.0, 2.0, 0.0],
    ),
    Row(
        LogisticMargin(), [1.5], [-1], 1.7014132779827524095,
        "formula: log(1 + e^-m) and its derivatives at m = -1.5", [0.81757447619364365961], [0.1491464520703328565],
    ),
    Row(
        ExponentialMargin(), [1.5], [-1], 4.4816890703380648226,
        "formula: e^1.5, the slope with the sign of the label", [4.4816890703380648226], [4.4816890703380648226],
    ),
    Row(
        SquaredMargin(), [3.0, 0.5], [1, -1], 3.125, "by hand: (4 + 2.25) / 2", [4.0, 3.0], [2.0, 2.0],
    ),
    Row(
        Perceptron(), [2.0, -0.5, 0.0], [1, 1, 1], 0.5 / 3, "by hand: only the second", [0.0, -1.0, 0.0], [0.0] * 3,
    ),
    Row(
        ZeroOne(), [2.0, -0.5, 0.0, 3.0], [1, 1, -1, -1], 0.75, "by hand: three wrong", [0.0] * 4, [0.0] * 4,
    ),
    Row(
        Ramp(), [2.0, 0.25, -7.0], [1, 1, 1], 1.75 / 3, "by hand: (0 + 0.75 + 1) / 3", [0.0, -1.0, 0.0], [0.0] * 3,
    ),
    Row(
        SavageMargin(), [0.25], [1], 0.14253695659655094629,
        "formula: 1 / (1 + e^2m)^2 and its derivatives by mpmath.diff",
        [-0.35489383469854749702], [0.61565420456762141894],
    ),
    Row(
        SigmoidMargin(), [-0.75], [-1], 0.32082130082460702684,
        "formula: 1 / (1 + e^m) and its derivatives by mpmath.diff",
        [0.21789499376181402948], [0.078084283078144408949],
    ),
    Row(
        Poisson(), [0.5], [2], 0.64872127070012814685,
        "formula: e^z - y z, e^z - y, e^z", [-0.35127872929987185315], [1.6487212707001281468],
    ),
    Row(
        Poisson(), [math.log(3.0)], [3], -0.29583686600432907419,
        "formula: 3 - 3 log 3, the minimum", [0.0], [3.0],
    ),
    Row(
        GaussianNLL(), [[1.0, 0.5]], [3.0], 1.4630613194252668472,
        "formula: s/2 + (y - m)² e^-s / 2 and its derivatives",
        [[-1.2130613194252668472, -0.71306131942526684721]],
        [[[0.6065306597126334236, 1.2130613194252668472], [1.2130613194252668472, 1.2130613194252668472]]],
    ),
    Row(
        GaussianNLL(constants=True), [[0.0, 0.0]], [1.0], 1.41893853320467274178,
        "minus the log of the standard normal density at 1: 1/2 + log(2π)/2", [[-1.0, 0.0]],
    ),
    Row(
        SmoothedPinball(tau=0.9, width=0.5), [8.0, 10.0, 12.0], [10.0, 10.0, 10.0], (1.8 + 0.125 + 0.2) / 3,
        "by hand: pinball loss beyond the width, a quarter of the width at the target",
        [-0.9, -0.4, 0.1], [0.0, 1.0, 0.0],
    ),
    Row(
        MultiQuantile(taus=(0.1, 0.5, 0.9)), [[8.0, 11.0, 12.0]], [10.0], 0.9,
        "by hand: 0.1 · 2 + 0.5 · 1 + 0.1 · 2", [[-0.1, 0.5, 0.1]], np.zeros((1, 3, 3)),
    ),
    Row(
        MultiQuantile(taus=(0.25, 0.75), crossing="impossible"), [[1.0, 0.0]], [3.0], 1.4801396145800411,
        "by hand: quantiles 1 and 1 + log 2; 0.25 · 2 + 0.75 · (2 - log 2); the slope of softplus at 0 is 1/2",
        [[-1.0, -0.375]], [[[0.0, 0.0], [0.0, -0.1875]]],
    ),
    Row(
        IntervalScore(level=0.9), [[8.0, 12.0], [8.0, 12.0]], [10.0, 13.0], 14.0,
        "by hand: width 4 inside, 4 + 2 / 0.1 · 1 outside", [[-1.0, 1.0], [-1.0, -19.0]],
    ),
    Row(
        Poisson(constants=True), [0.5], [2], 1.34186845126007345627,
        "formula: e^z - 2 z + log 2!", [-0.35127872929987185315], [1.6487212707001281468],
    ),
    Row(
        NegativeBinomial(dispersion=0.5, constants=True), [math.log(4.0)], [2], 1.90954250488443845535,
        "formula: minus the log mass with n = 2, p = 1/3 at 2", [0.66666666666666666667], [0.88888888888888888889],
    ),
    Row(
        ZeroInflatedPoisson(), [[0.5, -0.3]], [0], 0.623583286931344802412,
        "formula: -log(p + (1 - p) e^-rate), p = sigmoid(-0.3), and its derivatives by mpmath.diff",
        [[0.339767666682496162855, -0.368363009789702450193]],
        [[[-0.104972445150218691291, -0.269748513430566906754], [-0.269748513430566906754, 0.0808475678832019657311]]],
    ),
    Row(
        ZeroInflatedPoisson(constants=True), [[0.5, -0.3]], [2], 1.89622369572860057508,
        "formula: -log((1 - p) e^-rate rate^2 / 2) and its derivatives by mpmath.diff",
        [[-0.351278729299871853151, 0.425557483188341012848]],
        [[[1.64872127070012814685, 0.0], [0.0, 0.244458311690745869066]]],
    ),
    Row(
        Binomial(constants=True), [0.7], (np.array([2]), np.array([7])), 3.27777990447478225584,
        "formula: -log(21 p^2 (1 - p)^5), p = sigmoid(0.7)", [2.67731440517716274572], [1.55199011305176335284],
    ),
    Row(
        Gamma(), [0.7], [3.0], 2.18975591137422854411,
        "formula: z + 3 e^-z", [-0.489755911374228544114], [1.48975591137422854411],
    ),
    Row(
        InverseGaussian(constants=True), [0.7], [3.0], 2.60683377499450414624,
        "formula: (3 - m)^2 / (6 m^2) + log(54 pi) / 2, m = e^z", [-0.243205588033409916115], [0.982996479858229346934],
    ),
    Row(
        Tweedie(power=1.5), [0.7], [3.0], 7.06626363549879510267,
        "formula: 2 e^(z/2) + 6 e^(-z/2)", [-0.694996720562883054794], [1.76656590887469877567],
    ),
    Row(
        BetaNLL(beta=0.5), [[1.0, 0.5]], [3.0], 1.8786079203147451075,
        "formula: e^(s/2) times the Gaussian value, gradient and Hessian",
        [[-1.5576015661428097365, -0.91558885779893899445]],
        [[[0.77880078307140486825, 1.5576015661428097365], [1.5576015661428097365, 1.5576015661428097365]]],
    ),
    Row(
        LaplaceNLL(), [[1.0, 0.5]], [3.0], 1.7130613194252668472,
        "formula: s + |y - m| e^-s and its derivatives by mpmath.diff",
        [[-0.6065306597126334236, -0.21306131942526684721]],
        [[[0.0, 0.6065306597126334236], [0.6065306597126334236, 1.2130613194252668472]]],
    ),
    Row(
        LogisticNLL(), [[1.0, 0.5]], [3.0], 0.84731542695642985314,
        "formula: s + 2 log cosh(u / 2), u = (y - m) e^-s, and its derivatives by mpmath.diff",
        [[-0.32854572910020865643, 0.34290854179958268715]],
        [[[0.12996857253072731422, 0.58848287416166328486], [0.58848287416166328486, 1.1769657483233265697]]],
    ),
    Row(
        StudentTNLL(), [[1.0, 0.5, 1.5]], [3.0], 1.3335520758338872803,
        "formula: minus the log density of the t distribution, with log Γ, and its derivatives by mpmath.diff",
        [[-0.67748383946868086824, -0.35496767893736173647, -0.095750830504422698503]],
        [[[0.17128099779886151227, 1.0200458350664038928, -0.043870577650063382867],
          [1.0200458350664038928, 2.0400916701328077856, -0.087741155300126765734],
          [-0.043870577650063382867, -0.087741155300126765734, 0.0906421197844183124]]],
    ),
    Row(
        LogNormalNLL(), [[1.5, 0.5]], [3.0], 0.52963491370201025598,
        "formula: s + (log y - m)² e^-2s / 2 and its derivatives by mpmath.diff",
        [[0.14766228693786001329, 0.94073017259597948804]],
        [[[0.3678794411714423216, -0.29532457387572002659], [-0.29532457387572002659, 0.11853965480804102391]]],
    ),
    Row(
        CRPSNormal(), [[1.0, 0.5]], [3.0], 1.2499016440999154641,
        "formula of Gneiting et al. (2005), with its derivatives by mpmath.diff",
        [[-0.77489362276119743405, -0.29988560142247940396]],
        [[[0.2318765328455529215, 0.46375306569110584299], [0.46375306569110584299, 0.62762052995973228203]]],
    ),
    Row(
        CRPSLaplace(), [[1.0, 0.5]], [3.0], 1.253600465920022568,
        "formula: (|u| + e^-|u| - 3/4) e^s, with its derivatives by mpmath.diff",
        [[-0.7027142018147309259, -0.15182793770943928382]],
        [[[0.18031295129650805176, 0.36062590259301610351], [0.36062590259301610351, 0.5694238674765929232]]],
    ),
    Row(
        CRPSLogistic(), [[1.0, 0.5]], [3.0], 1.2095180619952428069,
        "formula: (u - 2 log sigmoid(u) - 1) e^s, with its derivatives by mpmath.diff",
        [[-0.54168033196519608576, 0.1261573980648506354]],
        [[[0.21428195005394250735, 0.4285639001078850147], [0.4285639001078850147, 0.9832851982806206648]]],
    ),
    Row(
        CRPSStudentT(df=4.0), [[1.0, 0.5]], [3.0], 1.2329090678260116587,
        "Jordan, Krüger and Lerch (2019), with mpmath's incomplete Beta function, and its derivatives by mpmath.diff",
        [[-0.7081575140643363646, -0.18340596030266107047]],
        [[[0.20787126872332529804, 0.41574253744665059608], [0.41574253744665059608, 0.64807911459064012169]]],
    ),
    Row(
        CRPSLogNormal(), [[1.0, 0.5]], [3.0], 1.5357149436280712496,
        "Baran and Lerch (2015), equation for the log-normal CRPS, with its derivatives by mpmath.diff",
        [[1.3926325376147030801, 2.7361322642298743346]],
        [[[2.8418623271037640253, 2.8790441305773934528], [2.8790441305773934528, 7.5812954215019147545]]],
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: label(row.loss))
def test_reference_value(row):
    assert_close(row.loss(row.pred, row.target), row.mean, rtol=1e-13)
    if row.gradient is not None:
        assert_close(row.loss.gradient(row.pred, row.target, reduction="sum"), row.gradient, rtol=1e-13, atol=1e-15)
    if row.hessian is not None:
        assert_close(row.loss.hessian(row.pred, row.target, reduction="sum"), row.hessian, rtol=1e-13, atol=1e-15)


def test_every_loss_has_a_reference_value():
    assert {type(entry.loss) for entry in CATALOGUE} == {type(row.loss) for row in ROWS}


# ---- executed peers -------------------------------------------------------------------------------------------------

SIZE = 200


@pytest.fixture(scope="module")
def functional():
    return pytest.importorskip("torch").nn.functional


# Factor times the peer, on (functional, pred, target), is our loss.
TORCH_PEERS = {
    "mse_loss": (SquaredError(), 1.0, lambda f, p, t: f.mse_loss(p, t, reduction="none")),
    "mse_loss / 2": (HalfSquaredError(), 0.5, lambda f, p, t: f.mse_loss(p, t, reduction="none")),
    "l1_loss": (AbsoluteError(), 1.0, lambda f, p, t: f.l1_loss(p, t, reduction="none")),
    "huber_loss": (Huber(delta=1.7), 1.0, lambda f, p, t: f.huber_loss(p, t, reduction="none", delta=1.7)),
    "smooth_l1_loss": (SmoothL1(beta=0.6), 1.0, lambda f, p, t: f.smooth_l1_loss(p, t, reduction="none", beta=0.6)),
    "l1_loss / 2": (Pinball(tau=0.5), 0.5, lambda f, p, t: f.l1_loss(p, t, reduction="none")),
    "binary_cross_entropy_with_logits": (
        BinaryCrossEntropy(),
        1.0,
        lambda f, p, t: f.binary_cross_entropy_with_logits(p, t, reduction="none"),
    ),
    "binary_cross_entropy_with_logits, pos_weight": (
        BinaryCrossEntropy(pos_weight=3.0),
        1.0,
        lambda f, p, t: f.binary_cross_entropy_with_logits(p, t, reduction="none", pos_weight=p.new_tensor(3.0)),
    ),
    "binary_cross_entropy_with_logits, smoothed target": (
        BinaryCrossEntropy(label_smoothing=0.1),
        1.0,
        lambda f, p, t: f.binary_cross_entropy_with_logits(p, t * 0.9 + 0.05, reduction="none"),
    ),
    "binary_cross_entropy": (
        BinaryCrossEntropy(inputs="probabilities"),
        1.0,
        lambda f, p, t: f.binary_cross_entropy(p, t, reduction="none"),
    ),
    "relu of one minus the margin": (Hinge(), 1.0, lambda f, p, t: f.relu(1 - p * t)),
    "poisson_nll_loss": (
        Poisson(),
        1.0,
        lambda f, p, t: f.poisson_nll_loss(p, t, log_input=True, full=False, reduction="none"),
    ),
    "gaussian_nll_loss": (
        GaussianNLL(),
        1.0,
        lambda f, p, t: f.gaussian_nll_loss(p[..., 0], t, p[..., 1].exp(), eps=1e-300, reduction="none"),
    ),
    "gaussian_nll_loss, full": (
        GaussianNLL(constants=True),
        1.0,
        lambda f, p, t: f.gaussian_nll_loss(p[..., 0], t, p[..., 1].exp(), full=True, eps=1e-300, reduction="none"),
    ),
}


@pytest.mark.parametrize(("loss", "factor", "peer"), TORCH_PEERS.values(), ids=TORCH_PEERS)
def test_equal_to_pytorch_with_the_factor(functional, loss, factor, peer):
    import torch

    pred, target = draw(loss, SIZE)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, SIZE)
    tensor = torch.tensor(pred, requires_grad=True)
    elements = factor * peer(functional, tensor, torch.tensor(target))
    total = (torch.tensor(weight) * elements).sum()
    (gradient,) = torch.autograd.grad(total, tensor)
    assert_close(loss.elementwise(pred, target), elements.detach().numpy(), rtol=1e-11, atol=1e-13)
    got = loss.value_and_gradient(pred, target, weight=weight, reduction="sum")
    assert_close(got[0], total.item(), rtol=1e-12)
    assert_close(got[1], gradient.numpy(), rtol=1e-9, atol=1e-12)


SKLEARN_PEERS = {
    "HalfSquaredError": (HalfSquaredError(), {}),
    "AbsoluteError": (AbsoluteError(), {}),
    "PinballLoss": (Pinball(tau=0.7), {"quantile": 0.7}),
    "HuberLoss": (Huber(delta=0.7), {"delta": 0.7}),
    "HalfBinomialLoss": (BinaryCrossEntropy(), {}),
    "HalfPoissonLoss": (Poisson(), {}),
}


@pytest.mark.parametrize("name", SKLEARN_PEERS)
def test_equal_to_the_private_losses_of_scikit_learn(name):
    loss, parameters = SKLEARN_PEERS[name]
    peer = getattr(pytest.importorskip("sklearn._loss.loss"), name)(**parameters)
    pred, target = draw(loss, SIZE)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, SIZE)
    # "sum", because scikit-learn does not divide gradients.
    value, gradient = loss.value_and_gradient(pred, target, weight=weight, reduction="sum")
    assert_close(value, peer.loss(target, pred, sample_weight=weight).sum(), rtol=1e-12)
    peer_gradient, peer_hessian = peer.gradient_hessian(target, pred, sample_weight=weight)
    assert_close(gradient, peer_gradient, rtol=1e-9, atol=1e-12)
    if not peer.approx_hessian:
        # scikit-learn's solvers need 1 where the curvature is 0.
        assert_close(loss.hessian(pred, target, weight=weight, reduction="sum"), peer_hessian, rtol=1e-9)


METRICS = {
    "mean_squared_error": (SquaredError(), {}),
    "mean_absolute_error": (AbsoluteError(), {}),
    "mean_pinball_loss": (Pinball(tau=0.8), {"alpha": 0.8}),
    "log_loss": (LogScore(), {}),
    "brier_score_loss": (Brier(), {}),
    "hinge_loss": (Hinge(), {}),
    "mean_squared_log_error": (SquaredLogError(), {}),
    "mean_absolute_percentage_error": (AbsolutePercentageError(), {}),
}


@pytest.mark.parametrize("name", METRICS)
def test_equal_to_the_metrics_of_scikit_learn(name):
    loss, options = METRICS[name]
    metric = getattr(pytest.importorskip("sklearn.metrics"), name)
    pred, target = draw(loss, SIZE)
    if loss.task == "binary" and name != "hinge_loss":
        target = target.round()
    weight = np.random.default_rng(1).uniform(0.5, 2.0, SIZE)
    assert_close(loss(pred, target, weight=weight), metric(target, pred, sample_weight=weight, **options))


@pytest.mark.parametrize(
    ("loss", "peer"),
    [
        (Huber(delta=1.7), lambda s, r, _: s.huber(1.7, r)),
        (SmoothL1(beta=1.7), lambda s, r, _: s.huber(1.7, r) / 1.7),
        (PseudoHuber(delta=1.7), lambda s, r, _: s.pseudo_huber(1.7, r)),
        (Poisson(), lambda s, r, y: np.exp(r + y) - s.xlogy(y, np.exp(r + y))),
        (BinaryFocal(gamma=0.0), lambda s, r, y: -s.log_expit((2 * y - 1) * (r + y))),
        (
            BinaryFocal(gamma=1.5, alpha=0.3),
            lambda s, r, y: (
                -np.where(y > 0, 0.3, 0.7) * s.expit((1 - 2 * y) * (r + y)) ** 1.5 * s.log_expit((2 * y - 1) * (r + y))
            ),
        ),
    ],
    ids=lambda item: label(item) if hasattr(item, "gradient") else "",
)
def test_equal_to_scipy(loss, peer):
    import scipy.special

    pred, target = draw(loss, SIZE)
    assert_close(loss.elementwise(pred, target), peer(scipy.special, pred - target, target), rtol=1e-9, atol=1e-13)


def test_the_gaussian_likelihood_is_the_log_density_of_scipy():
    import scipy.stats

    pred, target = draw(GaussianNLL(), SIZE)
    density = scipy.stats.norm.logpdf(target, pred[:, 0], np.exp(pred[:, 1] / 2))
    assert_close(GaussianNLL(constants=True).elementwise(pred, target), -density)


def test_poisson_differs_from_the_log_mass_of_scipy_by_what_does_not_depend_on_the_prediction():
    import scipy.special
    import scipy.stats

    target = np.arange(20)
    logits = np.linspace(-2, 4, 20)
    mass = scipy.stats.poisson.logpmf(target, np.exp(logits))
    assert_close(Poisson().elementwise(logits, target), -mass - scipy.special.gammaln(target + 1), atol=1e-12)


def test_the_losses_that_noise_models_name_are_their_likelihoods():
    import scipy.stats

    residual = np.linspace(-5, 5, 41)
    zero = np.zeros_like(residual)
    for loss, density in ((HalfSquaredError(), scipy.stats.norm), (AbsoluteError(), scipy.stats.laplace)):
        difference = density.logpdf(0.0) - density.logpdf(residual)
        assert_close(loss.elementwise(residual, zero), difference, atol=1e-13)
