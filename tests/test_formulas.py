"""Formulas show the mathematics of a loss, and none of the cases that only rounding needs."""

from __future__ import annotations

import pytest
import sympy

import lossfn
from lossfn.engine.reading import are_equal, without_twins
from lossfn.engine.symbolic import OPERATIONS, opaque

xp = OPERATIONS
X, Y, A = (sympy.Symbol(name, real=True) for name in ("x", "y", "p_a"))
SIZE = opaque("lt")(xp.abs(X), 1)
ORDER = opaque("lt")(X, Y)


@pytest.mark.parametrize(
    ("chosen", "other", "condition", "written"),
    [
        (xp.expm1(A * X), xp.exp(A * X) - 1, SIZE, xp.expm1(A * X)),
        (X**2 / 2, A * (xp.abs(X) - A / 2), SIZE, None),
        # The same for positive arguments only.
        (xp.abs(X), X, SIZE, None),
        # Defined for half of the points.
        (xp.log(X) - xp.log(2), xp.log(X / 2), SIZE, xp.log(X / 2)),
        # Equal because of what the condition says about the larger and the smaller.
        (xp.maximum(X, Y) - xp.minimum(X, Y), Y - X, ORDER, Y - X),
        (-(xp.maximum(X, Y) - xp.minimum(X, Y)), xp.maximum(Y, X) - xp.minimum(Y, X), ORDER, X - Y),
        (xp.maximum(X, Y) - xp.minimum(X, Y), xp.maximum(Y, X) - xp.minimum(Y, X), ORDER, None),
        # Nearly equal is not equal.
        (X, X + sympy.Rational(1, 10**20), SIZE, None),
    ],
)
def test_two_forms_of_one_function_are_written_once(chosen, other, condition, written) -> None:
    choice = xp.where(condition, chosen, other)
    assert without_twins(2 * choice) == 2 * (choice if written is None else written)


def test_expressions_that_are_nowhere_defined_are_not_called_equal() -> None:
    assert not are_equal(xp.log(-1 - X**2), xp.log(-2 - X**2))


def test_kinks_stay() -> None:
    for loss in (lossfn.Huber(), lossfn.Pinball(), lossfn.Hinge()):
        assert "cases" in loss.formula
