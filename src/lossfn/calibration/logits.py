"""Calibrators of logits of two or more classes: temperature scaling and vector scaling."""

from __future__ import annotations

import math
import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from sklearn.exceptions import ConvergenceWarning

from lossfn import checks, fields
from lossfn.calibration.base import Array, Calibrator
from lossfn.engine.paths import kernels_only_if
from lossfn.losses.multiclass import CrossEntropy
from lossfn.numerics import softmax
from lossfn.numerics.arrays import check_number

_LOSS = CrossEntropy()
#: Fewer logits are calibrated before kernels would be compiled, which takes some seconds.
COMPILED_FROM = 10**6


class _OfLogits(Calibrator):
    """A calibrator of logits (N, K), or of the logits (N,) of class 1 of two."""

    def _check_values(self, values: Array) -> None:
        name = type(self).__name__
        if values.ndim not in (1, 2):
            raise ValueError(f"{name}: logits must have shape (N, K), or (N,) for two classes; got {values.shape}")
        inside = np.isfinite(values)
        if not inside.all():
            checks.raise_outside(name, "logits", values, inside, fields.REAL)

    def _columns(self, values: Array) -> Array:
        return np.column_stack([np.zeros(len(values)), values]) if values.ndim == 1 else values


class TemperatureScaling(_OfLogits):
    """Divide logits by the temperature T that minimises the cross-entropy of held-out rows.

    The most probable class stays the same. T > 1 softens over-confident predictions; one number cannot mend every kind
    of miscalibration, so compare ``lossfn.calibration.decompose`` before and after.

    The cross-entropy is convex in 1/T: its only minimum is found by a bracketing search in log T to the last digits.
    Where it lies at an end, a ``ConvergenceWarning`` says so: T = 0 if every row is classified rightly (probabilities 0
    and 1), T = ∞ if the logits are worse than guessing (equal probabilities).

    Attributes
    ----------
    temperature_ : float
        T.
    cross_entropy_before_, cross_entropy_ : float
        Mean cross-entropy of the rows at T = 1 and at the temperature found; the second is never larger.
    classes_ : ndarray
        The labels, in the order of the columns.

    References
    ----------
    .. [1] Guo et al. (2017), "On calibration of modern neural networks", https://arxiv.org/abs/1706.04599.

    See Also
    --------
    VectorScaling : a factor and a constant for each class.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn.calibration import TemperatureScaling
    >>> logits = np.array([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 0.0]])
    >>> model = TemperatureScaling().fit(logits, [0, 0, 1, 1])
    >>> print(round(model.temperature_, 4), model.predict_proba(logits)[0].round(4))
    3.641 [0.75 0.25]
    """

    temperature_: float
    cross_entropy_before_: float
    cross_entropy_: float

    def fit(self, logits: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the temperature."""
        values, codes, weight = self._rows(logits, y, sample_weight)
        columns = self._columns(values)
        with kernels_only_if(columns.size >= COMPILED_FROM):
            self.temperature_ = _best_temperature(columns, codes, weight)
            self.cross_entropy_before_ = _cross_entropy(columns, codes, weight)
            self.cross_entropy_ = _cross_entropy(_divide(columns, self.temperature_), codes, weight)
        if self.temperature_ == 0:
            self._warn("every row is classified rightly, so that the sharper the better: temperature 0")
        elif self.temperature_ == math.inf:
            self._warn(
                "the logits of the labels are no higher than the average logits: temperature infinity. Are they "
                "logits, in the order of classes_?"
            )
        return self

    def predict_proba(self, logits: Any) -> Array:
        """Return softmax(logits / T), (N, K)."""
        self._check_fitted()
        columns = self._columns(self._scores(logits))
        if columns.shape[1] != len(self.classes_):
            raise ValueError(
                f"TemperatureScaling: logits of {len(self.classes_)} classes are needed; got {columns.shape[1]} columns"
            )
        probability: Array = softmax(_divide(columns, self.temperature_))
        return probability

    def _warn(self, what: str) -> None:
        warnings.warn(f"TemperatureScaling: {what}", ConvergenceWarning, stacklevel=3)


def _best_temperature(logits: Array, codes: NDArray[np.intp], weight: Array) -> float:
    """Return the temperature of the smallest cross-entropy, from 0 to infinity."""
    below = logits - logits.max(axis=1, keepdims=True)
    of_label = below[np.arange(len(codes)), codes]

    def slope(inverse: float) -> float:
        """Return the derivative of the cross-entropy by 1/T."""
        of_logits = _LOSS.gradient(inverse * below, codes, weight=weight, reduction="sum")
        return float((of_logits * below).sum())

    if not below.any():
        # Logits that say nothing do so at every temperature.
        return 1.0
    if not of_label.any():
        return 0.0
    if slope(0.0) >= 0:
        return math.inf
    return math.exp(-_root(lambda u: slope(math.exp(u)), -math.log(-float(below.mean()))))


def _divide(columns: Array, temperature: float) -> Array:
    """Return logits that mean the same as logits / T, and at T = 0 those of which the largest share everything."""
    below = columns - columns.max(axis=1, keepdims=True)
    if temperature == 0:
        sharp: Array = np.where(below == 0, 0.0, -np.inf)
        return sharp
    with np.errstate(over="ignore"):
        soft: Array = below / temperature
    return soft


def _root(function: Any, start: float) -> float:
    """Return the root of an increasing function, searched for in growing steps from a start."""
    low = high = start
    step = 1.0
    while function(low) > 0:
        low, high, step = low - step, low, 2 * step
    while function(high) < 0:
        low, high, step = high, high + step, 2 * step
    return low if low == high else float(brentq(function, low, high, xtol=1e-15, rtol=1e-15))


def _cross_entropy(logits: Array, codes: NDArray[np.intp], weight: Array) -> float:
    return float(_LOSS(logits, codes, weight=weight, reduction="sum"))


class VectorScaling(_OfLogits):
    """Scale and shift the logits of each class so that the cross-entropy of held-out rows is smallest.

    Probabilities are softmax(w·logits + b) with a factor w and a constant b for each class, 2K parameters: it corrects
    classes that are predicted too often, which a temperature cannot, and needs more rows. The minimum is found by
    Newton's method in a trust region, from the best temperature on. Without a penalty there may be none, for instance
    where a class is missing among the rows; a ``ConvergenceWarning`` says so.

    Parameters
    ----------
    l2 : float
        Strength of the penalty l2/2·(‖w − 1‖² + ‖b‖²), which is added to the mean cross-entropy: it pulls towards the
        logits as they are.
    max_iter : int
        Most steps of the solver.

    Attributes
    ----------
    factor_, constant_ : ndarray of shape (K,)
        w and b. The constants add up to 0.
    cross_entropy_before_, cross_entropy_ : float
        Mean cross-entropy of the rows as they are and after scaling.
    classes_ : ndarray
        The labels, in the order of the columns.

    References
    ----------
    .. [1] Guo et al. (2017), "On calibration of modern neural networks", https://arxiv.org/abs/1706.04599.

    See Also
    --------
    TemperatureScaling : one parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn.calibration import VectorScaling
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(2000, 3))
    >>> y = (2 * logits + [1, 0, -1] + rng.gumbel(size=(2000, 3))).argmax(axis=1)
    >>> model = VectorScaling().fit(logits, y)
    >>> bool(abs(model.factor_ - 2).max() < 0.3), bool(abs(model.constant_ - [1, 0, -1]).max() < 0.2)
    (True, True)
    """

    factor_: Array
    constant_: Array
    cross_entropy_before_: float
    cross_entropy_: float

    def __init__(self, *, l2: float = 0.0, max_iter: int = 200) -> None:
        self.l2 = l2
        self.max_iter = max_iter

    def fit(self, logits: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find factors and constants."""
        check_number("VectorScaling", "l2", self.l2, fields.NONNEGATIVE)
        values, codes, weight = self._rows(logits, y, sample_weight)
        columns = self._columns(values)
        # In units in which factors and constants have gradients of one size.
        unit = float(np.sqrt(np.mean(columns**2))) or 1.0
        objective = _VectorObjective(columns / unit, codes, weight, self.l2, unit)
        with kernels_only_if(columns.size >= COMPILED_FROM):
            temperature = _best_temperature(columns, codes, weight)
            start = objective.unchanged / temperature if temperature > 0 else objective.unchanged
            found: Any = minimize(
                objective.value, start, jac=objective.gradient, hess=objective.hessian, method="trust-exact",
                options={"maxiter": self.max_iter, "gtol": 1e-9},
            )  # fmt: skip
            factor, constant = np.split(found.x, 2)
            self.factor_ = factor / unit
            # A constant added to all logits changes nothing.
            self.constant_ = constant - constant.mean()
            self.cross_entropy_before_ = _cross_entropy(columns, codes, weight)
            self.cross_entropy_ = _cross_entropy(self.factor_ * columns + self.constant_, codes, weight)
            recedes = objective.recedes(found.x)
        if recedes:
            warnings.warn(
                f"VectorScaling: no minimum after {found.nit} steps. There may be none, for instance where a class is "
                "missing among the rows: set l2 > 0 for a unique answer, or increase max_iter",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict_proba(self, logits: Any) -> Array:
        """Return softmax(w·logits + b), (N, K)."""
        self._check_fitted()
        columns = self._columns(self._scores(logits))
        if columns.shape[1] != len(self.classes_):
            raise ValueError(
                f"VectorScaling: logits of {len(self.classes_)} classes are needed; got {columns.shape[1]} columns"
            )
        probability: Array = softmax(self.factor_ * columns + self.constant_)
        return probability


class _VectorObjective:
    """Mean cross-entropy of softmax(w·z + b) plus the penalty, as functions of (w, b); z is in units of its size."""

    def __init__(self, logits: Array, codes: NDArray[np.intp], weight: Array, l2: float, unit: float) -> None:
        self.logits, self.codes, self.weight = logits, codes, weight
        ones = np.ones(logits.shape[1])
        self.unchanged = np.concatenate([unit * ones, 0 * ones])
        self.penalty = l2 * np.concatenate([ones / unit**2, ones])

    def _scaled(self, parameters: Array) -> Array:
        factor, constant = np.split(parameters, 2)
        scaled: Array = factor * self.logits + constant
        return scaled

    def value(self, parameters: Array) -> float:
        penalty = 0.5 * float(self.penalty @ (parameters - self.unchanged) ** 2)
        return _cross_entropy(self._scaled(parameters), self.codes, self.weight) + penalty

    def gradient(self, parameters: Array) -> Array:
        of_logits = _LOSS.gradient(self._scaled(parameters), self.codes, weight=self.weight, reduction="sum")
        of_loss = np.concatenate([(of_logits * self.logits).sum(axis=0), of_logits.sum(axis=0)])
        slope: Array = of_loss + self.penalty * (parameters - self.unchanged)
        return slope

    def hessian(self, parameters: Array) -> Array:
        # By the rank of the blocks diag(p) − p·pᵀ, without which there would be K² numbers for each row.
        p = softmax(self._scaled(parameters))
        both = np.concatenate([p * self.logits, p], axis=1)
        weighted = both * self.weight[:, None]
        curvature: Array = -(weighted.T @ both)
        # The diagonals of the four blocks have the mean of p times the product of the two factors.
        classes = np.arange(self.logits.shape[1])
        moments = [np.einsum("n,nk,nk->k", self.weight, p, self.logits**power) for power in (2, 1, 0)]
        for row in (0, 1):
            for column in (0, 1):
                shift = len(classes)
                curvature[classes + row * shift, classes + column * shift] += moments[row + column]
        curvature[np.diag_indices_from(curvature)] += self.penalty
        return curvature

    def recedes(self, parameters: Array) -> bool:
        """Whether there is still somewhere to go: at a minimum another Newton step moves logits next to nothing.

        Where the minimum lies at infinity the gradient vanishes, but each step is as long as the one before.
        """
        gradient = self.gradient(parameters)
        if np.abs(gradient).max() > 1e-6:
            return True
        step = np.linalg.lstsq(self.hessian(parameters), -gradient, rcond=1e-13)[0]
        move = self._scaled(parameters + step) - self._scaled(parameters)
        return bool(np.abs(move).max() > 0.01)
