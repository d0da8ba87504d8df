"""What a primitive is: one function of the expression language, in all the forms that the engine needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Primitive:
    """One function that a loss may use in its ``expression``.

    Parameters
    ----------
    name : str
        The name under which every namespace offers it.
    derivative : callable
        ``derivative(ops, *arguments)`` returns one partial derivative per argument (``None`` for an argument that
        has none), written with operators and with other primitives taken from ``ops``. The rule is stable: it never
        forms a difference that tends to zero or a quotient of two quantities that overflow.
    array : callable
        ``array(xp, *arguments)`` evaluates it with an array-API namespace (NumPy, PyTorch, JAX).
    oracle : callable
        ``oracle(mp, *arguments)`` evaluates the textbook definition with mpmath numbers, extended to ±∞ by limits.
    latex : str
        A template with ``{0}``, ``{1}`` for the LaTeX of the arguments.
    cancels_near_zero : bool
        Whether the textbook definition cancels for tiny arguments, so that the oracle needs more digits there.
    """

    name: str
    derivative: Callable[..., tuple[Any, ...]]
    array: Callable[..., Any]
    oracle: Callable[..., Any]
    latex: str
    cancels_near_zero: bool = True

    @cached_property
    def number_of_arguments(self) -> int:
        """How many arguments it takes."""
        return len(inspect.signature(self.array).parameters) - 1
