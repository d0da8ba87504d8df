"""Losses of several quantiles, beside scikit-learn; crossing and its cures on every array library."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import assert_close, raises
from scipy import integrate

from lossfn import (
    IntervalScore,
    MultiQuantile,
    Pinball,
    SmoothedPinball,
    crossing_rate,
    rearrange,
)

TAUS = (0.1, 0.4, 0.9)
QUANTILES = np.sort(np.random.default_rng(0).normal(size=(60, 3)), axis=1)
TARGET = np.random.default_rng(1).normal(size=60)


def test_several_levels_are_the_sum_of_single_ones() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    loss = MultiQuantile(taus=TAUS)
    single = [metrics.mean_pinball_loss(TARGET, QUANTILES[:, k], alpha=tau) for k, tau in enumerate(TAUS)]
    assert_close(loss(QUANTILES, TARGET), sum(single))
    for k, tau in enumerate(TAUS):
        gradient = Pinball(tau=tau).gradient(QUANTILES[:, k], TARGET)
        np.testing.assert_array_equal(loss.gradient(QUANTILES, TARGET)[:, k], gradient)
    # The skill relative to the best constants, as scikit-learn scores it.
    best = loss.optimal_constant(TARGET)
    for k, tau in enumerate(TAUS):
        pinball = Pinball(tau=tau)
        skill = 1 - pinball(QUANTILES[:, k], TARGET) / pinball(np.full(60, np.quantile(TARGET, tau)), TARGET)
        assert_close(metrics.d2_pinball_score(TARGET, QUANTILES[:, k], alpha=tau), skill, rtol=1e-9)
        assert pinball.optimal_constant(TARGET) == best[k]


def test_impossible_crossing_is_the_same_loss_of_ordered_quantiles() -> None:
    allowed, impossible = MultiQuantile(taus=TAUS), MultiQuantile(taus=TAUS, crossing="impossible")
    pred = np.random.default_rng(2).normal(0, 3, (60, 3))
    quantiles = impossible.inverse_link(pred)
    assert (np.diff(quantiles, axis=1) > 0).all()
    assert crossing_rate(quantiles) == 0
    assert_close(impossible(pred, TARGET), allowed(quantiles, TARGET))
    best = impossible.optimal_constant(TARGET)
    assert_close(impossible.inverse_link(best), allowed.optimal_constant(TARGET))
    # Two levels with one quantile: the increment vanishes.
    assert impossible.optimal_constant([1.0, 1.0])[1] == -np.inf
    assert_close(impossible.inverse_link(impossible.optimal_constant([1.0, 1.0])), [1.0, 1.0, 1.0])
    torch = pytest.importorskip("torch")
    assert_close(impossible.inverse_link(torch.tensor(pred)).numpy(), quantiles)


def test_interval_scores_are_scaled_pinball_losses_and_count_misses() -> None:
    # errata R12: a pair of quantiles is a prediction interval, scored by the interval score.
    ends = QUANTILES[:, [0, 2]]
    for level in (0.5, 0.9):
        alpha = 1 - level
        lower, upper = Pinball(tau=alpha / 2), Pinball(tau=1 - alpha / 2)
        expected = 2 / alpha * (lower.elementwise(ends[:, 0], TARGET) + upper.elementwise(ends[:, 1], TARGET))
        assert_close(IntervalScore(level=level).elementwise(ends, TARGET), expected)
        missed = np.maximum(ends[:, 0] - TARGET, 0) + np.maximum(TARGET - ends[:, 1], 0)
        assert_close(expected, ends[:, 1] - ends[:, 0] + 2 / alpha * missed)
    assert IntervalScore(level=0.5).optimal_constant([1.0, 2.0, 3.0, 4.0, 5.0]).tolist() == [2.0, 4.0]


def test_pinball_at_one_half_is_half_the_absolute_error() -> None:
    # errata R10, R11: the halved error; low levels punish over-prediction.
    assert Pinball(tau=0.5)([8.0], [10.0]) == 1.0
    assert Pinball(tau=0.1)([12.0], [10.0]) > Pinball(tau=0.1)([8.0], [10.0])


def test_smoothing_averages_the_pinball_loss_over_the_width() -> None:
    for tau, width in ((0.1, 0.3), (0.5, 1.0), (0.9, 20.0)):
        smooth, sharp = SmoothedPinball(tau=tau, width=width), Pinball(tau=tau)
        for residual in (-2 * width, -width, -0.4 * width, 0.0, 0.7 * width, width, 3 * width):
            mean, _ = integrate.quad(
                lambda u, r=residual, loss=sharp: float(loss([r + u], [0.0])), -width, width, points=[-residual]
            ) if abs(residual) < width else (2 * width * float(sharp([residual], [0.0])), 0)  # fmt: skip
            assert_close(smooth([residual], [0.0]), mean / (2 * width), rtol=1e-9)
    # Nothing but the pinball loss remains of a vanishing width.
    assert_close(SmoothedPinball(tau=0.3, width=1e-12)(TARGET, 0 * TARGET), Pinball(tau=0.3)(TARGET, 0 * TARGET), 1e-9)


def test_a_smoothed_quantile_is_that_of_the_target_with_uniform_noise() -> None:
    # Targets 0 and 10 with noise on ±1: the distribution function reaches 0.2 at -0.2.
    best = SmoothedPinball(tau=0.2, width=1.0).optimal_constant([0.0, 10.0])
    assert best == pytest.approx(-0.2, abs=1e-9)


def test_losses_of_quantiles_of_torch_and_jax_sort_and_count() -> None:
    crossed = QUANTILES.copy()
    crossed[:15] = crossed[:15, ::-1]
    torch, jnp = pytest.importorskip("torch"), pytest.importorskip("jax.numpy")
    for convert in (np.asarray, torch.tensor, jnp.asarray, np.ndarray.tolist):
        assert crossing_rate(convert(crossed)) == 0.25
        assert_close(np.asarray(rearrange(convert(crossed))), QUANTILES, rtol=1e-6)
    # Sorting never costs.
    loss = MultiQuantile(taus=TAUS)
    assert (loss.elementwise(rearrange(crossed), TARGET) <= loss.elementwise(crossed, TARGET) + 1e-15).all()


def test_refusals() -> None:
    with raises(TypeError, "MultiQuantile: taus must be a tuple of two or more numbers"):
        MultiQuantile(taus=(0.5,))
    with raises(ValueError, "MultiQuantile: taus must ascend"):
        MultiQuantile(taus=(0.9, 0.1))
    with raises(ValueError, "crossing must be one of 'allowed', 'impossible'"):
        MultiQuantile(crossing="maybe")
    with raises(ValueError, "last axis of 3 heads (quantile_1, quantile_2, quantile_3)"):
        MultiQuantile()(QUANTILES[:, :2], TARGET)
    for function in (crossing_rate, rearrange):
        for shape in ((60,)[:0], (60, 1), (0, 3)):
            with raises(ValueError, f"{function.__name__}: quantiles must have a last axis", str(shape)):
                function(np.zeros(shape))
