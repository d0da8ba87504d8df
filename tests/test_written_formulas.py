"""Formulas that a loss writes by hand, because derived ones would be too long: they say what is computed."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sympy
from conftest import label
from scipy import special, stats
from sympy.parsing.sympy_parser import implicit_multiplication, parse_expr, standard_transformations

from lossfn import CRPSLogNormal, CRPSStudentT
from lossfn.reference.formula import plain_formula
from lossfn.reference.sheet import DEFINITIONS

DF = 4.0
FUNCTIONS = {
    "Φ": stats.norm.cdf,
    "φ": stats.norm.pdf,
    "F_ν": lambda x: stats.t.cdf(x, DF),
    "f_ν": lambda x: stats.t.pdf(x, DF),
    "B": special.beta,
}
SIGNS = {"−": "-", "²": "**2", "³": "**3", "^": "**"}
# What parts the entries of a matrix.
SEPARATOR = re.compile(r"\s*\\(?:begin|end)\{pmatrix\}\s*|\s+&\s+|\s+\\\\\s+")


def evaluate(text: str, known: dict[str, float]) -> float:
    """Return the number that a formula has, as the terminal shows it."""
    for sign, meaning in SIGNS.items():
        text = text.replace(sign, meaning)
    text = re.sub(r"√(\w)", r"sqrt(\1)", text)
    names: dict[str, Any] = {name: sympy.Function(name) for name in FUNCTIONS}
    names |= {name: sympy.Symbol(name) for name in known} | {"e": sympy.E, "π": sympy.pi}
    expression = parse_expr(text, names, (*standard_transformations, implicit_multiplication))
    function = sympy.lambdify([sympy.Symbol(name) for name in known], expression, [FUNCTIONS, "numpy"])
    return float(function(*known.values()))


def entries(formula: str, known: dict[str, float]) -> list[float]:
    """Return the number of a formula, or those of the matrix that it is."""
    return [evaluate(plain_formula(part), known) for part in SEPARATOR.split(formula) if part]


@pytest.mark.parametrize("loss", [CRPSLogNormal(), CRPSStudentT(df=DF)], ids=label)
@pytest.mark.parametrize(("location", "log_scale", "target"), [(0.3, -0.4, 2.0), (-1.0, 0.5, 0.7), (2.0, 0.1, 1.5)])
def test_they_have_the_values_that_are_computed(loss: Any, location: float, log_scale: float, target: float) -> None:
    row = [[location, log_scale]], [target]
    value, gradient = loss.value_and_gradient(*row)
    formula, *definitions = loss.formula.split(DEFINITIONS)
    known = {"μ": location, "s": log_scale, "y": target, "ν": DF, "L": value, "L_s": gradient[0, 1]}
    for name, text in (plain_formula(definition).split(" = ") for definition in definitions):
        known[name] = evaluate(text, known)
    assert entries(formula, known) == pytest.approx([value], rel=1e-12)
    assert entries(loss.gradient_formula, known) == pytest.approx(gradient[0].tolist(), rel=1e-11)
    assert entries(loss.hessian_formula, known) == pytest.approx(loss.hessian(*row)[0].ravel().tolist(), rel=1e-11)
