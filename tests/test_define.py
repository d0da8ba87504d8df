"""Losses of one's own: everything that the library's losses have, verified when defined, and sums of losses."""

# ruff: noqa: ARG002, D102 (expressions have the arguments that they have)

from __future__ import annotations

import copy
import math
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest
from conftest import assert_close, every_path, raises, run_python, through

import lossfn
from lossfn import (
    AbsoluteError,
    AccuracyWarning,
    BinaryCrossEntropy,
    HalfSquaredError,
    Hinge,
    Huber,
    Pinball,
    Poisson,
    SquaredError,
    fields,
)
from lossfn.reference.figure import pictured
from lossfn.reference.sheet import Sheet


class Cauchy(lossfn.PointwiseLoss):
    """A loss of one's own, as a class."""

    scale: float = fields.positive(default=1.0, symbol="c", doc="residual size of the largest influence")

    def expression(self, xp, pred, target):
        return xp.log1psq((pred - target) / self.scale)


class WholePower(lossfn.PointwiseLoss):
    """A loss whose parameter counts something."""

    power: int = fields.count(default=2, symbol="n", doc="power of the distance")

    def expression(self, xp, pred, target):
        return math.prod([xp.abs(pred - target)] * self.power)


Welsch = lossfn.define("Welsch", lambda xp, pred, target, c: 1 - xp.exp(-(((pred - target) / c) ** 2)), c=1.0)
TwoHeads = lossfn.define(
    "TwoHeads",
    lambda xp, pred, target: xp.exp(pred[0]) * (pred[1] - target) ** 2 - pred[0],
    heads=("precision", "location"),
)
OWN = [Cauchy(scale=2.0), WholePower(4), Welsch(c=1.5), TwoHeads()]


def data(loss, size=40):
    rng = np.random.default_rng(3)
    return rng.normal(size=(size, len(loss.heads))).squeeze(), rng.normal(size=size)


# ---- what a loss of one's own gets ----------------------------------------------------------------------------------


@every_path
@pytest.mark.parametrize("loss", OWN, ids=str)
def test_a_loss_of_ones_own_has_values_gradients_and_hessians_on_every_path(loss, path):
    pred, target = data(loss)
    weight = np.linspace(0.5, 2.0, 40)
    got = through(path, loss, pred, target, weight, reduction="sum")
    step = 1e-5
    moves = np.eye(len(loss.heads)) * step if pred.ndim == 2 else [step]

    def total(p):
        return weight * loss.elementwise(p, target)

    gradient = np.stack([(total(pred + move) - total(pred - move)) / (2 * step) for move in moves], axis=-1)
    assert_close(got.value, total(pred).sum(), rtol=1e-10)
    assert_close(got.gradient.reshape(gradient.shape), gradient, rtol=1e-6, atol=1e-8)

    def slopes(p):
        return loss.gradient(p, target, weight=weight, reduction="sum")

    hessian = np.stack([(slopes(pred + move) - slopes(pred - move)) / (2 * step) for move in moves], axis=-1)
    assert_close(got.hessian.reshape(hessian.shape), hessian, rtol=1e-6, atol=1e-8)


def test_the_formula_of_a_loss_of_ones_own():
    assert r"\log" in Cauchy().formula
    assert "c" in Cauchy().formula
    assert "r = " in Cauchy().gradient_formula
    assert r"e^{\mathrm{precision}}" in TwoHeads().formula


@pytest.mark.parametrize("loss", [*OWN, 0.5 * Cauchy() + Welsch()], ids=str)
def test_losses_of_ones_own_behave_like_values(loss):
    twins = [pickle.loads(pickle.dumps(loss)), copy.copy(loss), copy.deepcopy(loss)]
    assert all(twin == loss and hash(twin) == hash(loss) and repr(twin) == repr(loss) for twin in twins)
    pred, target = data(loss)
    assert all(twin(pred, target) == loss(pred, target) for twin in twins)


def test_parameters_of_a_defined_loss():
    assert repr(Welsch(c=2)) == "Welsch(c=2.0)"
    assert Welsch(c=2.0) != Welsch(c=3.0)
    assert Welsch(c=2.0)._definition is Welsch(c=3.0)._definition
    with raises(TypeError, "Welsch: c must be a number", "'two'"):
        Welsch(c="two")
    bounded = lossfn.define(
        "Bounded",
        lambda _xp, p, y, c: c * (p - y) ** 2,
        c=fields.positive(default=1.0, symbol="c", doc="weight"),
        doc="Square of one's own.",
    )
    assert bounded.__doc__ == "Square of one's own."
    with raises(ValueError, "Bounded: c must be a finite number > 0", "-1"):
        bounded(c=-1)


def test_a_whole_number_shapes_the_expression():
    assert WholePower(3).elementwise([2.0, -1.0], [0.0, 1.0]).tolist() == [8.0, 8.0]
    assert WholePower(1).formula.startswith(r"\left|r\right|")
    with raises(TypeError, "WholePower: power must be an integer >= 1", "1.5"):
        WholePower(1.5)
    sheet = Sheet(WholePower())
    assert sheet.parameters[0].values == "an integer >= 1"
    assert pictured([WholePower(), WholePower(3)]) == [WholePower()]


def test_targets_and_predictions_of_a_defined_loss_are_checked():
    margin = lossfn.define("Margin", lambda xp, p, y: xp.softplus(-p * y), target=fields.SIGNED)
    with raises(ValueError, "Margin: target[1] = 0.0 is not a label -1 or +1", "to_signed"):
        margin()([1.0, 2.0], [1, 0])
    positive = lossfn.define("Positive", lambda xp, p, y: p - y * xp.log(p), prediction=fields.POSITIVE)
    with raises(ValueError, "Positive: pred[0] = 0.0 is not a finite number > 0"):
        positive()([0.0], [1.0])


def test_optimal_constant_of_a_loss_of_ones_own():
    # Far outliers hardly move a redescending location.
    assert Cauchy(scale=0.1).optimal_constant([1.0, 1.1, 0.9]) == pytest.approx(1.0, abs=1e-6)


# ---- refusals -------------------------------------------------------------------------------------------------------


def test_names_and_arguments_must_fit():
    with raises(ValueError, "must be an identifier", "'my loss'"):
        lossfn.define("my loss", lambda _xp, p, y: (p - y) ** 2)
    with raises(TypeError, "['c']", "the parameters are []", "give each a default"):
        lossfn.define("Mine", lambda _xp, p, y, c: c * (p - y) ** 2)
    with raises(TypeError, "['b', 'a']", "['a', 'b']", "in the same order"):
        lossfn.define("Mine", lambda _xp, p, y, b, a: a * b * (p - y) ** 2, a=1.0, b=2.0)


@pytest.mark.parametrize(("expression", "got"), [(3, "got 3"), (lambda p: p, "got one of (p)")])
def test_what_is_no_expression_is_refused(expression, got):
    with raises(TypeError, "Own: expression must be a function of (xp, pred, target); ", got):
        lossfn.define("Own", expression)


def test_a_wrong_override_is_an_error():
    class Wrong(lossfn.PointwiseLoss):
        def expression(self, xp, pred, target):
            return (pred - target) ** 2

        def gradient_expression(self, xp, pred, target):
            return 3 * (pred - target)

        def hessian_expression(self, xp, pred, target):
            return 2

    with raises(ArithmeticError, "Wrong: the gradient at pred = ", "exactly it is"):
        Wrong()([1.0], [0.0])


def test_a_wrong_hessian_is_an_error_too():
    class Wrong(lossfn.PointwiseLoss):
        def expression(self, xp, pred, target):
            return (pred - target) ** 2

        def gradient_expression(self, xp, pred, target):
            return 2 * (pred - target)

        def hessian_expression(self, xp, pred, target):
            return 2.1

    with raises(ArithmeticError, "Wrong: the Hessian at pred = ", "is 2.1; exactly it is 2.0"):
        Wrong().gradient([1.0], [0.0])


def test_a_property_of_the_class_is_not_mistaken_for_a_parameter():
    with raises(TypeError, "Mine", "convex is a property that every loss has", "write convex = True without one"):

        class Mine(lossfn.PointwiseLoss):
            convex: bool = True

            def expression(self, xp, pred, target):
                return (pred - target) ** 2


def test_half_an_override_is_refused():
    class Half(lossfn.PointwiseLoss):
        def expression(self, xp, pred, target):
            return (pred - target) ** 2

        def gradient_expression(self, xp, pred, target):
            return 2 * (pred - target)

    with raises(TypeError, "Half", "override both"):
        Half()([1.0], [0.0])


class Overridden(lossfn.PointwiseLoss):
    """Log-cosh from an unstable formula, rescued by overrides."""

    def expression(self, xp, pred, target):
        return xp.log_cosh(pred - target)

    def gradient_expression(self, xp, pred, target):
        return xp.tanh(pred - target)

    def hessian_expression(self, xp, pred, target):
        tanh = xp.tanh(pred - target)
        return xp.where(xp.abs(pred - target) < 5, 1 - tanh * tanh, xp.sech2(pred - target))


@every_path
def test_an_override_is_what_is_computed(path):
    residual = np.linspace(-4, 4, 9)
    result = through(path, Overridden(), residual, np.zeros(9), reduction="sum")
    np.testing.assert_allclose(result.gradient, np.tanh(residual), rtol=1e-14)
    np.testing.assert_allclose(result.hessian, 1 - np.tanh(residual) ** 2, rtol=1e-12)
    # The branch that an override takes shows in the generated source.
    assert "ops.where" in "".join(Overridden()._definition.functions["hessian"].results)


# ---- accuracy -------------------------------------------------------------------------------------------------------


def test_a_formula_that_overflows_is_reported_with_the_input():
    with pytest.warns(
        AccuracyWarning, match=r"Naive: the .* at pred = .*, target = .* is .*; exactly it is .*stable primitive"
    ):
        lossfn.define("Naive", lambda xp, p, y: xp.log(1 + xp.exp(p - y)))


def test_a_formula_that_cancels_is_reported():
    with pytest.warns(AccuracyWarning, match="Cancels: the value at pred = "):
        lossfn.define("Cancels", lambda xp, p, y: xp.sqrt((p - y) ** 2 + 1e16) - 1e8)


def test_a_stable_formula_is_not_reported():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lossfn.define("Stable", lambda xp, p, y: xp.softplus(p - y))


UNSTABLE = """
import warnings
import lossfn

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    lossfn.define("Naive", lambda xp, p, y: xp.log(1 + xp.exp(p - y)))
for warning in caught:
    print(warning.category.__name__, warning.message)
"""


def test_a_second_process_warns_too_although_the_definition_is_cached(tmp_path):
    first, second = (run_python(UNSTABLE, LOSSFN_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first == second
    assert first.startswith("AccuracyWarning Naive: the ")
    assert " at pred = " in first


def test_losses_may_be_defined_in_several_threads_at_once():
    def define(number):
        with warnings.catch_warnings():
            return lossfn.define(f"Thread{number}", lambda xp, p, y: number * xp.log_cosh(p - y))

    with ThreadPoolExecutor(4) as threads:
        defined = [threads.submit(define, number) for number in range(1, 5)]
    assert [each.result().__name__ for each in defined] == ["Thread1", "Thread2", "Thread3", "Thread4"]


# ---- sums -----------------------------------------------------------------------------------------------------------

SUM = 0.7 * SquaredError() + 0.3 * AbsoluteError()


@every_path
def test_the_value_of_a_sum_is_the_sum_of_values(path):
    pred, target = data(SUM)
    parts = [through(path, loss, pred, target) for loss in (SquaredError(), AbsoluteError())]
    for got, first, second in zip(through(path, SUM, pred, target), *parts, strict=True):
        assert_close(got, 0.7 * first + 0.3 * second)


def test_sums_show_themselves_and_compare():
    assert repr(SUM) == "0.7 * SquaredError() + 0.3 * AbsoluteError()"
    assert eval(repr(SUM)) == SUM
    precise = (1 / 3) * Huber(delta=0.1) + Pinball(tau=2 / 3)
    assert eval(repr(precise)) == precise
    assert 0.7 * SquaredError() + 0.3 * AbsoluteError() == SUM
    assert hash(0.7 * SquaredError() + 0.3 * AbsoluteError()) == hash(SUM)
    assert 0.3 * AbsoluteError() + 0.7 * SquaredError() != SUM
    assert pickle.loads(pickle.dumps(SUM)) == copy.deepcopy(SUM) == SUM
    assert lossfn.parse_loss(repr(SUM)) == SUM


def test_sums_of_sums_are_flat():
    assert 2 * (SquaredError() + AbsoluteError()) == 2 * SquaredError() + 2 * AbsoluteError()
    assert SquaredError() + (AbsoluteError() + Huber()) == (SquaredError() + AbsoluteError()) + Huber()
    assert SquaredError() * 2 == 2 * SquaredError() == np.float64(2) * SquaredError() == np.int64(2) * SquaredError()


def test_factors_share_a_kernel():
    assert SUM._definition is (0.1 * SquaredError() + 5.0 * AbsoluteError())._definition
    assert (Huber(delta=1.0) + Huber(delta=2.0))._definition is (Huber(delta=3.0) + 2.0 * Huber(delta=4.0))._definition


def test_sums_inherit_what_all_terms_declare():
    assert SUM.convex
    assert SUM.smoothness == 0
    assert SUM.hessian_is_partial
    assert SUM.even_with_decreasing_weight
    assert SUM.lower_bound == 0.0
    assert SUM.value_lipschitz is None
    assert (2 * Huber(delta=3.0) + Pinball(tau=0.9)).value_lipschitz == pytest.approx(6.9)
    assert (2 * Huber() + HalfSquaredError()).gradient_lipschitz == 3.0
    assert (SquaredError() + HalfSquaredError()).elicits == "mean"
    assert not (AbsoluteError() + Cauchy()).convex
    # Between the median 1 and the mean 2.
    assert 1.0 < SUM.optimal_constant([0.0, 1.0, 5.0]) < 2.0


def test_a_majorizing_step_of_a_sum_never_increases_it():
    residual = np.concatenate([np.linspace(-5, 5, 41), [1e-200, 1e200]])
    zero = np.zeros_like(residual)
    for loss in (SUM, Huber() + 3 * Pinball(), Huber() + HalfSquaredError()):
        if loss.smoothness == 0 and not loss.even_with_decreasing_weight:
            with raises(ValueError, "no majorizing curvature"):
                loss.gradient_and_hessian(residual, zero, curvature="majorizing")
            continue
        gradient, curvature = loss.gradient_and_hessian(residual, zero, reduction="sum", curvature="majorizing")
        after = loss.elementwise(residual - gradient / curvature, zero)
        assert (after <= loss.elementwise(residual, zero) * (1 + 1e-12)).all()


def test_losses_that_do_not_belong_together_are_not_added():
    with raises(ValueError, "BinaryCrossEntropy", "Hinge", "cannot be added: their target differ", "-1 or +1"):
        BinaryCrossEntropy() + Hinge()
    with raises(ValueError, "their target differ", "a finite number >= 0"):
        Poisson() + SquaredError()
    with raises(ValueError, "their heads differ", "('prediction',)", "('mean', 'log_variance')"):
        SquaredError() + lossfn.GaussianNLL()
    with raises(ValueError, "their prediction differ"):
        BinaryCrossEntropy() + BinaryCrossEntropy(inputs="probabilities")


@pytest.mark.parametrize("factor", [0, -1.0, math.inf, math.nan])
def test_factors_must_be_positive(factor):
    with raises(ValueError, "factor of Huber(delta=1.0)", "finite number > 0", str(float(factor))):
        factor * Huber()


@pytest.mark.parametrize("other", [True, "2", None, [2]])
def test_only_numbers_multiply_losses(other):
    with pytest.raises(TypeError, match=r"unsupported operand|can't multiply"):
        other * Huber()


@pytest.mark.parametrize("other", [1, "a", None])
def test_only_losses_are_added_to_losses(other):
    with pytest.raises(TypeError, match="unsupported operand"):
        Huber() + other


def test_a_parameter_cannot_take_the_name_of_what_every_loss_has():
    with raises(TypeError, "Mine: smoothness is a property that every loss has; give the parameter another name"):
        lossfn.define("Mine", lambda _xp, p, y, smoothness: smoothness * (p - y) * (p - y), smoothness=0.5)


def test_one_parameter_may_be_given_by_position():
    class Scaled(lossfn.PointwiseLoss):
        smoothness: ClassVar[float] = 0
        size: float = fields.positive(default=1.0, symbol="c", doc="factor")

        def expression(self, xp, pred, target):
            return self.size * xp.abs(pred - target)

    class Wider(lossfn.Huber):
        delta: float = fields.positive(default=3.0, symbol="d", doc="size where it turns linear")

    class Shifted(Scaled):
        shift: float = fields.real(default=0.0, symbol="s", doc="shift")

    assert Scaled(2.0).size == Wider(2.0).delta == 2.0
    assert Shifted(size=2.0, shift=1.0) == Shifted(shift=1.0, size=2.0)
    with raises(TypeError, "positional"):
        Shifted(2.0)


def test_a_formula_that_is_not_defined_everywhere_is_warned_of() -> None:
    with pytest.warns(AccuracyWarning, match=r"Half: the value at pred = .*, target = .* is NaN\. The formula is not"):
        lossfn.define("Half", lambda xp, pred, target: xp.log(pred - target))
