"""Minimising a smooth objective: Newton's method in a trust region, or L-BFGS where there are many parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize

from .objective import Array, Objective, Point

# Up to this number of parameters the Hessian is cheap to form and to decompose.
NEWTON_LIMIT = 1000
EPSILON = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)

NOT_CONVERGED = "the solver stopped after {steps} steps before it reached tol: increase max_iter, or raise tol"
NO_PROGRESS = (
    "the objective stopped decreasing before the solver reached tol. A loss of your own that has a kink must declare "
    "`smoothness = 0` in its class"
)
AT_INFINITY = (
    "the objective has no finite minimum: it keeps decreasing as coefficients grow (for a classifier, a hyperplane "
    "separates the classes). Coefficients depend on where the solver stopped: set l2 > 0 for a unique answer"
)

UNCERTIFIED = (
    "the loss has kinks and is not known to be convex, so nothing shows that this is the minimum. If it is convex, "
    "declare `convex = True` in its class"
)


class Solution(NamedTuple):
    """Where a solver stopped, after how many steps, and what went wrong if anything did."""

    parameters: Array
    value: float
    steps: int
    complaint: str = ""


def minimize_smooth(objective: Objective, start: Array, tolerance: float, max_steps: int) -> Solution:
    """Minimise an objective with a continuous gradient.

    ``tolerance`` is the decrease of the objective, relative to its size, below which another step is not worthwhile.
    """
    if start.size <= NEWTON_LIMIT:
        return _newton(objective, start, tolerance, max_steps)
    return _lbfgs(objective, start, tolerance, max_steps)


def _newton(objective: Objective, start: Array, tolerance: float, max_steps: int) -> Solution:
    """Newton's method in a trust region: each step minimises the quadratic model within a radius.

    A line search would need a Hessian made positive first; the trust region takes negative curvature (focal loss) and
    zero curvature (Huber with every residual in the tails) as they come. With the Hessian decomposed into eigenvectors
    the step for any radius costs next to nothing.
    """
    point = objective.at(start)
    first_value, first_rounding = point.value, point.gradient_rounding
    if not np.isfinite(first_value):
        return Solution(start, first_value, 0, AT_INFINITY)
    # Heads differ in units (a mean and a log-variance): curvature at the start puts them on one scale.
    curvature = np.abs(np.einsum("nhh->h", point.row_hessian))
    unit = np.where(curvature > 0.0, 1.0 / np.sqrt(np.where(curvature > 0.0, curvature, 1.0)), 1.0)
    units = np.repeat(unit, start.shape[1])
    radius = np.inf
    for step in range(1, max_steps + 1):
        worthwhile = tolerance * max(abs(point.value), 1e-6 * abs(first_value))
        eigenvalues, vectors = np.linalg.eigh(units[:, None] * objective.hessian(point) * units)
        slopes = vectors.T @ (units * point.gradient.ravel())
        # Along a null direction of the features both curvature and slope are rounding errors: stay put.
        rounding = max(first_rounding, point.gradient_rounding) * unit.max()
        is_flat = np.abs(eigenvalues) <= EPSILON * len(slopes) * np.abs(eigenvalues).max()
        absent = is_flat & (np.abs(slopes) <= rounding)
        eigenvalues[absent], slopes[absent] = 1.0, 0.0
        while True:
            coordinates, is_newton = _step_within(eigenvalues, slopes, radius, point.value)
            predicted = -float(slopes @ coordinates + 0.5 * eigenvalues @ coordinates**2)
            move = (units * (vectors @ coordinates)).reshape(start.shape)
            trial = objective.at(point.parameters + move)
            converged = is_newton and predicted <= worthwhile
            # At convergence the decrease drowns in rounding, while the step still improves the parameters.
            gained = point.value - trial.value
            accepted = gained >= 0.1 * predicted or (converged and gained >= -worthwhile)
            if accepted or converged:
                break
            if not predicted > EPSILON * abs(point.value):
                return Solution(point.parameters, point.value, step, NO_PROGRESS)
            # Where the slope along the step would vanish if it changed linearly between its ends.
            slope, end_slope = (
                float(point.gradient.ravel() @ move.ravel()),
                float(trial.gradient.ravel() @ move.ravel()),
            )
            fraction = slope / (slope - end_slope) if end_slope > 0.0 else 0.25
            radius = float(np.clip(fraction, 1 / 64, 0.5) * np.linalg.norm(coordinates))
        if converged:
            recedes = _recedes(objective, point, move, trial.parameters - start, predicted)
            best = trial if accepted else point
            return Solution(best.parameters, best.value, step, AT_INFINITY if recedes else "")
        if gained >= 0.75 * predicted:
            radius = max(radius, 4 * float(np.linalg.norm(coordinates)))
        point = trial
    return Solution(point.parameters, point.value, max_steps, NOT_CONVERGED.format(steps=max_steps))


def _step_within(eigenvalues: Array, slopes: Array, radius: float, value: float) -> tuple[Array, bool]:
    """Minimise the quadratic model within the radius; also tell whether that is the unrestricted Newton step."""
    lowest = float(eigenvalues.min())
    if lowest > EPSILON * float(np.abs(eigenvalues).max()):
        newton = -slopes / eigenvalues
        if np.linalg.norm(newton) <= radius:
            return newton, True
    steepest = float(np.linalg.norm(slopes))
    if steepest == 0.0:
        return np.zeros_like(slopes), True
    if np.isinf(radius):
        # No curvature tells how far to go: as far as the slope would take to bring the objective to zero.
        radius = max(abs(value), EPSILON) / steepest

    # The step is -slopes / (eigenvalues + shift), and its length decreases with the shift. The reciprocal of the
    # length is almost linear in the shift, which root finders like.
    floor = EPSILON * (float(np.abs(eigenvalues).max()) + steepest / radius)

    def step(shift: float) -> Array:
        return -slopes / np.maximum(eigenvalues + shift, floor)

    def excess(shift: float) -> float:
        return float(1.0 / np.linalg.norm(step(shift)) - 1.0 / radius)

    smallest = max(0.0, -lowest)
    largest = smallest + steepest / radius
    if excess(smallest) < 0.0 < excess(largest):
        largest = brentq(excess, smallest, largest, xtol=TINY, rtol=1e-6)
    return step(largest), False


def _recedes(objective: Objective, point: Point, move: Array, displacement: Array, predicted: float) -> bool:
    """Whether the objective still falls along a multiple of the last step.

    Around a minimum it rises: with a quadratic, by 48 times the predicted decrease for eight steps. Where the minimum
    lies at infinity, each Newton step is about as long as the one before.
    """
    if np.linalg.norm(move) <= 1e-3 * np.linalg.norm(displacement):
        return False
    far = objective.at(point.parameters + 8 * move).value
    return point.value - far > max(predicted, 50 * EPSILON * abs(point.value))


def minimize_uncertified(objective: Objective, start: Array, tolerance: float, max_steps: int) -> Solution:
    """Minimise an objective that is neither smooth nor known to be convex, as well as L-BFGS can."""
    solution = _lbfgs(objective, start, tolerance, max_steps)
    return solution._replace(complaint=solution.complaint or UNCERTIFIED)


def _lbfgs(objective: Objective, start: Array, tolerance: float, max_steps: int) -> Solution:
    first = objective.at(start)
    # L-BFGS-B takes objectives below 1 for converged unless they are brought to the size 1.
    size = abs(first.value) if abs(first.value) > TINY else 1.0

    def value_and_gradient(flat: Array) -> tuple[float, Array]:
        point = objective.at(flat.reshape(start.shape))
        return point.value / size, point.gradient.ravel() / size

    # One of its steps gains less than one of Newton's method, hence the finer tolerance.
    options = {"maxiter": max_steps, "maxfun": 20 * max_steps, "maxcor": 30, "ftol": 1e-3 * tolerance, "gtol": 0.0}
    result: Any = minimize(  # type: ignore[call-overload]  # the stubs do not know shapes
        value_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", options=options
    )
    last = objective.at(result.x.reshape(start.shape))
    complaint = "" if result.success else NOT_CONVERGED.format(steps=result.nit)
    if _recedes(objective, last, last.parameters - start, last.parameters - start, 0.0):
        complaint = AT_INFINITY
    return Solution(last.parameters, last.value, int(result.nit), complaint)
