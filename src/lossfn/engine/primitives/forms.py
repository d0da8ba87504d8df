"""What the array forms and the oracles of all families share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lossfn.engine.libraries import library_of_namespace
from lossfn.engine.primitives.coefficients import Polynomial
from lossfn.engine.primitives.primitive import Primitive

PLAIN_NUMBERS = {bool, int, float}

LOG2 = math.log(2.0)

# Beyond the first, 1 is invisible beside u, and beyond the second, beside u²; squares of the second are still finite.
HUGE = 2.0**60
ONE_IS_LOST = 2.0**30


def horner(x: Any, table: Polynomial) -> Any:
    """Evaluate a polynomial on an array. The float64 coefficients serve float32 too, with terms to spare."""
    total: Any = table.float64[-1]
    for coefficient in table.float64[-2::-1]:
        total = total * x + coefficient
    return total


def error_of_product(xp: Any, a: Any, b: Any) -> Any:
    """Return a·b minus its rounding, exactly, without a fused multiply-add (Dekker and Veltkamp)."""
    product = a * b
    splitter = 2.0 ** ((xp.finfo(product.dtype).bits == 64) * 15 + 12) + 1.0

    def split(x: Any) -> tuple[Any, Any]:
        high = x * splitter - (x * splitter - x)
        return high, x - high

    (a_high, a_low), (b_high, b_low) = split(a), split(b)
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def none_is_nan(a: Any, b: Any) -> Any:
    """Return where neither argument is NaN."""
    return (a == a) & (b == b)


def accept_numbers(form: Callable[..., Any]) -> Callable[..., Any]:
    """Let an array form take Python numbers: they join in the dtype of the arrays, or else give a Python number.

    Libraries disagree on plain numbers: ``torch.log(2.0)`` is an error and ``numpy.log(2.0)`` a float64 that would
    promote float32 data.
    """

    @functools.wraps(form)
    def accepting(xp: Any, *arguments: Any) -> Any:
        # A number of NumPy has a dtype already.
        if PLAIN_NUMBERS.isdisjoint(map(type, arguments)):
            return form(xp, *arguments)
        arrays = [argument for argument in arguments if type(argument) not in PLAIN_NUMBERS]
        if not arrays:
            result = form(np, *map(_numpy_scalar, arguments))
            return bool(result) if result.dtype == np.bool_ else float(result)
        numeric = [array for array in arrays if array.dtype != xp.bool]
        if not numeric:
            return form(xp, *arguments)
        return form(xp, *(_join(xp, argument, numeric[0]) for argument in arguments))

    return accepting


def _numpy_scalar(value: float) -> Any:
    return np.bool_(value) if isinstance(value, bool) else np.float64(value)


def _join(xp: Any, value: Any, array: Any) -> Any:
    if type(value) not in PLAIN_NUMBERS:
        return value
    if isinstance(value, bool):
        return xp.asarray(value)
    # JAX tracers have no device; NumPy needs none.
    device = {"device": array.device} if library_of_namespace(xp) == "torch" else {}
    return xp.asarray(value, dtype=array.dtype, **device)


def precise(primitive: Primitive) -> Callable[..., Any]:
    """Give an oracle NaN for NaN, and enough digits that textbook formulas do not cancel for tiny arguments."""
    oracle = primitive.oracle

    @functools.wraps(oracle)
    def careful(mp: Any, *arguments: Any) -> Any:
        numbers = [mp.mpf(argument) for argument in arguments]
        if any(mp.isnan(number) for number in numbers):
            return mp.nan
        tiniest = min((mp.mag(number) for number in numbers if number and mp.isfinite(number)), default=0)
        # Far below every dtype, where limits are sought, memory would not suffice.
        more = min(4 * max(0, -int(tiniest)), 2**14) if primitive.cancels_near_zero else 0
        with mp.workprec(mp.prec + more + 16):
            result = oracle(mp, *numbers)
        return +result

    return careful


def sign_of_infinity(mp: Any, x: Any) -> Any:
    """Return x divided by a positive number that tends to zero."""
    if x == 0:
        return mp.nan
    return mp.inf if x > 0 else -mp.inf


def log_gamma(mp: Any, x: Any) -> Any:
    """Return log Γ(x) for positive x, from further up, where Stirling's series has all digits.

    For each precision of a few thousand bits anew, mpmath takes seconds to prepare its Taylor series.
    """
    with mp.workprec(mp.prec + 64):
        product = mp.one
        for _ in range(max(0, int(0.4 * mp.prec - x) + 1)):
            product *= x
            x += 1
        return mp.loggamma(x) - mp.log(product)
