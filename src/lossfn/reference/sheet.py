"""What is known about one loss, as data: the terminal, JSON and the pages print it."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lossfn import fields
from lossfn.engine.definition import DEFINITIONS
from lossfn.equivalents import Equivalent
from lossfn.pointwise import PointwiseLoss
from lossfn.reference.docstring import Docstring, read_docstring
from lossfn.registry import Entry, snake_case

# The engine's letters for the variables that make a formula shortest.
VARIABLES = {"r": "residual", "m": "margin"}

SMOOTHNESS = {
    -1: "jumps",
    0: "continuous, with kinks",
    1: "one continuous derivative",
    math.inf: "all derivatives",
}


@dataclass(frozen=True)
class ParameterSheet:
    """One parameter of a loss.

    Attributes
    ----------
    name, symbol : str
        In Python, and in formulas (LaTeX).
    value, default : object
        What it is here, and what it is where nothing is said.
    values : str
        Which values it takes, and in which unit.
    meaning : str
        What it does.
    """

    name: str
    symbol: str
    value: Any
    default: Any
    values: str
    meaning: str


@dataclass(frozen=True)
class Sheet:
    """One loss with one setting of its parameters."""

    loss: Any

    @property
    def name(self) -> str:
        """The name that the command line takes."""
        return snake_case(self.class_name)

    @property
    def class_name(self) -> str:
        """The name of the class."""
        return type(self.loss).__name__

    @property
    def family(self) -> str:
        """The file that defines it."""
        return type(self.loss).__module__.rpartition(".")[2]

    @cached_property
    def documentation(self) -> Docstring:
        """What its docstring says."""
        return read_docstring(type(self.loss))

    @property
    def brief(self) -> str:
        """What it is, in a few words."""
        return re.split(r"[;:.](?:\s|$)", self.documentation.summary)[0].replace("``", "")

    @cached_property
    def parameters(self) -> list[ParameterSheet]:
        """Its parameters in order."""
        declared = fields.parameters_of(type(self.loss))
        defaults = {field.name: field.default for field in dataclasses.fields(self.loss)}
        return [
            ParameterSheet(
                name,
                parameter.symbol,
                getattr(self.loss, name),
                defaults[name],
                parameter.values,
                self.documentation.parameters.get(name) or _sentence(parameter.doc),
            )
            for name, parameter in declared.items()
        ]

    @property
    def formulas(self) -> dict[str, str]:
        """Value, gradient and Hessian in LaTeX, without the definition of their variable; of some losses, fewer."""
        names = {"loss": "formula", "gradient": "gradient_formula", "Hessian": "hessian_formula"}
        whole = {name: getattr(self.loss, attribute) for name, attribute in names.items()}
        return {name: formula.split(DEFINITIONS)[0] for name, formula in whole.items() if formula}

    @property
    def definitions(self) -> list[str]:
        """What the variables of the formulas stand for, in LaTeX."""
        whole = (self.loss.formula, self.loss.gradient_formula, self.loss.hessian_formula)
        return list(dict.fromkeys(definition for formula in whole for definition in formula.split(DEFINITIONS)[1:]))

    @property
    def variable(self) -> str:
        """What the formulas are written in: ``"residual"``, ``"margin"`` or ``"prediction"``."""
        letters = [definition.partition(" = ")[0] for definition in self.definitions]
        return next((VARIABLES[letter] for letter in letters if letter in VARIABLES), "prediction")

    @cached_property
    def properties(self) -> dict[str, str]:
        """What is declared about it and verified by the tests, in words."""
        found = {
            name: describe(self.loss)
            for name, (attribute, describe) in PROPERTIES.items()
            if hasattr(type(self.loss), attribute)
        }
        return {name: text for name, text in found.items() if text}

    @property
    def equivalents(self) -> list[Equivalent]:
        """The same loss elsewhere, as far as it holds for these parameters."""
        return [there for there in self.loss.equivalents if there.holds_for(self.loss)]

    def summary(self) -> dict[str, Any]:
        """Return what can be said without deriving anything, as plain values."""
        loss = self.loss
        return {
            "name": self.name,
            "class": self.class_name,
            "family": self.family,
            "task": loss.task,
            "elicits": loss.elicits,
            "what": self.documentation.summary.replace("``", ""),
            "heads": list(loss.heads),
            "convex": loss.convex,
            "parameters": {
                parameter.name: {"default": parameter.default, "values": parameter.values, "meaning": parameter.meaning}
                for parameter in self.parameters
            },
        }


def families(entries: Iterable[Entry]) -> dict[str, list[Sheet]]:
    """Return the losses by family, both in the order of the catalogue."""
    grouped: dict[str, list[Sheet]] = {}
    for entry in entries:
        sheet = Sheet(entry.loss)
        grouped.setdefault(sheet.family, []).append(sheet)
    return grouped


def properties_of(loss: Any) -> list[str]:
    """Return each of the properties of a distribution that a loss estimates."""
    return [str(word) for word in loss.elicits.split(" and ")]


def tasks_of(loss: Any) -> list[str]:
    """Return the task that a loss is for."""
    return [loss.task]


def catalogue_json(families: dict[str, list[Sheet]]) -> str:
    """Return what is declared about losses, as JSON."""
    summaries = [sheet.summary() for sheets in families.values() for sheet in sheets]
    return json.dumps(summaries, indent=2, ensure_ascii=False, allow_nan=False)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _number(value: float) -> str:
    return f"{value:.4g}".replace("inf", "∞").replace("-", "−")


def _bound(loss: Any, bound: float | None, *, is_infinite: bool) -> str:
    """Return a bound in words; where none is declared, only what is certain."""
    if bound is not None:
        return _number(bound)
    # The tests hold the library's own losses to it that no declared bound means none, except those of rows.
    is_tested = isinstance(loss, PointwiseLoss) and _is_ours(loss)
    return "unbounded" if is_infinite or is_tested else "not stated"


def _is_ours(loss: Any) -> bool:
    return type(loss).__module__.startswith("lossfn.losses.")


def _convex(loss: Any) -> str:
    return "yes" if loss.convex else "no" if _is_ours(loss) else "not stated"


def _slope(loss: Any) -> str:
    return _bound(loss, loss.value_lipschitz, is_infinite=getattr(loss, "smoothness", 0) < 0)


def _sharpness(loss: Any) -> str:
    return _bound(loss, loss.gradient_lipschitz, is_infinite=loss.hessian_is_partial)


def _curvature(loss: Any) -> str:
    if loss.even_with_decreasing_weight:
        return "gradient / residual"
    return "the largest curvature" if loss.gradient_lipschitz is not None and len(loss.heads) == 1 else "none"


def _targets(loss: Any) -> str:
    if not isinstance(loss.target, fields.Parts):
        return str(loss.target.name)
    parts = zip(loss.target.names, loss.target.domains, strict=True)
    return f"{loss.target.name}: " + ", ".join(f"{name} {domain.name}" for name, domain in parts)


def _predictions(loss: Any) -> str:
    several = f", each of {', '.join(loss.heads)}" if len(loss.heads) > 1 else ""
    links = (loss.link,) if isinstance(loss.link, str) else loss.link
    link = f" (the {' and the '.join(links)} of the natural prediction)" if set(links) != {"identity"} else ""
    return f"{loss.prediction.name}{several}{link}"


def _spikes(loss: Any) -> str:
    where = "jumps" if isinstance(loss, PointwiseLoss) and loss.smoothness < 0 else "kinks"
    return f"leaves out infinite spikes at the {where}" if loss.hessian_is_partial else ""


def _probability(loss: Any) -> str:
    if loss.task != "binary":
        return ""
    return "implied by the prediction" if loss.gives_probability else "not estimated"


#: What a sheet says about a loss: the attribute that declares it, and the words; empty ones are left out.
PROPERTIES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "estimates": ("elicits", lambda loss: loss.elicits),
    "task": ("task", lambda loss: loss.task),
    "targets": ("prediction", _targets),
    "predictions": ("prediction", _predictions),
    "convex": ("convex", _convex),
    "smoothness": (
        "smoothness",
        lambda loss: SMOOTHNESS.get(loss.smoothness, f"{loss.smoothness} continuous derivatives"),
    ),
    "lower bound": ("lower_bound", lambda loss: _number(loss.lower_bound)),
    "largest slope": ("value_lipschitz", _slope),
    "largest curvature": ("gradient_lipschitz", _sharpness),
    "majorizing curvature": ("even_with_decreasing_weight", _curvature),
    "Hessian": ("hessian_is_partial", _spikes),
    "surrogate": (
        "surrogate",
        lambda loss: "its gradient is meant, and is not that of its value" if loss.surrogate else "",
    ),
    "probability": ("gives_probability", _probability),
}
