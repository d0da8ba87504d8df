"""Formulas of rows that are written by hand: each is computed here as it is printed, beside what the loss computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import label
from scipy.special import expit, logsumexp, softmax
from scipy.stats import norm

import lossfn
from lossfn.losses.index import ROW_LOSSES

Row = tuple[Any, Any] | tuple[Any]
SCORES = np.array([0.4, -1.2, 0.3, 2.0])
K = len(SCORES)
J = np.arange(K)
UNIT = np.eye(K)
TEACHER = np.array([1.0, 0.0, -2.0, 0.5])


def fisher(p: Any) -> Any:
    return np.diag(p) - np.outer(p, p)


def weston_watkins(loss: Any, z: Any, y: int) -> Row:
    pushed = (z[y] < loss.margin + z).astype(float)
    return np.where(y != J, pushed, -(pushed.sum() - pushed[y])), np.zeros((K, K))


def crammer_singer(loss: Any, z: Any, y: int) -> Row:
    others = np.delete(z, y)
    m, n = others.max(), (others == others.max()).sum()
    return (z[y] < loss.margin + m) * np.where(y != J, (z == m) / n, -1.0), np.zeros((K, K))


def distillation(loss: Any, z: Any, y: int) -> Row:
    alpha, t = loss.alpha, loss.temperature
    p, s, q = softmax(z), softmax(z / t), softmax(TEACHER / t)
    return alpha * t * (s - q) + (1 - alpha) * (p - UNIT[y]), alpha * fisher(s) + (1 - alpha) * fisher(p)


def coral(_: Any, z: Any, y: int) -> Row:
    return expit(z) - (y > J), np.diag(expit(z) * (1 - expit(z)))


def corn(_: Any, z: Any, y: int) -> Row:
    return (y >= J) * expit(z) - (y > J), np.diag((y >= J) * expit(z) * (1 - expit(z)))


def ranked(_: Any, z: Any, y: int) -> Row:
    p = softmax(z)
    f = p.cumsum()
    return (2 * p * (((f - (y <= J)) * ((J[:, None] <= J) - f)).sum(axis=1)),)


def ordinal_absolute(_: Any, z: Any, y: int) -> Row:
    p, off = softmax(z), np.abs(J - y)
    value = p @ off
    return p * (off - value), p[:, None] * (UNIT * (off[:, None] - value) - p * (off[:, None] + off - 2 * value))


def mixture(_: Any, z: Any, y: float) -> Row:
    p, mean, sigma = softmax(z[:2]), z[2:4], np.exp(z[4:])
    omega = (y - mean) / sigma
    r = p * norm.pdf(omega) / sigma
    r /= r.sum()
    return (np.concatenate([p - r, -r * omega / sigma, r * (1 - omega**2)]),)


def cross_entropy(loss: Any, z: Any, y: int) -> Row:
    p, t = softmax(z / loss.temperature), logsumexp(z / loss.temperature)
    first = -((1 - loss.label_smoothing) * UNIT[y] + loss.label_smoothing / K)
    gradient = first - p * first.sum() + 2 * loss.z_loss * t * p
    # What is multiplied by the second derivatives of the terms is 0.
    hessian = -fisher(p) * first.sum() + 2 * loss.z_loss * (np.outer(p, p) + t * fisher(p))
    return gradient / loss.temperature, hessian / loss.temperature**2


PRINTED: list[tuple[Any, Callable[..., Row]]] = [
    (lossfn.WestonWatkins(), weston_watkins),
    (lossfn.CrammerSinger(), crammer_singer),
    (lossfn.Distillation(temperature=3.0, alpha=0.3), distillation),
    (lossfn.Coral(), coral),
    (lossfn.Corn(), corn),
    (lossfn.RankedProbabilityScore(), ranked),
    (lossfn.OrdinalAbsolute(), ordinal_absolute),
    (lossfn.MixtureDensity(components=2), mixture),
    (lossfn.CrossEntropy(z_loss=0.1, label_smoothing=0.1, temperature=2.0), cross_entropy),
]


@pytest.mark.parametrize(
    ("loss", "printed"), PRINTED, ids=lambda part: label(part) if isinstance(part, lossfn.Loss) else part.__name__
)
def test_derivatives_are_those_that_are_printed(loss: Any, printed: Callable[..., Row]) -> None:
    z = np.append(SCORES, [0.2, -0.3]) if loss.number_parts else SCORES
    for y in range(K):
        target = loss.Target([y], TEACHER[None]) if isinstance(loss, lossfn.Distillation) else [y]
        found = loss.gradient(z[None], target)[0], loss.hessian(z[None], target)[0]
        expected = printed(loss, z, y)
        for ours, theirs in zip(found, expected, strict=False):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
        assert [bool(loss.gradient_formula), bool(loss.hessian_formula)] == [True, len(expected) == 2]


def test_all_losses_of_rows_print_their_gradient_but_one() -> None:
    # Its heads are increments of thresholds: the chain of them would say less than the loss.
    assert [kind.__name__ for kind in ROW_LOSSES if not kind().gradient_formula] == ["CumulativeLink"]


def test_what_changes_the_loss_is_in_its_formula() -> None:
    adjusted = lossfn.LogitAdjusted(prior=(0.9, 0.1))
    assert adjusted.formula != lossfn.CrossEntropy().formula
    assert r"z + \tau \log \pi" in adjusted.formula
    assert r"\phi(p_k, y_k)" in lossfn.CrossEntropy(inputs="probabilities").formula
    for setting in ({"z_loss": 0.1}, {"label_smoothing": 0.1}, {"temperature": 2.0}):
        changed = lossfn.CrossEntropy(**setting)
        assert changed.formula != lossfn.CrossEntropy().formula
        assert changed.gradient_formula != lossfn.CrossEntropy().gradient_formula
