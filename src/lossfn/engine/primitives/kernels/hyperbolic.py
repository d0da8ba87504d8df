"""The family of √(1 + u²), with u so limited that its square cannot overflow."""

from __future__ import annotations

from collections.abc import Mapping

from lossfn.engine.primitives.kernels.scalar import Kernel, Scalar, clamp, fabs, fma, select, sqrt as root


def _limit(u: Scalar) -> float:
    """Return a size of u from which √(1 + u²) rounds to |u|."""
    return 2.0 ** (u.format.precision // 2 + 2)


def sqrt1psq(u: Scalar) -> Scalar:
    """Return √(1 + u²)."""
    v = clamp(u, -_limit(u), _limit(u))
    return select(fabs(u) > _limit(u), fabs(u), root(fma(v, v, 1.0)))


def sqrt1psqm1(u: Scalar) -> Scalar:
    """Return √(1 + u²) - 1 as u²/(√(1 + u²) + 1)."""
    v = clamp(u, -_limit(u), _limit(u))
    return select(fabs(u) > _limit(u), fabs(u) - 1.0, v * v / (root(fma(v, v, 1.0)) + 1.0))


def unit(u: Scalar) -> Scalar:
    """Return u/√(1 + u²)."""
    v = clamp(u, -_limit(u), _limit(u))
    return v / root(fma(v, v, 1.0))


def rh(u: Scalar) -> Scalar:
    """Return 1/√(1 + u²)."""
    return 1.0 / sqrt1psq(u)


def sqrt(x: Scalar) -> Scalar:
    """Return the square root."""
    return root(x)


KERNELS: Mapping[str, Kernel] = {"sqrt": sqrt, "sqrt1psq": sqrt1psq, "sqrt1psqm1": sqrt1psqm1, "unit": unit, "rh": rh}
