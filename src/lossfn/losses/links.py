"""Predictions as the links of losses take them, and the commonest link."""

from __future__ import annotations

from typing import Any

from lossfn.engine import batch as batches


def batch_of_predictions(owner: str, pred: Any) -> batches.Batch:
    """Return predictions alone as a batch, with what every call checks about them."""
    return batches.prepare(owner, ("prediction",), pred, pred)


def sigmoid(owner: str, pred: Any, *, slope: float = 1.0) -> Any:
    """Return sigmoid(slope · pred), in the library of the predictions."""
    batch = batch_of_predictions(owner, pred)
    return batch.finish(batch.ops.sigmoid(slope * batch.pred))
