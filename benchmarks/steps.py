"""How far apart the points of differences lie, and how many digits they need."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

from benchmarks.points import features, has_kinks_of_several_heads, has_scale, is_special_at_zero
from lossfn import PointwiseLoss, fields

#: A step is so many digits below the distance to anything special; differences err by its square.
NEARNESS = 25
SPARE_DIGITS = 100
#: Beyond this size, exponentials are zero or infinite in every dtype, and steps grow with the number.
LARGE = 1e6
#: Nearer than this to something special, derivatives are trusted only if they pass a test.
NEAR = 1e-20
#: Zero in every dtype, and its reciprocal infinite.
VANISHING = mpmath.mpf(10) ** -340


def steps_and_digits(loss: PointwiseLoss, place: list[Any], variable: Any, nearest: float) -> tuple[list[Any], int]:
    """Return a step for each coordinate and the digits that third differences need with them.

    Steps are far below the distance to every feature; where the loss is smooth, not farther below than for a distance
    of ``nearest``.
    """
    heads = len(loss.heads)
    edges = [edge for edge in (loss.prediction.low, loss.prediction.high) if np.isfinite(edge)]
    if is_special_at_zero(loss):
        nearest = 0.0
    domains = fields.domains_of(loss.target)
    steps = []
    scale = scale_of(loss, place)
    for position, x in enumerate(place):
        if scale and (position == 0 or (position >= heads and loss.target == fields.REAL)):
            # A residual counts in units of its scale, however small or large that is.
            distance = min(max(scale, abs(variable) * NEAR**2), abs(variable)) if variable else scale
            steps.append(mpmath.ldexp(1, mpmath.mag(distance) - int(NEARNESS / 0.301)))
            continue
        distances = [max(abs(x), mpmath.mpf(nearest))]
        if position == 0 or position >= heads:
            distances.append(max(abs(variable), mpmath.mpf(nearest)) or mpmath.mpf(1))
            if loss.smoothness < 2:
                distances += [abs(abs(variable) - feature) for feature in features(loss)]
        if has_kinks_of_several_heads(loss):
            near = place[:heads] if position >= heads else [x]
            distances += [min(abs(head - place[-1]), mpmath.mpf(1)) for head in near]
        distances += [abs(x - edge) for edge in edges if position < heads]
        if position >= heads and domains[position - heads].open_low:
            # Beyond the edge of its domain a target gives numbers that mean nothing, and a quotient by 0 at it.
            distances.append(abs(x - domains[position - heads].low))
        distance = min((distance for distance in distances if distance), default=mpmath.mpf(1))
        # Where gradients are stopped, exponents change by the step itself.
        if abs(x) < LARGE or distance < LARGE or loss.surrogate:
            distance = min(distance, mpmath.mpf(1))
        # A power of two, so that steps are never rounded.
        steps.append(mpmath.ldexp(1, mpmath.mag(distance) - int(NEARNESS / 0.301)))
    # Two orders in the heads, and one more there or in the target.
    largest = max(1, *map(abs, place))
    bits = 2 * mpmath.mag(largest / min(steps[:heads])) + mpmath.mag(largest / min(steps))
    return steps, int(0.302 * bits) + SPARE_DIGITS


def scale_of(loss: PointwiseLoss, place: list[Any]) -> Any:
    """Return the predicted scale of the residual where there is one; smaller ones than any number are the same."""
    if not has_scale(loss):
        return None
    logarithm = place[1] / 2 if loss.heads[1] == "log_variance" else place[1]
    if "log_df" in loss.heads:
        logarithm += min(place[2], 0) / 2
    return mpmath.exp(max(logarithm, mpmath.log(VANISHING)))
