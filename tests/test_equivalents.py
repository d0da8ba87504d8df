"""Every equivalent that a loss states is executed in the other library, and its factor compared."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from conftest import draw, label

import lossfn
from lossfn.equivalents import BOOSTING, MODULES, Equivalent

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


def arrays(library: str, *values: Any) -> list[Any]:
    """Return arrays as the library takes them."""
    if library == "PyTorch":
        torch = pytest.importorskip("torch")
        return [torch.as_tensor(value) for value in values]
    if library == "optax":
        return [pytest.importorskip("jax.numpy").asarray(value) for value in values]
    return list(values)


def computed(there: Equivalent, loss: Any, pred: Any, target: Any) -> float:
    """Return the mean that the other library computes, in double precision."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip(MODULES[there.library])
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        result = there.compute(loss, *arrays(there.library, pred, target))
        return float(np.mean(np.asarray(result, dtype=np.float64)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@of_functions
def test_equivalents_compute_the_stated_multiple(loss: Any, there: Equivalent) -> None:
    pred, target = draw(loss, 40)
    if "whole" in there.note:
        target = np.floor(target)
    if "labels only" in there.note:
        target = np.round(target)
    theirs, ours = computed(there, loss, pred, target), float(loss(pred, target))
    if there.constant:
        # What does not depend on the prediction is gone in a difference.
        other = np.roll(pred, 1, axis=0)
        theirs, ours = theirs - computed(there, loss, other, target), ours - float(loss(other, target))
    # Keras clips probabilities and adds 1e-7, PyTorch bounds variances.
    np.testing.assert_allclose(theirs, there.factor_for(loss) * ours, rtol=2e-6, atol=1e-9)


# The boosting engines are executed where the adapters to them are: here only the settings are formed.
def test_objectives_are_settings_with_a_factor() -> None:
    objectives = [(loss, there) for loss, there in CASES if there.is_objective]
    assert objectives
    for loss, there in objectives:
        name = "loss_function" if there.library == "CatBoost" else "objective"
        assert "None" not in there.settings_for(loss)[name]
        assert there.factor_for(loss) > 0


def test_every_variant_of_a_statement_is_executed() -> None:
    executed = {there for _, there in CASES}
    for entry in lossfn.catalogue():
        for there in entry.loss.equivalents:
            assert there in executed, f"no variant of {entry.name} fulfils {there.when!r}: {there.call}"


def test_a_wrong_library_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown library 'Torch'; there are PyTorch"):
        Equivalent("Torch", "torch.nn.functional.mse_loss(pred, target)")
    assert not set(MODULES) & set(BOOSTING)
