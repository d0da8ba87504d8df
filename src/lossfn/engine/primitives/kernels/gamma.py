"""The logarithm of a half step of the Gamma function and its derivatives; see the array forms."""

from __future__ import annotations

from collections.abc import Mapping

from lossfn.engine.primitives.forms import LOG2
from lossfn.engine.primitives.gamma_coefficients import (
    FAR,
    FAR_CURVATURE,
    FAR_SLOPE,
    MIDDLE,
    NEAR,
    NEAR_CURVATURE,
    NEAR_SLOPE,
)
from lossfn.engine.primitives.kernels.exponential import exp_of_negative
from lossfn.engine.primitives.kernels.logarithmic import log1p
from lossfn.engine.primitives.kernels.scalar import Kernel, Mask, Scalar, fabs, fma, polynomial, select


def parts(log_df: Scalar) -> tuple[Scalar, Scalar, Mask]:
    """Return x/(1 + x), 1/(1 + x) and whether x > 2, for x = ν/2, which may overflow."""
    e = exp_of_negative(-fabs(log_df))
    inverse = 1.0 / select(log_df > 0.0, 1.0 + 2.0 * e, 2.0 + e)
    return select(log_df > 0.0, 1.0, e) * inverse, select(log_df > 0.0, 2.0 * e, 2.0) * inverse, log_df > 2 * LOG2


def gamma_step(log_df: Scalar) -> Scalar:
    """Return log Γ((ν+1)/2) - log Γ(ν/2) - ½ log(ν/2) for log ν."""
    u, h, far = parts(log_df)
    e = exp_of_negative(-fabs(log_df))
    log_u = select(log_df > 0.0, 0.0, log_df - LOG2) - log1p(select(log_df > 0.0, 2.0 * e, 0.5 * e))
    return select(far, h * polynomial(h, FAR), fma(log_u, 0.5, polynomial(u - MIDDLE, NEAR)))


def gamma_step_slope(log_df: Scalar) -> Scalar:
    """Return its first derivative in log ν."""
    u, h, far = parts(log_df)
    return h * select(far, polynomial(h, FAR_SLOPE), polynomial(u - MIDDLE, NEAR_SLOPE))


def gamma_step_curvature(log_df: Scalar) -> Scalar:
    """Return its second derivative in log ν."""
    u, h, far = parts(log_df)
    return h * select(far, polynomial(h, FAR_CURVATURE), u * polynomial(u - MIDDLE, NEAR_CURVATURE))


KERNELS: Mapping[str, Kernel] = {
    "gamma_step": gamma_step,
    "gamma_step_slope": gamma_step_slope,
    "gamma_step_curvature": gamma_step_curvature,
}
