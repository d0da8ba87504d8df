"""The optimum of each leaf: against the best constant, a fine grid, and the rules for weights and flat bottoms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from conftest import every_variant

from lossfn import (
    AbsoluteError,
    AbsolutePercentageError,
    CrammerSinger,
    EpsilonInsensitive,
    HalfSquaredError,
    Hinge,
    IntervalScore,
    LaplaceNLL,
    MultiQuantile,
    Pinball,
    PointwiseLoss,
    RowwiseLoss,
    fields,
)
from lossfn.boosting.leaves import optimal_shifts
from lossfn.registry import sample

LEAVES = 4


def data(loss: PointwiseLoss | RowwiseLoss, rows: int = 101) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(3)
    scores, target = sample(loss, rng, rows)
    return scores, target, rng.integers(0, 4, rows).astype(float), rng.integers(0, LEAVES, rows)


def shifted(scores: np.ndarray, shift: float, head: int) -> np.ndarray:
    result = scores.copy()
    (result if result.ndim == 1 else result[:, head])[:] += shift
    return result


@pytest.mark.parametrize(
    "loss",
    [
        AbsoluteError(),
        Pinball(tau=0.9),
        EpsilonInsensitive(epsilon=0.5),
        # Without a closed form, and with weights that are no multiples of each other.
        0.3 * AbsoluteError() + 0.7 * Pinball(tau=0.9),
        HalfSquaredError(),
    ],
    ids=repr,
)
def test_of_a_residual_it_is_the_best_constant_of_the_residuals(loss: PointwiseLoss) -> None:
    scores, target, weight, leaf = data(loss)
    shifts = optimal_shifts(loss, scores, target, weight, leaf, LEAVES)
    for number in range(LEAVES):
        of_leaf = leaf == number
        best = loss.optimal_constant((target - scores)[of_leaf], weight=weight[of_leaf])
        assert shifts[number] == pytest.approx(best, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(
    ("loss", "head"),
    [
        (Pinball(tau=0.9), 0),
        (EpsilonInsensitive(epsilon=0.5), 0),
        (Hinge(), 0),
        (AbsolutePercentageError(), 0),
        (IntervalScore(level=0.8), 0),
        (IntervalScore(level=0.8), 1),
        (MultiQuantile(taus=(0.2, 0.7), crossing="impossible"), 0),
        (MultiQuantile(taus=(0.2, 0.7)), 1),
        (LaplaceNLL(), 0),
        (LaplaceNLL(), 1),
        (CrammerSinger(), 2),
    ],
    ids=repr,
)
def test_no_other_shift_is_better(loss: PointwiseLoss | RowwiseLoss, head: int) -> None:
    scores, target, weight, leaf = data(loss)
    shifts = optimal_shifts(loss, scores, target, weight, leaf, LEAVES, head)
    for number in range(LEAVES):
        of_leaf = leaf == number

        def total(shift: float, of_leaf: np.ndarray = of_leaf) -> float:
            moved = shifted(scores[of_leaf], shift, head)
            return float(loss(moved, target[of_leaf], weight=weight[of_leaf]))

        best = total(shifts[number])
        assert best <= min(map(total, np.linspace(-8, 8, 321))) + 1e-12
        assert best < total(0.0)


def test_weight_is_repetition_and_no_weight_is_absence() -> None:
    for loss in (Pinball(tau=0.3), AbsolutePercentageError()):
        scores, target, weight, leaf = data(loss)
        times = weight.astype(int)
        repeated = [array.repeat(times) for array in (scores, target, np.ones_like(weight), leaf)]
        spoiled = np.where(weight > 0, target, np.nan)
        once = optimal_shifts(loss, scores, spoiled, weight, leaf, LEAVES)
        np.testing.assert_allclose(once, optimal_shifts(loss, *repeated, LEAVES), rtol=1e-12)


def test_leaves_without_rows_or_weight_stay() -> None:
    one = np.ones(2)
    assert optimal_shifts(AbsoluteError(), one, 3 * one, one, np.array([1, 1]), 3).tolist() == [0, 2, 0]
    assert optimal_shifts(AbsoluteError(), one, 3 * one, 0 * one, np.array([0, 1]), 2).tolist() == [0, 0]


def test_flat_bottoms_give_their_middle_or_their_finite_end() -> None:
    pair, leaf = np.array([1.0, 5.0]), np.zeros(2, int)
    # Any shift between 1 and 5 is best; the same for a percentage, whose optimum is searched.
    assert optimal_shifts(AbsoluteError(), 0 * pair, pair, 1 + 0 * pair, leaf, 1) == [3]
    found = optimal_shifts(AbsolutePercentageError(), 0 * pair, pair, pair, leaf, 1)
    assert found == pytest.approx(3, rel=1e-8)
    # From a start inside, too.
    found = optimal_shifts(AbsolutePercentageError(), 2 + 0 * pair, pair, pair, leaf, 1)
    assert found == pytest.approx(1, rel=1e-8)
    # Margins of at least 1 cost nothing.
    margins = np.array([-2.0, 0.5])
    assert optimal_shifts(Hinge(), margins, 1 + 0 * pair, 1 + 0 * pair, leaf, 1) == pytest.approx(3)
    assert optimal_shifts(Hinge(), -margins, -1 + 0 * pair, 1 + 0 * pair, leaf, 1) == pytest.approx(-3)


@pytest.mark.parametrize("scale", [1e-6, 1e9])
def test_units_do_not_matter(scale: float) -> None:
    loss = MultiQuantile(taus=(0.2, 0.7))
    scores, target, weight, leaf = data(loss)
    here = optimal_shifts(loss, scores, target, weight, leaf, LEAVES, 1)
    there = optimal_shifts(loss, scale * scores, scale * target, weight, leaf, LEAVES, 1)
    np.testing.assert_allclose(there, scale * here, rtol=1e-7)


@every_variant
def test_losses_of_the_residual_are_those_that_a_common_shift_leaves_alone(loss: PointwiseLoss) -> None:
    rng = np.random.default_rng(0)
    pred, target = sample(loss, rng, 20)
    is_free = len(loss.heads) == 1 and not isinstance(loss.target, fields.Parts)
    by = 0.25
    inside = is_free and all(value + by in loss.target for value in target) and all(pred + by <= loss.prediction.high)
    if not inside:
        # Brier's labels cannot be shifted; what else has several numbers, or bounds, says no.
        assert not loss.of_residual or loss.target.is_discrete or math.isfinite(loss.prediction.high)
        return
    moved = loss.elementwise(pred + by, target + by)
    is_invariant = np.allclose(moved, loss.elementwise(pred, target), rtol=1e-9, atol=1e-12)
    assert loss.of_residual == is_invariant


@every_variant
def test_heads_of_a_residual_each_leave_the_others_alone(loss: PointwiseLoss) -> None:
    if len(loss.heads) == 1:
        assert loss.of_residuals == loss.of_residual
        return
    expected = isinstance(loss, IntervalScore) or (isinstance(loss, MultiQuantile) and loss.crossing == "allowed")
    assert loss.of_residuals == expected
    if not expected:
        return
    pred, target = sample(loss, np.random.default_rng(0), 20)
    gradient = loss.gradient(pred, target, reduction="sum")
    np.testing.assert_allclose(loss.elementwise(pred + 0.25, target + 0.25), loss.elementwise(pred, target), rtol=1e-9)
    moved = pred.copy()
    moved[:, 0] += 1.0
    np.testing.assert_array_equal(loss.gradient(moved, target, reduction="sum")[:, 1:], gradient[:, 1:])
