"""The oracle: an expression in high-precision arithmetic, and its derivatives by differences of it.

Nothing here uses a derivative rule, a kernel or floating point, so agreement means something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import mpmath

from lossfn.engine.primitives import PRIMITIVES

if TYPE_CHECKING:
    from lossfn.pointwise import PointwiseLoss

#: Decimal digits: 1 + 1e-300 must not be 1, and differences lose a few hundred.
DIGITS = 1000


class Arithmetic:
    """The functions of mpmath, with an exponential of large whole numbers that is not a product of so many factors."""

    #: Below this size, mpmath's own is quick.
    LARGE = 1e4
    #: Beyond so many bits, as rates have that are exponentials themselves, no exponential has a representation.
    LARGEST_BITS = 5_000

    def __getattr__(self, name: str) -> Any:
        return getattr(mpmath.mp, name)

    def exp(self, x: Any) -> Any:
        """Return the exponential of a real number."""
        if not self.LARGE < abs(x) < math.inf:
            return mpmath.exp(x)
        if mpmath.mag(x) > self.LARGEST_BITS:
            return mpmath.inf if x > 0 else mpmath.mpf(0)
        with mpmath.workprec(mpmath.mp.prec + int(mpmath.mag(x)) + 10):
            doublings = int(mpmath.nint(x / mpmath.ln2))
            rest = x - doublings * mpmath.ln2
        return mpmath.ldexp(mpmath.exp(rest), doublings)

    def expm1(self, x: Any) -> Any:
        """Return the exponential minus 1."""
        return self.exp(x) - 1 if abs(x) > self.LARGE else mpmath.expm1(x)

    def cosh(self, x: Any) -> Any:
        """Return the hyperbolic cosine of a real number."""
        return (self.exp(x) + self.exp(-x)) / 2


ARITHMETIC = Arithmetic()


class OracleNamespace:
    """The primitives on mpmath numbers."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in PRIMITIVES:
            raise AttributeError(f"{name!r} is not a primitive")
        return partial(PRIMITIVES[name].oracle, ARITHMETIC)


NAMESPACE = OracleNamespace()


def value(loss: PointwiseLoss, heads: Sequence[Any], target: Any) -> Any:
    """Return the exact loss of one element, for mpmath numbers."""
    pred = heads[0] if len(heads) == 1 else tuple(heads)
    return mpmath.mpf(loss.expression(NAMESPACE, pred, target))


def step_of(x: Any) -> Any:
    """Return a step far below every feature of a function near ``x``: residuals of large numbers may be small."""
    return min(max(abs(x), mpmath.mpf(10) ** -330), mpmath.mpf(1)) * mpmath.mpf(10) ** -120


def derivative(function: Callable[[Any], Any], x: Any) -> Any:
    """Return the derivative by a central difference; the error is some 240 digits down."""
    step = step_of(x)
    return (function(x + step) - function(x - step)) / (2 * step)


def gradient(loss: PointwiseLoss, heads: Sequence[Any], target: Any) -> list[Any]:
    """Return the derivative by each head."""

    def along(position: int) -> Callable[[Any], Any]:
        return lambda x: value(loss, [*heads[:position], x, *heads[position + 1 :]], target)

    return [derivative(along(position), heads[position]) for position in range(len(heads))]


def hessian(loss: PointwiseLoss, heads: Sequence[Any], target: Any) -> list[list[Any]]:
    """Return the matrix of second derivatives by the heads."""

    def entry(row: int, column: int) -> Any:
        def slope(x: Any) -> Any:
            moved = [*heads[:row], x, *heads[row + 1 :]]
            return derivative(lambda v: value(loss, [*moved[:column], v, *moved[column + 1 :]], target), moved[column])

        if row != column:
            return derivative(slope, heads[row])
        # One second difference, with equal steps: nesting two first ones would straddle a kink twice.
        x, step = heads[row], step_of(heads[row])
        left, middle, right = (
            value(loss, [*heads[:row], point, *heads[row + 1 :]], target) for point in (x - step, x, x + step)
        )
        return (left - 2 * middle + right) / (step * step)

    size = len(heads)
    return [[entry(row, column) for column in range(size)] for row in range(size)]
