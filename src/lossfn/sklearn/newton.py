"""Minimising a smooth objective: Newton's method in a trust region, or L-BFGS where there are many parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize

from lossfn.objective import Array, LinearObjective, Point

# Up to this number of parameters the Hessian is cheap to form and to decompose.
NEWTON_LIMIT = 1000
EPSILON = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)
# An objective below this share of its first value counts as zero: the data are fitted exactly.
SMALLEST_SHARE = 1e-6

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

SEVERAL_KINKS = (
    "the loss has kinks between several classes, which L-BFGS approaches but does not resolve: the objective is near "
    "its minimum, and nothing shows how near"
)


class Step(NamedTuple):
    """From where a solver went where, and how much that was to gain."""

    origin: Point
    move: Array
    predicted: float


class Solution(NamedTuple):
    """Where a solver stopped, after how many steps, and what went wrong if anything did."""

    parameters: Array
    value: float
    steps: int
    complaint: str = ""
    last: Step | None = None


def minimize_smooth(objective: LinearObjective, start: Array, tolerance: float, max_steps: int) -> Solution:
    """Minimise an objective with a continuous gradient, and say so where it has no minimum.

    ``tolerance`` is the decrease of the objective, relative to its size, below which another step is not worthwhile.
    """
    return _with_recession(objective, start, descend(objective, start, tolerance, max_steps))


def descend(objective: LinearObjective, start: Array, tolerance: float, max_steps: int) -> Solution:
    """Minimise an objective with a continuous gradient that is known to have a minimum."""
    solver = _newton if start.size <= NEWTON_LIMIT else _lbfgs
    return solver(objective, start, tolerance, max_steps)


def _newton(objective: LinearObjective, start: Array, tolerance: float, max_steps: int) -> Solution:
    """Newton's method in a trust region: each step minimises the quadratic model within a radius.

    A line search would need a Hessian made positive first; the trust region takes negative curvature (focal loss) and
    zero curvature (Huber with every residual in the tails) as they come.
    """
    point = objective.at(start)
    first = point
    # Heads differ in units (a mean and a log-variance): the curvature at the first point puts them on one scale.
    curvature = np.abs(np.einsum("nhh->h", first.row_hessian()))
    units = 1.0 / np.sqrt(np.where(curvature > 0.0, curvature, 1.0))
    radius = np.inf
    for steps in range(1, max_steps + 1):
        worthwhile = tolerance * max(abs(point.value), SMALLEST_SHARE * abs(first.value))
        rounding = max(first.gradient_rounding, point.gradient_rounding)
        model = _QuadraticModel(objective, point, units, rounding)
        while True:
            step, is_unrestricted = model.minimum_within(radius)
            predicted = model.decrease(step)
            move = model.move(step)
            trial = objective.at(point.parameters + move)
            gained = point.value - trial.value
            converged = is_unrestricted and predicted <= worthwhile
            if converged:
                # The decrease drowns in rounding now, while the step still improves the parameters.
                best = trial if gained >= -worthwhile else point
                return Solution(best.parameters, best.value, steps, last=Step(point, move, predicted))
            if gained >= 0.1 * predicted:
                break
            if not predicted > EPSILON * abs(point.value):
                return Solution(point.parameters, point.value, steps, NO_PROGRESS)
            radius = _shorter(point, trial, move) * float(np.linalg.norm(step))
        if gained >= 0.75 * predicted:
            radius = max(radius, 4 * float(np.linalg.norm(step)))
        point = trial
    return Solution(point.parameters, point.value, max_steps, NOT_CONVERGED.format(steps=max_steps))


def _shorter(point: Point, trial: Point, move: Array) -> float:
    """Return the share of a move that went too far at which the slope along it may vanish, by interpolation."""
    slope = float((point.gradient * move).sum())
    end_slope = float((trial.gradient * move).sum())
    return float(np.clip(slope / (slope - end_slope), 1 / 64, 1 / 2)) if end_slope > 0.0 else 1 / 4


class _QuadraticModel:
    """The quadratic model of an objective around a point, in the coordinates of the Hessian's eigenvectors.

    There the minimum within any radius costs next to nothing.
    """

    def __init__(self, objective: LinearObjective, point: Point, units: Array, rounding: float) -> None:
        """Take the unit of the parameters of each head, and the size of rounding errors of a gradient."""
        self.units = np.repeat(units, point.parameters.shape[1])
        self.shape = point.parameters.shape
        scaled = self.units[:, None] * objective.hessian(point) * self.units
        self.eigenvalues, self.vectors = np.linalg.eigh(scaled)
        self.slopes = self.vectors.T @ (self.units * point.gradient.ravel())
        self.largest = float(np.abs(self.eigenvalues).max())
        # Along a null direction of the features both curvature and slope are rounding errors: stay put.
        is_flat = np.abs(self.eigenvalues) <= EPSILON * len(self.slopes) * self.largest
        absent = is_flat & (np.abs(self.slopes) <= rounding * units.max())
        self.eigenvalues[absent], self.slopes[absent] = self.largest, 0.0
        self.steepest = float(np.linalg.norm(self.slopes))
        # Without curvature to tell how far to go: as far as the slope would need to bring the objective to zero.
        self.reach = max(abs(point.value), EPSILON) / self.steepest if self.steepest > 0.0 else 0.0

    def move(self, step: Array) -> Array:
        """Return the change of the parameters that a step means."""
        change: Array = (self.units * (self.vectors @ step)).reshape(self.shape)
        return change

    def decrease(self, step: Array) -> float:
        """Return by how much the model decreases."""
        return -float(self.slopes @ step + 0.5 * self.eigenvalues @ step**2)

    def minimum_within(self, radius: float) -> tuple[Array, bool]:
        """Return the step to the minimum within the radius, and whether that is the unrestricted Newton step."""
        if self.steepest == 0.0:
            return np.zeros_like(self.slopes), True
        lowest = float(self.eigenvalues.min())
        if lowest > EPSILON * self.largest:
            newton = -self.slopes / self.eigenvalues
            if np.linalg.norm(newton) <= radius:
                return newton, True
        if np.isinf(radius):
            radius = self.reach
        floor = EPSILON * (self.largest + self.steepest / radius)

        # The step is -slopes / (eigenvalues + shift), and its length decreases with the shift. The reciprocal of the
        # length is almost linear in the shift, which root finders like.
        def shifted(shift: float) -> Array:
            return -self.slopes / np.maximum(self.eigenvalues + shift, floor)

        def excess(shift: float) -> float:
            return float(1.0 / np.linalg.norm(shifted(shift)) - 1.0 / radius)

        smallest = max(0.0, -lowest)
        shift = smallest + self.steepest / radius
        if excess(smallest) < 0.0 < excess(shift):
            shift = brentq(excess, smallest, shift, xtol=TINY, rtol=1e-6)
        return shifted(shift), False


def _with_recession(objective: LinearObjective, start: Array, solution: Solution) -> Solution:
    """Return a solution with a complaint if the objective still falls along a multiple of the last step.

    Around a minimum it rises: with a quadratic, by 48 times the predicted decrease for eight steps. Where the minimum
    lies at infinity, each Newton step is about as long as the one before.
    """
    if solution.last is None:
        return solution
    point, move, predicted = solution.last
    if np.linalg.norm(move) <= 1e-3 * np.linalg.norm(solution.parameters - start):
        return solution
    far = objective.at(point.parameters + 8 * move).value
    recedes = point.value - far > max(predicted, 50 * EPSILON * abs(point.value))
    return solution._replace(complaint=AT_INFINITY) if recedes else solution


def minimize_uncertified(
    objective: LinearObjective, start: Array, tolerance: float, max_steps: int, complaint: str
) -> Solution:
    """Minimise an objective that has kinks as well as L-BFGS can; ``complaint`` says what it cannot know."""
    solution = _with_recession(objective, start, _lbfgs(objective, start, tolerance, max_steps))
    # Where the minimum lies at a kink, its line search finds no way down.
    said = "" if solution.complaint == NO_PROGRESS else solution.complaint
    return solution._replace(complaint=said or complaint)


def _lbfgs(objective: LinearObjective, start: Array, tolerance: float, max_steps: int) -> Solution:
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
    complaint = ""
    if not result.success:
        complaint = NO_PROGRESS if result.nit < max_steps else NOT_CONVERGED.format(steps=result.nit)
    return Solution(last.parameters, last.value, int(result.nit), complaint, Step(last, last.parameters - start, 0.0))
