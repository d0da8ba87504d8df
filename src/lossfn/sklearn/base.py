"""What both estimators share: parameters, their checks, and fitting."""

from __future__ import annotations

import math
import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from lossfn.loss import Loss
from lossfn.losses.regression import AbsoluteError
from lossfn.objective import NO_OBJECTIVE, Array, LinearObjective, LossTerm, refused_scores
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

from .coordinates import Coordinates
from .newton import AT_INFINITY, UNCERTIFIED, Solution, minimize_smooth, minimize_uncertified
from .parameters import LossParameters
from .proximal import minimize_convex


class LinearModel(LossParameters):
    """What both estimators share: parameters, fitting and scores."""

    coef_: Array
    intercept_: Array | float
    n_iter_: int
    objective_: float

    def __init__(
        self,
        loss: Loss | None = None,
        *,
        l2: float = 0.0,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-8,
    ) -> None:
        self.loss = loss
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    def _check_loss(self, loss: PointwiseLoss | RowwiseLoss) -> None:
        name = type(self).__name__
        self._check_task(loss)
        if len(loss.target_parts) > 1:
            targets = " and ".join(part.removeprefix("target.") for part in loss.target_parts)
            raise ValueError(f"{name} cannot train {loss!r}: its targets are {targets}, and y is a single number a row")
        if isinstance(loss, PointwiseLoss) and loss.surrogate:
            raise ValueError(f"{name} cannot train {loss!r}: {NO_OBJECTIVE}")
        domain = refused_scores(loss)
        if domain:
            raise ValueError(f"{name}: scores of a linear model can be any number, but {loss!r} takes {domain}")

    def _check_params(self) -> None:
        name = type(self).__name__
        for parameter, kind, minimum in (("l2", Real, 0), ("tol", Real, 0), ("max_iter", Integral, 1)):
            value = getattr(self, parameter)
            if not isinstance(value, kind) or isinstance(value, bool) or not minimum <= float(value) < math.inf:
                expected = "an integer" if kind is Integral else "a finite number"
                raise ValueError(f"{name}: {parameter} must be {expected} >= {minimum}; got {value!r}")

    def _minimize(self, loss: PointwiseLoss, features: Array, target: Array, weight: Array) -> tuple[Array, Array]:
        """Fit to valid data and return coefficients (H, p) and intercepts (H,)."""
        # This call also checks every target of positive weight.
        constant = np.atleast_1d(loss.optimal_constant(target, weight=weight))
        kept = weight > 0
        if not kept.all():
            features, target, weight = features[kept], target[kept], weight[kept]
        term = LossTerm(loss, target, weight)
        coordinates = Coordinates.of(features, weight, float(self.l2), self.fit_intercept)
        start = coordinates.start(constant)
        objective = coordinates.objective(term)
        if not loss.convex and loss.task == "regression" and len(loss.heads) == 1 and loss.link == "identity":
            start = self._better_start(coordinates, objective, term, start)
        if not np.isfinite(start).all():
            # The best constant is infinite already, for example the log-rate of counts that are all zero.
            solution = Solution(start, term.value(np.tile(constant, (len(target), 1))), 1, AT_INFINITY)
        elif loss.smoothness >= 1:
            solution = minimize_smooth(objective, start, self.tol, self.max_iter)
        elif loss.convex and len(loss.heads) == 1:
            solution = minimize_convex(coordinates, term, start, self.tol, self.max_iter)
        else:
            solution = minimize_uncertified(objective, start, self.tol, self.max_iter, UNCERTIFIED)
        return self._record(loss, coordinates, solution)

    def _record(self, loss: Loss, coordinates: Coordinates, solution: Solution) -> tuple[Array, Array]:
        """Keep what the solver says of itself, and return coefficients and intercepts."""
        if solution.complaint:
            warnings.warn(
                f"{type(self).__name__} with {loss!r}: {solution.complaint}", ConvergenceWarning, stacklevel=4
            )
        self.n_iter_ = solution.steps
        self.objective_ = solution.value
        return coordinates.to_features(solution.parameters)

    def _better_start(
        self, coordinates: Coordinates, objective: LinearObjective, term: LossTerm, start: Array
    ) -> Array:
        """Return the start, or the coefficients of least absolute errors where their objective is lower.

        A loss that ignores outliers has local minima that ignore most of the data.
        """
        robust = LossTerm(AbsoluteError(), term.target, term.weight)
        fitted = minimize_convex(coordinates, robust, start, self.tol, self.max_iter).parameters
        return fitted if objective.at(fitted).value < objective.at(start).value else start

    def _scores(self, features: Any) -> Array:
        check_is_fitted(self)
        features = validate_data(self, features, dtype=np.float64, reset=False)
        scores: Array = features @ np.atleast_2d(self.coef_).T + self.intercept_
        return scores
