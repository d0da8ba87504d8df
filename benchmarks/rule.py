"""The rule of accuracy: what each loss claims, and where the rule does not apply."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from benchmarks.points import Points
from lossfn import PointwiseLoss, SymmetricAbsolutePercentageError, fields


class Claim(NamedTuple):
    """The largest error, in units in the last place per max(1, condition), and why that much."""

    units: float
    reason: str


FEW = Claim(4, "few primitives")
CHAINS = {
    "PseudoHuber": Claim(10, "the Hessian is the cube of 1/√(1 + u²), whose error counts three times"),
    "GaussianNLL": Claim(
        10, "in the square of the standardised residual the error of an exponential counts four times"
    ),
    "BetaNLL": Claim(10, "as GaussianNLL"),
    "LogNormalNLL": Claim(10, "as for GaussianNLL, and the logarithm of the target adds to the residual"),
    "LogisticNLL": Claim(10, "the Hessian multiplies the slope of a sigmoid by squares of the standardised residual"),
    "CRPSNormal": Claim(12, "in the Hessian the density counts twice, and both terms cancel in part"),
    "CRPSLaplace": Claim(12, "as CRPSNormal, with an exponential for the density"),
    "CRPSLogistic": Claim(12, "as CRPSNormal, with the entropy and the slope of a sigmoid"),
    "CRPSStudentT": Claim(14, "as CRPSNormal, with powers, and a distribution function that sums a series"),
    "CRPSLogNormal": Claim(100, "its slope by the log-scale vanishes near −0.15, where terms of the size of ½ cancel"),
    "StudentTNLL": Claim(14, "terms of a few exponentials, squares and a logarithm each cancel in part"),
    "BinaryFocal": Claim(10, "a power of a sigmoid times a softplus; the Hessian sums three products of such chains"),
    "AsymmetricFocal": Claim(14, "as BinaryFocal, with the fourth power of a difference"),
    "BinaryConfidencePenalty": Claim(10, "the cross-entropy and a multiple of the entropy cancel in part"),
    "Spherical": Claim(6, "the Hessian sums three products with powers of a norm"),
    "BiTempered": Claim(10, "powers of probabilities that solve an equation; the Hessian sums three of their products"),
    "SquaredErrorOnSigmoid": Claim(
        10, "the Hessian is the difference of two products of sigmoids and their derivatives"
    ),
    "SavageMargin": Claim(10, "as SquaredErrorOnSigmoid"),
}

ODDS = Claim(10, "sums of products of odds and of quotients of one plus odds")
CHAINS |= dict.fromkeys(("NegativeBinomial", "Binomial", "ZeroInflatedPoisson"), ODDS)
CHAINS |= dict.fromkeys(("Tweedie", "Deviance"), Claim(10, "powers, and exponentials of multiples of logarithms"))
CHAINS["InverseGaussian"] = Claim(12, "exponentials twice over; terms of the target cancel in part")

RATIONAL = Claim(12, "derivatives are powers of 1/√(1 + u²), whose error counts up to six times")
CHAINS |= dict.fromkeys(("Cauchy", "GemanMcClure", "StudentT", "Barron"), RATIONAL)

ROW_CHAIN = Claim(12, "powers and products of probabilities that are quotients of sums of exponentials")

CROSSING = "rounded residual across a kink"
OVERFLOW = "residual beyond the dtype"
SCALED_OVERFLOW = "scaled residual beyond the dtype"
SCALED_UNDERFLOW = "subnormal scaled residual"
SHARE_UNDERFLOW = "subnormal share of the target"
RECIPROCAL_OVERFLOW = "log-probability next to 0"
INFINITE_CURVATURE = "infinite curvature at a tie"
HIDDEN = "derivative beside an astronomical value"
FRACTION = "fraction of a count"

#: Why numbers are left out. Whatever the reason, NaN is an error.
REASONS = {
    CROSSING: "Rounding moves the residual to another side of a kink than the exact one; the derivative that jumps "
    "there is that of the rounded residual.",
    OVERFLOW: "The difference of prediction and target is larger than the largest number: an infinity is accepted even "
    "where a factor below 1 brings the exact result back into range, and 0 where the pull of such residuals has faded.",
    SCALED_OVERFLOW: "The residual divided by a scale below 1 is larger than the largest number: an infinity is "
    "accepted, although the exact result is a little inside the range, and 0 where the pull has faded.",
    SCALED_UNDERFLOW: "The residual divided by a scale above 1 is subnormal and has lost digits, although the exact "
    "result is a little above the subnormal numbers.",
    SHARE_UNDERFLOW: "The target divided by the mean size of target and prediction is subnormal and has lost digits, "
    "although the exact derivative, divided by that size once more, is a little above the subnormal numbers.",
    RECIPROCAL_OVERFLOW: "The reciprocal of a log-probability so near to 0, or its square, is larger than the largest "
    "number: an infinity is accepted even where a label next to 1 brings the exact derivative back into range.",
    INFINITE_CURVATURE: "The second derivative grows without bound towards a tie. There it is infinite, which no "
    "quotient of differences shows.",
    HIDDEN: "The value is far beyond the dtype, the exponential of an exponential, and differences of it do not show "
    "the derivative by another head.",
    FRACTION: "Terms of the target are given for counts. Between 0 and 1 they are small differences of numbers near 1.",
}
#: Likelihoods whose terms of the target are those of a binomial coefficient.
COEFFICIENTS = ("NegativeBinomial", "Binomial")
#: Results that are subnormal may inherit the few digits of subnormal intermediate results, but must be that small.
SUBNORMAL_UNITS = 2.0**23
#: Losses that divide the residual by this parameter before anything else.
DIVIDING = {
    "PseudoHuber": "delta",
    "LogCosh": "scale",
    "Fair": "scale",
    "Cauchy": "scale",
    "GemanMcClure": "scale",
    "Welsch": "scale",
    "TukeyBiweight": "c",
    "StudentT": "scale",
    "Barron": "scale",
}


def claim(loss: PointwiseLoss) -> Claim:
    """Return what a loss claims."""
    return CHAINS.get(type(loss).__name__, FEW)


def reasons(loss: PointwiseLoss, points: Points) -> list[str]:
    """Return for each point why the rule is relaxed there, or an empty text."""
    if type(loss).__name__ in COEFFICIENTS and getattr(loss, "constants", False):
        counts = np.column_stack([points.parts, np.diff(points.parts, axis=1)])
        is_fraction = ((counts > 0) & (counts < 1)).any(axis=1)
        return np.where(is_fraction, FRACTION, "").tolist()
    if isinstance(points.target, tuple):
        # There is no residual.
        return [""] * len(points)
    smallest = float(np.finfo(points.heads.dtype).smallest_normal)
    with np.errstate(all="ignore"):
        residual = points.heads[:, 0] - points.target
        scale = getattr(loss, DIVIDING.get(type(loss).__name__, ""), 1.0)
        scaled = residual / residual.dtype.type(scale)
    found = np.full(len(points), "", object)
    if scale != 1.0:
        found[(scaled != 0) & (np.abs(scaled) < smallest)] = SCALED_UNDERFLOW
        found[np.isinf(scaled)] = SCALED_OVERFLOW
    if isinstance(loss, SymmetricAbsolutePercentageError):
        size, target_size = np.abs(points.heads[:, 0]), np.abs(points.target)
        # By a size above 1 what is subnormal stays so.
        found[(target_size > 0) & (target_size < smallest * size / 2) & (size < 2)] = SHARE_UNDERFLOW
    found[np.isinf(residual)] = OVERFLOW
    if loss.smoothness == 1 and loss.gradient_lipschitz is None:
        found[residual == 0] = INFINITE_CURVATURE
    if loss.prediction == fields.LOG_PROBABILITY:
        with np.errstate(all="ignore"):
            found[np.isinf((1 / points.heads[:, 0]) ** 2)] = RECIPROCAL_OVERFLOW
    return found.tolist()


def is_left_out(reason: str, got: float) -> bool:
    """Whether a computed number is accepted for the reason that holds at its point."""
    if reason in (OVERFLOW, SCALED_OVERFLOW):
        return math.isinf(got) or got == 0
    if reason in (RECIPROCAL_OVERFLOW, INFINITE_CURVATURE):
        return math.isinf(got)
    if reason == HIDDEN:
        return not math.isnan(got)
    return bool(reason) and math.isfinite(got)
