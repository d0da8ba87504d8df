"""The derived definitions that the package ships; ``make docs`` rewrites them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from lossfn.engine import definition
from lossfn.pointwise import PointwiseLoss
from lossfn.registry import catalogue
from lossfn.softmax import SoftmaxLoss


def pointwise_losses() -> Iterator[PointwiseLoss]:
    """Yield what the catalogue computes by a derived definition, in every variant."""
    for entry in catalogue():
        for loss in entry.variants:
            if isinstance(loss, PointwiseLoss):
                yield loss
            elif isinstance(loss, SoftmaxLoss):
                yield loss.term


def text() -> str:
    """Return the definitions, one in each line, in the order of the catalogue."""
    derived = {loss._definition.key: loss._definition for loss in pointwise_losses()}
    return "".join(f"{definition.text_of_definition(each)}\n" for each in derived.values())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
