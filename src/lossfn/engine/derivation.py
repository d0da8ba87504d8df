"""From a recorded loss to the source of its functions and its formulas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import sympy

from lossfn.engine.definition import DEFINITIONS, Definition, Function, Recorded
from lossfn.engine.printer import SourcePrinter, latex
from lossfn.engine.symbolic import RESIDUAL, Derived, derive, passes_nan, to_sympy
from lossfn.engine.trace import Node, Recorder, symbol
from lossfn.fields import EXTENDED_REAL


def derive_definition(recorded: Recorded) -> Definition:
    """Differentiate a recorded loss and print its functions and formulas."""
    heads, derived = recorded.heads, derive(recorded)
    functions = {**_derivatives(derived, heads), **_conditions(recorded)}
    if derived.variable is RESIDUAL and len(heads) == 1:
        functions["gradient_and_majorizer"] = _majorizer(derived, functions["gradient"], heads)
    formulas = _formulas(derived, recorded.symbols)
    checks_prediction = recorded.prediction != EXTENDED_REAL
    return Definition(
        recorded.key, heads, recorded.targets, recorded.parameters, functions, formulas, checks_prediction
    )


def _derivatives(derived: Derived, heads: tuple[str, ...]) -> dict[str, Function]:
    """Return value, gradient and Hessian as functions, by themselves and together."""
    variable = []
    if derived.definition is not None:
        variable = [f"{derived.variable.name} = {SourcePrinter([derived.definition]).results[0]}"]

    def function(*outputs: Any) -> Function:
        printed = SourcePrinter(outputs)
        results = [_guarded(*pair, derived, heads) for pair in zip(printed.results, outputs, strict=True)]
        return Function([*variable, *printed.lines], results)

    hessian = [entry for row in derived.hessian for entry in row]
    return {
        "value": function(derived.value),
        "gradient": function(*derived.gradient),
        "hessian": function(*hessian),
        "value_and_gradient": function(derived.value, *derived.gradient),
        "gradient_and_hessian": function(*derived.gradient, *hessian),
        "value_gradient_and_hessian": function(derived.value, *derived.gradient, *hessian),
    }


def _guarded(result: str, expression: Any, derived: Derived, heads: tuple[str, ...]) -> str:
    """Return the source of a result that is NaN where a head is NaN, whatever the expression makes of it."""
    names = (derived.variable.name, *heads[1:])
    lost = [head for head, name in zip(heads, names, strict=True) if not passes_nan(expression, name)]
    if not lost:
        return result
    is_number = " & ".join(f"({head} == {head})" for head in lost)
    # Their own NaN, because a number NaN stops JAX where it looks for them.
    return f"ops.where({is_number}, {result}, {' + '.join(lost)})"


def _conditions(recorded: Recorded) -> dict[str, Function]:
    """Return the functions that say whether targets and predictions lie in their domains."""
    recorder = Recorder()
    target = recorded.target.condition(recorder, *map(symbol, recorded.targets))
    prediction = [recorded.prediction.condition(recorder, symbol(head)) for head in recorded.heads]
    return {
        "valid_target": _condition(target, recorded.targets),
        "valid_prediction": _condition(reduce(recorder.logical_and, prediction), recorded.heads),
    }


def _condition(graph: Node, names: tuple[str, ...]) -> Function:
    symbols = {name: sympy.Symbol(name, real=True) for name in names}
    printed = SourcePrinter([to_sympy(graph, symbols)], prefix="c")
    return Function(printed.lines, printed.results)


def _majorizer(derived: Derived, gradient: Function, heads: tuple[str, ...]) -> Function:
    """Return the gradient and gradient / residual, with the residual kept from zero by the smallest normal number.

    With it, a Newton step on an even loss whose gradient / residual decreases never increases the loss.
    """
    weight = derived.gradient[0] / RESIDUAL
    printed = SourcePrinter([weight])
    name = RESIDUAL.name
    nudge = f"{name} = ops.where(ops.abs({name}) < number(tiny), number(tiny), {name})"
    lines = [*gradient.lines, f"gradient = {gradient.results[0]}", nudge, *printed.lines]
    return Function(lines, ["gradient", _guarded(printed.results[0], weight, derived, heads)])


def _formulas(derived: Derived, declared: Mapping[str, str]) -> dict[str, str]:
    symbols = {"_residual": "r", "_margin": "m", **declared}
    formulas = {
        "value": latex(derived.value, symbols),
        "gradient": _vector([latex(entry, symbols) for entry in derived.gradient]),
        "hessian": _matrix([[latex(entry, symbols) for entry in row] for row in derived.hessian]),
    }
    if derived.definition is None:
        return formulas
    where = f"{DEFINITIONS}{symbols[derived.variable.name]} = {latex(derived.definition, symbols)}"
    return {name: text + where for name, text in formulas.items()}


def _vector(entries: list[str]) -> str:
    return entries[0] if len(entries) == 1 else r"\begin{pmatrix}" + r" \\ ".join(entries) + r"\end{pmatrix}"


def _matrix(rows: list[list[str]]) -> str:
    if len(rows) == 1:
        return rows[0][0]
    return r"\begin{pmatrix}" + r" \\ ".join(" & ".join(row) for row in rows) + r"\end{pmatrix}"
