"""Print derived expressions: once as Python source that arrays and kernels share, once as LaTeX that people read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import sympy
from sympy.printing.latex import LatexPrinter

from lossfn.engine.primitives import PRIMITIVES
from lossfn.engine.reading import without_twins
from lossfn.engine.symbolic import INFINITY, opaque
from lossfn.engine.trace import COMPARISONS


class SourcePrinter:
    """Turn expressions into assignments over ``ops`` functions and ``number`` literals.

    Identical subexpressions are computed once. Sums and products keep their structure: regrouping them, as a general
    common-subexpression elimination does, could change rounding and overflow.
    """

    def __init__(self, outputs: Sequence[Any], prefix: str = "t") -> None:
        self.lines: list[str] = []
        self._prefix = prefix
        self._names: dict[Any, str] = {}
        self._occurrences = Counter[Any]()
        for output in outputs:
            self._count(output)
        self.results = [self.print(output) for output in outputs]

    def _count(self, expression: Any) -> None:
        self._occurrences[expression] += 1
        if self._occurrences[expression] == 1:
            for argument in expression.args:
                self._count(argument)

    def print(self, expression: Any) -> str:
        """Return the source of an expression, assigning shared parts to names first."""
        if expression.is_Atom:
            return self._atom(expression)
        if expression in self._names:
            return self._names[expression]
        text = self._compound(expression)
        if self._occurrences[expression] > 1 and not expression.is_Rational:
            name = f"{self._prefix}{len(self._names)}"
            self._names[expression] = name
            self.lines.append(f"{name} = {text}")
            return name
        return f"({text})" if expression.is_Add or expression.is_Mul or expression.is_Pow else text

    def _atom(self, atom: Any) -> str:
        if atom is INFINITY:
            return "number(inf)"
        if atom.is_Symbol:
            return str(atom.name)
        return f"number({float(atom)!r})"

    def _compound(self, expression: Any) -> str:
        if expression.is_Add:
            return self._sum(expression)
        if expression.is_Mul or expression.is_Pow:
            return self._product(expression)
        name = expression.func.__name__
        arguments = [self.print(argument) for argument in expression.args]
        if name in COMPARISONS:
            return f"({arguments[0]} {COMPARISONS[name].symbol} {arguments[1]})"
        return f"ops.{name}({', '.join(arguments)})"

    def _sum(self, expression: Any) -> str:
        # Positive terms first: "a - b", never "-b + a".
        terms = sorted(expression.args, key=lambda term: term.could_extract_minus_sign())
        text = self.print(terms[0])
        for term in terms[1:]:
            if term.could_extract_minus_sign():
                text += f" - {self.print(-term)}"
            else:
                text += f" + {self.print(term)}"
        return text

    def _product(self, expression: Any) -> str:
        coefficient, rest = expression.as_coeff_Mul()
        numerator: list[Any] = []
        denominator: list[Any] = []
        for factor in sympy.Mul.make_args(rest):
            base, exponent = factor.as_base_exp()
            if exponent.is_Integer:
                (numerator if exponent > 0 else denominator).extend([base] * abs(int(exponent)))
            else:
                raise AssertionError(f"power {exponent} in a derived expression")
        # Functions decay, symbols grow: (e * r) * r stays finite where e * (r * r) overflows.
        numerator.sort(key=lambda factor: bool(factor.is_Symbol))
        sign = "-" if coefficient < 0 else ""
        magnitude = abs(coefficient)
        factors = [self.print(factor) for factor in numerator]
        if magnitude != 1 or not factors:
            factors.insert(0, self._atom(magnitude))
        # Sequential division: the product of two denominators could overflow.
        return sign + " * ".join(factors) + "".join(f" / {self.print(factor)}" for factor in denominator)


class FormulaPrinter(LatexPrinter):  # type: ignore[misc]  # SymPy ships no types
    """LaTeX of derived expressions, with the symbols that a loss declares for its parameters."""

    def __init__(self, symbols: dict[str, str]) -> None:
        super().__init__({"fold_short_frac": False})
        self._symbols = symbols

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:  # noqa: N802, ARG002 (SymPy's dispatch names)
        return self._symbols.get(expr.name, str(expr.name))

    def _as_ordered_terms(self, expr: Any, order: str | None = None) -> list[Any]:  # noqa: ARG002 (SymPy's signature)
        # "a - b", never "-b + a".
        return sorted(expr.args, key=lambda term: term.could_extract_minus_sign())

    def _print_Float(self, expr: Any) -> str:  # noqa: N802 (SymPy's dispatch name)
        return f"{float(expr):g}"

    def _print_Function(self, expr: Any, exp: str | None = None) -> str:  # noqa: N802 (SymPy's dispatch name)
        name = expr.func.__name__
        if name == "where":
            text = self._cases(expr)
        elif name in COMPARISONS:
            return f"{self._print(expr.args[0])} {COMPARISONS[name].latex} {self._print(expr.args[1])}"
        else:
            text = PRIMITIVES[name].latex.format(*(self._print(argument) for argument in expr.args))
        return rf"\left({text}\right)^{{{exp}}}" if exp is not None else text

    def _cases(self, expression: Any) -> str:
        rows: list[str] = []
        rest = expression
        while rest.is_Function and rest.func.__name__ == "where":
            condition, chosen, rest = rest.args
            if condition.has(INFINITY):
                # A case of its own for an infinite argument: its limit.
                rest = chosen
                break
            rows.append(rf"{self._print(chosen)} & \text{{if }} {self._print(condition)}")
        if not rows:
            return str(self._print(rest))
        rows.append(rf"{self._print(rest)} & \text{{otherwise}}")
        return r"\begin{cases}" + r" \\ ".join(rows) + r"\end{cases}"


# What people write where the engine needs a function of its own.
READABLE: dict[str, Callable[..., Any]] = {
    "xmul": lambda a, b: a * b,
    "xdivy": lambda a, b: a / b,
    "xlogy": lambda a, b: a * sympy.log(b),
    "xlog1py": lambda a, b: a * sympy.log(1 + b),
    "mulexp": lambda a, b: a * sympy.exp(b),
    "exp": sympy.exp,
    "log": sympy.log,
    "log1p": lambda x: sympy.log(1 + x),
    "log1mexp": lambda x: sympy.log(1 - sympy.exp(x)),
    "sqrt": sympy.sqrt,
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "power": lambda a, b: a**b,
    "sqrt1psq": lambda u: sympy.sqrt(1 + u**2),
    "sqrt1psqm1": lambda u: sympy.sqrt(1 + u**2) - 1,
    "unit": lambda u: u / sympy.sqrt(1 + u**2),
    "rh": lambda u: 1 / sympy.sqrt(1 + u**2),
}


def latex(expression: Any, symbols: dict[str, str]) -> str:
    """Return readable LaTeX."""
    expression = without_twins(expression)
    for name, written in READABLE.items():
        expression = expression.replace(opaque(name), written)
    return str(FormulaPrinter(symbols).doprint(expression))
