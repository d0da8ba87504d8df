"""Coordinates of a linear model in which solvers behave well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossfn.objective import Array, LinearObjective, RowTerm


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

    def objective(self, term: RowTerm) -> LinearObjective:
        """Return the mean of a row term plus the penalty, as a function of parameters (H, q)."""
        return LinearObjective(self.matrix, self.penalty, term)

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
