"""What the normalising factor of Student's t takes from the Gamma function, as a function of the logarithm of ν.

log Γ((ν+1)/2) - log Γ(ν/2) - ½ log(ν/2) rises from -∞ to 0, so neither it nor its derivatives have a zero, and none of
them is a difference of large numbers, as it would be with log Γ.
"""

from __future__ import annotations

import functools
from typing import Any, NoReturn

from lossfn.engine.primitives.forms import LOG2, horner, log_gamma
from lossfn.engine.primitives.gamma_coefficients import (
    FAR,
    FAR_CURVATURE,
    FAR_SLOPE,
    MIDDLE,
    NEAR,
    NEAR_CURVATURE,
    NEAR_SLOPE,
)
from lossfn.engine.primitives.primitive import Primitive


def _parts(xp: Any, log_df: Any) -> tuple[Any, Any, Any]:
    """Return x/(1 + x), 1/(1 + x) and whether x > 2, for x = ν/2, which may overflow."""
    e = xp.exp(-xp.abs(log_df))
    divisor = xp.where(log_df > 0, 1.0 + 2.0 * e, 2.0 + e)
    return xp.where(log_df > 0, 1.0, e) / divisor, xp.where(log_df > 0, 2.0 * e, 2.0) / divisor, log_df > 2 * LOG2


def _gamma_step(xp: Any, log_df: Any) -> Any:
    u, h, far = _parts(xp, log_df)
    e = xp.exp(-xp.abs(log_df))
    log_u = xp.where(log_df > 0, 0.0, log_df - LOG2) - xp.log1p(xp.where(log_df > 0, 2.0 * e, e / 2))
    return xp.where(far, h * horner(h, FAR), horner(u - MIDDLE, NEAR) + 0.5 * log_u)


def _gamma_step_slope(xp: Any, log_df: Any) -> Any:
    u, h, far = _parts(xp, log_df)
    return h * xp.where(far, horner(h, FAR_SLOPE), horner(u - MIDDLE, NEAR_SLOPE))


def _gamma_step_curvature(xp: Any, log_df: Any) -> Any:
    u, h, far = _parts(xp, log_df)
    return h * xp.where(far, horner(h, FAR_CURVATURE), u * horner(u - MIDDLE, NEAR_CURVATURE))


@functools.lru_cache(maxsize=4096)
def _exactly(mp: Any, order: int, log_df: Any, precision: int) -> Any:
    """Return the derivative of this order in log ν; the precision is an argument only for the cache."""
    if mp.isinf(log_df):
        return {0: -mp.inf if log_df < 0 else mp.zero, 1: mp.mpf(0.5 if log_df < 0 else 0.0), 2: mp.zero}[order]
    x = mp.exp(log_df) / 2
    if x > precision:
        return _by_stirlings_series(mp, order, x)
    if x < 2.0**-32:
        return _by_power_series(mp, order, log_df, x)
    with mp.workprec(precision + 128):
        half = x + mp.mpf(1) / 2
        if order == 0:
            return log_gamma(mp, half) - log_gamma(mp, x) - mp.log(x) / 2
        slope = x * (mp.psi(0, half) - mp.psi(0, x))
        return slope - mp.mpf(1) / 2 if order == 1 else slope + x * x * (mp.psi(1, half) - mp.psi(1, x))


def _by_stirlings_series(mp: Any, order: int, x: Any) -> Any:
    total, k = mp.zero, 1
    while True:
        power = 2 * k - 1
        term = -(1 - mp.mpf(2) ** (-2 * k)) * mp.bernoulli(2 * k) / (k * power) * (-power) ** order / x**power
        total += term
        if abs(term) < mp.eps * abs(total) / 16:
            return total
        k += 1


def _by_power_series(mp: Any, order: int, log_df: Any, x: Any) -> Any:
    # The Taylor coefficients of log Γ(½ + x) - log Γ(1 + x) are values of the zeta function.
    total = {0: (mp.log(mp.pi / 2) + log_df) / 2, 1: mp.mpf(1) / 2, 2: mp.zero}[order] - 2 * mp.log(2) * x
    k = 2
    while True:
        term = (-1) ** k * (mp.mpf(2) ** k - 2) * mp.zeta(k) * mp.mpf(k) ** (order - 1) * x**k
        total += term
        if abs(term) < mp.eps * x / 16:
            return total
        k += 1


def _no_derivative(_ops: Any, _l: Any) -> NoReturn:
    raise NotImplementedError("gamma_step_curvature is a second derivative; its own derivative is not available")


FAMILY = (
    # log Γ((ν+1)/2) - log Γ(ν/2) - ½ log(ν/2) for log ν
    Primitive(
        name="gamma_step",
        derivative=lambda ops, log_df: (ops.gamma_step_slope(log_df),),
        array=_gamma_step,
        oracle=lambda mp, log_df: _exactly(mp, 0, log_df, mp.prec),
        cancels_near_zero=False,
        latex=r"\log\frac{{\Gamma((1 + e^{{{0}}})/2)}}{{\Gamma(e^{{{0}}}/2) \sqrt{{e^{{{0}}}/2}}}}",
    ),
    Primitive(
        name="gamma_step_slope",
        derivative=lambda ops, log_df: (ops.gamma_step_curvature(log_df),),
        array=_gamma_step_slope,
        oracle=lambda mp, log_df: _exactly(mp, 1, log_df, mp.prec),
        cancels_near_zero=False,
        latex=r"\operatorname{{g'}}\left({0}\right)",
    ),
    Primitive(
        name="gamma_step_curvature",
        derivative=_no_derivative,
        array=_gamma_step_curvature,
        oracle=lambda mp, log_df: _exactly(mp, 2, log_df, mp.prec),
        cancels_near_zero=False,
        latex=r"\operatorname{{g''}}\left({0}\right)",
    ),
)
