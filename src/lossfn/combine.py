"""Sums of losses are losses: one expression, hence one kernel."""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property
from typing import Any, Self

from lossfn.engine.trace import symbol
from lossfn.pointwise import PointwiseLoss


class WeightedSum(PointwiseLoss):
    """A sum of losses of the same prediction and target, each times a positive factor.

    Made by ``0.7 * SquaredError() + 0.3 * AbsoluteError()``.

    Examples
    --------
    >>> from lossfn import AbsoluteError, SquaredError
    >>> loss = 0.7 * SquaredError() + 0.3 * AbsoluteError()
    >>> loss
    0.7 * SquaredError() + 0.3 * AbsoluteError()
    >>> print(loss([2.0], [0.0]).round(4))
    3.4
    """

    terms: tuple[tuple[float, PointwiseLoss], ...] = dataclasses.field(default=())

    def __post_init__(self) -> None:
        losses = [loss for _, loss in self.terms]
        first = losses[0]
        for other in losses[1:]:
            for trait in ("heads", "target", "prediction", "link"):
                mine, theirs = getattr(first, trait), getattr(other, trait)
                if mine != theirs:
                    named = " and ".join(str(getattr(each, "name", each)) for each in (mine, theirs))
                    raise ValueError(f"{first!r} and {other!r} cannot be added: their {trait} differ ({named})")
        for factor, loss in self.terms:
            if not (factor > 0 and math.isfinite(factor)):
                raise ValueError(f"the factor of {loss!r} must be a finite number > 0; got {factor!r}")
        traits = {
            "heads": first.heads,
            "target": first.target,
            "prediction": first.prediction,
            "link": first.link,
            "head_symbols": first.head_symbols,
            "elicits": first.elicits if len({loss.elicits for loss in losses}) == 1 else "M-location",
            "convex": all(loss.convex for loss in losses),
            "smoothness": min(loss.smoothness for loss in losses),
            "even_with_decreasing_weight": all(loss.even_with_decreasing_weight for loss in losses),
            "gives_probability": all(loss.gives_probability for loss in losses),
            "surrogate": any(loss.surrogate for loss in losses),
            "lower_bound": sum(factor * loss.lower_bound for factor, loss in self.terms),
        }
        for name, value in traits.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return " + ".join(f"{loss!r}" if factor == 1 else f"{factor!r} * {loss!r}" for factor, loss in self.terms)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        parts = [factor * loss.expression(xp, pred, target) for factor, loss in self.terms]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _with_symbols(self, prefix: str = "p_") -> tuple[Self, dict[str, float], dict[str, str]]:
        terms, values, latex = [], {}, {}
        for position, (factor, loss) in enumerate(self.terms, start=1):
            name = f"{prefix}factor{position}"
            values[name] = factor
            latex[name] = rf"\lambda_{{{position}}}"
            clone, more_values, more_latex = loss._with_symbols(f"{prefix}term{position}_")
            values.update(more_values)
            # A symbol that has an index already takes another one only as a group.
            grouped = {key: f"{{{text}}}" if "_" in text else text for key, text in more_latex.items()}
            latex.update({key: rf"{text}_{{{position}}}" for key, text in grouped.items()})
            terms.append((symbol(name), clone))
        copied = object.__new__(type(self))
        object.__setattr__(copied, "terms", tuple(terms))
        return copied, values, latex

    @cached_property
    def of_residuals(self) -> bool:
        return all(loss.of_residuals for _, loss in self.terms)

    @property
    def value_lipschitz(self) -> float | None:
        return _bound([(factor, loss.value_lipschitz) for factor, loss in self.terms])

    @property
    def gradient_lipschitz(self) -> float | None:
        return _bound([(factor, loss.gradient_lipschitz) for factor, loss in self.terms])


def _bound(parts: list[tuple[float, float | None]]) -> float | None:
    bounds = [factor * bound for factor, bound in parts if bound is not None]
    return sum(bounds) if len(bounds) == len(parts) else None


def combine(*terms: tuple[float, PointwiseLoss]) -> WeightedSum:
    """Return the weighted sum, with sums inside it spread out."""
    flat: list[tuple[float, PointwiseLoss]] = []
    for factor, loss in terms:
        if isinstance(loss, WeightedSum):
            flat.extend((factor * inner, part) for inner, part in loss.terms)
        else:
            flat.append((factor, loss))
    return WeightedSum(tuple(flat))
