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

from benchmarks.points import (
    Array,
    Points,
    continuous_parts,
    each_number,
    features,
    has_kinks_of_several_heads,
    has_scale,
    is_special_at_zero,
    side_of,
    variable_of,
)
from benchmarks.steps import NEAR, NEARNESS, SPARE_DIGITS, VANISHING, scale_of, steps_and_digits
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

#: The logarithm of the number that stands for infinity is between this and its square.
GROWING = 100
#: Digits of the number that stands for infinity, whose square root is beyond every dtype; its reciprocal stands for the
#: distance from a boundary.
BEYOND = 640
#: Binary digits by which the smallest steps are below the small ones.
FURTHER = 200


class Namespace:
    """The textbook definition of every primitive on mpmath numbers, in the digits of whoever calls."""

    def __init__(self) -> None:
        for family in FAMILIES:
            for primitive in family:
                setattr(self, primitive.name, partial(primitive.oracle, ARITHMETIC))

    def begin(self) -> None:
        """Prepare for one expression."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"{name!r} is not a primitive")


NAMESPACE = Namespace()


class Stopped(Namespace):
    """The primitives around one point: numbers whose gradient is stopped stay what they were in the first expression.

    Expressions take the same steps every time, so that the order tells which number is which.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Any] = []
        self._next = 0
        self.stop_gradient = self._stop_gradient

    def begin(self) -> None:
        """Prepare for one expression."""
        self._next = 0

    def _stop_gradient(self, x: Any) -> Any:
        if self._next == len(self._kept):
            self._kept.append(x)
        self._next += 1
        return self._kept[self._next - 1]


@dataclass(frozen=True)
class Entry:
    """The exact number at one point, or the two numbers that are right at a kink.

    ``sensitivity`` is the sum over heads and continuous targets of |x · ∂number/∂x|; divided by the number it is the
    relative condition. ``crosses_kink`` says that rounding the residual moves it to another side of a kink. There are
    no numbers where differences of astronomical values hide what another head contributes.
    """

    numbers: tuple[Any, ...]
    sensitivity: Any
    crosses_kink: bool = False


Table = dict[str, list[list[Entry]]]


class Neighbourhood:
    """A loss at and around one point, on a grid.

    ``place`` is the heads and the parts of the target, each with a step of its own.
    """

    def __init__(self, loss: PointwiseLoss, place: list[Any], steps: list[Any]) -> None:
        self.given = loss
        self.loss = with_exact_parameters(loss)
        self.place = place
        self.steps = steps
        self._namespace = NAMESPACE
        if loss.surrogate:
            self._namespace = Stopped()
            evaluate(self.loss, place, self._namespace)
        self._values: dict[tuple[int, ...], Any] = {}
        self._derivatives: dict[tuple[int, ...], Any] = {}

    def value(self, offsets: tuple[int, ...]) -> Any:
        """Return the value so many steps away in each coordinate."""
        if offsets not in self._values:
            moved = [x + offset * step for x, offset, step in zip(self.place, offsets, self.steps, strict=True)]
            self._values[offsets] = evaluate(self.loss, moved, self._namespace)
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

    def grows(self, orders: tuple[int, ...]) -> bool:
        """Whether a derivative is larger with twice the steps: then it is nothing but an error of theirs."""
        wider = Neighbourhood(self.given, self.place, [2 * step for step in self.steps])
        return bool(abs(wider.derivative(orders)) > 1.5 * abs(self.derivative(orders)))

    def is_hidden(self, orders: tuple[int, ...], number: Any) -> bool:
        """Whether a derivative is lost in the rounding errors of values far beyond every dtype."""
        value = abs(self.value((0,) * len(orders)))
        is_lost = mpmath.isnan(number) or abs(number) <= self.noise(orders, cancelling=False)
        return bool(value > 1 / VANISHING and any(orders) and is_lost)

    def size(self, orders: tuple[int, ...]) -> Any:
        """Return the product of steps that divides a difference of these orders."""
        return mpmath.fprod(step**order for step, order in zip(self.steps, orders, strict=True))

    def noise(self, orders: tuple[int, ...], cancelling: bool) -> Any:
        """Return far more than the rounding error of a derivative; inside values, numbers like 1 may be cancelling."""
        # Values elsewhere, which other derivatives need, may be astronomical.
        used = [
            abs(value)
            for offsets, value in self._values.items()
            if not any(offset for offset, order in zip(offsets, orders, strict=True) if order == 0)
        ]
        largest = max(1.0 if cancelling else 0.0, *used)
        return largest * mpmath.mpf(10) ** (SPARE_DIGITS // 2 - mpmath.mp.dps) / self.size(orders)

    def sensitivity(self, orders: tuple[int, ...], counted: list[int]) -> Any:
        """Return Σ |x · ∂/∂x| of a derivative over the counted coordinates."""
        total = mpmath.mpf(0)
        for position in counted:
            if self.place[position]:
                total += abs(self.place[position] * self._slope(orders, position))
        return total

    def change(self, orders: tuple[int, ...]) -> Any:
        """Return how much a derivative in the heads changes within a step: more than a difference can err."""
        if not any(orders):
            return mpmath.mpf(0)
        heads = range(len(self.given.heads))
        return max(abs(self.steps[position] * self._slope(orders, position)) for position in heads if orders[position])

    def _slope(self, orders: tuple[int, ...], position: int) -> Any:
        """Return how a derivative changes in one coordinate; numbers whose gradient is stopped change, too."""
        if not self.loss.surrogate:
            return self.derivative(tuple(order + (place == position) for place, order in enumerate(orders)))
        step = self.steps[position]
        left, right = (
            Neighbourhood(
                self.given, [x + move * (place == position) for place, x in enumerate(self.place)], self.steps
            )
            for move in (-step, step)
        )
        return (right.derivative(orders) - left.derivative(orders)) / (2 * step)


def with_exact_parameters(loss: PointwiseLoss) -> PointwiseLoss:
    """Return a copy whose parameters are high-precision numbers, except structural values, which choose a formula."""
    clone = copy.copy(loss)
    declared = fields.parameters_of(type(loss))
    for name, value in each_number(mpmath.mpf, loss).items():
        if declared[name].is_symbolic(getattr(loss, name)):
            object.__setattr__(clone, name, value)
    return clone


def evaluate(loss: PointwiseLoss, place: list[Any], namespace: Namespace = NAMESPACE) -> Any:
    """Return the value for high-precision numbers: the heads and the parts of the target."""
    namespace.begin()
    heads, parts = place[: len(loss.heads)], place[len(loss.heads) :]
    pred = heads[0] if len(heads) == 1 else tuple(heads)
    return mpmath.mpf(loss.expression(namespace, pred, fields.joined(loss.target, parts)))


def reference(loss: PointwiseLoss, points: Points) -> Table:
    """Return the entries of value, gradient and Hessian for every finite point."""
    rows = [_at_point(loss, heads, parts) for heads, parts in zip(points.heads, points.parts, strict=True)]
    return {kind: [row[kind] for row in rows] for kind in KINDS}


def limits(loss: PointwiseLoss, points: Points) -> Table:
    """Return the entries where predictions are infinite or on the boundary of their domain."""
    with mpmath.workdps(2 * (BEYOND + NEARNESS) + SPARE_DIGITS):
        rows = [_at_limit(loss, heads, parts) for heads, parts in zip(points.heads, points.parts, strict=True)]
    return {kind: [row[kind] for row in rows] for kind in KINDS}


def orders_of(kind: str, heads: int, parts: int) -> list[tuple[int, ...]]:
    """Return for each entry of a value, gradient or Hessian the order in each head, and 0 for parts of the target."""
    axes = itertools.product(range(heads), repeat=KINDS.index(kind))
    return [(*(chosen.count(head) for head in range(heads)), *[0] * parts) for chosen in axes]


def _at_point(loss: PointwiseLoss, heads: Array, parts: Array) -> dict[str, list[Entry]]:
    place = [mpmath.mpf(float(number)) for number in [*heads, *parts]]
    with mpmath.workdps(1000):
        variable, rounded = variable_of(loss, heads, parts)
        crosses = loss.smoothness < 2 and side_of(loss, abs(variable)) != side_of(loss, abs(rounded))
    counted = [*range(len(heads)), *continuous_parts(loss, parts)]
    # Small steps, and far smaller ones, need many digits. They are taken where differences with larger ones cannot be
    # trusted: where a result vanishes, or is much smaller than the values that it is a difference of.
    for nearest in (NEAR, 0.0):
        with mpmath.workdps(1000):
            steps, digits = steps_and_digits(loss, place, variable, nearest)
            if not nearest:
                steps = [mpmath.ldexp(step, -FURTHER) for step in steps]
                digits += _further_digits(loss, place, heads.dtype) + FURTHER
        with mpmath.workdps(digits):
            around = Neighbourhood(loss, place, steps)
            result, trusted = _entries(loss, around, counted, variable, crosses)
        if trusted:
            break
    return result


def _further_digits(loss: PointwiseLoss, place: list[Any], dtype: np.dtype[Any]) -> int:
    """Return the digits between the value, unless it is beyond every dtype, and the smallest derivative that counts."""
    value = abs(evaluate(loss, place))
    largest = mpmath.log10(value) if 1 < value < 1 / VANISHING else 0
    return int(largest - 1.3 * np.log10(float(np.finfo(dtype).smallest_subnormal)))


def _entries(
    loss: PointwiseLoss, around: Neighbourhood, counted: list[int], variable: Any, crosses: bool
) -> tuple[dict[str, list[Entry]], bool]:
    """Return the entries of one point, and whether all of them can be trusted."""
    may_be_kink = abs(variable) in features(loss) or (is_special_at_zero(loss) and around.place[0] == 0)
    is_kink = may_be_kink and _has_kink(loss, around)
    heads = len(loss.heads)
    # Next to zero, numbers of the size of 1 may cancel inside a value.
    cancelling = any(0 < abs(x) < NEAR for x in [*around.place, variable])
    trusted = True
    result: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    for kind in KINDS:
        for orders in orders_of(kind, heads, len(around.place) - heads):
            # The kink of a residual is one in the first head.
            order = sum(orders) if has_kinks_of_several_heads(loss) else orders[0]
            jumps = order > loss.smoothness
            if is_kink and jumps:
                result[kind].append(Entry(_numbers_at_kink(loss, around), mpmath.mpf(0)))
                continue
            number = around.derivative(orders)
            # At a tie, and where curvature jumps, a central difference errs by its step.
            may_err = any(orders) and (is_kink or (variable == 0 and heads == 1)) and not scale_of(loss, around.place)
            if may_err and abs(number) < around.steps[0] * 1e5 and around.grows(orders):
                number = mpmath.mpf(0)
            if variable == 0 and heads > 1 and any(orders) and abs(number) <= around.noise(orders, cancelling=False):
                number = mpmath.mpf(0)
            if around.is_hidden(orders, number):
                result[kind].append(Entry((), mpmath.mpf(0)))
                continue
            sensitivity = around.sensitivity(orders, counted)
            doubt = max(around.noise(orders, cancelling), sensitivity * NEAR, around.change(orders))
            is_extreme = max(abs(number), doubt) < VANISHING or abs(number) > 1 / VANISHING
            # A step beyond the edge of the domain makes the sensitivity NaN.
            trusted &= bool(is_extreme or abs(number) > doubt) and not mpmath.isnan(sensitivity)
            result[kind].append(Entry((number,), sensitivity, crosses and jumps))
    return result, trusted


def _has_kink(loss: PointwiseLoss, around: Neighbourhood) -> bool:
    """Whether the first derivative that jumps, according to the declaration, jumps here."""
    # A floor under a scale has a kink of its own, which is not one of the residual.
    if loss.smoothness > 1 or (has_scale(loss) and type(loss).smoothness > 1):
        return False
    left, right = _both_sides(loss, around)
    wider_left, wider_right = _both_sides(loss, around, steps=2)
    jump, wider_jump = abs(left - right), abs(wider_left - wider_right)
    # With twice the step a jump stays, and what only bends differs twice as much.
    return bool(jump > 1e-30 * (abs(left) + abs(right)) and wider_jump < 1.5 * jump)


def _both_sides(loss: PointwiseLoss, around: Neighbourhood, steps: int = 1) -> tuple[Any, Any]:
    order = int(loss.smoothness) + 1
    others = len(around.place) - 1
    sides = [[(offset * steps, weight / steps**order) for offset, weight in side] for side in ONE_SIDED[order - 1]]
    left, right = (around.difference([tuple(side), *[STENCILS[0]] * others], (order, *[0] * others)) for side in sides)
    return left, right


def _numbers_at_kink(loss: PointwiseLoss, around: Neighbourhood) -> tuple[Any, ...]:
    # The documented subgradient is 0; where only the curvature jumps, both of its sides are right.
    return (mpmath.mpf(0),) if loss.smoothness == 0 else _both_sides(loss, around)


def _at_limit(loss: PointwiseLoss, heads: Array, parts: Array) -> dict[str, list[Entry]]:
    exact_parts = [mpmath.mpf(float(part)) for part in parts]
    exact_heads = [mpmath.mpf(float(head)) for head in heads]
    tiny = mpmath.mpf(10) ** -BEYOND
    inside = {loss.prediction.low: loss.prediction.low + tiny, loss.prediction.high: loss.prediction.high - tiny}
    inside |= {-np.inf: -1 / tiny, np.inf: 1 / tiny}
    places = [inside.get(float(head), exact) for head, exact in zip(heads, exact_heads, strict=True)]
    is_boundary = any(float(head) in (loss.prediction.low, loss.prediction.high) for head in heads if np.isfinite(head))
    step = (tiny if is_boundary else 1) * mpmath.mpf(10) ** -NEARNESS
    steps = [step] * (len(heads) + len(parts))
    target = exact_parts[0] if loss.target != fields.POSITIVE else mpmath.log(exact_parts[0])
    if scale_of(loss, places) and places[0] == target:
        # At a tie the scale decides what is small, and it may be vanishing.
        steps[0] = steps[-1] = tiny * mpmath.mpf(10) ** -NEARNESS
    around = Neighbourhood(loss, [*places, *exact_parts], steps)
    distant = [place**2 * mpmath.sign(place) if abs(place) > 1 else place for place in places]
    farther = Neighbourhood(loss, [*distant, *exact_parts], steps)
    is_kink = places[0] == exact_parts[0] and _has_kink(loss, around)
    counted = [position for position, head in enumerate(heads) if np.isfinite(head)] + continuous_parts(loss, parts)
    result: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    for kind in KINDS:
        for orders in orders_of(kind, len(heads), len(parts)):
            if is_kink and orders[0] > loss.smoothness:
                entry = Entry(_numbers_at_kink(loss, around), mpmath.mpf(0))
            else:
                entry = _limit_entry(around, farther, orders, counted)
            result[kind].append(entry)
    # The value itself is known in the limit, unless infinities meet there.
    value = evaluate(around.loss, [*exact_heads, *exact_parts])
    if not mpmath.isnan(value):
        result["value"] = [Entry((value,), result["value"][0].sensitivity)]
    return result


def _limit_entry(around: Neighbourhood, farther: Neighbourhood, orders: tuple[int, ...], counted: list[int]) -> Entry:
    number = around.derivative(orders)
    if around.is_hidden(orders, number):
        return Entry((), mpmath.mpf(0))
    if GROWING < abs(number) < GROWING**2 and abs(farther.derivative(orders)) > 1.5 * abs(number):
        # Logarithms of what stands for infinity are infinite, too.
        return Entry((mpmath.sign(number) * mpmath.inf,), mpmath.mpf(0))
    # Differences err by the square of the step, which is all that remains at a root.
    if not has_scale(around.given) and abs(number) < 10 * max(around.steps) ** 2:
        return Entry((mpmath.mpf(0),), mpmath.mpf(0))
    return Entry((number,), around.sensitivity(orders, counted))
