"""Row-wise losses against exact arithmetic, by the rule of ``make accuracy``."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from benchmarks import exact_rows, row_accuracy, rule
from benchmarks.points import FLOATS
from test_rowwise import DEFAULTS, FEW, label, textbook

import lossfn

LOSSES = row_accuracy.losses()


# The settings of cross-entropy are those that kernels treat apart; others share the code of their default. In double
# precision a few show what kernels have around a formula.
JUDGED = [
    pytest.param(loss, dtype, id=f"{label(loss)}-{dtype}")
    for loss in LOSSES
    for dtype in FLOATS
    if loss in FEW or (dtype == "float32" and (loss in DEFAULTS or isinstance(loss, lossfn.CrossEntropy)))
]


@pytest.mark.parametrize(("loss", "dtype"), JUDGED)
def test_errors_of_rows_stay_within_what_the_loss_claims(loss: Any, dtype: str) -> None:
    wrong = row_accuracy.judge(loss, dtype, 3).wrong
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if getattr(loss, "inputs", "logits") == "logits"], ids=label)
def test_entries_agree_with_differences_of_the_textbook(loss: Any) -> None:
    row, teacher = np.array([0.7, -1.5, 2.25]), np.array([1.0, 0.5, -2.0])
    loss = row_accuracy.fitted(loss, "float64", 3)
    found = exact_rows.reference(loss, row, 1, teacher)
    with mpmath.workdps(80):
        # LogitAdjusted knows the logarithms of its prior in double precision.
        digits = 14 if isinstance(loss, lossfn.LogitAdjusted) else 20
        step = mpmath.mpf(10) ** -25
        shares: Any = [0, 1, 0]
        if isinstance(loss, lossfn.Distillation):
            shares = shares, [mpmath.mpf(float(score)) for score in teacher]

        def value(*moved: tuple[int, int]) -> Any:
            numbers = [mpmath.mpf(float(score)) for score in row]
            for position, steps in moved:
                numbers[position] += steps * step
            return textbook(loss, numbers, shares)

        def slope(i: int, *moved: tuple[int, int]) -> Any:
            return (value((i, 1), *moved) - value((i, -1), *moved)) / (2 * step)

        def same(number: Any, expected: Any) -> bool:
            return bool(abs(number - expected) <= mpmath.mpf(10) ** -digits * max(1, abs(expected)))

        assert same(found["value"][0].numbers[0], value())
        for i, entry in enumerate(found["gradient"]):
            assert same(entry.numbers[0], slope(i))
            bends = [(slope(i, (k, 1)) - slope(i, (k, -1))) / (2 * step) for k in range(3)]
            condition = sum(abs(float(score) * bend) for score, bend in zip(row, bends, strict=True))
            extra = not isinstance(loss, lossfn.LogitAdjusted | lossfn.Distillation)
            # Offsets and the teacher's scores count beyond the differences.
            assert same(entry.sensitivity, condition) if extra else entry.sensitivity > condition * (1 - 1e-12)


def test_numbers_that_vanish_too_early_are_seen() -> None:
    # PyTorch and SciPy form log-sum-exp minus the score, which is 0 where a class is nearly certain.
    result = row_accuracy.judge(lossfn.CrossEntropy(), "float64", 3)
    assert result.scores["PyTorch `cross_entropy`", "value"].units > 1e10
    assert result.scores["kernel", "value"].units < rule.FEW.units
