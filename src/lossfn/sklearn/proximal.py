"""Minimising an objective whose loss has kinks: the augmented Lagrangian method on smoothed losses.

Scores get a copy ``v`` of their own, tied to the model by ``v = scores``. The method alternates between fitting the
model to a *smoothed* loss, which Newton's method can do, and moving the multipliers ``u`` of the constraint. The
smoothed loss of a row is its Moreau envelope::

    envelope(x) = min over v of  loss(v) + (x - v)^2 / (2 width),   x = scores + width u

and the minimising ``v`` is the proximal point of ``x``. For absolute errors the envelope is Huber's function; other
losses need no formula, because the proximal point is found numerically. Multipliers make the method exact: their
limits are subgradients of the loss, so the width need not shrink to zero.

Each ``u`` is a subgradient of the loss at ``v``, hence ``loss(v) + u (z - v)`` is a lower bound of ``loss(z)`` for
every score ``z``, and the model is optimal for these bounds. The distance between loss and bound at the model's own
scores is therefore how far its objective can be from the minimum: the method stops when that is small enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lossfn.objective import Array, LossTerm
from lossfn.pointwise import PointwiseLoss

from .coordinates import Coordinates
from .newton import EPSILON, NOT_CONVERGED, SMALLEST_SHARE, TINY, Solution, descend

# After a round that took few steps, the width shrinks by this factor. Narrow envelopes are curved in few rows only,
# so that Newton's method has little to go by: the width should not outrun the multipliers.
NARROWING = 0.2
FEW_STEPS = 3
SMALLEST_WIDTH = 1e-8
# Each round is solved to a tenth of the gap that the multipliers still leave, and more accurately than the one before.
FIRST_ACCURACY = 1e-2
SHARPENING = 0.1
MAX_ROUNDS = 200


class Proximal(NamedTuple):
    """Proximal points, and the loss and its first two derivatives there, row by row."""

    point: Array
    value: Array
    slope: Array
    curvature: Array


def proximal(loss: PointwiseLoss, target: Array, x: Array, width: float) -> Proximal:
    """Minimise ``loss(v, target) + (x - v)**2 / (2 width)`` over ``v``, row by row, for any convex loss.

    The minimiser lies between x and the step along the slope at x. Within such a bracket the loss is modelled by a
    parabola at each end, and the models meet where a kink may be. The minimiser of the model is tried; if it is an
    end, that end is the answer. For losses made of straight lines and parabolas this takes one or two rounds per kink.
    Every third round bisects, so that the bracket shrinks whatever the loss.
    """

    def at(point: Array) -> Array:
        return np.array([point, *loss.value_gradient_and_hessian(point, target, reduction="none")])

    near = at(x)
    found = at(x - width * near[2])
    # On a straight line the step along the slope at x is the answer.
    rows = np.flatnonzero(found[2] != near[2])
    x, target = x[rows], target[rows]
    near, far = near[:, rows], found[:, rows]
    low, high = np.where(near[0] < far[0], [near, far], [far, near])
    for attempt in range(MAX_ROUNDS):
        accuracy = 4 * np.finfo(np.float64).eps * (np.abs(low[0]) + np.abs(high[0]))
        candidate = _model_minimum(low, high, x, width)
        is_low, is_high = candidate - low[0] <= accuracy, high[0] - candidate <= accuracy
        found[:, rows] = np.where(is_low, low, high)
        open_rows = np.flatnonzero(~(is_low | is_high))
        if len(open_rows) == 0:
            break
        low, high = low[:, open_rows], high[:, open_rows]
        rows, x, target = rows[open_rows], x[open_rows], target[open_rows]
        trial = 0.5 * (low[0] + high[0]) if attempt % 3 == 2 else candidate[open_rows]
        middle = at(trial)
        is_below = trial + width * middle[2] < x
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return Proximal(*found)


def _model_minimum(low: Array, high: Array, x: Array, width: float) -> Array:
    """Minimise the two parabolas, joined where they meet, plus the quadratic; between both ends of the bracket."""
    span = high[0] - low[0]
    # Parabolas in the distance from the low end: their difference is c + b t + a t^2.
    a = 0.5 * (low[3] - high[3])
    b = low[2] - (high[2] - high[3] * span)
    c = low[1] - (high[1] - high[2] * span + 0.5 * high[3] * span**2)
    root = np.sqrt(np.maximum(b * b - 4.0 * a * c, 0.0))
    divisor = b - root
    kink = low[0] - np.where(divisor < 0.0, 2.0 * c / np.where(divisor < 0.0, divisor, 1.0), 0.0)
    # Each parabola's own minimum, which counts on its own side of the kink.
    left = low[0] + (x - low[0] - width * low[2]) / (1.0 + width * low[3])
    right = high[0] + (x - high[0] - width * high[2]) / (1.0 + width * high[3])
    best = np.where(left < kink, left, np.where(right > kink, right, kink))
    clipped: Array = np.clip(best, low[0], high[0])
    return clipped


class EnvelopeTerm:
    """The weighted mean of the smoothed loss, at scores shifted by the multipliers."""

    def __init__(self, loss: PointwiseLoss, target: Array, weight: Array, width: float, multipliers: Array) -> None:
        self.loss = loss
        self.target = target
        self.share = weight / weight.sum()
        self.width = width
        self.multipliers = multipliers
        self._last: tuple[Array, Proximal, Array] | None = None

    def split(self, scores: Array) -> tuple[Proximal, Array]:
        """Return the proximal points of the shifted scores, and the subgradients that make them optimal."""
        # The solver's last scores are those whose subgradients are asked for when it is done.
        if self._last is None or not np.array_equal(scores, self._last[0]):
            shifted = scores[:, 0] + self.width * self.multipliers
            solution = proximal(self.loss, self.target, shifted, self.width)
            self._last = scores, solution, (shifted - solution.point) / self.width
        return self._last[1:]

    def evaluate(self, scores: Array) -> tuple[float, Array, Callable[[], Array]]:
        """Return the mean, its gradient (n, 1) and what gives its Hessian (n, 1, 1)."""
        solution, subgradient = self.split(scores)
        value = self.share @ (solution.value + 0.5 * self.width * (subgradient**2 - self.multipliers**2))
        # At a kink the point stays while the score moves, so that the subgradient changes at the rate 1 / width.
        at_kink = np.abs(subgradient - solution.slope) > 1e-6 * (np.abs(subgradient) + np.abs(solution.slope))
        smooth = solution.curvature / (1.0 + self.width * solution.curvature)
        curvature = np.where(at_kink, 1.0 / self.width, smooth)
        return float(value), (self.share * subgradient)[:, None], lambda: (self.share * curvature)[:, None, None]


def minimize_convex(
    coordinates: Coordinates, term: LossTerm, start: Array, tolerance: float, max_steps: int
) -> Solution:
    """Minimise an objective whose loss is convex but has kinks; one head."""
    loss, target, weight = term.loss, term.target, term.weight
    exact = coordinates.objective(term)
    point = exact.at(start)
    # Here and below, parts of what proximal() compiles anyway.
    _, slopes, _ = loss.value_gradient_and_hessian(exact.scores(start)[:, 0], target, reduction="none")
    share = weight / weight.sum()
    # The only length that loss and data define: it is the mean absolute residual for absolute errors, 1 for the hinge.
    natural = max(abs(point.value), TINY) / max(float(share @ slopes**2), TINY)
    # Residuals of the fit are shorter than those of the start.
    width = NARROWING * natural
    multipliers = np.zeros_like(target)
    best = Solution(start, point.value, 0)
    steps = 0
    accuracy = FIRST_ACCURACY
    while steps < max_steps:
        smoothed = EnvelopeTerm(loss, target, weight, width, multipliers)
        inner = descend(coordinates.objective(smoothed), best.parameters, accuracy, max_steps - steps)
        steps += inner.steps
        scores = exact.scores(inner.parameters)
        solution, subgradients = smoothed.split(scores)
        values, _, _ = loss.value_gradient_and_hessian(scores[:, 0], target, reduction="none")
        bounds = solution.value + subgradients * (scores[:, 0] - solution.point)
        value = float(share @ values) + exact.penalty_of(inner.parameters)
        gap = float(share @ (values - bounds))
        best = Solution(inner.parameters, value, steps)
        relative_gap = gap / max(abs(value), SMALLEST_SHARE * abs(point.value), TINY)
        if relative_gap <= tolerance and accuracy <= tolerance:
            return best
        accuracy = max(SHARPENING * min(accuracy, relative_gap), EPSILON)
        multipliers = subgradients
        if inner.steps <= FEW_STEPS:
            width = max(NARROWING * width, SMALLEST_WIDTH * natural)
    return best._replace(complaint=NOT_CONVERGED.format(steps=steps))
