"""The objective of a linear model, in coordinates in which solvers behave well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

Array = NDArray[np.float64]


class RowTerm(Protocol):
    """A weighted mean over rows of a function of each row's scores."""

    def evaluate(self, scores: Array) -> tuple[float, Array, Callable[[], Array]]:
        """Return the mean, its gradient (n, H) and what computes its Hessian (n, H, H), all by the total weight."""
        ...


class LossTerm:
    """The weighted mean of a loss."""

    def __init__(self, loss: PointwiseLoss, target: Array, weight: Array) -> None:
        self.loss = loss
        self.target = target
        self.weight = weight

    def value(self, scores: Array) -> float:
        """Return the mean at scores (n, H)."""
        # Far away a loss may overflow to infinity; the solvers take that as "too far" and come back.
        with np.errstate(over="ignore", invalid="ignore"):
            return float(self.loss(_predictions(scores), self.target, weight=self.weight))

    def evaluate(self, scores: Array) -> tuple[float, Array, Callable[[], Array]]:
        """Return the mean, its gradient (n, H) and what gives its Hessian (n, H, H)."""
        with np.errstate(over="ignore", invalid="ignore"):
            gradient, hessian = self.loss.gradient_and_hessian(_predictions(scores), self.target, weight=self.weight)
        rows, heads = scores.shape
        return self.value(scores), gradient.reshape(rows, heads), lambda: hessian.reshape(rows, heads, heads)


class ClassesTerm:
    """The weighted mean of a loss of rows: one score for each class, and the index of the true one."""

    def __init__(self, loss: RowwiseLoss, target: NDArray[np.intp], weight: Array) -> None:
        self.loss = loss
        self.target = target
        self.weight = weight

    def evaluate(self, scores: Array) -> tuple[float, Array, Callable[[], Array]]:
        """Return the mean, its gradient (n, K) and what computes its Hessian (n, K, K)."""
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = self.loss.value_and_gradient(scores, self.target, weight=self.weight)
        return float(value), gradient, lambda: self._hessian(scores)

    def _hessian(self, scores: Array) -> Array:
        hessian = np.empty((*scores.shape, scores.shape[1]))
        for column in range(scores.shape[1]):
            unit = np.zeros_like(scores)
            unit[:, column] = 1.0
            hessian[:, :, column] = self.loss.hessian_vector_product(scores, self.target, unit, weight=self.weight)
        return hessian


def _predictions(scores: Array) -> Array:
    """Give scores the shape that losses expect: a single head has no axis of its own."""
    return scores if scores.shape[1] > 1 else scores[:, 0]


@dataclass(frozen=True)
class Coordinates:
    """Centred and scaled features, with a leading column of ones if there is an intercept.

    Newton's method does not depend on the units of the features, but rounding errors and the shape of a trust region
    do. Centring changes nothing but the meaning of the intercept, which carries no penalty; scaling moves the units
    into the penalty, which becomes ``l2 / scale**2`` per coefficient.
    """

    matrix: Array
    center: Array
    scale: Array
    penalty: Array
    fit_intercept: bool

    @classmethod
    def of(cls, features: Array, weight: Array, l2: float, fit_intercept: bool) -> Coordinates:
        """Choose centre and scale from the weighted moments of the features."""
        share = weight / weight.sum()
        center = share @ features if fit_intercept else np.zeros(features.shape[1])
        matrix = features - center
        if fit_intercept:
            # What centring leaves of a constant feature is rounding error, not information.
            matrix[:, features.max(axis=0) == features.min(axis=0)] = 0.0
        # The Hessian of the squared error has the diagonal variance + l2: scaling makes it 1.
        scale = np.sqrt(share @ matrix**2 + l2)
        scale[scale == 0.0] = 1.0
        matrix /= scale
        penalty = l2 / scale**2
        if fit_intercept:
            matrix = np.column_stack([np.ones(len(matrix)), matrix])
            penalty = np.concatenate([[0.0], penalty])
        return cls(matrix, center, scale, penalty, fit_intercept)

    def start(self, constant: Array) -> Array:
        """Return the parameters (H, q) of the constant model; without an intercept, of the zero model."""
        parameters = np.zeros((len(constant), self.matrix.shape[1]))
        if self.fit_intercept:
            parameters[:, 0] = constant
        return parameters

    def to_features(self, parameters: Array) -> tuple[Array, Array]:
        """Return coefficients (H, p) and intercepts (H,) for the features as they came."""
        coef = (parameters[:, 1:] if self.fit_intercept else parameters) / self.scale
        if not self.fit_intercept:
            return coef, np.zeros(len(parameters))
        return coef, parameters[:, 0] - coef @ self.center


class Point(NamedTuple):
    """A model with the value of its objective and the derivatives there."""

    parameters: Array
    value: float
    gradient: Array
    row_hessian: Callable[[], Array]
    gradient_rounding: float


class Objective:
    """Weighted mean of a row term plus half the penalised square of the coefficients."""

    def __init__(self, coordinates: Coordinates, term: RowTerm) -> None:
        self.coordinates = coordinates
        self.term = term

    def scores(self, parameters: Array) -> Array:
        """Return the scores (n, H) of parameters (H, q)."""
        scores: Array = self.coordinates.matrix @ parameters.T
        return scores

    def penalty_of(self, parameters: Array) -> float:
        """Return the penalty of parameters (H, q)."""
        return float(0.5 * (self.coordinates.penalty * parameters**2).sum())

    def at(self, parameters: Array) -> Point:
        """Evaluate everything that a step of a solver needs."""
        value, row_gradient, row_hessian = self.term.evaluate(self.scores(parameters))
        gradient = row_gradient.T @ self.coordinates.matrix + self.coordinates.penalty * parameters
        rounding = 16 * np.finfo(np.float64).eps * float(np.abs(row_gradient).sum())
        return Point(parameters, value + self.penalty_of(parameters), gradient, row_hessian, rounding)

    def hessian(self, point: Point) -> Array:
        """Return the Hessian over the flattened parameters, (H q, H q)."""
        heads, size = point.parameters.shape
        row_hessian = point.row_hessian()
        hessian = np.zeros((heads, size, heads, size))
        for first in range(heads):
            for second in range(first, heads):
                curvature = row_hessian[:, first, second]
                curved = np.flatnonzero(curvature)
                matrix = self.coordinates.matrix[curved] if len(curved) < len(curvature) else self.coordinates.matrix
                block = matrix.T @ (matrix * curvature[curved, None])
                hessian[first, :, second, :] = block
                hessian[second, :, first, :] = block.T
        flat = hessian.reshape(heads * size, heads * size)
        flat[np.diag_indices_from(flat)] += np.tile(self.coordinates.penalty, heads)
        return flat
