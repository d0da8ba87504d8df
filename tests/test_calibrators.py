"""The estimators that calibrate: against brute force, against peers, and where no finite optimum exists."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from conftest import raises
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, xlogy
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression

import lossfn
from lossfn.calibration import (
    BetaCalibration,
    IsotonicCalibration,
    PlattScaling,
    TemperatureScaling,
    VectorScaling,
    decompose,
    expected_calibration_error,
)

# Compiling kernels would take longer than what is tested here.
pytestmark = pytest.mark.usefixtures("array_code")

EVERY = [
    TemperatureScaling(),
    VectorScaling(l2=0.1),
    PlattScaling(),
    IsotonicCalibration(),
    BetaCalibration(inputs="logits"),
]
every_calibrator = pytest.mark.parametrize("model", EVERY, ids=lambda model: type(model).__name__)


def logits_and_labels(size: int = 600, classes: int = 4, temperature: float = 2.0, seed: int = 0) -> tuple[Any, Any]:
    """Return logits that are too large by a factor, and labels."""
    rng = np.random.default_rng(seed)
    truth = 1.5 * rng.normal(size=(size, classes))
    return temperature * truth, (truth + rng.gumbel(size=truth.shape)).argmax(axis=1)


def two_classes(size: int = 600, seed: int = 0) -> tuple[Any, Any]:
    """Return over-confident logits of class 1, and labels."""
    rng = np.random.default_rng(seed)
    truth = 1.5 * rng.normal(size=size) - 0.4
    return 2 * truth + 1, (rng.uniform(size=size) < expit(truth)).astype(int)


def cross_entropy(logits: Any, y: Any) -> float:
    return -float(log_softmax(logits, axis=1)[np.arange(len(y)), y].mean())


# ---- temperature --------------------------------------------------------------------------------------------------


def test_the_temperature_minimises_the_cross_entropy() -> None:
    # errata P05: the cross-entropy decreases, and its derivative by T is -Σ(p - onehot)z / T²
    z, y = logits_and_labels()
    model = TemperatureScaling().fit(z, y)
    t = model.temperature_
    brute = minimize_scalar(lambda u: cross_entropy(z / math.exp(u), y), bracket=(-3, 3), tol=1e-10)
    assert t == pytest.approx(math.exp(brute.x), rel=1e-6)
    assert model.cross_entropy_ == pytest.approx(cross_entropy(z / t, y), rel=1e-13)
    assert model.cross_entropy_before_ == pytest.approx(cross_entropy(z, y), rel=1e-13)
    assert model.cross_entropy_ < model.cross_entropy_before_
    residual = model.predict_proba(z)
    residual[np.arange(len(y)), y] -= 1
    assert abs((residual * z).sum()) / len(y) < 1e-13
    slope = (cross_entropy(z / 1.001, y) - cross_entropy(z / 0.999, y)) / 0.002
    at_one = np.exp(log_softmax(z, axis=1))
    at_one[np.arange(len(y)), y] -= 1
    assert slope == pytest.approx(-(at_one * z).sum() / len(y), rel=1e-4)


def test_a_temperature_lowers_the_error_and_keeps_the_order() -> None:
    z, y = logits_and_labels(5000, temperature=3.0)
    model = TemperatureScaling().fit(z, y)
    assert model.temperature_ == pytest.approx(3.0, rel=0.1)
    after = model.predict_proba(z)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(z), z.argmax(axis=1))
    before = np.exp(log_softmax(z, axis=1))
    errors = [expected_calibration_error(p, y, kind="top_label") for p in (before, after)]
    assert errors[1] < 0.3 * errors[0]


def test_one_number_does_not_mend_everything() -> None:
    # errata P08: the best temperature need not calibrate
    rng = np.random.default_rng(0)
    z = rng.normal(size=20_000) * 2
    y = (rng.uniform(size=z.size) < np.where(np.abs(z) < 1.5, 0.5, np.where(z > 0, 0.7, 0.3))).astype(int)
    left = [
        decompose(lossfn.SquaredError(), model.fit(z, y).predict_proba(z)[:, 1], y).miscalibration
        for model in (TemperatureScaling(), IsotonicCalibration())
    ]
    assert left[0] > 1e-4 + 10 * left[1]


def test_two_classes_are_two_columns() -> None:
    z, y = two_classes()
    one = TemperatureScaling().fit(z, y)
    both = TemperatureScaling().fit(np.column_stack([np.zeros_like(z), z]), y)
    assert one.temperature_ == both.temperature_
    np.testing.assert_array_equal(one.predict_proba(z[:, None]), both.predict_proba(np.column_stack([0 * z, z])))


@pytest.mark.parametrize("scale", [1e-200, 1e-5, 1.0, 1e5, 1e200])
def test_temperatures_scale_with_the_logits(scale: float) -> None:
    z, y = logits_and_labels()
    expected = TemperatureScaling().fit(z, y).temperature_
    assert TemperatureScaling().fit(scale * z, y).temperature_ == pytest.approx(scale * expected, rel=1e-12)


def test_a_constant_for_each_row_changes_nothing() -> None:
    z, y = logits_and_labels()
    moved = z + np.random.default_rng(1).normal(size=(len(z), 1))
    temperatures = [TemperatureScaling().fit(logits, y).temperature_ for logits in (z, moved)]
    assert temperatures[0] == pytest.approx(temperatures[1], rel=1e-12)


def test_without_errors_the_temperature_is_zero() -> None:
    z = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 5.0], [1.0, 1.0, 0.0]])
    with pytest.warns(ConvergenceWarning, match="temperature 0"):
        model = TemperatureScaling().fit(z, [0, 2, 1])
    assert model.temperature_ == 0.0
    np.testing.assert_array_equal(model.predict_proba(z), [[1, 0, 0], [0, 0, 1], [0.5, 0.5, 0]])
    assert model.cross_entropy_ == pytest.approx(math.log(2) / 3)


def test_logits_that_say_nothing_stay_as_they_are() -> None:
    model = TemperatureScaling().fit(np.ones((3, 2)), [0, 1, 1])
    assert model.temperature_ == 1.0
    np.testing.assert_array_equal(model.predict_proba([[5.0, 5.0]]), [[0.5, 0.5]])


def test_for_logits_worse_than_guessing_the_temperature_is_infinite() -> None:
    z, y = two_classes()
    with pytest.warns(ConvergenceWarning, match="temperature infinity"):
        model = TemperatureScaling().fit(-z, y)
    assert model.temperature_ == math.inf
    np.testing.assert_array_equal(model.predict_proba(z), np.full((len(z), 2), 0.5))
    assert model.cross_entropy_ == pytest.approx(math.log(2))


# ---- vectors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_vector_scaling_does_not_depend_on_units(scale: float) -> None:
    z, y = logits_and_labels()
    expected, got = VectorScaling().fit(z, y), VectorScaling().fit(scale * z, y)
    np.testing.assert_allclose(scale * got.factor_, expected.factor_, rtol=1e-6)
    np.testing.assert_allclose(got.constant_, expected.constant_, atol=1e-6)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_vector_scaling_minimises_the_cross_entropy(l2: float) -> None:
    z, y = logits_and_labels()
    z += np.array([1.0, 0.0, -1.0, 0.5])
    model = VectorScaling(l2=l2).fit(z, y)

    def objective(parameters: Any) -> float:
        factor, constant = np.split(parameters, 2)
        return cross_entropy(factor * z + constant, y) + l2 / 2 * (((factor - 1) ** 2).sum() + (constant**2).sum())

    brute = minimize(objective, np.ones(8), method="BFGS", options={"gtol": 1e-7})
    constant = brute.x[4:]
    np.testing.assert_allclose(model.factor_, brute.x[:4], atol=1e-4)
    np.testing.assert_allclose(model.constant_, constant - constant.mean(), atol=1e-4)
    assert objective(np.concatenate([model.factor_, model.constant_])) <= brute.fun + 1e-12
    assert model.cross_entropy_ == pytest.approx(cross_entropy(model.factor_ * z + model.constant_, y), rel=1e-12)
    assert model.cross_entropy_ < model.cross_entropy_before_


def test_vector_scaling_beats_a_temperature_on_shifted_logits() -> None:
    z, y = logits_and_labels(3000)
    shifted = z + np.array([2.0, 0.0, -2.0, 0.0])
    assert VectorScaling().fit(shifted, y).cross_entropy_ < TemperatureScaling().fit(shifted, y).cross_entropy_ - 0.02


def test_a_missing_class() -> None:
    z, y = logits_and_labels()
    kept = y != 2
    with pytest.warns(ConvergenceWarning, match="a class is missing"):
        VectorScaling().fit(z[kept], y[kept])
    model = VectorScaling(l2=1e-3).fit(z[kept], y[kept])
    assert model.classes_.tolist() == [0, 1, 2, 3]
    assert model.predict_proba(z)[:, 2].mean() < 0.05
    assert TemperatureScaling().fit(z[kept], y[kept]).predict_proba(z).shape == (600, 4)


# ---- curves -------------------------------------------------------------------------------------------------------


def test_platt_scaling_is_that_of_scikit_learn() -> None:
    from sklearn.calibration import _SigmoidCalibration

    z, y = two_classes()
    for weight in (None, np.random.default_rng(0).integers(1, 4, size=len(y)).astype(float)):
        theirs = _SigmoidCalibration().fit(z, y, weight)
        model = PlattScaling().fit(z, y, weight)
        np.testing.assert_allclose([model.slope_, model.constant_], [-theirs.a_, -theirs.b_], rtol=1e-5)
        np.testing.assert_allclose(model.predict_proba(z)[:, 1], theirs.predict(z), atol=1e-6)


def test_platt_scaling_without_smoothed_targets_is_logistic_regression() -> None:
    z, y = two_classes()
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(z[:, None], y)
    model = PlattScaling(smooth_targets=False).fit(z, y)
    assert model.slope_ == pytest.approx(theirs.coef_[0, 0], rel=1e-5)
    assert model.constant_ == pytest.approx(theirs.intercept_[0], rel=1e-4)


def test_separated_scores() -> None:
    z, y = [-2.0, -1.0, 1.0, 3.0], [0, 0, 1, 1]
    assert 0 < PlattScaling().fit(z, y).slope_ < 10
    with pytest.warns(ConvergenceWarning, match="separate the classes.*: smooth_targets=True keeps the slope finite"):
        PlattScaling(smooth_targets=False).fit(z, y)
    with pytest.warns(ConvergenceWarning, match="separate the classes.*: add rows, or take PlattScaling") as warned:
        BetaCalibration().fit([0.1, 0.2, 0.7, 0.9], y)
    assert len(warned) == 1


def test_isotonic_calibration_is_that_of_scikit_learn() -> None:
    from sklearn.isotonic import IsotonicRegression

    z, y = two_classes()
    z, weight = z.round(1), np.random.default_rng(0).exponential(size=len(y))
    theirs = IsotonicRegression(out_of_bounds="clip").fit(z, y, sample_weight=weight)
    new = np.linspace(-10, 10, 333)
    got = IsotonicCalibration().fit(z, y, weight).predict_proba(new)
    np.testing.assert_allclose(got[:, 1], theirs.predict(new), atol=1e-14)
    np.testing.assert_allclose(got.sum(axis=1), 1)


def beta_brute(p: Any, y: Any) -> Any:
    """Return the best (a, b, c) with a, b >= 0."""

    def objective(parameters: Any) -> float:
        a, b, c = parameters
        q = expit(a * np.log(p) - b * np.log1p(-p) + c)
        return -float(np.mean(xlogy(y, q) + xlogy(1 - y, 1 - q)))

    return minimize(objective, [1.0, 1.0, 0.0], method="L-BFGS-B", bounds=[(0, None), (0, None), (None, None)],
                    options={"ftol": 1e-15, "gtol": 1e-10})  # fmt: skip


BENDS = {
    "none": lambda p: p,
    "low": lambda p: p**3,
    "high": lambda p: 1 - (1 - p) ** 3,
    "falling": lambda p: 1 - p,
    "two-sided": lambda p: 0.5 + 0.3 * (p - 0.5) ** 2,
}


@pytest.mark.parametrize("bend", BENDS)
def test_beta_calibration_is_the_best_with_its_bounds(bend: str) -> None:
    z, y = two_classes()
    p = BENDS[bend](expit(z / 2))
    model, brute = BetaCalibration().fit(p, y), beta_brute(p, y)
    assert min(model.a_, model.b_) >= 0
    got = expit(model.a_ * np.log(p) - model.b_ * np.log1p(-p) + model.c_)
    np.testing.assert_allclose(model.predict_proba(p)[:, 1], got, rtol=1e-12)
    value = -float(np.mean(xlogy(y, got) + xlogy(1 - y, 1 - got)))
    assert value <= brute.fun + 1e-10
    np.testing.assert_allclose([model.a_, model.b_, model.c_], brute.x, atol=2e-3)


def test_beta_calibration_of_logits_does_not_round() -> None:
    z, y = two_classes()
    by_probability, by_logit = BetaCalibration().fit(expit(z), y), BetaCalibration(inputs="logits").fit(z, y)
    parameters = [[model.a_, model.b_, model.c_] for model in (by_probability, by_logit)]
    np.testing.assert_allclose(*parameters, rtol=1e-8)
    far = np.append(z, [60.0, -800.0])
    labels = np.append(y, [1, 0])
    with raises(ValueError, "BetaCalibration", "scores[600] = 1.0", "strictly between 0 and 1", "inputs='logits'"):
        BetaCalibration().fit(expit(far), labels)
    assert np.isfinite(BetaCalibration(inputs="logits").fit(far, labels).a_)
    np.testing.assert_array_equal(by_probability.predict_proba([0.0, 1.0]), [[1, 0], [0, 1]])


# ---- all of them --------------------------------------------------------------------------------------------------


@every_calibrator
def test_they_are_estimators_of_scikit_learn(model: Any) -> None:
    z, y = two_classes()
    names = np.array(["no", "yes"])[y]
    fitted = clone(model).fit(z, names)
    assert fitted.get_params() == model.get_params()
    assert fitted.classes_.tolist() == ["no", "yes"]
    probability = fitted.predict_proba(z)
    assert probability.shape == (600, 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert set(fitted.predict(z)) <= {"no", "yes"}
    assert fitted.score(z, names) > 0.6
    assert expected_calibration_error(probability[:, 1], y) < expected_calibration_error(expit(z), y)
    with pytest.raises(NotFittedError):
        clone(model).predict_proba(z)


@every_calibrator
def test_weights_count_like_repeated_rows(model: Any) -> None:
    z, y = two_classes()
    weight = np.random.default_rng(0).integers(0, 4, size=len(y))
    spoiled = np.where(weight == 0, np.nan, z)
    weighted = clone(model).fit(spoiled, y, sample_weight=weight).predict_proba(z)
    repeated = clone(model).fit(z.repeat(weight), y.repeat(weight)).predict_proba(z)
    np.testing.assert_allclose(weighted, repeated, atol=1e-7)


@every_calibrator
def test_tensors_are_converted(model: Any) -> None:
    torch = pytest.importorskip("torch")
    z, y = two_classes()
    ours = clone(model).fit(z, y).predict_proba(z)
    theirs = clone(model).fit(torch.tensor(z, requires_grad=True), torch.tensor(y)).predict_proba(torch.tensor(z))
    np.testing.assert_array_equal(ours, theirs)
    weight = np.linspace(0.5, 2.0, len(y))
    ours = clone(model).fit(z, y, sample_weight=weight).predict_proba(z)
    theirs = clone(model).fit(torch.tensor(z), torch.tensor(y), sample_weight=torch.tensor(weight)).predict_proba(z)
    np.testing.assert_array_equal(ours, theirs)


@every_calibrator
def test_refusals(model: Any) -> None:
    z, y = two_classes()
    name = type(model).__name__
    with raises(ValueError, name, "y must have shape (600,)", "(599,)"):
        clone(model).fit(z, y[:-1])
    with raises(ValueError, name, "two classes", "got 1"):
        clone(model).fit(z, np.ones_like(y))
    with raises(ValueError, name, "[3] = nan"):
        clone(model).fit(np.where(np.arange(600) == 3, np.nan, z), y)
    with raises(ValueError, name, "no rows of positive weight"):
        clone(model).fit(z, y, sample_weight=np.zeros(600))
    with raises(ValueError, name, "weight[0] = -1.0"):
        clone(model).fit(z, y, sample_weight=-np.ones(600))


def test_refusals_of_shapes() -> None:
    z, y = logits_and_labels()
    with raises(ValueError, "PlattScaling", "(N,) or (N, 1)", "(600, 4)", "TemperatureScaling"):
        PlattScaling().fit(z, y)
    with raises(ValueError, "4 columns, and y has 2 classes", "from 0 to 3"):
        TemperatureScaling().fit(z, np.where(y > 1, "a", "b"))
    with raises(ValueError, "logits of 4 classes are needed", "2 columns"):
        TemperatureScaling().fit(z, y).predict_proba(z[:, 0])
    with raises(ValueError, "inputs must be 'probabilities' or 'logits'", "'scores'"):
        BetaCalibration(inputs="scores").fit(z[:, 0], y > 1)
    with raises(ValueError, "l2 must be a finite number >= 0", "-1"):
        VectorScaling(l2=-1).fit(z, y)
