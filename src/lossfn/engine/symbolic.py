"""Recorded expressions as SymPy expressions, and their derivatives.

SymPy's own ``Abs``, ``Max``, ``Piecewise``, ``exp`` and relations rewrite themselves into forms that are equal in exact
arithmetic and wrong in floating point (0·∞, wrong subgradients). So every non-algebraic function and every comparison
is an opaque function of ours, with the derivative rule that its primitive states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy
from sympy.core.parameters import distribute

from lossfn.engine.definition import Recorded
from lossfn.engine.primitives import LOGICAL, PRIMITIVES
from lossfn.engine.trace import COMPARISONS, Node
from lossfn.fields import BINARY, SIGNED, Domain, Parts

# A number that SymPy must not do arithmetic with: x < oo would be decided at once for a real x.
INFINITY = sympy.Symbol("infinity", real=True)


class Opaque(sympy.Function):  # type: ignore[misc]  # SymPy ships no types
    """A function that SymPy neither evaluates nor rewrites."""

    is_real = True
    is_commutative = True

    def fdiff(self, argindex: int = 1) -> Any:
        """Return the partial derivative that the primitive states."""
        derivative = PRIMITIVES[self.func.__name__].derivative(OPERATIONS, *self.args)[argindex - 1]
        return sympy.Integer(0) if derivative is None else sympy.sympify(derivative)

    def _eval_derivative(self, variable: Any) -> Any:
        name = self.func.__name__
        if name == "where":
            # The branches only: a jump of the condition is a kink, whose curvature spike is left out.
            condition, chosen, other = self.args
            return apply("where", condition, chosen.diff(variable), other.diff(variable))
        if name in COMPARISONS:
            return sympy.Integer(0)
        if name == "xmul":
            # The factor 0 of a label still wins where the other factor's derivative is infinite.
            a, b = self.args
            return sympy.Add(*(apply("xmul", *pair) for pair in ((a.diff(variable), b), (a, b.diff(variable)))))
        terms = [
            argument.diff(variable) * self.fdiff(position)
            for position, argument in enumerate(self.args, start=1)
            if argument.has(variable)
        ]
        return sympy.Add(*terms)

    def _eval_power(self, exponent: Any) -> Any:
        # Otherwise Huber's Hessian at zero would be sign(0)**2 = 0.
        if self.func.__name__ == "abs" and exponent.is_Integer and int(exponent) % 2 == 0:
            return self.args[0] ** exponent
        return None


@cache
def opaque(name: str) -> Any:
    """Return the opaque SymPy function of this name."""
    return type(name, (Opaque,), {})


def apply(name: str, *arguments: Any) -> Any:
    """Apply a primitive, leaving out what has no effect."""
    match name, arguments:
        case "where", (_, chosen, other) if chosen == other:
            return chosen
        case "power", (base, exponent) if exponent.is_Integer and 0 <= exponent <= 4:
            # A power that is exactly a whole number needs no logarithm.
            return base**exponent
        case "xmul", (a, b) if a.is_number or b.is_number:
            return a * b
        case "xmul", (a, b) if b.could_extract_minus_sign() and not (-b).could_extract_minus_sign():
            # A sign inside would make sigmoid(-x) and -sigmoid(-x) two divisions. SymPy may see a sign in a sum and
            # in minus that sum.
            return -apply("xmul", a, -b)
    return opaque(name)(*arguments)


class Operations:
    """The namespace in which derivative rules are written."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: apply(name, *map(number, arguments))


OPERATIONS = Operations()


def number(value: Any) -> Any:
    """Return SymPy's exact form of a Python number; other values pass."""
    if not isinstance(value, float):
        return sympy.sympify(value)
    if math.isinf(value):
        return INFINITY if value > 0 else -INFINITY
    # Dyadic fractions print as they were written; 0.1 must stay the float that the caller gave.
    return sympy.Rational(value) if (value * 1024).is_integer() else sympy.Float(repr(value))


def to_sympy(node: Node, symbols: dict[str, Any]) -> Any:
    """Convert a recorded graph."""
    converted: dict[int, Any] = {}

    def convert(current: Node) -> Any:
        if id(current) not in converted:
            converted[id(current)] = build(current)
        return converted[id(current)]

    def build(current: Node) -> Any:
        if current.operation == "symbol":
            return symbols[str(current.value)]
        if current.operation == "number":
            return number(current.value)
        arguments = [convert(argument) for argument in current.arguments]
        match current.operation, arguments:
            case "add", [a, b]:
                return a + b
            case "sub", [a, b]:
                return a - b
            case "mul", [a, b]:
                return a * b
            case "div", [a, b]:
                return a / b
            case "neg", [a]:
                return -a
            case name, _:
                return apply(name, *arguments)
        raise AssertionError(current.operation)

    with distribute(False):
        return convert(node)


@dataclass(frozen=True)
class Derived:
    """Value, gradient and Hessian of one loss in the variable that makes them shortest.

    ``variable`` is the prediction itself, the residual ``pred - target`` or a margin; ``definition`` is that variable
    in terms of prediction and target, ``None`` for the prediction.
    """

    variable: Any
    definition: Any | None
    value: Any
    gradient: tuple[Any, ...]
    hessian: tuple[tuple[Any, ...], ...]


TARGET = sympy.Symbol("target", real=True)
# No parameter can be called so.
RESIDUAL = sympy.Symbol("_residual", real=True)
MARGIN = sympy.Symbol("_margin", real=True)


def candidate_variables(encoding: Domain | Parts) -> list[tuple[Any, Any, Any]]:
    """Return (variable, prediction in terms of it, derivative of it by the prediction), the plain prediction last."""
    if isinstance(encoding, Parts):
        return []
    candidates = [(RESIDUAL, RESIDUAL + TARGET, sympy.Integer(1))]
    if encoding is SIGNED:
        candidates.append((MARGIN, MARGIN / TARGET, TARGET))
    if encoding is BINARY:
        sign = 2 * TARGET - 1
        candidates.append((MARGIN, MARGIN / sign, sign))
    return candidates


def derive(recorded: Recorded) -> Derived:
    """Differentiate a recorded loss with respect to its heads.

    The residual is tried as the variable first, then a margin: derivatives in it are shorter and do not split a
    difference such as ``2 (pred - target)`` into terms that overflow. A variable is taken where it makes the target
    vanish or the expression shorter.
    """
    names = [*recorded.heads, *recorded.targets, *recorded.parameters]
    symbols = {name: sympy.Symbol(name, real=True) for name in names}
    first, *others = (symbols[name] for name in recorded.heads)
    with distribute(False):
        variable, prediction, slope, value = first, first, sympy.Integer(1), to_sympy(recorded.value, symbols)
        for new_variable, new_prediction, new_slope in candidate_variables(recorded.target):
            expression = to_sympy(recorded.value, {**symbols, first.name: new_prediction})
            if not expression.has(TARGET) or expression.count_ops() < value.count_ops():
                variable, prediction, slope, value = new_variable, new_prediction, new_slope, expression
                break
        if recorded.override is None:
            gradient, hessian = _derivatives(value, [variable, *others], [slope, *[sympy.Integer(1)] * len(others)])
        else:
            symbols[first.name] = prediction
            gradient = tuple(to_sympy(node, symbols) for node in recorded.override.gradient)
            hessian = tuple(tuple(to_sympy(node, symbols) for node in row) for row in recorded.override.hessian)
    definition = None
    if variable is RESIDUAL:
        definition = first - TARGET
    elif variable is MARGIN:
        definition = slope * first
    return Derived(variable, definition, value, gradient, hessian)


def _derivatives(value: Any, variables: list[Any], slopes: list[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return gradient and Hessian by the heads, given the slopes of the variables by them."""
    partials = [value.diff(variable) for variable in variables]
    gradient = tuple(slope * partial for slope, partial in zip(slopes, partials, strict=True))
    hessian = tuple(
        # A margin's slope is a sign, so its square is 1.
        tuple(
            partial.diff(variable) * (1 if row == column else slopes[row] * slopes[column])
            for column, variable in enumerate(variables)
        )
        for row, partial in enumerate(partials)
    )
    return gradient, hessian


def passes_nan(expression: Any, name: str) -> bool:
    """Whether an expression is NaN wherever the symbol of this name is: no condition and no label 0 leaves it out."""
    if expression.is_Atom:
        return bool(expression.is_Symbol and expression.name == name)
    arguments = [passes_nan(argument, name) for argument in expression.args]
    match expression.func.__name__:
        case "where":
            return arguments[1] and arguments[2]
        case "xmul":
            return arguments[0]
        case operation if operation in COMPARISONS or operation in LOGICAL:
            return False
    return any(arguments)
