"""The array libraries by name: NumPy, PyTorch and JAX, each imported when its arrays come."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def compatible(library: str) -> Any:
    """Return the array-API form of a library."""
    # JAX follows the standard by itself.
    name = "jax.numpy" if library == "jax" else f"array_api_compat.{library}"
    return importlib.import_module(name)


def library_of_namespace(xp: Any) -> str:
    """Return the library of an array-API namespace, or of the library's own."""
    name: str = xp.__name__
    return name.removeprefix("array_api_compat.").partition(".")[0]


def has_float64(library: str, device: Any) -> bool:
    """Whether arrays of a library can be summed in float64 on a device."""
    match library:
        case "torch":
            return str(device).partition(":")[0] != "mps"
        case "jax":
            return bool(importlib.import_module("jax").config.jax_enable_x64)
        case _:
            return True
