"""Published errors that other tests do not name: by id, with the numbers that the error gets wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import softmax

from lossfn import (
    AbsoluteError,
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    HalfSquaredError,
    Hinge,
    Huber,
    LogCosh,
    LogisticMargin,
    MulticlassBrier,
    Pinball,
    SmoothL1,
    SquaredError,
)

LOGIT = 0.7


def test_c01_cross_entropy_of_logits_has_no_second_softplus() -> None:
    found = BinaryCrossEntropy().elementwise([-20.0, -2.0, 0.0, 2.0, 20.0], [0, 0, 0, 1, 1])
    np.testing.assert_allclose(found, [0.0, 0.1269, 0.6931, 0.1269, 0.0], atol=5e-5)


def test_c05_nothing_is_clipped() -> None:
    for dtype in (np.float32, np.float64):
        loss = BinaryCrossEntropy(inputs="probabilities")
        assert loss(np.array([1.0], dtype), np.array([0.0], dtype)) == np.inf
        assert loss.gradient(np.array([0.0], dtype), np.array([1.0], dtype)) == -np.inf


def test_c07_squared_errors_of_probabilities_hardly_slope_where_cross_entropy_does() -> None:
    scores = [[-5.0, -5.0, -5.0, 1.0]]
    np.testing.assert_allclose(softmax(scores), [[0.00246, 0.00246, 0.00246, 0.99262]], atol=5e-6)
    assert CrossEntropy().gradient(scores, [1])[0, 1] == pytest.approx(-0.9975, abs=5e-5)
    assert MulticlassBrier().gradient(scores, [1])[0, 1] == pytest.approx(-0.00975, abs=5e-6)


def test_c09_the_slope_of_the_hinge_is_zero_beyond_the_margin_and_constant_inside() -> None:
    assert Hinge().gradient([0.5, -2.0, 3.0], [1, 1, 1], reduction="sum").tolist() == [-1.0, -1.0, 0.0]


def test_c10_cross_entropy_is_linear_in_a_bad_margin() -> None:
    found = LogisticMargin().elementwise([-10.0, -50.0, -500.0], [1, 1, 1])
    np.testing.assert_allclose(found, [10.0, 50.0, 500.0], rtol=1e-5)


def test_c18_the_hessian_of_cross_entropy_is_the_fisher_matrix_and_singular() -> None:
    scores = np.array([[0.3, -1.0, 2.0]])
    loss, p = CrossEntropy(), softmax(scores[0])
    slopes = [loss.gradient(scores, [label])[0] for label in range(3)]
    fisher = sum(share * np.outer(slope, slope) for share, slope in zip(p, slopes, strict=True))
    hessian = loss.hessian(scores, [0])[0]
    np.testing.assert_allclose(hessian, fisher, atol=1e-15)
    np.testing.assert_allclose(hessian, np.diag(p) - np.outer(p, p), atol=1e-15)
    np.testing.assert_allclose(hessian @ np.ones(3), 0.0, atol=1e-15)


# F01: a bracket with one term too many. F03: a factor y where labels are 0 and 1. F04: the sign for label 1.
@pytest.mark.parametrize(("label", "slope"), [(1, -0.023964), (0, 0.468895)])
def test_f01_f03_f04_the_gradient_of_focal_loss(label: int, slope: float) -> None:
    assert BinaryFocal(gamma=2.0, alpha=0.25).gradient(LOGIT, label) == pytest.approx(slope, abs=5e-7)


def test_f02_the_gradient_of_focal_loss_by_the_probability() -> None:
    p = 0.6
    by_logit = BinaryFocal(gamma=2.0, alpha=0.25).gradient(math.log(p / (1 - p)), 1)
    assert by_logit / (p * (1 - p)) == pytest.approx(-0.168832, abs=5e-7)


def test_f05_the_gradient_of_focal_loss_vanishes_one_order_faster_than_its_weight() -> None:
    p = 0.999
    slope = BinaryFocal(gamma=2.0).gradient(math.log(p / (1 - p)), 1)
    assert -slope == pytest.approx(2.999e-9, rel=2e-4)
    assert -slope == pytest.approx(3 * (1 - p) ** 3, rel=1e-3)


def test_f06_how_much_less_a_sure_row_counts() -> None:
    sure, unsure = BinaryFocal(gamma=2.0).elementwise([math.log(9.0), 0.0], [1, 1])
    assert unsure / sure == pytest.approx(164.5, abs=0.05)


def test_f14_alpha_depends_on_the_class() -> None:
    assert BinaryFocal(gamma=2.0, alpha=0.25)(-0.4, 0) == pytest.approx(0.06197, abs=5e-6)
    plain = BinaryFocal(gamma=2.0)
    for label, share in ((1, 0.25), (0, 0.75)):
        assert BinaryFocal(gamma=2.0, alpha=0.25)(LOGIT, label) == pytest.approx(share * plain(LOGIT, label))


@pytest.mark.parametrize(("loss", "sum_of_slopes"), [(HalfSquaredError(), [1, -2, 1]), (AbsoluteError(), [1, -1, 1])])
def test_r01_the_gradient_of_a_mean_is_divided_too(loss: HalfSquaredError, sum_of_slopes: list[int]) -> None:
    pred, target = [1.0, -2.0, 1.0], np.zeros(3)
    np.testing.assert_allclose(loss.gradient(pred, target), np.divide(sum_of_slopes, 3))
    np.testing.assert_allclose(loss.gradient(pred, target, reduction="sum"), sum_of_slopes)


def test_r13_quantiles_follow_increasing_functions_only() -> None:
    target = np.random.default_rng(0).exponential(size=999)
    low, high = (Pinball(tau=tau).optimal_constant(target) for tau in (0.1, 0.9))
    assert Pinball(tau=0.9).optimal_constant(np.log(target)) == pytest.approx(math.log(high))
    assert Pinball(tau=0.9).optimal_constant(-target) == pytest.approx(-low)


def test_r21_r22_names_say_which_convention_it_is() -> None:
    assert (SquaredError()(2.0, 0.0), HalfSquaredError()(2.0, 0.0)) == (4.0, 2.0)
    assert (SmoothL1(beta=0.5)(2.0, 0.0), Huber(delta=0.5)(2.0, 0.0)) == (1.75, 0.875)


def test_r08_the_slope_of_huber_is_constant_for_large_residuals() -> None:
    slopes = Huber(delta=1.3).gradient([2.0, 5.0, 50.0, -9.0], np.zeros(4), reduction="sum")
    assert slopes.tolist() == [1.3, 1.3, 1.3, -1.3]


def test_r18_log_cosh_neither_overflows_nor_has_jumps_in_its_curvature() -> None:
    assert LogCosh()(1000.0, 0.0) == pytest.approx(1000 - math.log(2), rel=1e-15)
    assert LogCosh()(np.float32(100.0), np.float32(0.0)) == pytest.approx(100 - math.log(2), rel=1e-6)
    assert (LogCosh().smoothness, Huber().smoothness) == (math.inf, 1)
    apart = {
        loss: abs(np.subtract(*loss.hessian([1 + 1e-9, 1 - 1e-9], [0, 0], reduction="sum")))
        for loss in (LogCosh(), Huber(delta=1.0))
    }
    assert [gap < 1e-6 for gap in apart.values()] == [True, False]
