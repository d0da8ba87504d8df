"""Selection, comparison and the functions with kinks. None of them branches."""

from __future__ import annotations

from collections.abc import Mapping

from lossfn.engine.primitives.kernels.scalar import Kernel, Mask, Scalar, copysign, fabs, select


def absolute(x: Scalar) -> Scalar:
    """Return |x|."""
    return fabs(x)


def sign(x: Scalar) -> Scalar:
    """Return -1, 0 or 1, and 0 for both zeros."""
    return select((x > 0.0) | (x < 0.0), copysign(x.constant(1.0), x), x)


def relu(x: Scalar) -> Scalar:
    """Return max(x, 0)."""
    return select(x <= 0.0, 0.0, x)


def step(x: Scalar) -> Scalar:
    """Return 1 for positive x, otherwise 0."""
    return select(x > 0.0, 1.0, select(x <= 0.0, 0.0, x))


def maximum(a: Scalar, b: Scalar) -> Scalar:
    """Return the larger, or NaN if one is NaN."""
    return select(a.is_ordered_with(b), select(a > b, a, b), a + b)


def minimum(a: Scalar, b: Scalar) -> Scalar:
    """Return the smaller, or NaN if one is NaN."""
    return select(a.is_ordered_with(b), select(a < b, a, b), a + b)


def where(condition: Mask, chosen: Scalar, otherwise: Scalar) -> Scalar:
    """Return one of two numbers."""
    return select(condition, chosen, otherwise)


def equal(a: Scalar, b: Scalar) -> Mask:
    """Return whether two numbers are equal."""
    return a.equals(b)


def greater(a: Scalar, b: Scalar) -> Mask:
    """Return whether the first number is larger."""
    return a > b


def logical_and(a: Mask, b: Mask) -> Mask:
    """Return whether both hold."""
    return a & b


def logical_or(a: Mask, b: Mask) -> Mask:
    """Return whether at least one holds."""
    return a | b


def logical_not(a: Mask) -> Mask:
    """Return whether it does not hold."""
    return ~a


def stop_gradient(x: Scalar) -> Scalar:
    """Return x."""
    return x


KERNELS: Mapping[str, Kernel] = {
    "abs": absolute,
    "sign": sign,
    "relu": relu,
    "step": step,
    "maximum": maximum,
    "minimum": minimum,
    "where": where,
    "select": where,
    "equal": equal,
    "greater": greater,
    "logical_and": logical_and,
    "logical_or": logical_or,
    "logical_not": logical_not,
    "stop_gradient": stop_gradient,
}
