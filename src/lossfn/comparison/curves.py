"""The losses as curves over the residual or the logit, for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from .candidates import Candidate
from .result import FloatArray, LossCurve

POINTS = 201
LOGIT_RANGE = 6.0


def curves_of(
    candidate: Candidate, loss: Any, target: FloatArray, residuals: FloatArray | None
) -> tuple[LossCurve, ...]:
    """Return the curves of `loss`, over the range of the residuals or over logits.

    Parameters
    ----------
    candidate
        Where the loss comes from; it knows the encoding of the target.
    loss
        The loss to draw, its parameters in units of the target.
    target
        The targets; the curve of a loss that does not depend on the residual alone is drawn at their median.
    residuals
        Held-out residuals of the default loss; None for two classes.
    """
    if residuals is None:
        logits = np.linspace(-LOGIT_RANGE, LOGIT_RANGE, POINTS)
        return tuple(
            _curve(f"target {label}", logits, logits, loss, candidate.training_target(np.full(POINTS, float(label))))
            for label in (1, 0)
        )
    reach = float(np.quantile(np.abs(residuals), 0.99)) or 1.0
    # Odd, and symmetric: the kink of a loss at zero falls on a point.
    grid = np.linspace(-reach, reach, POINTS)
    middle = float(np.quantile(target, 0.5, method="inverted_cdf"))
    if loss.link == "log":
        grid = grid[middle + grid > 0]
        links = np.log(middle + grid)
    else:
        links = middle + grid
    return (_curve("residual", grid, links, loss, np.full(len(grid), middle)),)


def _curve(label: str, argument: FloatArray, links: FloatArray, loss: Any, target: FloatArray) -> LossCurve:
    return LossCurve(label, argument, loss.elementwise(links, target), loss.gradient(links, target, reduction="sum"))
