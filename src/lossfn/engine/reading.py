"""Derived expressions as people would write them: without the cases that only rounding needs."""

from __future__ import annotations

import operator
import random
from collections.abc import Iterator
from functools import partial, reduce
from typing import Any

import mpmath
import sympy

from lossfn.engine.primitives import PRIMITIVES
from lossfn.engine.symbolic import INFINITY, opaque
from lossfn.engine.trace import COMPARISONS

# Two branches are one function if they agree to this many digits at random points; of these, some must lie where both
# are defined.
DIGITS = 30
POINTS = 40
DEFINED = 6


def without_twins(expression: Any) -> Any:
    """Replace every choice between two forms of one function by the shorter form."""
    return expression.replace(opaque("where"), _merged)


def _merged(condition: Any, chosen: Any, other: Any) -> Any:
    if not condition.has(INFINITY):
        chosen_there, other_there = _where(condition, chosen, True), _where(condition, other, False)
        if are_equal(chosen_there, other_there):
            return min(chosen_there, other_there, key=lambda form: form.count_ops())
    return opaque("where")(condition, chosen, other)


def _where(condition: Any, branch: Any, holds: bool) -> Any:
    """Return a branch with the larger and the smaller of two numbers that its condition compares written as such."""
    name = condition.func.__name__
    if name not in COMPARISONS:
        return branch
    small, large = condition.args if (name in ("lt", "le")) == holds else condition.args[::-1]
    for extreme, number in (("maximum", large), ("minimum", small)):
        for pair in ((small, large), (large, small)):
            branch = branch.subs(opaque(extreme)(*pair), number)
    return branch


def are_equal(one: Any, other: Any) -> bool:
    """Whether two expressions agree at random points, as far as they are defined there."""
    compared = 0
    with mpmath.workdps(2 * DIGITS):
        for point in _points(one.free_symbols | other.free_symbols):
            try:
                values = [evaluate(expression, point) for expression in (one, other)]
            except (ArithmeticError, ValueError, TypeError):
                continue
            if all(mpmath.isfinite(value) and mpmath.im(value) == 0 for value in values):
                if abs(values[0] - values[1]) > mpmath.mpf(10) ** -DIGITS * max(1, *map(abs, values)):
                    return False
                compared += 1
    return compared >= DEFINED


def _points(symbols: set[Any]) -> Iterator[dict[Any, Any]]:
    generator = random.Random(0)
    for _ in range(POINTS):
        # Parameters may have to be positive, or less than 1; predictions and targets lie on both sides of zero.
        yield {
            symbol: mpmath.mpf(generator.uniform(0.05, 0.95) if symbol.name.startswith("p_") else generator.gauss(0, 1))
            for symbol in sorted(symbols, key=str)
        }


def evaluate(expression: Any, point: dict[Any, Any]) -> Any:
    """Return the value of a derived expression where its symbols have these values."""
    at = partial(evaluate, point=point)
    if expression in point:
        return point[expression]
    if expression.is_Number:
        return mpmath.mpf(sympy.Rational(expression).p) / sympy.Rational(expression).q
    if expression.is_Add:
        return mpmath.fsum(map(at, expression.args))
    if expression.is_Mul:
        return reduce(operator.mul, map(at, expression.args))
    if expression.is_Pow:
        return mpmath.power(*map(at, expression.args))
    name = expression.func.__name__
    if name == "where":
        condition, chosen, other = expression.args
        return at(chosen) if at(condition) else at(other)
    if name in COMPARISONS:
        return COMPARISONS[name].function(*map(at, expression.args))
    return PRIMITIVES[name].oracle(mpmath.mp, *map(at, expression.args))
