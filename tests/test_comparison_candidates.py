"""Which losses compete: those of one's own too, and of every other one the reason why it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import raises

import lossfn
from lossfn import fields
from lossfn.comparison import Comparison, DataError, compare
from lossfn.comparison.candidates import choose_candidates
from lossfn.comparison.data import read_data
from lossfn.comparison.models import Linear

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(40, 2))
TARGET = FEATURES[:, 0] + RNG.normal(size=40)


class Square(lossfn.PointwiseLoss):
    """A loss of one's own."""

    convex = True

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:  # noqa: ARG002 (of other losses)
        """Return the square of the residual."""
        return (pred - target) ** 2


class NamedHead(Square):
    """Its one prediction has a name."""

    heads = ("mean",)


class RealPrediction(Square):
    """Infinite predictions are refused."""

    prediction = fields.REAL


class UpToTwo(Square):
    """Targets have an upper end."""

    target = fields.Domain("a number up to 2", high=2.0)


class Share(Square):
    """Targets have two ends."""

    target = fields.OPEN_FRACTION


class NotNegative(Square):
    """Targets have a lower end."""

    target = fields.NONNEGATIVE


def of(losses: Any, target: np.ndarray = TARGET) -> Comparison:
    return compare(FEATURES, target, losses=losses, l2=0.1, folds=2, repeats=1, target_name="y")


def notes_on(losses: Any, target: np.ndarray = TARGET) -> tuple[str, ...]:
    """Return why losses are left out."""
    data = read_data(FEATURES, target, task=None, weight=None, groups=None, folds=2, target_name="y")
    return tuple(note for note in choose_candidates(losses, data, Linear())[1] if "left out" in note)


@pytest.mark.parametrize("loss", [NamedHead(), RealPrediction()])
def test_losses_of_one_s_own_compete(loss: Square) -> None:
    result = of([loss])
    own, default = (result.loss(key).scores["rmse"].mean for key in (type(loss).__name__, "SquaredError"))
    assert own == pytest.approx(default, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (UpToTwo(), 2 * np.tanh(TARGET)),
        (Share(), 1 / (1 + np.exp(-TARGET))),
        (NotNegative(), np.abs(TARGET)),
    ],
)
def test_targets_stay_in_the_domain_of_the_loss_in_other_units_too(loss: Square, target: np.ndarray) -> None:
    assert notes_on([loss], target) == ()
    assert [item.key for item in of([loss], target).losses] == ["SquaredError", type(loss).__name__]


def test_a_loss_is_left_out_if_any_value_of_the_target_is_outside_its_domain() -> None:
    target = np.arange(40) - 20.0
    assert [item.key for item in of(["absolute_percentage_error", UpToTwo()], target).losses] == ["SquaredError"]
    inside, above = notes_on(["absolute_percentage_error", UpToTwo()], target)
    assert inside.startswith("AbsolutePercentageError was left out: it needs targets that are a finite number other ")
    assert inside.endswith(", unlike 1 of the 40 values of 'y', such as 0.")
    assert above.startswith("UpToTwo was left out: it needs targets that are a number up to 2, unlike 17 of the 40 ")
    assert above.endswith("such as 3.")


def test_targets_of_several_parts_are_not_one_column() -> None:
    assert notes_on(["binomial"], np.arange(40)) == (
        "Binomial was left out: its targets have several parts (successes, trials), and 'y' is one number a row.",
    )


def test_a_class_is_no_loss() -> None:
    for losses in ([lossfn.Huber], lossfn.Huber):
        with raises(DataError, "Huber is a class", "write Huber()"):
            notes_on(losses)


def test_other_predictions_than_any_number_are_refused_with_the_cure_of_the_loss() -> None:
    with raises(DataError, "the models predict any number", "SquaredLogError()", "a number > -1", "log(1 + target)"):
        notes_on(["squared_log_error"])
