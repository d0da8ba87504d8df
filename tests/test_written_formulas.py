"""Formulas that a loss writes by hand, because derived ones would be too long: they say what is computed."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sympy
from conftest import label
from scipy import special, stats
from sympy.parsing.sympy_parser import implicit_multiplication, parse_expr, standard_transformations

from lossfn import CRPSLogNormal, CRPSStudentT, StudentTNLL
from lossfn.engine.definition import DEFINITIONS
from lossfn.reference.formula import plain_formula

DF = 4.0
FUNCTIONS = {
    "Φ": stats.norm.cdf,
    "φ": stats.norm.pdf,
    "F_ν": lambda x: stats.t.cdf(x, DF),
    "f_ν": lambda x: stats.t.pdf(x, DF),
    "B": special.beta,
    "Γ": special.gamma,
    "ψ": special.digamma,
    "ψ_1": lambda x: special.polygamma(1, x),
}
SIGNS = {"−": "-", "²": "**2", "³": "**3", "^": "**", "₁": "_1", "₂": "_2"}
# What parts the entries of a matrix.
SEPARATOR = re.compile(r"\s*\\(?:begin|end)\{pmatrix\}\s*|\s+&\s+|\s+\\\\\s+")


def evaluate(text: str, known: dict[str, float]) -> float:
    """Return the number that a formula has, in Python's signs."""
    text = re.sub(r"√(\w)", r"sqrt(\1)", text)
    names: dict[str, Any] = {name: sympy.Function(name) for name in FUNCTIONS}
    names |= {name: sympy.Symbol(name) for name in known} | {"e": sympy.E, "π": sympy.pi}
    expression = parse_expr(text, names, (*standard_transformations, implicit_multiplication))
    function = sympy.lambdify([sympy.Symbol(name) for name in known], expression, [FUNCTIONS, "numpy"])
    return float(function(*known.values()))


def entries(formula: str, known: dict[str, float]) -> list[float]:
    """Return the number of a formula, or those of the matrix that it is."""
    return [evaluate(shown(part), known) for part in SEPARATOR.split(formula) if part]


def shown(formula: str) -> str:
    """Return a formula as the terminal shows it, with Python's signs."""
    text = plain_formula(formula)
    for sign, meaning in SIGNS.items():
        text = text.replace(sign, meaning)
    return text


@pytest.mark.parametrize("loss", [CRPSLogNormal(), CRPSStudentT(df=DF), StudentTNLL()], ids=label)
@pytest.mark.parametrize(("location", "size", "third", "target"), [(0.3, -0.4, 0.7, 2.0), (2.0, 0.5, -1.0, 0.7)])
def test_they_have_the_values_that_are_computed(
    loss: Any, location: float, size: float, third: float, target: float
) -> None:
    heads = [location, size, third][: len(loss.heads)]
    value, gradient = loss.value_and_gradient([heads], [target])
    known = {plain_formula(symbol): head for symbol, head in zip(loss.head_symbols, heads, strict=True)}
    known |= {"y": target, "L": value, "L_s": gradient[0, 1]} | ({"ν": DF} if isinstance(loss, CRPSStudentT) else {})
    formula, *definitions = loss.formula.split(DEFINITIONS)
    for definition in definitions:
        name, text = shown(definition).split(" = ")
        known[name] = evaluate(text, known)
    hessian = loss.hessian([heads], [target])[0]
    assert entries(formula, known) == pytest.approx([value], rel=1e-12)
    assert entries(loss.gradient_formula, known) == pytest.approx(gradient[0].tolist(), rel=1e-10)
    assert entries(loss.hessian_formula, known) == pytest.approx(hessian.ravel().tolist(), rel=1e-10)
