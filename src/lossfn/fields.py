"""Domains, and how a loss declares its parameters: data, from which validation, tests and kernels derive."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from lossfn.parameters import Choice, Count, Number, Parameter, declared


@dataclass(frozen=True)
class Domain:
    """A set of real numbers that a prediction, a target or a parameter may take.

    Parameters
    ----------
    name : str
        How error messages call a member, e.g. ``"a label 0 or 1"``.
    low, high : float
        The ends. Infinite ends are never members unless ``closed_at_infinity``.
    open_low, open_high : bool
        Whether a finite end is excluded.
    without_zero : bool
        Whether 0 is excluded from the real line.
    members : tuple of float
        If not empty, the only members.
    example : float
        A harmless member: it stands in for masked entries.
    cure : str
        What an error message advises a caller whose data lie outside.
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    closed_at_infinity: bool = False
    without_zero: bool = False
    members: tuple[float, ...] = ()
    example: float = 0.0
    cure: str = ""

    #: How messages call what lies in this domain, if it is a target.
    labels: ClassVar[tuple[str, ...]] = ("target",)

    @property
    def is_discrete(self) -> bool:
        """Whether only finitely many values are members."""
        return bool(self.members)

    @property
    def takes_any_score(self) -> bool:
        """Whether the scores of a model, which may be of any size and sign, are members."""
        return not self.members and math.isinf(self.low) and math.isinf(self.high)

    def condition(self, xp: Any, x: Any) -> Any:
        """Whether ``x`` is a member, as an expression over primitives. NaN never is one."""
        if self.members:
            inside = xp.equal(x, self.members[0])
            for member in self.members[1:]:
                inside = xp.logical_or(inside, xp.equal(x, member))
            return inside
        if math.isinf(self.low) and math.isinf(self.high):
            size = xp.abs(x)
            inside = size <= math.inf if self.closed_at_infinity else size < math.inf
            return xp.logical_and(size > 0, inside) if self.without_zero else inside
        excludes_low = self.open_low or (math.isinf(self.low) and not self.closed_at_infinity)
        excludes_high = self.open_high or (math.isinf(self.high) and not self.closed_at_infinity)
        above = x > self.low if excludes_low else x >= self.low
        below = x < self.high if excludes_high else x <= self.high
        return xp.logical_and(above, below)

    def __contains__(self, value: float) -> bool:
        if self.members:
            return value in self.members
        if value == 0 and self.without_zero:
            return False
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        finite = math.isfinite(value) or (self.closed_at_infinity and not math.isnan(value))
        return above and below and finite

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Draw ordinary members, for tests and demonstrations."""
        if self.members:
            return rng.choice(np.asarray(self.members, dtype=np.float64), size)
        if math.isinf(self.low) and math.isinf(self.high):
            return rng.normal(0.0, 2.0, size)
        if math.isinf(self.high):
            above = rng.gamma(1.5, 1.0, size)
            # The end itself too, where it belongs to the domain: counts are often 0.
            return self.low + (above if self.open_low else np.where(rng.random(size) < 0.15, 0.0, above))
        if math.isinf(self.low):
            return self.high - rng.gamma(1.5, 1.0, size)
        return rng.uniform(self.low, self.high, size)


REAL = Domain("a finite number")
EXTENDED_REAL = Domain("a number", closed_at_infinity=True)
NONNEGATIVE = Domain("a finite number >= 0", low=0.0, example=1.0)
POSITIVE = Domain("a finite number > 0", low=0.0, open_low=True, example=1.0)
NONZERO = Domain("a finite number other than 0", without_zero=True, example=1.0)
PROBABILITY = Domain(
    "a probability in [0, 1]",
    low=0.0,
    high=1.0,
    example=0.5,
    cure="labels -1/+1 are converted by (label + 1) / 2, logits by a sigmoid",
)
LOG_PROBABILITY = Domain(
    "a log-probability <= 0",
    high=0.0,
    closed_at_infinity=True,
    example=-1.0,
    cure="for logits use inputs='logits'",
)
BINARY = Domain(
    "a label 0 or 1",
    members=(0.0, 1.0),
    example=0.0,
    cure="labels -1/+1 are converted by (label + 1) / 2",
)
SIGNED = Domain(
    "a label -1 or +1",
    members=(-1.0, 1.0),
    example=1.0,
    cure="labels 0/1 are converted by lossfn.to_signed",
)


@dataclass(frozen=True)
class Parts:
    """Where a target made of several numbers may lie, for losses that declare a named tuple for it.

    Parameters
    ----------
    container : type
        The named tuple, one field for each part.
    domains : tuple of Domain
        Where each part may lie.
    symbols : tuple of str
        LaTeX of the parts.
    ascending : bool
        Whether no part may be larger than the next one.
    """

    container: Any
    domains: tuple[Domain, ...]
    symbols: tuple[str, ...]
    ascending: bool = False

    is_discrete: ClassVar[bool] = False
    members: ClassVar[tuple[float, ...]] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts."""
        names: tuple[str, ...] = self.container._fields
        return names

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """How messages call the parts."""
        return tuple(f"target.{name}" for name in self.names)

    @property
    def name(self) -> str:
        """How error messages call a member."""
        return f"a tuple ({', '.join(self.names)})"

    def condition(self, xp: Any, *parts: Any) -> Any:
        """Whether these parts are a member, as an expression over primitives."""
        inside = self.domains[0].condition(xp, parts[0])
        for domain, part in zip(self.domains[1:], parts[1:], strict=True):
            inside = xp.logical_and(inside, domain.condition(xp, part))
        if self.ascending:
            for part, following in pairwise(parts):
                inside = xp.logical_and(inside, part <= following)
        return inside

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, tuple) and bool(self.condition(np, *value))

    def sample(self, rng: np.random.Generator, size: int) -> Any:
        """Draw ordinary members, for tests and demonstrations."""
        draws = np.stack([domain.sample(rng, size) for domain in self.domains])
        return self.container(*(np.sort(draws, axis=0) if self.ascending else draws))


def domains_of(target: Domain | Parts) -> tuple[Domain, ...]:
    """Return the domain of each part of a target; most targets are one number."""
    return target.domains if isinstance(target, Parts) else (target,)


def joined(target: Domain | Parts, parts: Sequence[Any]) -> Any:
    """Return the parts of a target as losses and expressions take them."""
    return target.container(*parts) if isinstance(target, Parts) else parts[0]


OPEN_FRACTION = Domain("a number strictly between 0 and 1", 0.0, 1.0, open_low=True, open_high=True, example=0.5)
POSITIVE_FRACTION = Domain("a number in (0, 1]", 0.0, 1.0, open_low=True, example=1.0)
HALF_OPEN_FRACTION = Domain("a number in [0, 1)", 0.0, 1.0, open_high=True)


def _declare(default: Any, domain: Domain, symbol: str, doc: str, **options: Any) -> Any:
    return declared(default, Number(domain=domain, symbol=symbol, doc=doc, **options))


# Type checkers recognise a default only by its keyword.


def real(*, default: float | None, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter that is any finite number."""
    return _declare(default, REAL, symbol, doc, **options)


def positive(*, default: float | None, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter that is a finite number > 0."""
    return _declare(default, POSITIVE, symbol, doc, **options)


def nonzero(*, default: float, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter that is a finite number other than 0."""
    return _declare(default, NONZERO, symbol, doc, **options)


def nonnegative(*, default: float | None, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter that is a finite number >= 0."""
    return _declare(default, NONNEGATIVE, symbol, doc, **options)


def at_least(low: float, *, default: float, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter that is a finite number >= ``low``."""
    return _declare(default, Domain(f"a finite number >= {low:g}", low=low, example=low), symbol, doc, **options)


def above(low: float, *, default: float, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter that is a finite number > ``low``."""
    domain = Domain(f"a finite number > {low:g}", low=low, open_low=True, example=low + 1)
    return _declare(default, domain, symbol, doc, **options)


def at_most(high: float, *, default: float, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter that is a number <= ``high``, -inf included."""
    domain = Domain(f"a number <= {high:g}, or -inf", high=high, closed_at_infinity=True, example=high)
    return _declare(default, domain, symbol, doc, **options)


def open_fraction(*, default: float | None, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter strictly between 0 and 1."""
    return _declare(default, OPEN_FRACTION, symbol, doc, **options)


def half_open_fraction(*, default: float | None, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter in [0, 1)."""
    return _declare(default, HALF_OPEN_FRACTION, symbol, doc, **options)


def closed_fraction(*, default: float, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter in [0, 1]."""
    return _declare(default, Domain("a number in [0, 1]", 0.0, 1.0), symbol, doc, **options)


def open_fractions(*, default: tuple[float, ...], symbol: str, doc: str) -> Any:
    """Declare an ascending tuple of numbers strictly between 0 and 1."""
    return _declare(default, OPEN_FRACTION, symbol, doc, several=True)


def choice(*, default: Any, options: tuple[Any, ...], doc: str) -> Any:
    """Declare a parameter that is one of a few values, each with an expression of its own."""
    return declared(default, Choice(options=options, doc=doc))


def positive_fraction(*, default: float, symbol: str, doc: str, **options: Any) -> Any:
    """Declare a parameter in (0, 1]."""
    return _declare(default, POSITIVE_FRACTION, symbol, doc, **options)


def count(*, default: int, symbol: str, doc: str) -> Any:
    """Declare a parameter that is an integer >= 1."""
    return declared(default, Count(symbol=symbol, doc=doc))


def parameters_of(loss_class: type) -> dict[str, Parameter]:
    """Return the declared parameters of a loss class, in order."""
    return {
        field.name: field.metadata["parameter"]
        for field in dataclasses.fields(loss_class)
        if "parameter" in field.metadata
    }
