"""Turns the kernel functions into Numba intrinsics, callable from any ``njit`` function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from lossfn.engine.primitives.kernels import (
    exponential,
    factorial,
    gamma,
    guarded,
    hyperbolic,
    logarithmic,
    logistic,
    normal,
    piecewise,
    power,
    student_t,
    tempered,
)
from lossfn.engine.primitives.kernels.scalar import FLOAT32, Format, Kernel, Mask, Scalar

# The kernel of each primitive, under the primitive's name.
KERNELS: dict[str, Kernel] = {
    **exponential.KERNELS,
    **logarithmic.KERNELS,
    **logistic.KERNELS,
    **hyperbolic.KERNELS,
    **guarded.KERNELS,
    **power.KERNELS,
    **normal.KERNELS,
    **gamma.KERNELS,
    **piecewise.KERNELS,
    **student_t.KERNELS,
    **tempered.KERNELS,
    **factorial.KERNELS,
}


def intrinsics(form: Format) -> dict[str, Any]:
    """Return one Numba intrinsic per kernel, computing in the given format whatever number types it is called with."""
    return {name: _intrinsic(name, function, form) for name, function in KERNELS.items()}


def _intrinsic(name: str, function: Kernel, form: Format) -> Any:
    real = types.float32 if form is FLOAT32 else types.float64
    # Annotations say which arguments and results are truth values; they are strings because evaluation is postponed.
    annotations = [parameter.annotation for parameter in inspect.signature(function).parameters.values()]
    returned = types.boolean if inspect.signature(function).return_annotation == "Mask" else real
    signature = returned(*(types.boolean if annotation == "Mask" else real for annotation in annotations))

    def generate(_context: Any, builder: Any, _signature: Any, values: list[Any]) -> Any:
        operands = [
            (Mask if annotation == "Mask" else Scalar)(builder, form, value)
            for value, annotation in zip(values, annotations, strict=True)
        ]
        return function(*operands).value

    # Numba reads the number of arguments from the signature of the function that it is given.
    typed: dict[int, Callable[..., Any]] = {
        1: lambda context, a: (signature, generate),  # noqa: ARG005 (Numba's)
        2: lambda context, a, b: (signature, generate),  # noqa: ARG005 (Numba's)
        3: lambda context, a, b, c: (signature, generate),  # noqa: ARG005 (Numba's)
    }
    definition = typed[len(annotations)]
    definition.__name__ = f"{name}_{form.name}"
    definition.__doc__ = function.__doc__
    return intrinsic(definition)
