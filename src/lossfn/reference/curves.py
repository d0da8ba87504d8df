"""What the picture of a loss shows: value, gradient and Hessian over the residual, the margin or a prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossfn.fields import SIGNED, Domain, Parts, joined
from lossfn.reference.sheet import Sheet
from lossfn.rowwise import RowwiseLoss

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

KINDS = ("value", "gradient", "Hessian")

# An even number, so that a kink in the middle falls between two points and never on one.
POINTS = 400

# How far predictions go: residuals in units of the target, then logits, logarithms and others.
REACH = {"residual": 4.0, "margin": 3.0, "logit": 6.0, "log": 3.0, "half line": 6.0}

# For more targets there are no dashes.
MOST_TARGETS = 3


@dataclass(frozen=True)
class Curve:
    """One line in each of the three panels.

    Attributes
    ----------
    argument : array
        Where it is drawn.
    values : dict
        Value, gradient and Hessian there.
    label : str
        Which target, or which head, it is for; empty where there is one curve only.
    """

    argument: FloatArray
    values: dict[str, FloatArray]
    label: str


def curves_of(loss: Any) -> list[Curve]:
    """Return the curves of a loss: one for each head, or for each target that it looks different for."""
    if isinstance(loss, RowwiseLoss):
        return [_of_class(loss, target) for target in (0, 1)]
    grid = _grid(loss)
    if len(loss.heads) > 1:
        target = _targets(loss.target)[0]
        return [_of_head(loss, grid, target, position) for position in range(len(loss.heads))]
    match _argument(loss):
        case "residual":
            return _of_residual(loss, grid)
        case "margin":
            return [_curve(loss, grid, grid, 1.0)]
    return [_curve(loss, grid, grid, target, _label(loss.target, target)) for target in _targets(loss.target)]


def _of_residual(loss: Any, grid: FloatArray) -> list[Curve]:
    targets = [target for target in (1.0, 4.0) if target in loss.target] or [loss.target.example]
    curves = [_curve(loss, grid, grid + target, target, _label(loss.target, target)) for target in targets]
    first = curves[0].values["value"]
    if all(np.allclose(curve.values["value"], first) for curve in curves):
        return [replace(curves[0], label="")]
    return curves


def _curve(loss: Any, grid: FloatArray, pred: FloatArray, target: Any, label: str = "") -> Curve:
    targets = _repeated(loss, target, len(grid))
    gradient = loss.gradient(pred, targets, reduction="sum")
    hessian = loss.hessian(pred, targets, reduction="sum")
    return Curve(grid, {"value": loss.elementwise(pred, targets), "gradient": gradient, "Hessian": hessian}, label)


def _of_head(loss: Any, grid: FloatArray, target: Any, position: int) -> Curve:
    pred = np.full((len(grid), len(loss.heads)), loss.prediction.example)
    pred[:, position] = grid
    targets = _repeated(loss, target, len(grid))
    values = {
        "value": loss.elementwise(pred, targets),
        "gradient": loss.gradient(pred, targets, reduction="sum")[:, position],
        "Hessian": loss.hessian(pred, targets, reduction="sum")[:, position, position],
    }
    return Curve(grid, values, loss.heads[position])


def _of_class(loss: Any, target: int) -> Curve:
    grid = _cells(-REACH["logit"], REACH["logit"])
    pred, varied = np.zeros((POINTS, loss.sampled_classes)), loss.pictured_score
    pred[:, varied] = grid
    scores = np.zeros_like(pred)
    parts = [scores if name in loss.score_parts else np.full(POINTS, target) for name in loss.parts]
    targets: Any = parts[0] if len(parts) == 1 else tuple(parts)
    values = {
        "value": loss.elementwise(pred, targets),
        "gradient": loss.gradient(pred, targets, reduction="sum")[:, varied],
        "Hessian": loss.hessian_diagonal(pred, targets, reduction="sum")[:, varied],
    }
    return Curve(grid, values, f"target {target}")


def _repeated(loss: Any, target: Any, size: int) -> Any:
    parts = target if isinstance(target, tuple) else (target,)
    return joined(loss.target, [np.full(size, part) for part in parts])


def _targets(domain: Domain | Parts) -> list[Any]:
    """Return targets for which a loss looks different."""
    if isinstance(domain, Parts):
        # Different and ascending, as parts may have to be.
        ladders = [_targets(part) for part in domain.domains]
        return [tuple(ladder[min(place, len(ladder) - 1)] for place, ladder in enumerate(ladders))]
    if domain.members:
        return sorted(domain.members, reverse=True)[:MOST_TARGETS]
    if math.isfinite(domain.low) and math.isfinite(domain.high):
        return [domain.high, domain.low]
    return [domain.low + 1, domain.low + 4] if math.isfinite(domain.low) else [1.0]


def _label(domain: Domain | Parts, target: Any) -> str:
    if isinstance(domain, Parts):
        return ", ".join(f"{name} {part:g}" for name, part in zip(domain.names, target, strict=True))
    return f"target {target:g}"


def _argument(loss: Any) -> str:
    variable = Sheet(loss).variable
    # Residuals of a bounded prediction depend on the target.
    if variable == "residual" and len(loss.heads) == 1 and math.isinf(loss.prediction.low):
        return "residual"
    if variable == "margin" and loss.target == SIGNED:
        return "margin"
    if loss.link == "log":
        return "log"
    return "logit" if loss.task == "binary" and math.isinf(loss.prediction.low) else "prediction"


def _grid(loss: Any) -> FloatArray:
    domain, argument = loss.prediction, _argument(loss)
    reach = REACH.get(argument, REACH["residual"])
    if argument == "residual":
        # The parts beyond the scale of the loss are what tells it from others.
        reach = max([reach, *(2 * getattr(type(loss)(), name) for name in loss.scale_parameters)])
    low, high = (-math.inf, math.inf) if argument == "residual" else (domain.low, domain.high)
    if math.isinf(low) and math.isinf(high):
        low, high = -reach, reach
    elif math.isinf(low):
        low = high - REACH["half line"]
    elif math.isinf(high):
        high = low + REACH["half line"]
    return _cells(low, high)


def _cells(low: float, high: float) -> FloatArray:
    """Return the middles of equal cells: an end, where a loss may be infinite, is not drawn."""
    grid: FloatArray = low + (high - low) * (np.arange(POINTS) + 0.5) / POINTS
    return grid


def label_of_axis(loss: Any) -> str:
    """Return what the horizontal axis shows."""
    if isinstance(loss, RowwiseLoss):
        return "score of class 0, the others 0"
    if len(loss.heads) > 1:
        return f"one head, the others {loss.prediction.example:g}"
    match _argument(loss):
        case "residual":
            return "residual (prediction − target)"
        case "margin":
            return "margin (prediction × label)"
        case "log":
            return f"prediction (logarithm of the {loss.elicits})"
        case "logit":
            return "prediction (logit)"
    return (
        f"prediction ({loss.prediction.name.removeprefix('a ')})"
        if loss.prediction.name != "a number"
        else "prediction"
    )


def jumps(values: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return after which points a curve jumps: where a step is much larger than both its neighbours."""
    steps = np.nan_to_num(np.abs(np.diff(values)))
    neighbours = np.maximum(np.r_[0.0, steps[:-1]], np.r_[steps[1:], 0.0])
    # Rounding makes jumps that nobody sees.
    visible = 0.01 * np.nanmax(np.abs(values), initial=0.0)
    found: np.ndarray[Any, np.dtype[np.bool_]] = steps > np.maximum(8 * neighbours, visible)
    return found
