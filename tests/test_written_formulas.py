"""Formulas that a loss writes by hand, because derived ones would be too long: they say what is computed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import sympy
from conftest import label
from scipy import special, stats
from sympy.parsing.sympy_parser import implicit_multiplication, parse_expr, standard_transformations

from lossfn import CRPSLogNormal, CRPSStudentT
from lossfn.reference.formula import plain_formula

DF = 4.0
FUNCTIONS = {
    "Φ": stats.norm.cdf,
    "φ": stats.norm.pdf,
    "F_ν": lambda x: stats.t.cdf(x, DF),
    "f_ν": lambda x: stats.t.pdf(x, DF),
    "B": special.beta,
}
SIGNS = {"−": "-", "²": "**2", "³": "**3", "^": "**"}
# Where a formula ends, a row or an entry of a matrix, or a definition that follows.
SEPARATOR = re.compile(r"\s*\\(?:begin|end)\{pmatrix\}\s*|\s+&\s+|\s+\\\\\s+|, (?=[^,=]+ = )")


def evaluate(text: str, known: dict[str, float]) -> float:
    """Return the number that a formula has, as the terminal shows it."""
    for sign, meaning in SIGNS.items():
        text = text.replace(sign, meaning)
    text = re.sub(r"√(\w)", r"sqrt(\1)", text)
    names: dict[str, Any] = {name: sympy.Function(name) for name in FUNCTIONS}
    names |= {name: sympy.Symbol(name) for name in known} | {"e": sympy.E, "π": sympy.pi}
    expression = parse_expr(text, names, (*standard_transformations, implicit_multiplication))
    return float(
        sympy.lambdify([sympy.Symbol(name) for name in known], expression, [FUNCTIONS, "numpy"])(*known.values())
    )


def entries(formula: str, known: dict[str, float]) -> list[float]:
    """Return the numbers of a formula, after its definitions."""
    parts = [plain_formula(part) for part in SEPARATOR.split(formula) if part]
    defined = dict(known)
    for name, text in (part.split(" = ") for part in sorted(parts, key=order) if " = " in part):
        defined[name] = evaluate(text, defined)
    return [evaluate(part, defined) for part in parts if " = " not in part]


def order(part: str) -> int:
    """Definitions build on the first ones: the scale, then the standardised residual."""
    return ("σ", "ω").index(part[0]) if part[0] in "σω" else 2


@pytest.mark.parametrize("loss", [CRPSLogNormal(), CRPSStudentT(df=DF)], ids=label)
@pytest.mark.parametrize(("location", "log_scale", "target"), [(0.3, -0.4, 2.0), (-1.0, 0.5, 0.7), (2.0, 0.1, 1.5)])
def test_they_have_the_values_that_are_computed(loss: Any, location: float, log_scale: float, target: float) -> None:
    row = [[location, log_scale]], [target]
    value, gradient = loss.value_and_gradient(*row)
    scale = np.exp(log_scale)
    residual = (np.log(target) if isinstance(loss, CRPSLogNormal) else target) - location
    known = {"μ": location, "s": log_scale, "y": target, "ν": DF}
    assert entries(loss.formula, known) == pytest.approx([value], rel=1e-12)
    known |= {"L": value, "σ": scale, "ω": residual / scale}
    if isinstance(loss, CRPSStudentT):
        known["c"] = gradient[0, 1] / scale
    assert entries(loss.gradient_formula, known) == pytest.approx(gradient[0].tolist(), rel=1e-11)
    known |= {"L_μ": gradient[0, 0], "L_s": gradient[0, 1]}
    assert entries(loss.hessian_formula, known) == pytest.approx(loss.hessian(*row)[0].ravel().tolist(), rel=1e-11)
