"""From a recorded loss to the source of its functions and its formulas, kept in the cache folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, reduce
from math import inf, nan
from typing import TYPE_CHECKING, Any

from lossfn.engine import cache
from lossfn.engine.trace import Node, Recorder, symbol, text_of
from lossfn.fields import EXTENDED_REAL, Domain, Parts

if TYPE_CHECKING:
    from lossfn.engine.namespaces import ArrayNamespace


@dataclass(frozen=True)
class Recorded:
    """What a loss says, as graphs: enough to derive everything else, and the identity of its definition."""

    heads: tuple[str, ...]
    targets: tuple[str, ...]
    parameters: tuple[str, ...]
    value: Node
    prediction: Domain
    target: Domain | Parts
    gradient: tuple[Node, ...] | None = None
    hessian: tuple[tuple[Node, ...], ...] | None = None
    symbols: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """A hash of the definition, of the engine and of the libraries that it is built on."""
        overrides = [*(self.gradient or ()), *(node for row in self.hessian or () for node in row)]
        graphs = [text_of(node) for node in [self.value, *overrides]]
        description = repr((self.heads, self.parameters, self.prediction, self.target, sorted(self.symbols.items())))
        return cache.digest(*graphs, description, cache.engine_version())


@dataclass(frozen=True)
class Function:
    """A generated function: assignments, then the expressions that it returns."""

    lines: list[str]
    results: list[str]

    def source(self, name: str, arguments: list[str], prologue: list[str]) -> str:
        """Return the ``def`` statement of a function that returns a tuple."""
        body = [*prologue, *self.lines, f"return ({', '.join(self.results)},)"]
        return "\n".join([f"def {name}({', '.join(arguments)}):", *(f"    {line}" for line in body), ""])


@dataclass(frozen=True, eq=False)
class Definition:
    """The generated functions of one loss (for one choice of structural parameters) and its formulas."""

    key: str
    heads: tuple[str, ...]
    targets: tuple[str, ...]
    parameters: tuple[str, ...]
    functions: dict[str, Function]
    formulas: dict[str, str]
    checks_prediction: bool
    findings: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """Names of the arguments of every function."""
        return [*self.heads, *self.targets, *self.parameters]

    @cached_property
    def array_functions(self) -> dict[str, Callable[..., Any]]:
        """The functions for array libraries; their first argument is an ``ArrayNamespace``."""
        prologue = ["number = ops.number", "tiny = ops.tiny"]
        source = "\n".join(
            function.source(name, ["ops", *self.arguments], prologue) for name, function in self.functions.items()
        )
        namespace: dict[str, Any] = {"inf": inf, "nan": nan}
        exec(compile(source, f"<lossfn {self.key}>", "exec"), namespace)
        return {name: namespace[name] for name in self.functions}

    def evaluate(self, name: str, ops: ArrayNamespace, *arguments: Any) -> tuple[Any, ...]:
        """Call one of the array functions: heads, targets, parameters."""
        results: tuple[Any, ...] = self.array_functions[name](ops, *arguments)
        return results


_definitions: dict[str, Definition] = {}


def known(recorded: Recorded) -> Definition | None:
    """Return a definition that was derived before: in this process, or in one that shares the cache folder."""
    if recorded.key not in _definitions:
        stored = cache.read(f"{recorded.key}.json")
        if stored is None:
            return None
        try:
            _definitions[recorded.key] = _load(stored)
        except (ValueError, KeyError, TypeError, AttributeError):
            # Damaged, as by a full disk: derive it again.
            return None
    return _definitions[recorded.key]


def remember(definition: Definition) -> None:
    """Keep a definition for this and for later processes."""
    _definitions[definition.key] = definition
    cache.write(f"{definition.key}.json", json.dumps(asdict(definition)))


def _load(text: str) -> Definition:
    stored = json.loads(text)
    stored["functions"] = {name: Function(**function) for name, function in stored["functions"].items()}
    listed = ("heads", "targets", "parameters", "findings")
    return Definition(**{**stored, **{name: tuple(stored[name]) for name in listed}})


def derive_definition(recorded: Recorded) -> Definition:
    """Differentiate a recorded loss and print its functions and formulas."""
    # SymPy takes a quarter of a second to import: only a definition that no cache holds pays for it.
    import sympy

    from lossfn.engine.printer import SourcePrinter, latex
    from lossfn.engine.symbolic import RESIDUAL, derive, to_sympy

    override = None
    if recorded.gradient is not None and recorded.hessian is not None:
        override = (recorded.gradient, recorded.hessian)
    derived = derive(
        recorded.value, recorded.heads, recorded.targets, recorded.target, list(recorded.parameters), override
    )
    hessian = [entry for row in derived.hessian for entry in row]
    definition_line = []
    if derived.definition is not None:
        printed = SourcePrinter([derived.definition])
        definition_line = [f"{derived.variable.name} = {printed.results[0]}"]

    # NaN goes in, NaN comes out: comparisons alone would send it to the other branch.
    is_number = " & ".join(f"({head} == {head})" for head in recorded.heads)
    # Their own NaN, because a number NaN stops JAX where it looks for them.
    otherwise = " + ".join(recorded.heads)

    def guarded(results: list[str]) -> list[str]:
        return [f"ops.where({is_number}, {result}, {otherwise})" for result in results]

    def function(*outputs: Any) -> Function:
        printed = SourcePrinter(outputs)
        return Function([*definition_line, *printed.lines], guarded(printed.results))

    def condition(graph: Node, names: tuple[str, ...]) -> Function:
        symbols = {name: sympy.Symbol(name, real=True) for name in names}
        printed = SourcePrinter([to_sympy(graph, symbols)], prefix="c")
        return Function(printed.lines, printed.results)

    recorder = Recorder()
    inside = [recorded.prediction.condition(recorder, symbol(head)) for head in recorded.heads]
    functions = {
        "value": function(derived.value),
        "gradient": function(*derived.gradient),
        "hessian": function(*hessian),
        "value_and_gradient": function(derived.value, *derived.gradient),
        "gradient_and_hessian": function(*derived.gradient, *hessian),
        "valid_target": condition(
            recorded.target.condition(recorder, *map(symbol, recorded.targets)), recorded.targets
        ),
        "valid_prediction": condition(reduce(recorder.logical_and, inside), recorded.heads),
    }
    if derived.variable is RESIDUAL and len(recorded.heads) == 1:
        # gradient / residual, with the residual kept from zero by the smallest normal number.
        # With it, a Newton step on an even loss whose gradient / residual decreases never increases the loss.
        weight = SourcePrinter([derived.gradient[0] / RESIDUAL])
        name = RESIDUAL.name
        nudge = f"{name} = ops.where(ops.abs({name}) < number(tiny), number(tiny), {name})"
        plain = functions["gradient"]
        lines = [*plain.lines, f"gradient = {plain.results[0]}", nudge, *weight.lines]
        functions["gradient_and_majorizer"] = Function(lines, ["gradient", *guarded(weight.results)])

    symbols = {"_residual": "r", "_margin": "m", **recorded.symbols}
    formulas = {
        "value": latex(derived.value, symbols),
        "gradient": _vector([latex(entry, symbols) for entry in derived.gradient]),
        "hessian": _matrix([[latex(entry, symbols) for entry in row] for row in derived.hessian]),
    }
    if derived.definition is not None:
        where = rf",\qquad {symbols[derived.variable.name]} = {latex(derived.definition, symbols)}"
        formulas = {name: text + where for name, text in formulas.items()}
    checks_prediction = recorded.prediction != EXTENDED_REAL
    return Definition(
        recorded.key, recorded.heads, recorded.targets, recorded.parameters, functions, formulas, checks_prediction
    )


def _vector(entries: list[str]) -> str:
    return entries[0] if len(entries) == 1 else r"\begin{pmatrix}" + r" \\ ".join(entries) + r"\end{pmatrix}"


def _matrix(rows: list[list[str]]) -> str:
    if len(rows) == 1:
        return rows[0][0]
    return r"\begin{pmatrix}" + r" \\ ".join(" & ".join(row) for row in rows) + r"\end{pmatrix}"
