"""Record what an ``expression`` computes, without evaluating it.

A recorded graph is the identity of a definition: helpers that it calls, constants and structural parameters are all in
it, so a cache keyed by its text can never serve an old definition. Recording also refuses whatever a kernel cannot do
(branches, methods, ``==``) with an error that says what to write instead.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Set
from typing import Any, NamedTuple, NoReturn

import numpy as np

from lossfn.engine.primitives import PRIMITIVES


class Comparison(NamedTuple):
    """A comparison in Python, in LaTeX, and as a function."""

    symbol: str
    latex: str
    function: Callable[[Any, Any], bool]


COMPARISONS = {
    "lt": Comparison("<", "<", operator.lt),
    "le": Comparison("<=", r"\le", operator.le),
    "gt": Comparison(">", ">", operator.gt),
    "ge": Comparison(">=", r"\ge", operator.ge),
}

# How NumPy calls the operators that its scalars share with recorded values.
UFUNCS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
}


class ExpressionError(TypeError):
    """An ``expression`` does something that cannot be recorded."""


class Node:
    """One operation of a recorded expression: an operator, a primitive, a symbol or a number."""

    __slots__ = ("arguments", "operation", "value")

    def __init__(self, operation: str, *arguments: Node, value: str | float | None = None) -> None:
        self.operation = operation
        self.arguments = arguments
        self.value = value

    def _binary(self, operation: str, other: Any, *, swapped: bool = False) -> Node:
        node = as_node(other)
        return Node(operation, node, self) if swapped else Node(operation, self, node)

    def __add__(self, other: Any) -> Node:
        return self._binary("add", other)

    def __radd__(self, other: Any) -> Node:
        return self._binary("add", other, swapped=True)

    def __sub__(self, other: Any) -> Node:
        return self._binary("sub", other)

    def __rsub__(self, other: Any) -> Node:
        return self._binary("sub", other, swapped=True)

    def __mul__(self, other: Any) -> Node:
        return self._binary("mul", other)

    def __rmul__(self, other: Any) -> Node:
        return self._binary("mul", other, swapped=True)

    def __truediv__(self, other: Any) -> Node:
        return self._binary("div", other)

    def __rtruediv__(self, other: Any) -> Node:
        return self._binary("div", other, swapped=True)

    def __neg__(self) -> Node:
        return Node("neg", self)

    def __pos__(self) -> Node:
        return self

    def __pow__(self, exponent: Any) -> Node:
        if isinstance(exponent, bool) or not isinstance(exponent, int) or not 1 <= exponent <= 8:
            raise ExpressionError(f"x ** {exponent!r}: only whole powers 1 to 8 are written so; use xp.power(x, p)")
        result = self
        for _ in range(exponent - 1):
            result = result * self
        return result

    def __rpow__(self, base: Any) -> NoReturn:
        raise ExpressionError(f"{base!r} ** x is not available; write xp.exp(x * math.log({base!r}))")

    def __lt__(self, other: Any) -> Node:
        return self._binary("lt", other)

    def __le__(self, other: Any) -> Node:
        return self._binary("le", other)

    def __gt__(self, other: Any) -> Node:
        return self._binary("gt", other)

    def __ge__(self, other: Any) -> Node:
        return self._binary("ge", other)

    def __abs__(self) -> Node:
        return Node("abs", self)

    def __array_ufunc__(self, ufunc: Any, _method: str, *inputs: Any, **_options: Any) -> Any:
        if ufunc.__name__ in UFUNCS:
            operands = (value if isinstance(value, Node) or np.ndim(value) else float(value) for value in inputs)
            return UFUNCS[ufunc.__name__](*map(as_node, operands))
        raise ExpressionError(f"numpy.{ufunc.__name__} computes at once; write xp.{ufunc.__name__}(...) instead")

    def __float__(self) -> NoReturn:
        raise ExpressionError(
            "'float' and the functions of 'math' compute at once; write xp.exp(...), xp.log(...), ..."
        )

    def __eq__(self, other: object) -> Any:
        raise ExpressionError("'==' and '!=' do not work element by element here; use xp.equal(a, b)")

    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise ExpressionError(
            "'if', 'and', 'or', 'min', 'max' cannot depend on data; use xp.where, xp.logical_and, ..."
        )

    def __and__(self, _other: Any) -> NoReturn:
        raise ExpressionError("'&' and '|' are for arrays; use xp.logical_and(a, b) or xp.logical_or(a, b)")

    __rand__ = __or__ = __ror__ = __and__

    def __invert__(self) -> NoReturn:
        raise ExpressionError("'~' is for arrays; use xp.logical_not(a)")

    def __mod__(self, _other: Any) -> NoReturn:
        raise ExpressionError("'//' and '%' jump, and no primitive does so; write the loss without them")

    __rmod__ = __floordiv__ = __rfloordiv__ = __mod__

    def __iter__(self) -> NoReturn:
        raise ExpressionError("a single prediction cannot be unpacked; declare heads = (...) for several predictions")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ExpressionError(f"'.{name}' is not available: write functions of xp, such as xp.{name}(...), not methods")


def as_node(value: Any) -> Node:
    """Return a node for a recorded value or a plain number."""
    if isinstance(value, Node):
        return value
    if isinstance(value, numbers.Real):
        return Node("number", value=float(value))
    raise ExpressionError(f"an expression combines numbers, parameters, pred and target; got {type(value).__name__}")


def symbol(name: str) -> Node:
    """Return a node that stands for data or for a parameter."""
    return Node("symbol", value=name)


class Recorder:
    """The namespace whose functions record instead of computing."""

    def __getattr__(self, name: str) -> Callable[..., Node]:
        if name not in PRIMITIVES:
            known = ", ".join(sorted(PRIMITIVES))
            raise ExpressionError(f"xp.{name} is not a primitive; there are {known} (see docs/own_loss.md)")

        expected = PRIMITIVES[name].number_of_arguments

        def record(*arguments: Any) -> Node:
            if len(arguments) != expected:
                raise ExpressionError(f"the number of arguments of xp.{name} is {expected}; got {len(arguments)}")
            return Node(name, *map(as_node, arguments))

        return record


def text_of(node: Node) -> str:
    """Write a graph as text, equal for equal graphs; shared nodes are written once."""
    lines: list[str] = []
    numbered: dict[str, int] = {}

    def visit(current: Node) -> int:
        arguments = ",".join(str(visit(argument)) for argument in current.arguments)
        line = f"{current.operation}({arguments}){'' if current.value is None else repr(current.value)}"
        if line not in numbered:
            numbered[line] = len(lines)
            lines.append(line)
        return numbered[line]

    visit(node)
    return ";".join(lines)


def terms_of(node: Node) -> list[Node]:
    """Return the terms of a recorded sum."""
    return [term for part in node.arguments for term in terms_of(part)] if node.operation == "add" else [node]


def enters_by_difference(node: Node, first: str, second: str, others: Set[str]) -> bool:
    """Whether two symbols occur in a recorded expression as their difference only, and others not at all."""
    if node.operation == "sub" and {argument.value for argument in node.arguments} == {first, second}:
        return True
    return node.value not in {first, second, *others} and all(
        enters_by_difference(argument, first, second, others) for argument in node.arguments
    )
