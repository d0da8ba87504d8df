"""Exact values, gradients and Hessians with their condition: differences in high precision.

Expressions are evaluated with the textbook definitions of the primitives, as in ``lossfn.engine.oracle``. Two things
differ, because here the whole domain counts and not only ordinary points: step and digits adapt to the point, and
parameters become high-precision numbers first, so that ``1 - self.tau`` is exact, too.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import mpmath
import numpy as np

from benchmarks.points import Array, Points, features, float_parameters, is_margin_loss
from lossfn import PointwiseLoss, fields
from lossfn.engine.oracle import ARITHMETIC
from lossfn.engine.primitives import FAMILIES

KINDS = ("value", "gradient", "Hessian")

#: Offsets in steps, and factors, of the central differences of order 0 to 3.
Stencil = tuple[tuple[int, float], ...]
STENCILS: tuple[Stencil, ...] = (
    ((0, 1.0),),
    ((-1, -0.5), (1, 0.5)),
    ((-1, 1.0), (0, -2.0), (1, 1.0)),
    ((-2, -0.5), (-1, 1.0), (1, -1.0), (2, 0.5)),
)
#: First and second differences to the left and to the right of a kink.
ONE_SIDED: tuple[tuple[Stencil, Stencil], ...] = (
    (((-1, -1.0), (0, 1.0)), ((0, -1.0), (1, 1.0))),
    (((-2, 1.0), (-1, -2.0), (0, 1.0)), ((0, 1.0), (1, -2.0), (2, 1.0))),
)

#: A step is so many digits below the distance to anything special; differences err by its square.
NEARNESS = 25
SPARE_DIGITS = 100
#: Beyond this size, exponentials are zero or infinite in every dtype, and steps grow with the number.
LARGE = 1e6
#: Nearer than this to something special, derivatives are trusted only if they pass a test.
NEAR = 1e-20
#: Zero in every dtype, and its reciprocal infinite.
VANISHING = mpmath.mpf(10) ** -340
#: Digits of the number that stands for infinity; its reciprocal stands for the distance from a boundary.
BEYOND = 400


class Namespace:
    """The textbook definition of every primitive on mpmath numbers, in the digits of whoever calls."""

    def __init__(self) -> None:
        for family in FAMILIES:
            for primitive in family:
                setattr(self, primitive.name, partial(primitive.oracle, ARITHMETIC))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"{name!r} is not a primitive")


NAMESPACE = Namespace()


@dataclass(frozen=True)
class Entry:
    """The exact number at one point, or the two numbers that are right at a kink.

    ``sensitivity`` is the sum over heads and continuous targets of |x · ∂number/∂x|; divided by the number it is the
    relative condition. ``crosses_kink`` says that rounding the residual moves it to another side of a kink.
    """

    numbers: tuple[Any, ...]
    sensitivity: Any
    crosses_kink: bool = False


Table = dict[str, list[list[Entry]]]


class Neighbourhood:
    """A loss at and around one point, on a grid: ``place`` is the heads and the target, each with a step of its own."""

    def __init__(self, loss: PointwiseLoss, place: list[Any], steps: list[Any]) -> None:
        self.loss = with_exact_parameters(loss)
        self.place = place
        self.steps = steps
        self._values: dict[tuple[int, ...], Any] = {}
        self._derivatives: dict[tuple[int, ...], Any] = {}

    def value(self, offsets: tuple[int, ...]) -> Any:
        """Return the value so many steps away in each coordinate."""
        if offsets not in self._values:
            moved = [x + offset * step for x, offset, step in zip(self.place, offsets, self.steps, strict=True)]
            self._values[offsets] = evaluate(self.loss, moved[:-1], moved[-1])
        return self._values[offsets]

    def difference(self, stencils: list[Stencil], orders: tuple[int, ...]) -> Any:
        """Return the divided difference by the given stencil in each coordinate."""
        total = mpmath.mpf(0)
        for chosen in itertools.product(*stencils):
            factor = 1.0
            for _, weight in chosen:
                factor *= weight
            total += factor * self.value(tuple(offset for offset, _ in chosen))
        return total / self.size(orders)

    def derivative(self, orders: tuple[int, ...]) -> Any:
        """Return the mixed derivative of the given orders in heads and target."""
        if orders not in self._derivatives:
            self._derivatives[orders] = self.difference([STENCILS[order] for order in orders], orders)
        return self._derivatives[orders]

    def size(self, orders: tuple[int, ...]) -> Any:
        """Return the product of steps that divides a difference of these orders."""
        return mpmath.fprod(step**order for step, order in zip(self.steps, orders, strict=True))

    def noise(self, orders: tuple[int, ...], cancelling: bool) -> Any:
        """Return far more than the rounding error of a derivative; inside values, numbers like 1 may be cancelling."""
        largest = max(1.0 if cancelling else 0.0, *(abs(value) for value in self._values.values()))
        return largest * mpmath.mpf(10) ** (SPARE_DIGITS // 2 - mpmath.mp.dps) / self.size(orders)

    def sensitivity(self, orders: tuple[int, ...], counted: list[int]) -> Any:
        """Return Σ |x · ∂/∂x| of a derivative over the counted coordinates."""
        total = mpmath.mpf(0)
        for position in counted:
            if self.place[position]:
                raised = tuple(order + (place == position) for place, order in enumerate(orders))
                total += abs(self.place[position] * self.derivative(raised))
        return total


def with_exact_parameters(loss: PointwiseLoss) -> PointwiseLoss:
    """Return a copy whose parameters are high-precision numbers."""
    clone = copy.copy(loss)
    for name, number in float_parameters(loss).items():
        object.__setattr__(clone, name, mpmath.mpf(number))
    return clone


def evaluate(loss: PointwiseLoss, heads: list[Any], target: Any) -> Any:
    """Return the value for high-precision numbers."""
    return mpmath.mpf(loss.expression(NAMESPACE, heads[0] if len(heads) == 1 else tuple(heads), target))


def reference(loss: PointwiseLoss, points: Points) -> Table:
    """Return the entries of value, gradient and Hessian for every finite point."""
    rows = [_at_point(loss, heads, target) for heads, target in zip(points.heads, points.target, strict=True)]
    return {kind: [row[kind] for row in rows] for kind in KINDS}


def limits(loss: PointwiseLoss, points: Points) -> Table:
    """Return the entries where predictions are infinite or on the boundary of their domain."""
    with mpmath.workdps(2 * (BEYOND + NEARNESS) + SPARE_DIGITS):
        rows = [_at_limit(loss, heads, target) for heads, target in zip(points.heads, points.target, strict=True)]
    return {kind: [row[kind] for row in rows] for kind in KINDS}


def orders_of(kind: str, heads: int) -> list[tuple[int, ...]]:
    """Return for each entry of a value, gradient or Hessian the order in each head, and 0 for the target."""
    axes = itertools.product(range(heads), repeat=KINDS.index(kind))
    return [(*(chosen.count(head) for head in range(heads)), 0) for chosen in axes]


def _at_point(loss: PointwiseLoss, heads: Array, target: Any) -> dict[str, list[Entry]]:
    place = [*(mpmath.mpf(float(head)) for head in heads), mpmath.mpf(float(target))]
    with mpmath.workdps(1000):
        variable = place[0] * place[-1] if is_margin_loss(loss) else place[0] - place[-1]
        with np.errstate(over="ignore"):
            rounded = float(variable) if is_margin_loss(loss) else float(heads[0] - target)
        crosses = loss.smoothness < 2 and _side(loss, abs(variable)) != _side(loss, abs(rounded))
    counted = list(range(len(heads)))
    if _is_continuous(loss, float(target)):
        counted.append(len(heads))
    # Small steps need many digits. They are taken where differences with larger ones cannot be trusted: where a result
    # vanishes, or is much smaller than the values that it is a difference of.
    more_digits = int(-1.3 * np.log10(float(np.finfo(heads.dtype).smallest_subnormal)))
    for nearest, more in ((NEAR, 0), (0.0, more_digits)):
        with mpmath.workdps(1000):
            steps, digits = _steps_and_digits(loss, place, variable, nearest)
        with mpmath.workdps(digits + more):
            around = Neighbourhood(loss, place, steps)
            result, trusted = _entries(loss, around, counted, variable, crosses)
        if trusted:
            break
    return result


def _entries(
    loss: PointwiseLoss, around: Neighbourhood, counted: list[int], variable: Any, crosses: bool
) -> tuple[dict[str, list[Entry]], bool]:
    """Return the entries of one point, and whether all of them can be trusted."""
    is_kink = abs(variable) in features(loss) and _has_kink(loss, around)
    # Next to zero, numbers of the size of 1 may cancel inside a value.
    cancelling = any(0 < abs(x) < NEAR for x in [*around.place, variable])
    trusted = True
    result: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    for order, kind in enumerate(KINDS):
        jumps = order > loss.smoothness
        for orders in orders_of(kind, len(around.place) - 1):
            if is_kink and jumps:
                result[kind].append(Entry(_numbers_at_kink(loss, around), mpmath.mpf(0)))
                continue
            number = around.derivative(orders)
            # Where curvature jumps, a central difference errs by its step.
            if is_kink and abs(number) < around.steps[0] * 1e5:
                number = mpmath.mpf(0)
            sensitivity = around.sensitivity(orders, counted)
            doubt = max(around.noise(orders, cancelling), sensitivity * NEAR)
            is_extreme = max(abs(number), doubt) < VANISHING or abs(number) > 1 / VANISHING
            trusted &= bool(is_extreme or abs(number) > doubt)
            result[kind].append(Entry((number,), sensitivity, crosses and jumps))
    return result, trusted


def _steps_and_digits(loss: PointwiseLoss, place: list[Any], variable: Any, nearest: float) -> tuple[list[Any], int]:
    """Return a step for each coordinate and the digits that third differences need with them.

    Steps are far below the distance to every feature; where the loss is smooth, not farther below than for a distance
    of ``nearest``.
    """
    edges = [edge for edge in (loss.prediction.low, loss.prediction.high) if np.isfinite(edge)]
    steps = []
    for position, x in enumerate(place):
        distances = [max(abs(x), mpmath.mpf(nearest))]
        if position in (0, len(place) - 1):
            distances.append(max(abs(variable), mpmath.mpf(nearest)) or mpmath.mpf(1))
            if loss.smoothness < 2:
                distances += [abs(abs(variable) - feature) for feature in features(loss)]
        distances += [abs(x - edge) for edge in edges if position < len(loss.heads)]
        distance = min((distance for distance in distances if distance), default=mpmath.mpf(1))
        if distance < LARGE:
            distance = min(distance, mpmath.mpf(1))
        # A power of two, so that steps are never rounded.
        steps.append(mpmath.ldexp(1, mpmath.mag(distance) - int(NEARNESS / 0.301)))
    # Two orders in the heads, and one more there or in the target.
    largest = max(1, *map(abs, place))
    bits = 2 * mpmath.mag(largest / min(steps[:-1])) + mpmath.mag(largest / min(steps))
    return steps, int(0.302 * bits) + SPARE_DIGITS


def _has_kink(loss: PointwiseLoss, around: Neighbourhood) -> bool:
    """Whether the first derivative that jumps, according to the declaration, jumps here."""
    if loss.smoothness > 1:
        return False
    left, right = _both_sides(loss, around)
    return bool(abs(left - right) > 1e-6 * (abs(left) + abs(right)))


def _both_sides(loss: PointwiseLoss, around: Neighbourhood) -> tuple[Any, Any]:
    order = int(loss.smoothness) + 1
    left, right = (around.difference([side, STENCILS[0]], (order, 0)) for side in ONE_SIDED[order - 1])
    return left, right


def _numbers_at_kink(loss: PointwiseLoss, around: Neighbourhood) -> tuple[Any, ...]:
    # The documented subgradient is 0; where only the curvature jumps, both of its sides are right.
    return (mpmath.mpf(0),) if loss.smoothness == 0 else _both_sides(loss, around)


def _at_limit(loss: PointwiseLoss, heads: Array, target: Any) -> dict[str, list[Entry]]:
    exact_target = mpmath.mpf(float(target))
    exact_heads = [mpmath.mpf(float(head)) for head in heads]
    tiny = mpmath.mpf(10) ** -BEYOND
    inside = {loss.prediction.low: loss.prediction.low + tiny, loss.prediction.high: loss.prediction.high - tiny}
    inside |= {-np.inf: -1 / tiny, np.inf: 1 / tiny}
    places = [inside.get(float(head), exact) for head, exact in zip(heads, exact_heads, strict=True)]
    is_boundary = any(float(head) in (loss.prediction.low, loss.prediction.high) for head in heads if np.isfinite(head))
    step = (tiny if is_boundary else 1) * mpmath.mpf(10) ** -NEARNESS
    around = Neighbourhood(loss, [*places, exact_target], [step] * (len(heads) + 1))
    result = {
        kind: [Entry((around.derivative(orders),), mpmath.mpf(0)) for orders in orders_of(kind, len(heads))]
        for kind in KINDS
    }
    # The value itself is known in the limit, unless infinities meet there.
    value = evaluate(around.loss, exact_heads, exact_target)
    if not mpmath.isnan(value):
        result["value"] = [Entry((value,), mpmath.mpf(0))]
    return result


def _is_continuous(loss: PointwiseLoss, target: float) -> bool:
    """Whether a target is a measured number, whose rounding counts, and not a label."""
    return not loss.target.is_discrete and not (loss.target == fields.PROBABILITY and target in (0.0, 1.0))


def _side(loss: PointwiseLoss, size: Any) -> list[int]:
    """Return on which side of each possible kink a residual or margin of this size lies."""
    return [(size > feature) - (size < feature) for feature in features(loss)]
