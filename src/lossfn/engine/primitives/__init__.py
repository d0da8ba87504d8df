"""The vocabulary of expressions: every function that a loss may use, with derivative rule, array form and oracle.

Importing this package needs NumPy alone; the compiled form of each primitive lives in :mod:`.kernels`.
"""

from __future__ import annotations

from dataclasses import replace

from lossfn.engine.primitives import (
    exponential,
    factorial,
    gamma,
    guarded,
    hyperbolic,
    logarithmic,
    logistic,
    normal,
    piecewise,
    student_t,
    tempered,
)
from lossfn.engine.primitives.forms import accept_numbers, precise
from lossfn.engine.primitives.primitive import Primitive

__all__ = ["PRIMITIVES", "Primitive"]

FAMILIES = (
    exponential.FAMILY,
    logarithmic.FAMILY,
    logistic.FAMILY,
    hyperbolic.FAMILY,
    guarded.FAMILY,
    normal.FAMILY,
    gamma.FAMILY,
    piecewise.FAMILY,
    student_t.FAMILY,
    tempered.FAMILY,
    factorial.FAMILY,
)

# Functions of truth values, and selection, which must not see NaN in the branch that is not chosen.
LOGICAL = {"where", "equal", "greater", "logical_and", "logical_or", "logical_not"}

# They and the product in which zero wins: NaN in what they drop has no effect.
DROPPING = LOGICAL | {"xmul"}

#: Every primitive by its name.
PRIMITIVES: dict[str, Primitive] = {
    primitive.name: replace(
        primitive,
        array=accept_numbers(primitive.array),
        oracle=primitive.oracle if primitive.name in DROPPING else precise(primitive),
    )
    for family in FAMILIES
    for primitive in family
}
