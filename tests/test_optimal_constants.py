"""Best constants: the targets and weights that they take, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import raises

import lossfn
from lossfn import CrossEntropy, SquaredError


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
