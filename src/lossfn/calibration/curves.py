"""Calibrators of one score of two classes: Platt scaling, isotonic regression, beta calibration."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from lossfn import checks, fields
from lossfn.calibration.base import Array, Calibrator, two_columns
from lossfn.calibration.decomposition import Curve
from lossfn.engine.batch import to_numpy
from lossfn.losses.binary import BinaryCrossEntropy
from lossfn.numerics import log_sigmoid, sigmoid
from lossfn.objective import LossTerm
from lossfn.sklearn.coordinates import Coordinates
from lossfn.sklearn.newton import AT_INFINITY, Solution, minimize_smooth

INSIDE = dataclasses.replace(fields.OPEN_FRACTION, cure="with inputs='logits' nothing is rounded to 0 or 1")

# A search that is worthwhile to the last digits.
TOLERANCE = 1e-14
STEPS = 200


class _OfOneScore(Calibrator):
    """A calibrator of one number for each row."""

    def _check_values(self, values: Array) -> None:
        name = type(self).__name__
        if values.ndim != 1:
            raise ValueError(
                f"{name}: one score for each row of two classes is needed, (N,) or (N, 1); got {values.shape}. For "
                "several classes use TemperatureScaling or VectorScaling"
            )
        self._check_scores(values)

    def _check_scores(self, values: Array) -> None:
        inside = np.isfinite(values)
        if not inside.all():
            checks.raise_outside(type(self).__name__, "scores", values, inside, fields.REAL)


def _fit_logistic(features: Array, target: Array, weight: Array) -> tuple[Array, float, Solution]:
    """Return coefficients and intercept of a logistic regression, and its solution; targets are probabilities."""
    loss = BinaryCrossEntropy()
    coordinates = Coordinates.of(features, weight, 0.0, True)
    start = coordinates.start(np.atleast_1d(loss.optimal_constant(target, weight=weight)))
    solution: Solution = minimize_smooth(coordinates.objective(LossTerm(loss, target, weight)), start, TOLERANCE, STEPS)
    coef, intercept = coordinates.to_features(solution.parameters)
    return coef[0], float(intercept[0]), solution


def _warn_of(owner: str, complaint: str, cure: str) -> None:
    """Warn of a fit that is not the best one; where there is none, with the cure."""
    if complaint == AT_INFINITY:
        complaint = f"the scores separate the classes, so that steeper curves fit ever better: {cure}"
    if complaint:
        warnings.warn(f"{owner}: {complaint}", ConvergenceWarning, stacklevel=3)


class PlattScaling(_OfOneScore):
    """Logistic regression on a score: probabilities σ(slope·score + constant).

    Right for scores that are normal within each class with one variance, such as those of a support vector machine; it
    cannot bend a curve that starts flat. Use logits, not probabilities.

    Parameters
    ----------
    smooth_targets : bool
        Whether to replace the labels 1 and 0 by (N₊ + 1)/(N₊ + 2) and 1/(N₋ + 2), as Platt does: with it the fit is
        finite even if the score separates the classes. Without it, this is maximum likelihood.

    Attributes
    ----------
    slope_, constant_ : float
        Of the log-odds.
    classes_ : ndarray of shape (2,)
        The labels.

    References
    ----------
    .. [1] Platt (1999), "Probabilistic outputs for support vector machines and comparisons to regularized likelihood
       methods", Advances in Large Margin Classifiers, 61-74.
    .. [2] Lin, Lin and Weng (2007), "A note on Platt's probabilistic outputs for support vector machines",
       doi:10.1007/s10994-007-5018-6.

    See Also
    --------
    TemperatureScaling : no constant, any number of classes.
    BetaCalibration : for probabilities.

    Examples
    --------
    >>> from lossfn.calibration import PlattScaling
    >>> model = PlattScaling().fit([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1])
    >>> print(model.predict_proba([0.0, 2.0]).round(4))
    [[0.5    0.5   ]
     [0.2062 0.7938]]
    """

    slope_: float
    constant_: float

    def __init__(self, *, smooth_targets: bool = True) -> None:
        self.smooth_targets = smooth_targets

    def fit(self, scores: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find slope and constant."""
        values, codes, weight = self._rows(scores, y, sample_weight)
        target = codes.astype(np.float64)
        if self.smooth_targets:
            total = float(len(codes))
            if sample_weight is not None:
                # The weights above add up to 1, and do not say how many rows they stand for.
                total = float(to_numpy("PlattScaling", "sample_weight", sample_weight).sum(dtype=np.float64))
            ones = float(weight @ target) * total
            zeros = total - ones
            target = np.where(codes == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))
        coef, self.constant_, solution = _fit_logistic(values[:, None], target, weight)
        self.slope_ = float(coef[0])
        _warn_of("PlattScaling", solution.complaint, "smooth_targets=True keeps the slope finite")
        return self

    def predict_proba(self, scores: Any) -> Array:
        """Return calibrated probabilities (N, 2)."""
        self._check_fitted()
        logits = self.slope_ * self._scores(scores) + self.constant_
        return np.column_stack([sigmoid(-logits), sigmoid(logits)])


class IsotonicCalibration(_OfOneScore):
    """Isotonic regression: the non-decreasing curve that fits best, whatever its shape.

    It needs some hundred rows or more, and gives probabilities of exactly 0 and 1 at the ends, which cost +∞ under the
    log score when they turn out wrong. Between scores that were seen it interpolates; beyond them it is constant.

    Attributes
    ----------
    scores_, probabilities_ : ndarray
        The curve: distinct scores in rising order and their probabilities.
    classes_ : ndarray of shape (2,)
        The labels.

    References
    ----------
    .. [1] Zadrozny and Elkan (2002), "Transforming classifier scores into accurate multiclass probability estimates",
       doi:10.1145/775047.775151.

    See Also
    --------
    lossfn.calibration.decompose : what such a recalibration would gain.

    Examples
    --------
    >>> from lossfn.calibration import IsotonicCalibration
    >>> model = IsotonicCalibration().fit([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1])
    >>> print(model.predict_proba([0.0, 2.5, 3.5])[:, 1])
    [0.   0.5  0.75]
    """

    scores_: Array
    probabilities_: Array

    def fit(self, scores: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the curve."""
        values, codes, weight = self._rows(scores, y, sample_weight)
        curve = Curve.fit(values, codes.astype(np.float64), weight)
        self.scores_, self.probabilities_ = curve.points, curve.values
        return self

    def predict_proba(self, scores: Any) -> Array:
        """Return calibrated probabilities (N, 2)."""
        self._check_fitted()
        return two_columns(np.interp(self._scores(scores), self.scores_, self.probabilities_))


class BetaCalibration(_OfOneScore):
    """Beta calibration: log-odds a·log p − b·log(1 − p) + c with a, b ≥ 0.

    Right for scores that follow a beta distribution within each class; it contains the identity (a = b = 1, c = 0), so
    it does not spoil what is calibrated, and bends both ends of the curve independently.

    Parameters
    ----------
    inputs : {"probabilities", "logits"}
        What scores are. Probabilities of exactly 0 or 1 are refused by ``fit``, because they have infinite log-odds;
        where rounding made them, pass logits.

    Attributes
    ----------
    a_, b_, c_ : float
        The parameters; the best among all a, b ≥ 0.
    classes_ : ndarray of shape (2,)
        The labels.

    References
    ----------
    .. [1] Kull, Silva Filho and Flach (2017), "Beyond sigmoids: how to obtain well-calibrated probabilities from binary
       classifiers with beta calibration", doi:10.1214/17-EJS1338SI.

    See Also
    --------
    PlattScaling : for scores that are no probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn.calibration import BetaCalibration
    >>> p = np.repeat([0.2, 0.5, 0.8], 100)
    >>> y = np.tile(np.arange(100), 3) < np.repeat([20, 50, 80], 100)
    >>> model = BetaCalibration().fit(p, y)
    >>> print(round(model.a_, 6), round(model.b_, 6), abs(round(model.c_, 6)))
    1.0 1.0 0.0
    """

    a_: float
    b_: float
    c_: float

    def __init__(self, *, inputs: str = "probabilities") -> None:
        self.inputs = inputs

    def _check_scores(self, values: Array) -> None:
        if self.inputs not in ("probabilities", "logits"):
            raise ValueError(f"BetaCalibration: inputs must be 'probabilities' or 'logits'; got {self.inputs!r}")
        if self.inputs == "logits":
            super()._check_scores(values)
            return
        inside = (values >= 0) & (values <= 1)
        if not inside.all():
            checks.raise_outside("BetaCalibration", "scores", values, inside, fields.PROBABILITY)

    def _logarithms(self, values: Array) -> tuple[Array, Array]:
        """Return log p and log(1 − p)."""
        if self.inputs == "logits":
            return log_sigmoid(values), log_sigmoid(-values)
        with np.errstate(divide="ignore"):
            return np.log(values), np.log1p(-values)

    def fit(self, scores: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the parameters."""
        values, codes, weight = self._rows(scores, y, sample_weight)
        if self.inputs == "probabilities":
            inside = (values > 0) & (values < 1)
            if not inside.all():
                checks.raise_outside("BetaCalibration", "scores", values, inside, INSIDE)
        log_p, log_q = self._logarithms(values)
        features = np.column_stack([log_p, -log_q])
        target = codes.astype(np.float64)

        def fit_to(chosen: list[int]) -> tuple[float, Array, float, str]:
            if not chosen:
                share = float(weight @ target)
                return (
                    BinaryCrossEntropy()(np.full_like(target, np.log(share / (1 - share))), target, weight=weight),
                    np.zeros(2),
                    float(np.log(share / (1 - share))),
                    "",
                )
            coef, constant, solution = _fit_logistic(features[:, chosen], target, weight)
            shape = np.zeros(2)
            shape[chosen] = coef
            return solution.value, shape, constant, solution.complaint

        # The objective is convex: if the free minimum is outside, the best one lies on an edge, or in the corner.
        best = fit_to([0, 1])
        if best[1].min() < 0:
            edges = [found for chosen in ([0], [1]) if (found := fit_to(chosen))[1].min() >= 0]
            best = min([*edges, fit_to([])], key=lambda found: found[0])
        (self.a_, self.b_), self.c_ = map(float, best[1]), best[2]
        _warn_of("BetaCalibration", best[3], "add rows, or take PlattScaling of logits, whose slope stays finite")
        return self

    def predict_proba(self, scores: Any) -> Array:
        """Return calibrated probabilities (N, 2)."""
        self._check_fitted()
        log_p, log_q = self._logarithms(self._scores(scores))
        logits = _product(self.a_, log_p) - _product(self.b_, log_q) + self.c_
        return np.column_stack([sigmoid(-logits), sigmoid(logits)])


def _product(factor: float, logarithm: Array) -> Array:
    """Return the product, and 0 for a factor 0 even where the logarithm is infinite."""
    return np.zeros_like(logarithm) if factor == 0 else factor * logarithm
