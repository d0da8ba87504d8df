"""The generated functions and formulas of a loss: what identifies them, and where they are kept."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lossfn.engine import cache
from lossfn.engine.trace import Node, text_of
from lossfn.fields import Domain, Parts

if TYPE_CHECKING:
    from lossfn.engine.namespaces import ArrayNamespace


#: What separates a formula from what its letters stand for.
DEFINITIONS = r",\qquad "


class Override(NamedTuple):
    """Gradient and Hessian that a loss writes by itself, one entry for each head."""

    gradient: tuple[Node, ...]
    hessian: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Recorded:
    """What a loss says, as graphs: enough to derive everything else, and the identity of its definition."""

    heads: tuple[str, ...]
    targets: tuple[str, ...]
    parameters: tuple[str, ...]
    value: Node
    prediction: Domain
    target: Domain | Parts
    override: Override | None = None
    symbols: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """A hash of the definition and of the engine that derives the rest from it."""
        nodes = [self.value]
        if self.override is not None:
            nodes += [*self.override.gradient, *(node for row in self.override.hessian for node in row)]
        graphs = map(text_of, nodes)
        description = repr((self.heads, self.parameters, self.prediction, self.target, sorted(self.symbols.items())))
        return cache.digest(*graphs, description, cache.derivation_version())


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

#: The definitions of the library's own losses, one in each line; ``make docs`` derives them.
SHIPPED = "definitions.jsonl"


def known(recorded: Recorded) -> Definition | None:
    """Return a definition that was derived before: shipped, of this process, or of one that shares the cache folder."""
    key = recorded.key
    if key not in _definitions:
        stored = shipped().get(key) or cache.read(_file_of(key))
        if stored is None:
            return None
        try:
            _definitions[key] = _load(stored)
        except (ValueError, KeyError, TypeError, AttributeError):
            # Damaged, as by a full disk: derive it again.
            return None
    return _definitions[key]


def remember(definition: Definition) -> None:
    """Keep a definition for this and for later processes."""
    _definitions[definition.key] = definition
    cache.write(_file_of(definition.key), text_of_definition(definition))


def text_of_definition(definition: Definition) -> str:
    """Return a definition as one line of JSON."""
    return json.dumps(asdict(definition))


@functools.cache
def shipped() -> dict[str, str]:
    """Return the definitions that come with the library, by their key.

    SymPy takes longer to import than everything else that a first call does, and these do not need it.
    """
    path = Path(__file__).with_name(SHIPPED)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {line.split('"', 4)[3]: line for line in lines}


def _file_of(key: str) -> str:
    # It takes longer to import than most definitions to read.
    from importlib.metadata import version

    return f"{cache.digest(key, version('sympy'))}.json"


def _load(text: str) -> Definition:
    stored = json.loads(text)
    stored["functions"] = {name: Function(**function) for name, function in stored["functions"].items()}
    listed = ("heads", "targets", "parameters", "findings")
    return Definition(**{**stored, **{name: tuple(stored[name]) for name in listed}})
