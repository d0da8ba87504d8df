"""Compare what was derived for a loss with high-precision arithmetic."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from lossfn import fields
from lossfn.pointwise import PointwiseLoss

# The precision of mpmath is one number for all threads.
_precision = threading.Lock()


def findings(loss: PointwiseLoss, *, points: int = 40) -> list[str]:
    """Return one sentence for value, gradient and Hessian each, where it is inaccurate, needlessly not finite or NaN.

    Half of the points are ordinary, half are large.

    Raises
    ------
    ArithmeticError
        If a derivative is wrong at an ordinary point.
    """
    found: dict[str, str] = {}
    for what, place, exact, got, is_ordinary in _comparisons(loss, points):
        if math.isnan(exact) and what == "value" and is_ordinary:
            advice = "The formula is not defined there: change it, or declare where predictions and targets may lie"
            found.setdefault(what, f"{type(loss).__name__}: the value at {place} is NaN. {advice}")
        if not math.isfinite(exact) or math.isclose(exact, got, rel_tol=1e-6, abs_tol=1e-30):
            continue
        message = f"{type(loss).__name__}: the {what} at {place} is {got!r}; exactly it is {exact!r}"
        if is_ordinary and math.isfinite(got) and not math.isclose(exact, got, rel_tol=1e-3, abs_tol=1e-6):
            raise ArithmeticError(message)
        advice = "A stable primitive (softplus, log1p, expm1, log_cosh, sqrt1psqm1, xlogy, ...) may be needed"
        found.setdefault(what, f"{message}. {advice}")
    return list(found.values())


def _comparisons(loss: PointwiseLoss, points: int) -> Iterator[tuple[str, str, float, float, bool]]:
    import mpmath

    from lossfn.engine import oracle

    pred, target, ordinary = _points(loss, points)
    heads = len(loss.heads)
    shaped = pred[:, 0] if heads == 1 else pred
    got_value = loss.elementwise(shaped, target)
    got_gradient = loss.gradient(shaped, target, reduction="sum").reshape(len(pred), heads)
    got_hessian = loss.hessian(shaped, target, reduction="sum").reshape(len(pred), heads * heads)
    with _precision, mpmath.workdps(400):
        for index, row in enumerate(pred):
            exact_heads = [mpmath.mpf(float(p)) for p in row]
            numbers = [float(part[index]) for part in (target if isinstance(target, tuple) else (target,))]
            exact_target = fields.joined(loss.target, [mpmath.mpf(number) for number in numbers])
            described = fields.joined(loss.target, numbers)
            place = f"pred = {[float(p) for p in row] if heads > 1 else float(row[0])}, target = {described}"
            results: list[tuple[str, list[Any], Any]] = [
                ("value", [oracle.value(loss, exact_heads, exact_target)], [got_value[index]])
            ]
            if not loss.surrogate:
                hessian = oracle.hessian(loss, exact_heads, exact_target)
                results += [
                    ("gradient", oracle.gradient(loss, exact_heads, exact_target), got_gradient[index]),
                    ("Hessian", [entry for line in hessian for entry in line], got_hessian[index]),
                ]
            for what, wanted, got in results:
                for exact, computed in zip(wanted, got, strict=True):
                    yield what, place, float(exact), float(computed), index < ordinary


def _points(loss: PointwiseLoss, points: int) -> tuple[Any, Any, int]:
    rng = np.random.default_rng(0)
    ordinary = points // 2
    pred = loss.prediction.sample(rng, ordinary * len(loss.heads)).reshape(ordinary, -1)
    large = pred * 10.0 ** rng.uniform(0.5, 4.0, (ordinary, 1))
    inside = [all(p in loss.prediction for p in row) for row in large]
    pred = np.concatenate([pred, large[inside]])
    return pred, loss.target.sample(rng, len(pred)), ordinary
