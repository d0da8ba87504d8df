"""Declared parameters of losses of several classes: one number for each class, the index of a class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lossfn.parameters import Parameter, declared, valid_integer


@dataclass(frozen=True, kw_only=True)
class ClassWeights(Parameter):
    """A parameter with one weight for each class, kept as a tuple so that losses stay hashable."""

    @property
    def values(self) -> str:
        """Which values it takes."""
        return "one finite number >= 0 for each class, or None"

    def validate(self, owner: str, name: str, value: Any) -> Any:
        """Return a tuple of floats, or ``None``."""
        if value is None:
            return None
        if isinstance(value, Mapping):
            cure = "pass the weights in the order of the classes"
            raise TypeError(f"{owner}: {name} must be a sequence of one number a class, not a mapping; {cure}")
        try:
            # The digits of a text would be numbers, too.
            weights = () if isinstance(value, str) else tuple(map(float, value))
        except (TypeError, ValueError):
            weights = ()
        if not weights:
            raise TypeError(f"{owner}: {name} must be a sequence of one number a class; got {value!r}")
        for position, weight in enumerate(weights):
            if not 0 <= weight < math.inf:
                raise ValueError(f"{owner}: {name}[{position}] must be a finite number >= 0; got {weight}")
        if not any(weights):
            raise ValueError(f"{owner}: {name} must hold a number > 0; got {value!r}")
        return weights


@dataclass(frozen=True, kw_only=True)
class ClassIndex(Parameter):
    """An optional parameter that is an integer."""

    @property
    def values(self) -> str:
        """Which values it takes."""
        return "an integer, or None"

    def validate(self, owner: str, name: str, value: Any) -> Any:
        """Return an int, or ``None``."""
        return None if value is None else valid_integer(self.values, owner, name, value)


def class_weights(*, default: tuple[float, ...] | None, doc: str, symbol: str = "w") -> Any:
    """Declare a parameter with one number >= 0 for each class, or ``None``."""
    return declared(default, ClassWeights(doc=doc, symbol=symbol))


def class_index(*, default: None, doc: str) -> Any:
    """Declare an optional parameter that is an integer."""
    return declared(default, ClassIndex(doc=doc))
