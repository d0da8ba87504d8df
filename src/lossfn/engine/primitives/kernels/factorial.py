"""What Stirling's formula leaves of a factorial."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossfn.engine.primitives.factorial import FACTORIAL, HALF_LOG_2PI, STIRLING
from lossfn.engine.primitives.kernels.logarithmic import log
from lossfn.engine.primitives.kernels.scalar import Kernel, Scalar, cap, fma, polynomial, select


def error_from_one(y: Scalar) -> Scalar:
    """Return the Stirling error for y ≥ 1."""
    inverse = 1.0 / select(y > 1.0, y, 1.0)
    return polynomial(fma(inverse, 2.0, -1.0), STIRLING) * inverse * (1.0 / 12.0)


def excess_to_one(y: Scalar, log_y: Scalar) -> Scalar:
    """Return y + log y! - y·log y for 0 ≤ y ≤ 1."""
    y = cap(y, 1.0)
    return select(y.equals(0.0), 0.0, y * (polynomial(fma(y, 2.0, -1.0), FACTORIAL) - log_y))


def stirling_excess(y: Scalar) -> Scalar:
    """Return log y! - (y·log y - y)."""
    log_y = log(y)
    return select(y < 1.0, excess_to_one(y, log_y), fma(log_y, 0.5, HALF_LOG_2PI + error_from_one(y)))


def stirling_error(y: Scalar) -> Scalar:
    """Return log y! - (y·log y - y) - ½·log(2πy)."""
    log_y = log(y)
    below = excess_to_one(y, log_y) - fma(log_y, 0.5, HALF_LOG_2PI)
    # A difference of infinities at infinity, and NaN of NaN.
    return select(y >= 1.0, error_from_one(y), select(y.equals(0.0), math.inf, below))


KERNELS: Mapping[str, Kernel] = {"stirling_excess": stirling_excess, "stirling_error": stirling_error}
