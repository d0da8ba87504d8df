"""Products and quotients in which zero wins over infinity, as it does in expectations.

NaN wins over both, except in ``xmul``: a label 0 drops its term, and the engine restores the NaN of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping

from lossfn.engine.primitives.kernels.logarithmic import log, log1p
from lossfn.engine.primitives.kernels.scalar import Kernel, Scalar, select


def xmul(a: Scalar, b: Scalar) -> Scalar:
    """Return a·b for finite a, zero for a = 0 whatever b is."""
    return select(a.equals(0.0), 0.0, a * b)


def xlogy(x: Scalar, y: Scalar) -> Scalar:
    """Return x·log(y), zero for x = 0 whatever y is."""
    return select(x.equals(0.0) & y.is_ordered_with(y), 0.0, x * log(y))


def xlog1py(x: Scalar, y: Scalar) -> Scalar:
    """Return x·log(1 + y), zero for x = 0 whatever y is."""
    return select(x.equals(0.0) & y.is_ordered_with(y), 0.0, x * log1p(y))


def xdivy(x: Scalar, y: Scalar) -> Scalar:
    """Return x/y, zero for x = 0 whatever y is."""
    return select(x.equals(0.0) & y.is_ordered_with(y), 0.0, x / y)


KERNELS: Mapping[str, Kernel] = {"xmul": xmul, "xlogy": xlogy, "xlog1py": xlog1py, "xdivy": xdivy}
