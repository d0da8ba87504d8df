"""Every loss of the library, family by family: a family is a file, and its losses are those that it defines."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module

from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

#: In the order in which documents list them.
FAMILIES = (
    "regression",
    "tube",
    "relative",
    "robust",
    "redescending",
    "barron",
    "quantile",
    "binary",
    "focal",
    "tempered",
    "probability",
    "hinge",
    "margin",
    "bounded_margin",
    "counts",
    "binomial",
    "amounts",
    "likelihood",
    "heavy_tails",
    "student_t",
    "crps",
    "crps_positive",
    "multiclass",
    "multiclass_scores",
    "multiclass_margin",
    "distillation",
    "ordinal",
    "ranked",
    "mixture",
)


def losses_of(family: str) -> Iterator[type[PointwiseLoss] | type[RowwiseLoss]]:
    """Yield the losses of a family; what several of them have in common elicits nothing by itself, and is none."""
    module = import_module(f"lossfn.losses.{family}")
    own = (found for found in vars(module).values() if inspect.isclass(found) and found.__module__ == module.__name__)
    for found in own:
        if issubclass(found, (PointwiseLoss, RowwiseLoss)) and found.elicits:
            yield found


ALL = tuple(loss for family in FAMILIES for loss in losses_of(family))
#: Losses of one prediction and one target.
LOSSES = tuple(loss for loss in ALL if issubclass(loss, PointwiseLoss))
#: Losses of rows of scores, one for each class.
ROW_LOSSES = tuple(loss for loss in ALL if issubclass(loss, RowwiseLoss))
