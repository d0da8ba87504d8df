"""The objective of a linear model: the weighted mean of a loss of its scores, plus a penalty of its coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lossfn import checks, fields
from lossfn.engine import batch as batches
from lossfn.loss import Loss
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

Array = NDArray[np.float64]

NO_OBJECTIVE = (
    "its gradient is not that of its value, so no solver can tell which step helps; train it by stochastic gradients"
)


class RowTerm(Protocol):
    """A weighted mean over rows of a function of each row's scores."""

    def evaluate(self, scores: Array) -> tuple[float, Array, Callable[[], Array]]:
        """Return the mean, its gradient (n, H) and what computes its Hessian (n, H, H), all by the total weight."""
        ...


class LossTerm:
    """The weighted mean of a pointwise loss."""

    def __init__(self, loss: PointwiseLoss, target: Any, weight: Any) -> None:
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
            value, gradient, hessian = self.loss.value_gradient_and_hessian(
                _predictions(scores), self.target, weight=self.weight
            )
        rows, heads = scores.shape
        return float(value), gradient.reshape(rows, heads), lambda: hessian.reshape(rows, heads, heads)

    def value_and_gradient(self, scores: Array) -> tuple[float, Array]:
        """Return the mean and its gradient (n, H)."""
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = self.loss.value_and_gradient(_predictions(scores), self.target, weight=self.weight)
        return float(value), gradient.reshape(scores.shape)

    def hessian_product(self, scores: Array, moves: Array) -> Array:
        """Return the Hessian of each row times the move of its scores, (n, H)."""
        with np.errstate(over="ignore", invalid="ignore"):
            hessian = self.loss.hessian(_predictions(scores), self.target, weight=self.weight)
        product: Array = np.einsum("nij,nj->ni", hessian.reshape(*scores.shape, -1), moves)
        return product


class RowsTerm:
    """The weighted mean of a loss of rows of scores."""

    def __init__(self, loss: RowwiseLoss, target: Any, weight: Any) -> None:
        self.loss = loss
        self.target = target
        self.weight = weight

    def evaluate(self, scores: Array) -> tuple[float, Array, Callable[[], Array]]:
        """Return the mean, its gradient (n, K) and what computes its Hessian (n, K, K)."""
        return *self.value_and_gradient(scores), lambda: self.loss.hessian(scores, self.target, weight=self.weight)

    def value_and_gradient(self, scores: Array) -> tuple[float, Array]:
        """Return the mean and its gradient (n, K)."""
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = self.loss.value_and_gradient(scores, self.target, weight=self.weight)
        return float(value), gradient

    def hessian_product(self, scores: Array, moves: Array) -> Array:
        """Return the Hessian of each row times the move of its scores, (n, K)."""
        product: Array = self.loss.hessian_vector_product(scores, self.target, moves, weight=self.weight)
        return product


def _predictions(scores: Array) -> Array:
    """Give scores the shape that losses expect: a single head has no axis of its own."""
    return scores if scores.shape[1] > 1 else scores[:, 0]


class Point(NamedTuple):
    """A model with the value of its objective and the derivatives there."""

    parameters: Array
    value: float
    gradient: Array
    row_hessian: Callable[[], Array]
    gradient_rounding: float


class LinearObjective:
    """Weighted mean of a row term plus half the penalised square of the parameters.

    Parameters
    ----------
    matrix : array (n, q)
        Columns that the model adds up; products with a vector may be those of a sparse matrix.
    penalty : array (q,)
        One factor for each column.
    term : RowTerm
        What the scores of rows cost.
    """

    def __init__(self, matrix: Any, penalty: Array, term: RowTerm) -> None:
        self.matrix = matrix
        self.penalty = penalty
        self.term = term

    def scores(self, parameters: Array) -> Array:
        """Return the scores (n, H) of parameters (H, q)."""
        scores: Array = self.matrix @ parameters.T
        return scores

    def penalty_of(self, parameters: Array) -> float:
        """Return the penalty of parameters (H, q)."""
        return float(0.5 * (self.penalty * parameters**2).sum())

    def by_parameters(self, by_scores: Array, parameters: Array) -> Array:
        """Return the derivative by parameters (H, q), of rows whose derivatives by their scores are given (n, H).

        The penalty is a square, so its part in gradients and in products with the Hessian has one form.
        """
        # At a step that goes too far, slopes may be infinite; its infinite value says so.
        with np.errstate(invalid="ignore"):
            derivative: Array = (self.matrix.T @ by_scores).T + self.penalty * parameters
        return derivative

    def at(self, parameters: Array) -> Point:
        """Evaluate everything that a step of a solver needs."""
        value, row_gradient, row_hessian = self.term.evaluate(self.scores(parameters))
        rounding = 16 * np.finfo(np.float64).eps * float(np.abs(row_gradient).sum())
        gradient = self.by_parameters(row_gradient, parameters)
        return Point(parameters, value + self.penalty_of(parameters), gradient, row_hessian, rounding)

    def hessian(self, point: Point) -> Array:
        """Return the Hessian over the flattened parameters, (H q, H q); the matrix must be dense."""
        heads, size = point.parameters.shape
        row_hessian = point.row_hessian()
        hessian = np.zeros((heads, size, heads, size))
        for first in range(heads):
            for second in range(first, heads):
                curvature = row_hessian[:, first, second]
                curved = np.flatnonzero(curvature)
                matrix = self.matrix[curved] if len(curved) < len(curvature) else self.matrix
                block = matrix.T @ (matrix * curvature[curved, None])
                hessian[first, :, second, :] = block
                hessian[second, :, first, :] = block.T
        flat = hessian.reshape(heads * size, heads * size)
        flat[np.diag_indices_from(flat)] += np.tile(self.penalty, heads)
        return flat


class ScipyObjective:
    """The objective of a linear model as functions of one vector, as ``scipy.optimize.minimize`` calls them.

    ``lossfn.scipy_objective`` makes it.

    Attributes
    ----------
    start : ndarray
        Where to begin: no coefficients, and the best constants of a pointwise loss as intercepts where they are finite.
    """

    def __init__(self, objective: LinearObjective, start: Array, fit_intercept: bool) -> None:
        self._objective = objective
        self._shape = start.shape
        self._fit_intercept = fit_intercept
        self.start = start.ravel()

    def value(self, parameters: Any) -> float:
        """Return the objective."""
        return self.value_and_gradient(parameters)[0]

    def gradient(self, parameters: Any) -> Array:
        """Return the gradient, in the shape of ``parameters``."""
        return self.value_and_gradient(parameters)[1]

    def value_and_gradient(self, parameters: Any) -> tuple[float, Array]:
        """Return the objective and its gradient, for ``minimize(..., jac=True)``."""
        model = self._model("parameters", parameters)
        value, by_scores = self._term.value_and_gradient(self._objective.scores(model))
        gradient = self._objective.by_parameters(by_scores, model)
        return value + self._objective.penalty_of(model), gradient.ravel()

    def hessian_vector_product(self, parameters: Any, vector: Any) -> Array:
        """Return the Hessian times a vector, for ``minimize(..., hessp=...)``; no Hessian is formed.

        Where the loss says ``hessian_is_partial`` the infinite curvature at kinks is left out.
        """
        model, direction = self._model("parameters", parameters), self._model("vector", vector)
        scores, moves = self._objective.scores(model), self._objective.scores(direction)
        return self._objective.by_parameters(self._term.hessian_product(scores, moves), direction).ravel()

    def coefficients(self, parameters: Any) -> tuple[Any, Any]:
        """Return coefficients (p,) and intercept; of several heads or classes (H, p) and (H,)."""
        model = self._model("parameters", parameters)
        slopes = model[:, 1:] if self._fit_intercept else model
        intercepts = model[:, 0] if self._fit_intercept else np.zeros(len(model))
        return (slopes[0], float(intercepts[0])) if len(model) == 1 else (slopes, intercepts)

    @property
    def _term(self) -> Any:
        return self._objective.term

    def _model(self, name: str, flat: Any) -> Array:
        """Return the parameters (H, q) that a vector holds."""
        vector: Array = np.asarray(flat, dtype=np.float64)
        if vector.shape != self.start.shape:
            raise ValueError(
                f"scipy_objective: {name} must have the shape of start {self.start.shape}; got {vector.shape}"
            )
        return vector.reshape(self._shape)


def scipy_objective(
    loss: Loss,
    X: Any,
    y: Any,
    l2: float = 0.0,
    *,
    weight: Any = None,
    fit_intercept: bool = True,
    classes: int | None = None,
) -> ScipyObjective:
    r"""Return the objective of a linear model for ``scipy.optimize.minimize``: value, gradient, Hessian products.

    It is what the estimators of ``lossfn.sklearn`` minimise,

    .. math:: \frac{\sum_i w_i\, \ell(x_i^\top b + b_0,\, y_i)}{\sum_i w_i} + \frac{l_2}{2} \lVert b \rVert^2

    with one linear map for each head or score of the loss, for problems of one's own: bounds, constraints, other
    solvers. The estimators bring features to one scale first; here they stay as they are, so standardise them where
    their units differ much.

    Parameters
    ----------
    loss : Loss
        A pointwise loss or one of rows, whose predictions can be any number.
    X : array or sparse matrix (n, p)
        Features.
    y : array (n,)
        Targets as the loss takes them: {0, 1} or {-1, +1} for two classes, class indices or distributions for rows, a
        named tuple where the loss declares one.
    l2 : float
        Strength of the penalty; intercepts carry none.
    weight : array (n,), optional
        One weight for each row.
    fit_intercept : bool
        Whether to add a constant.
    classes : int, optional
        How many classes there are, where ``y`` holds class indices; without it, the largest index tells.

    Returns
    -------
    ScipyObjective
        With ``value_and_gradient``, ``hessian_vector_product``, ``value``, ``gradient``, the vector ``start`` and
        ``coefficients``, which takes a vector apart. A vector holds, for each head or score, the intercept and then the
        coefficients.

    Examples
    --------
    Counts in two groups, whose rates are the means 2 and 6:

    >>> import numpy as np
    >>> from scipy.optimize import minimize
    >>> import lossfn
    >>> group, counts = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([1, 3, 4, 8])
    >>> objective = lossfn.scipy_objective(lossfn.Poisson(), group, counts)
    >>> found = minimize(
    ...     objective.value_and_gradient,
    ...     objective.start,
    ...     jac=True,
    ...     hessp=objective.hessian_vector_product,
    ...     method="trust-ncg",
    ... )
    >>> slope, constant = objective.coefficients(found.x)
    >>> print(np.exp(constant).round(6), np.exp(constant + slope[0]).round(6))
    2.0 6.0

    The second group must not have the higher rate, by a solver that takes bounds: both get the mean of all.

    >>> bounds = [(None, None), (None, 0.0)]
    >>> found = minimize(objective.value_and_gradient, objective.start, jac=True, method="L-BFGS-B", bounds=bounds)
    >>> print(np.exp(objective.coefficients(found.x)[1]).round(4))
    4.0
    """
    if not isinstance(loss, PointwiseLoss | RowwiseLoss):
        checks.raise_no_loss("scipy_objective", loss)
    domain = refused_scores(loss)
    if domain:
        raise ValueError(f"scipy_objective: scores of a linear model can be any number, but {loss!r} takes {domain}")
    if isinstance(loss, PointwiseLoss) and loss.surrogate:
        raise ValueError(f"scipy_objective cannot minimise {loss!r}: {NO_OBJECTIVE}")
    if isinstance(l2, bool) or not isinstance(l2, Real) or not 0 <= float(l2) < math.inf:
        raise ValueError(f"scipy_objective: l2 must be a finite number >= 0; got {l2!r}")
    matrix = _features(X)
    rows, columns = matrix.shape
    parts = tuple(batches.as_numpy("scipy_objective", "y", part) for part in (y if isinstance(y, tuple) else (y,)))
    for part in parts:
        if part.shape[:1] != (rows,):
            raise ValueError(f"scipy_objective: X has {rows} rows, but y has the shape {part.shape}")
    y = parts if isinstance(y, tuple) else parts[0]
    heads = loss.width_of(y, classes) if isinstance(loss, RowwiseLoss) else len(loss.heads)
    # A harmless prediction, so that targets and weights are checked as in every other call.
    harmless = np.zeros((rows, heads))
    total = loss.total(harmless if loss.takes_vectors else harmless[:, 0], y, weight=weight)
    if not total.weight > 0:
        raise ValueError("scipy_objective: at least one row of positive weight is needed")
    penalty = np.full(columns, float(l2))
    start = np.zeros((heads, columns + fit_intercept))
    if fit_intercept:
        matrix = _with_ones(matrix)
        penalty = np.concatenate([[0.0], penalty])
    term: LossTerm | RowsTerm
    if isinstance(loss, RowwiseLoss):
        # Around their own best constant some losses of rows are flat: scores begin equal.
        term = RowsTerm(loss, y, weight)
    else:
        term = LossTerm(loss, y, weight)
        if fit_intercept:
            constant = np.atleast_1d(loss.optimal_constant(y, weight=weight))
            start[:, 0] = np.where(np.isfinite(constant), constant, 0.0)
    return ScipyObjective(LinearObjective(matrix, penalty, term), start, fit_intercept)


def refused_scores(loss: PointwiseLoss | RowwiseLoss) -> str:
    """Return what a loss takes instead of any number, with the cure; nothing where it takes the scores of a model."""
    if isinstance(loss, RowwiseLoss):
        inputs = str(getattr(loss, "inputs", "logits"))
        return "" if inputs == "logits" else f"{inputs.replace('_', '-')}; use inputs='logits'"
    if loss.prediction.takes_any_score:
        return ""
    advice = "use inputs='logits'" if hasattr(loss, "inputs") else loss.prediction.cure
    return f"{loss.prediction.name}{f'; {advice}' if advice else ''}"


def _features(X: Any) -> Any:
    """Return features as a matrix of float64, sparse ones in compressed rows."""
    is_sparse = hasattr(X, "tocsr")
    matrix = X.tocsr() if is_sparse else batches.as_numpy("scipy_objective", "X", X)
    matrix = matrix.astype(np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"scipy_objective: X must be a matrix (n, p); got {matrix.shape}. One feature is X[:, None]")
    if not np.isfinite(matrix.data if is_sparse else matrix).all():
        raise ValueError(f"scipy_objective: every feature in X must be {fields.REAL.name}")
    return matrix


def _with_ones(matrix: Any) -> Any:
    ones = np.ones((matrix.shape[0], 1))
    if isinstance(matrix, np.ndarray):
        return np.hstack([ones, matrix])
    from scipy import sparse

    return sparse.hstack([sparse.csr_array(ones), matrix], format="csr")
