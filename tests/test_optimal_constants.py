"""Best constants: the targets and weights that they take, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import raises

import lossfn
from lossfn import CrossEntropy, GaussianNLL, SquaredError


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"weight": [-1.0, 1, 1]}, "weight[0] = -1.0 is not a finite number >= 0"),
        ({"weight": [1.0, 1]}, "weight must have shape (3,); got (2,)"),
        ({"classes": 7}, "classes=7 contradicts the target, distributions over 2 classes"),
    ],
)
def test_the_best_row_of_distributions_checks_what_it_is_given(settings, text):
    with raises(ValueError, "CrossEntropy", text):
        CrossEntropy().optimal_constant([[1.0, 0], [0, 1], [0.5, 0.5]], **settings)


def test_no_best_row_is_searched_for_targets_of_several_parts():
    with raises(NotImplementedError, "Distillation: no best row is searched for targets of several parts"):
        lossfn.Distillation().optimal_constant(([0, 1], [[0.0, 1.0], [1.0, 0.0]]))


def test_an_optimal_constant_takes_weights_of_rows_and_tensors():
    torch = pytest.importorskip("torch")
    target = np.arange(6.0).reshape(3, 2)
    assert SquaredError().optimal_constant(target, weight=[1, 1, 2]) == 3.0
    tensor = torch.tensor(target, dtype=torch.bfloat16, requires_grad=True)
    assert SquaredError().optimal_constant(tensor, weight=torch.tensor([1, 1, 2])) == 3.0


def test_probabilities_of_weighted_classes_need_a_weight_for_each():
    with raises(ValueError, "CrossEntropy: class_weight has 3 weights, but pred has 2 classes"):
        CrossEntropy(class_weight=(1.0, 1, 1)).inverse_link([[0.0, 1.0]])
    with raises(ValueError, "CrossEntropy: class 0 has the weight 0, so that no score tells its probability"):
        CrossEntropy(class_weight=(0.0, 1)).inverse_link([[0.0, 1.0]])


# Minus the logarithm of a normal density, by the logarithm of its standard deviation.
Normal = lossfn.define(
    "Normal",
    lambda xp, pred, target: pred[1] + 0.5 * ((target - pred[0]) * xp.exp(-pred[1])) ** 2,
    heads=("mean", "log_scale"),
)
Unbounded = lossfn.define(
    "Unbounded", lambda _xp, pred, target: (target - pred[0]) ** 2 - pred[1], heads=("mean", "bonus")
)


@pytest.mark.parametrize("unit", [1e-5, 1.0, 1e4])
def test_the_best_heads_of_a_loss_of_ones_own_are_searched_for(unit):
    target = unit * np.array([1.0, 2.0, 7.0, 30.0])
    weight = np.array([1.0, 1.0, 2.0, 0.0])
    deviation = unit * np.sqrt((3.25**2 + 2.25**2 + 2 * 2.75**2) / 4)
    found = Normal().optimal_constant(target, weight=weight)
    np.testing.assert_allclose(found, [4.25 * unit, np.log(deviation)], rtol=1e-6)


def test_a_linear_model_of_several_heads_is_trained_with_a_loss_of_ones_own():
    sklearn = pytest.importorskip("lossfn.sklearn")
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 2))
    target = 100 + 5 * features[:, 0] + np.exp(0.5 * features[:, 1]) * random.normal(size=200)
    losses = (Normal(), GaussianNLL())
    own, known = (sklearn.LinearRegressor(loss=loss, l2=0.0).fit(features, target) for loss in losses)
    np.testing.assert_allclose(own.coef_[0], known.coef_[0], rtol=1e-5, atol=1e-6)
    # The logarithm of the variance is twice that of the deviation.
    np.testing.assert_allclose(2 * own.coef_[1], known.coef_[1], rtol=1e-5, atol=1e-6)


def test_heads_without_a_best_constant_are_refused():
    with raises(ValueError, "Unbounded: no best constant was found", "slopes", "Define closed_form_constant"):
        Unbounded().optimal_constant([1.0, 2.0])
