"""The kinds of parameters: which values each takes, how they are checked, and which are symbols."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from lossfn.fields import Domain


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a loss declares about one of its parameters; each kind is a class of its own.

    Parameters
    ----------
    symbol : str
        In formulas (LaTeX).
    doc : str
        What it does.
    in_target_units : bool
        Whether it scales with the target.
    several : bool
        Whether it is an ascending tuple of numbers, each a symbol of its own.
    """

    symbol: str = ""
    doc: str
    in_target_units: bool = False
    several: bool = False

    @property
    def values(self) -> str:
        """Which values it takes, for readers."""
        raise NotImplementedError(f"{type(self).__name__} does not say which values it takes")

    def is_symbolic(self, value: Any) -> bool:  # noqa: ARG002 (of numbers)
        """Whether this value enters the expression as a symbol, so that all such values share one kernel."""
        return False

    def validate(self, owner: str, name: str, value: Any) -> Any:
        """Return the value in canonical type or raise, naming the loss, the parameter and the cure."""
        raise NotImplementedError(f"{type(self).__name__} validates nothing")


@dataclass(frozen=True, kw_only=True)
class Number(Parameter):
    """A parameter that is a real number, or several of them.

    ``structural`` values stay plain Python numbers inside ``expression`` and give a kernel of their own (a power that
    is exactly 2); every other number is a symbol.
    """

    domain: Domain
    structural: tuple[float, ...] = ()
    optional: bool = False

    @property
    def values(self) -> str:
        """Which values it takes, and in which unit."""
        several = "ascending, each " if self.several else ""
        unit = ", in units of the target" if self.in_target_units else ""
        return f"{several}{self.domain.name}{unit}{', or None' if self.optional else ''}"

    def is_symbolic(self, value: Any) -> bool:
        """Whether this value enters the expression as a symbol."""
        return value is not None and value not in self.structural

    def validate(self, owner: str, name: str, value: Any) -> Any:
        """Return a float, a tuple of floats, or ``None``."""
        if value is None and self.optional:
            return None
        return (_valid_numbers if self.several else valid_number)(self.domain, owner, name, value)


def is_exactly(value: Any, *numbers: float) -> bool:
    """Whether a parameter is one of these numbers, for expressions that have another form there.

    The numbers are ``structural`` ones. All others are recorded as a symbol, which compares with nothing: one form
    serves them all.
    """
    return isinstance(value, float) and value in numbers


@dataclass(frozen=True, kw_only=True)
class Choice(Parameter):
    """A parameter that is one of a few values, each with an expression of its own."""

    options: tuple[Any, ...]

    @property
    def values(self) -> str:
        """Which values it takes."""
        return "one of " + ", ".join(map(repr, self.options))

    def validate(self, owner: str, name: str, value: Any) -> Any:
        """Return the declared value: 1 equals True."""
        # Arrays equal nothing as a whole.
        found = [] if isinstance(value, np.ndarray) else [option for option in self.options if option == value]
        if not found:
            raise ValueError(f"{owner}: {name} must be {self.values}; got {value!r}")
        return found[0]


@dataclass(frozen=True, kw_only=True)
class Count(Parameter):
    """A parameter that is a whole number of at least 1: expressions may count with it, so it is never a symbol."""

    @property
    def values(self) -> str:
        """Which values it takes."""
        return "an integer >= 1"

    def validate(self, owner: str, name: str, value: Any) -> int:
        """Return an int."""
        number = valid_integer(self.values, owner, name, value)
        if number < 1:
            raise ValueError(f"{owner}: {name} must be {self.values}; got {value}")
        return number


def valid_integer(wanted: str, owner: str, name: str, value: Any) -> int:
    """Return an int, or say what is wanted instead."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{owner}: {name} must be {wanted}; got {value!r}")
    return int(value)


def valid_number(domain: Domain, owner: str, name: str, value: Any) -> float:
    """Return a float, or refuse what is no number of a domain."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{owner}: {name} must be a number, {domain.name}; got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        # A whole number of hundreds of digits: shown as infinite, too.
        number = math.inf if value > 0 else -math.inf
    if number not in domain:
        shown = repr(value) if math.isfinite(number) else str(number)
        raise ValueError(f"{owner}: {name} must be {domain.name}; got {shown}")
    return number


def _valid_numbers(domain: Domain, owner: str, name: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) < 2:
        raise TypeError(f"{owner}: {name} must be a tuple of two or more numbers; got {value!r}")
    numbers = tuple(valid_number(domain, owner, f"{name}[{i}]", number) for i, number in enumerate(value))
    if any(first >= second for first, second in pairwise(numbers)):
        raise ValueError(f"{owner}: {name} must ascend, without repetition; got {value!r}")
    return numbers


def declared(default: Any, parameter: Parameter) -> Any:
    """Return the field of a loss that holds a parameter."""
    return dataclasses.field(default=default, metadata={"parameter": parameter})
