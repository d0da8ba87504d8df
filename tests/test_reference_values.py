"""Numbers from outside the project: published, or computed from the textbook formula in high precision.

One row per loss; adding a loss means adding a row. Tolerance: the printed digits of the source, at least six.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import CATALOGUE

import lossfn


class Reference(NamedTuple):
    """A loss, one call with ``reduction="sum"``, and what it must give."""

    loss: Any
    pred: Any
    target: Any
    value: float
    gradient: Any
    source: str


# The regression rows share the data of a published demonstration with one outlier, whose sums were audited.
TARGET = [1.0, 2.0, 3.0, 100.0]
PRED = [1.1, 2.2, 2.8, 10.0]
AUDIT = "sums over y = (1, 2, 3, 100) recomputed with exact decimal fractions"

REFERENCES = [
    Reference(lossfn.SquaredError(), PRED, TARGET, 8100.09, [0.2, 0.4, -0.4, -180.0], AUDIT),
    Reference(lossfn.HalfSquaredError(), PRED, TARGET, 4050.045, [0.1, 0.2, -0.2, -90.0], AUDIT),
    Reference(lossfn.AbsoluteError(), PRED, TARGET, 90.5, [1, 1, -1, -1], AUDIT),
    Reference(lossfn.Huber(delta=1.0), PRED, TARGET, 89.545, [0.1, 0.2, -0.2, -1.0], AUDIT),
    Reference(
        lossfn.SmoothL1(beta=0.5), [2.0, 0.25], [0.0, 0.0], 1.8125, [1.0, 0.5],
        "|r| - beta/2 = 1.75 and r²/(2 beta) = 0.0625, Girshick (2015), equation 3, scaled",
    ),
    Reference(
        lossfn.PseudoHuber(delta=3.0), [4.0], [0.0], 6.0, [2.4],
        "the 3-4-5 triangle: 9 (5/3 - 1) = 6 and 4 / (5/3) = 2.4",
    ),
    Reference(
        lossfn.LogCosh(), [1000.0, 1.0], [0.0, 0.0], 999.3068528194400547 + 0.4337808304830271,
        [1.0, 0.7615941559557649],
        "log cosh 1 and tanh 1: Abramowitz and Stegun (1964), table 4.15; log cosh 1000 = 1000 - log 2 + O(e^-2000)",
    ),
    Reference(
        lossfn.Pinball(tau=0.9), [8.0, 12.0], [10.0, 10.0], 2.0, [-0.9, 0.1],
        "0.9 x 2 + 0.1 x 2, Koenker and Bassett (1978)",
    ),
    Reference(
        lossfn.Expectile(tau=0.9), [8.0, 12.0], [10.0, 10.0], 4.0, [-3.6, 0.4],
        "0.9 x 4 + 0.1 x 4, Newey and Powell (1987)",
    ),
    Reference(
        lossfn.BinaryCrossEntropy(), [0.0, 2.0, -2.0], [1, 1, 1],
        0.69314718055994531 + 0.12692801104297249 + 2.12692801104297249,
        [-0.5, -0.11920292202211755, -0.88079707797788244],
        "log 2, log(1 + e^-2) and log(1 + e^2), mpmath at 40 digits",
    ),
    Reference(
        lossfn.BinaryFocal(gamma=2.0, alpha=0.25), [0.7, 0.7], [1, 0],
        0.25 * 0.33181222783183389**2 * 0.40318604888545789 + 0.75 * 0.66818777216816611**2 * 1.10318604888545789,
        [-0.023964, 0.468895],
        "gradient: central differences of the published formula, printed to six digits; value: mpmath at 40 digits",
    ),
    Reference(
        lossfn.Hinge(), [2.0, 1.0, 0.5, -0.5, -2.0], [1, 1, 1, -1, -1], 1.0, [0, 0, -1, 1, 0],
        "a published demonstration: losses 0, 0, .5, .5, 0, the gradient at the margin itself 0",
    ),
    Reference(
        lossfn.Poisson(), [math.log(3.0), math.log(5.0)], [3, 1], 3 - 3 * 1.0986122886681098 + 5 - 1.6094379124341003,
        [0.0, 4.0],
        "rate - y log(rate), with log 3 and log 5 from Abramowitz and Stegun (1964), table 4.2",
    ),
    Reference(
        lossfn.GaussianNLL(constants=True), [[0.0, 0.0], [1.0, math.log(4.0)]], [0.0, 3.0],
        0.91893853320467274 + (0.91893853320467274 + 0.69314718055994531 + 0.5), [[0.0, 0.5], [-0.5, 0.0]],
        "minus the logarithm of the normal density: log sqrt(2 pi), and with sigma = 2 at one sigma",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: type(row.loss).__name__)
def test_reference_values(row: Reference) -> None:
    value, gradient = row.loss.value_and_gradient(np.array(row.pred), row.target, reduction="sum")
    np.testing.assert_allclose(value, row.value, rtol=1e-14)
    # Six printed digits where the source has no more.
    digits = 2e-5 if "six digits" in row.source else 1e-13
    np.testing.assert_allclose(gradient, row.gradient, rtol=digits, atol=1e-15)


def test_every_loss_has_a_reference() -> None:
    assert {type(row.loss) for row in REFERENCES} == {type(entry.loss) for entry in CATALOGUE}
    assert all(row.source for row in REFERENCES)


# ---- peers, executed ----------------------------------------------------------------------------------------------


def data(loss: Any) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    return random.normal(0, 2, 50), loss.target.sample(random, 50)


SKLEARN = {
    "HalfSquaredError": (lossfn.HalfSquaredError(), {}),
    "AbsoluteError": (lossfn.AbsoluteError(), {}),
    "PinballLoss": (lossfn.Pinball(tau=0.8), {"quantile": 0.8}),
    "HuberLoss": (lossfn.Huber(delta=0.7), {"delta": 0.7}),
    "HalfPoissonLoss": (lossfn.Poisson(), {}),
    "HalfBinomialLoss": (lossfn.BinaryCrossEntropy(), {}),
}


@pytest.mark.parametrize("name", SKLEARN)
def test_scikit_learn_agrees(name: str) -> None:
    peers = pytest.importorskip("sklearn._loss.loss")
    loss, parameters = SKLEARN[name]
    peer = getattr(peers, name)(**parameters)
    pred, target = data(loss)
    theirs, their_gradient = peer.loss_gradient(y_true=target, raw_prediction=pred)
    np.testing.assert_allclose(loss.elementwise(pred, target), theirs, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(loss.gradient(pred, target, reduction="sum"), their_gradient, rtol=1e-12, atol=1e-14)
    if not peer.approx_hessian:
        their_hessian = peer.gradient_hessian(y_true=target, raw_prediction=pred)[1]
        np.testing.assert_allclose(loss.hessian(pred, target, reduction="sum"), their_hessian, rtol=1e-10)


TORCH = {
    "mse_loss": (lossfn.SquaredError(), {}),
    "l1_loss": (lossfn.AbsoluteError(), {}),
    "huber_loss": (lossfn.Huber(delta=0.7), {"delta": 0.7}),
    "smooth_l1_loss": (lossfn.SmoothL1(beta=0.7), {"beta": 0.7}),
    "binary_cross_entropy_with_logits": (lossfn.BinaryCrossEntropy(), {}),
    "poisson_nll_loss": (lossfn.Poisson(), {}),
}


@pytest.mark.parametrize("name", TORCH)
def test_torch_agrees(name: str) -> None:
    torch = pytest.importorskip("torch")
    loss, parameters = TORCH[name]
    pred, target = data(loss)
    leaf = torch.tensor(pred, requires_grad=True)
    theirs = getattr(torch.nn.functional, name)(leaf, torch.tensor(target), **parameters)
    theirs.backward()
    value, gradient = loss.value_and_gradient(pred, target)
    np.testing.assert_allclose(value, theirs.item(), rtol=1e-12)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-12, atol=1e-16)


def test_gaussian_likelihood_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    mean, log_variance, target = random.normal(size=(3, 40))
    expected = -stats.norm(mean, np.exp(log_variance / 2)).logpdf(target)
    heads = np.stack([mean, log_variance], axis=-1)
    np.testing.assert_allclose(lossfn.GaussianNLL(constants=True).elementwise(heads, target), expected, rtol=1e-12)


def test_scipy_agrees() -> None:
    special = pytest.importorskip("scipy.special")
    residual = np.linspace(-5, 5, 41)
    zero = np.zeros_like(residual)
    for ours, theirs in (
        (lossfn.Huber(delta=0.7), special.huber),
        (lossfn.PseudoHuber(delta=0.7), special.pseudo_huber),
    ):
        np.testing.assert_allclose(ours.elementwise(residual, zero), theirs(0.7, residual), rtol=1e-12, atol=1e-16)
