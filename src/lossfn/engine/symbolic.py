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

from lossfn.engine.primitives import PRIMITIVES
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


PREDICTION = sympy.Symbol("pred", real=True)
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


def derive(
    value: Node,
    heads: tuple[str, ...],
    targets: tuple[str, ...],
    encoding: Domain | Parts,
    parameters: list[str],
    override: tuple[tuple[Node, ...], tuple[tuple[Node, ...], ...]] | None = None,
) -> Derived:
    """Differentiate a recorded loss with respect to its heads.

    The residual is tried as the variable first, then a margin: derivatives in it are shorter and do not split a
    difference such as ``2 (pred - target)`` into terms that overflow. A variable is taken where it makes the target
    vanish or the expression shorter.
    """
    symbols = {name: sympy.Symbol(name, real=True) for name in [*heads, *targets, *parameters]}
    head_symbols = [symbols[name] for name in heads]
    first = head_symbols[0]
    with distribute(False):
        plain = to_sympy(value, symbols)
        variable, substituted, slope, chosen = first, first, sympy.Integer(1), plain
        for new_variable, prediction, new_slope in candidate_variables(encoding):
            expression = to_sympy(value, {**symbols, heads[0]: prediction})
            if not expression.has(TARGET) or expression.count_ops() < chosen.count_ops():
                variable, substituted, slope, chosen = new_variable, prediction, new_slope, expression
                break
        variables = [variable, *head_symbols[1:]]
        slopes = [slope] + [sympy.Integer(1)] * (len(heads) - 1)
        if override is not None:
            converted = {**symbols, heads[0]: substituted}
            gradient = tuple(to_sympy(node, converted) for node in override[0])
            hessian = tuple(tuple(to_sympy(node, converted) for node in row) for row in override[1])
        else:
            partials = [chosen.diff(v) for v in variables]
            gradient = tuple(s * partial for s, partial in zip(slopes, partials, strict=True))
            hessian = tuple(
                # A margin's slope is a sign, so its square is 1.
                tuple(
                    partial.diff(v) * (1 if row == column else slopes[row] * slopes[column])
                    for column, v in enumerate(variables)
                )
                for row, partial in enumerate(partials)
            )
    definition = None
    if variable is RESIDUAL:
        definition = first - TARGET
    elif variable is MARGIN:
        definition = slope * first
    return Derived(variable, definition, chosen, gradient, hessian)
