"""Numba's ``njit`` with the settings of this library and with types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def njit(**options: Any) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Return a decorator that compiles a function on its first call; division by zero gives infinity, as in NumPy."""

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        compiled = numba.njit(error_model="numpy", **options)(function)
        return cast("Callable[Parameters, Result]", compiled)

    return decorate
