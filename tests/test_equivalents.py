"""Every equivalent that a loss states is executed in the other library, and its factor compared.

Settings of boosted trees are executed in ``test_training_equivalents.py``.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from conftest import each_part, in_library, label, take

import lossfn
from lossfn.equivalents import MODULES, TRAINING, Equivalent
from lossfn.registry import sample

CASES = [
    (loss, there)
    for entry in lossfn.catalogue()
    for loss in entry.variants
    for there in loss.equivalents
    if there.holds_for(loss)
]

of_functions = pytest.mark.parametrize(
    ("loss", "there"),
    [pytest.param(loss, there, id=f"{label(loss)}-{there.library}") for loss, there in CASES if not there.is_objective],
)


def rows_of(loss: Any, there: Equivalent) -> tuple[Any, Any]:
    """Draw rows for which the statement holds."""
    pred, target = sample(loss, np.random.default_rng(0), 400)
    if there.rows:
        target = each_part(np.round, target)
    # Rounding leaves the domain of some targets; those rows are not kept.
    with np.errstate(divide="ignore"):
        kept = np.flatnonzero(there.rows_for(loss, pred, target))[:40]
    assert len(kept) == 40
    return take(pred, kept), take(target, kept)


def arrays(library: str, *values: Any) -> list[Any]:
    """Return arrays as the library takes them."""
    names = {"PyTorch": "torch", "torchmetrics": "torch", "optax": "jax"}
    return [in_library(names.get(library, "numpy"), value) for value in values]


def computed(there: Equivalent, loss: Any, pred: Any, target: Any) -> float:
    """Return the mean that the other library computes, in double precision."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip(MODULES[there.library])
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True), np.errstate(divide="ignore"):
        result = there.compute(loss, *arrays(there.library, pred, target))
        return float(np.mean(np.asarray(result, dtype=np.float64)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@of_functions
def test_equivalents_compute_the_stated_multiple(loss: Any, there: Equivalent) -> None:
    pred, target = rows_of(loss, there)
    theirs, ours = computed(there, loss, pred, target), float(loss(pred, target))
    if there.constant:
        # What does not depend on the prediction is gone in a difference.
        other = np.roll(pred, 1, axis=0)
        theirs, ours = theirs - computed(there, loss, other, target), ours - float(loss(other, target))
    # Keras clips probabilities and adds 1e-7, PyTorch bounds variances.
    np.testing.assert_allclose(theirs, there.factor_for(loss) * ours, rtol=2e-6, atol=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_means_and_weights_are_as_the_dictionary_says(monkeypatch: pytest.MonkeyPatch) -> None:
    torch, metrics = pytest.importorskip("torch"), pytest.importorskip("sklearn.metrics")
    pytest.importorskip("jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    pred, target = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]]), np.zeros((3, 2))
    weight = np.array([3.0, 1.0, 0.0])
    loss = lossfn.SquaredError()
    mean, weighted = float(loss(pred, target)), float(loss(pred, target, weight=weight))
    assert torch.nn.MSELoss()(torch.tensor(pred), torch.tensor(target)).item() == pytest.approx(mean)
    assert metrics.mean_squared_error(target, pred, sample_weight=weight) == pytest.approx(weighted)
    rows = np.asarray(keras.losses.mean_squared_error(target, pred))
    np.testing.assert_allclose(rows, loss.elementwise(pred, target).mean(axis=1), rtol=1e-6)
    by_rows = float(loss(pred, target, weight=weight, reduction="mean_over_batch")) / pred.shape[1]
    elsewhere = keras.losses.MeanSquaredError()
    assert float(elsewhere(target, pred)) == pytest.approx(mean)
    assert float(elsewhere(target, pred, sample_weight=weight)) == pytest.approx(by_rows)


def test_every_variant_of_a_statement_is_executed() -> None:
    executed = {there for _, there in CASES}
    for entry in lossfn.catalogue():
        for there in entry.loss.equivalents:
            assert there in executed, f"no variant of {entry.name} fulfils {there.when!r}: {there.call}"


def test_a_wrong_library_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown library 'Torch'; there are PyTorch"):
        Equivalent("Torch", "torch.nn.functional.mse_loss(pred, target)")
    assert not set(MODULES) & set(TRAINING)
