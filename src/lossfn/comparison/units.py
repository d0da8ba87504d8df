"""Changing the unit of the target without changing what a loss means.

A loss in euros, trained on a target in units of its own spread, must have its parameters changed along with it, or it
becomes another loss. Whether that is possible is not declared anywhere; it is found out by trying. Nor may targets
leave the domain that the loss declares.
"""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache
from typing import Any

import numpy as np

from lossfn import fields
from lossfn.combine import WeightedSum
from lossfn.fields import Domain

from .preparation import TargetScale, lower_quantile, robust_scale
from .result import FloatArray

_FACTOR = 4.0
_TARGET = np.array([4.0, 2.0, 3.0, 5.0, 2.0, 1.0])
_RESIDUAL = np.array([-3.0, -0.7, 0.2, 1.9, 0.04, -0.3])


@lru_cache(maxsize=256)
def gradient_degree(loss: Any) -> float | None:
    """Return g such that multiplying unit-bearing numbers by s multiplies the gradient by s^g; None if there is none.

    The gradient rather than the value, because terms that do not depend on the prediction do not matter.
    """
    if not _holds_multiples(loss.target):
        return None
    prediction = _TARGET + _RESIDUAL
    links = np.log if loss.link == "log" else np.asarray
    larger = dataclasses.replace(loss, **{name: getattr(loss, name) * _FACTOR for name in loss.scale_parameters})
    before = loss.gradient(links(prediction), _TARGET, reduction="sum")
    after = larger.gradient(links(_FACTOR * prediction), _FACTOR * _TARGET, reduction="sum")
    moves = before != 0
    if not moves.any() or (after[~moves] != 0).any():
        return None
    ratios = after[moves] / before[moves]
    if ratios[0] <= 0 or not np.allclose(ratios, ratios[0], rtol=1e-9, atol=0):
        return None
    return math.log(ratios[0]) / math.log(_FACTOR)


def _holds_multiples(domain: Domain) -> bool:
    """Whether positive multiples of a member, all positive numbers among them, are members."""
    return not domain.members and domain.low in (-math.inf, 0.0) and domain.high == math.inf


def is_scalable(loss: Any) -> bool:
    """Whether the loss keeps its minimisers when target and parameters are measured in another unit."""
    parts = [part for _, part in loss.terms] if isinstance(loss, WeightedSum) else [loss]
    return all(gradient_degree(part) is not None for part in parts)


def training_units(loss: Any, target: FloatArray, weight: FloatArray) -> TargetScale:
    """Return the units in which to train: spread 1 where the loss allows it, median 0 where it allows that too."""
    if loss.task != "regression":
        return TargetScale()
    if loss.link == "identity" and loss.target == fields.REAL and loss.of_residual:
        scale = (robust_scale(target, weight) or 1.0) if is_scalable(loss) else 1.0
        return TargetScale(lower_quantile(target, 0.5, weight), scale)
    if is_scalable(loss):
        return TargetScale(0.0, float(np.average(np.abs(target), weights=weight)) or 1.0)
    return TargetScale()


def in_units(loss: Any, unit: float) -> Any:
    """Return the loss with the same minimisers when the target is measured in multiples of `unit`."""
    if isinstance(loss, WeightedSum) and is_scalable(loss):
        factors = [factor * unit ** (gradient_degree(part) or 0.0) for factor, part in loss.terms]
        parts = [in_units(part, unit) for _, part in loss.terms]
        return WeightedSum(tuple((factor / sum(factors), part) for factor, part in zip(factors, parts, strict=True)))
    changes = {name: getattr(loss, name) / unit for name in loss.scale_parameters}
    return dataclasses.replace(loss, **changes) if changes else loss


def penalty_unit(loss: Any, target: FloatArray, weight: FloatArray) -> float:
    """Return the unit of l2: 1 where the target has spread 1.

    Elsewhere a penalty of 1 should still be as strong, so it is the mean loss of predicting the median, per squared
    spread of the target.
    """
    if loss.task != "regression" or is_scalable(loss):
        return 1.0
    middle = np.full(len(target), lower_quantile(target, 0.5, weight))
    links = np.log(np.maximum(middle, np.finfo(float).tiny)) if loss.link == "log" else middle
    mean_loss = abs(float(loss(links, target, weight=weight)))
    return mean_loss / (robust_scale(target, weight) ** 2 or 1.0) or 1.0
