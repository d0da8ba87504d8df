"""The way from predictions to probabilities where a loss knows it."""

from __future__ import annotations

from typing import Any

from lossfn.engine import batch as batches
from lossfn.engine.namespaces import compatible
from lossfn.engine.primitives import PRIMITIVES


def sigmoid(owner: str, pred: Any, *, slope: float = 1.0) -> Any:
    """Return sigmoid(slope · pred), in the library of the predictions."""
    library = batches.library_of(owner, pred=pred)
    scores = batches.as_numpy(owner, "pred", pred) if library == "numpy" else pred
    return PRIMITIVES["sigmoid"].array(compatible(library), slope * scores)
