"""Linear models for scikit-learn: against exact solvers, scikit-learn's own models and its conventions."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
from conftest import DEFAULTS, label, raises, run_python
from scipy.optimize import linprog
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.utils.estimator_checks import parametrize_with_checks

import lossfn.sklearn.newton
from lossfn import (
    AbsoluteError,
    BinaryCrossEntropy,
    BinaryFocal,
    GaussianNLL,
    HalfSquaredError,
    Hinge,
    Huber,
    Pinball,
    PointwiseLoss,
    Poisson,
    SigmoidMargin,
    SquaredError,
    fields,
    to_signed,
)
from lossfn.sklearn import LinearClassifier, LinearRegressor
from lossfn.sklearn.proximal import proximal

# Compiling kernels would take longer than what is tested here.
pytestmark = pytest.mark.usefixtures("array_code")

Array = Any
ELASTIC = 0.5 * AbsoluteError() + 0.5 * SquaredError()


def draw(rows: int, columns: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """Draw features, a target with heavy tails and positive weights."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, columns))
    target = features @ rng.normal(size=columns) + rng.standard_t(2, size=rows) + 3.0
    return features, target, rng.uniform(0.2, 2.0, rows)


def target_of(loss: PointwiseLoss, signal: Array) -> Array:
    """Make a target that the loss accepts out of a numeric one."""
    if loss.task == "binary":
        noise = np.random.default_rng(1).logistic(size=len(signal))
        return (signal - np.median(signal) + noise > 0).astype(int)
    if loss.target.low < 0:
        return signal
    # Amounts > 0, or counts.
    return np.maximum(signal.round(), 0.5 if loss.target.open_low else 0.0)


def encoded(loss: PointwiseLoss, target: Array) -> Array:
    """Return the target as the loss itself takes it; estimators take labels 0 and 1."""
    return to_signed(target) if loss.target is fields.SIGNED else target


def model_of(loss: PointwiseLoss, **options: Any) -> Any:
    return (LinearClassifier if loss.task == "binary" else LinearRegressor)(loss, **options)


def objective(model: Any, features: Array, target: Array, weight: Array | None = None) -> float:
    """Compute the documented objective at the fitted coefficients."""
    loss = model.loss
    target = encoded(loss, target)
    scores = features @ np.atleast_2d(model.coef_).T + model.intercept_
    pred = scores if len(loss.heads) > 1 else scores[:, 0]
    value = np.average(loss.elementwise(pred, target), weights=weight)
    return float(value + model.l2 / 2 * np.sum(model.coef_**2))


def exact_pinball(features: Array, target: Array, weight: Array, tau: float, fit_intercept: bool = True) -> float:
    """Solve quantile regression as a linear program."""
    rows = len(target)
    design = np.column_stack([features, np.ones(rows)]) if fit_intercept else features
    share = weight / weight.sum()
    cost = np.concatenate([np.zeros(2 * design.shape[1]), tau * share, (1 - tau) * share])
    split = np.hstack([design, -design, np.eye(rows), -np.eye(rows)])
    solution: Any = linprog(cost, A_eq=split, b_eq=target)
    return float(solution.fun)


def exact_hinge(features: Array, signs: Array, weight: Array) -> float:
    """Solve unpenalised hinge classification as a linear program."""
    rows = len(signs)
    design = np.column_stack([features, np.ones(rows)]) * signs[:, None]
    cost = np.concatenate([np.zeros(2 * design.shape[1]), weight / weight.sum()])
    solution: Any = linprog(cost, A_ub=-np.hstack([design, -design, np.eye(rows)]), b_ub=-np.ones(rows))
    return float(solution.fun)


# ---- scikit-learn's conventions -----------------------------------------------------------------------------------


def expected_failures(model: Any) -> dict[str, str]:
    """Name the checks that a model cannot pass, with the reason."""
    if not isinstance(model.loss, GaussianNLL):
        return {}
    return {
        "check_sample_weight_equivalence_on_dense_data": "the check has 15 rows and 10 features: some rows are fitted "
        "exactly, where the likelihood is unbounded, so that the answer depends on where the solver stops"
    }


# The checks fit noise with more features than rows, where classes are separable and likelihoods unbounded.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        LinearRegressor(),
        LinearRegressor(AbsoluteError()),
        LinearRegressor(Poisson()),
        LinearRegressor(GaussianNLL(), l2=1.0, max_iter=50),
        LinearClassifier(),
        LinearClassifier(Hinge(), l2=0.01),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator)


def test_parameters_of_the_loss_are_parameters_of_the_estimator() -> None:
    model = LinearRegressor(Huber(delta=2.0), l2=0.5)
    assert model.get_params()["loss__delta"] == 2.0
    assert "loss__delta" not in model.get_params(deep=False)
    shared = model.loss
    assert model.set_params(loss__delta=3.0, l2=0.1) is model
    assert (model.loss, model.l2, shared) == (Huber(delta=3.0), 0.1, Huber(delta=2.0))
    # Setting both at once changes the new loss, whatever the order of the names.
    assert model.set_params(loss__tau=0.3, loss=Pinball()).loss == Pinball(tau=0.3)


def test_setting_an_unknown_or_invalid_parameter_says_what_is_valid() -> None:
    model = LinearRegressor(Huber())
    with raises(ValueError, "Invalid parameter 'tau' for loss Huber(delta=1.0)", "['delta']"):
        model.set_params(loss__tau=0.3)
    with raises(ValueError, "delta must be a finite number > 0"):
        model.set_params(loss__delta=-1.0)
    assert model.loss == Huber()


@pytest.mark.parametrize("model", [LinearRegressor(ELASTIC, l2=0.1), LinearClassifier(BinaryFocal(gamma=1.0))])
def test_clones_and_pickles_are_equal(model: Any) -> None:
    features, target, _ = draw(60, 2)
    target = target_of(model.loss, target)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    model.fit(features, target)
    assert not hasattr(copy, "coef_")
    restored = pickle.loads(pickle.dumps(model))
    assert restored.get_params() == model.get_params()
    np.testing.assert_array_equal(restored.predict(features), model.predict(features))


def test_grid_search_chooses_loss_and_parameter() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 2))
    target = features @ [1.0, -2.0] + rng.normal(size=200) * 0.1
    target[::7] += 500.0
    grid = [{"loss": [SquaredError()]}, {"loss": [Huber()], "loss__delta": [0.5, 1000.0]}]
    search = GridSearchCV(LinearRegressor(), grid, scoring="neg_median_absolute_error", cv=4).fit(features, target)
    assert search.best_params_ == {"loss": Huber(), "loss__delta": 0.5}
    assert search.best_estimator_.loss == Huber(delta=0.5)
    np.testing.assert_allclose(search.best_estimator_.coef_, [1.0, -2.0], atol=0.05)


def test_grid_search_reaches_a_loss_inside_a_pipeline() -> None:
    features, target, _ = draw(120, 3)
    pipeline = make_pipeline(StandardScaler(), LinearClassifier(BinaryFocal(), l2=0.01))
    grid = {"linearclassifier__loss__gamma": [0.0, 2.0]}
    search = GridSearchCV(pipeline, grid, scoring="neg_log_loss").fit(features, target_of(BinaryFocal(), target))
    assert search.best_params_["linearclassifier__loss__gamma"] in (0.0, 2.0)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_missing_scikit_learn_names_the_extra() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import lossfn; import lossfn.sklearn"
    assert "pip install 'lossfn[sklearn]'" in run_python(code, fails=True)


# ---- scikit-learn's own models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("loss", "halves"), [(SquaredError(), 2), (HalfSquaredError(), 1)])
def test_squared_errors_equal_ridge(loss: PointwiseLoss, halves: int, fit_intercept: bool) -> None:
    # Ridge minimises Σ w r² + alpha |b|². Ours, times Σ w, is Σ w r² + Σ w l2/2 |b|²; with half the squared error and
    # times 2 Σ w it is Σ w r² + Σ w l2 |b|².
    features, target, weight = draw(80, 4)
    model = LinearRegressor(loss, l2=0.3, fit_intercept=fit_intercept).fit(features, target, weight)
    ridge = sklearn.linear_model.Ridge(alpha=weight.sum() * 0.3 / halves, fit_intercept=fit_intercept)
    ridge.fit(features, target, weight)
    np.testing.assert_allclose(model.coef_, ridge.coef_, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, ridge.intercept_, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_cross_entropy_equals_logistic_regression(l2: float) -> None:
    features, target, weight = draw(150, 4)
    labels = target_of(BinaryCrossEntropy(), target)
    model = LinearClassifier(l2=l2).fit(features, labels, weight)
    c = 1 / (weight.sum() * l2) if l2 else np.inf
    reference = sklearn.linear_model.LogisticRegression(C=c, tol=1e-12, solver="newton-cholesky")
    reference.fit(features, labels, weight)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(features), reference.predict_proba(features), rtol=1e-6)


def test_poisson_equals_poisson_regressor_and_predicts_rates() -> None:
    features, _, weight = draw(150, 3)
    counts = np.random.default_rng(2).poisson(np.exp(features @ [0.5, -0.3, 0.0] + 1.0))
    model = LinearRegressor(Poisson(), l2=0.1).fit(features, counts, weight)
    reference = sklearn.linear_model.PoissonRegressor(alpha=0.1, tol=1e-12, solver="newton-cholesky")
    reference.fit(features, counts, weight)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-6)
    np.testing.assert_allclose(model.predict(features), reference.predict(features), rtol=1e-6)
    # The likelihood equation of the intercept: predicted and observed totals agree.
    np.testing.assert_allclose(weight @ model.predict(features), weight @ counts)


@pytest.mark.parametrize(("rows", "tau"), [(40, 0.5), (235, 0.05), (235, 0.9), (400, 0.7)])
def test_pinball_equals_quantile_regressor(rows: int, tau: float) -> None:
    features, target, weight = draw(rows, 3)
    model = LinearRegressor(Pinball(tau=tau)).fit(features, target, weight)
    exact = sklearn.linear_model.QuantileRegressor(quantile=tau, alpha=0).fit(features, target, weight)
    np.testing.assert_allclose(model.coef_, exact.coef_, rtol=1e-3, atol=1e-3)
    best = np.average(Pinball(tau=tau).elementwise(exact.predict(features), target), weights=weight)
    assert model.objective_ <= best * (1 + 1e-7)


@pytest.mark.parametrize("l2", [0.5, 1e-2, 1e-4])
def test_absolute_error_equals_support_vector_regression(l2: float) -> None:
    features, target, weight = draw(150, 3)
    model = LinearRegressor(AbsoluteError(), l2=l2).fit(features, target, weight)
    exact = SVR(kernel="linear", epsilon=0, C=1 / (weight.sum() * l2), tol=1e-6).fit(features, target, weight)
    errors = np.abs(exact.predict(features) - target)
    best = np.average(errors, weights=weight) + l2 / 2 * np.sum(exact.coef_**2)
    assert best * (1 - 1e-3) <= model.objective_ <= best * (1 + 1e-6)
    np.testing.assert_allclose(model.coef_, exact.coef_[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("l2", [0.5, 1e-2, 1e-4])
def test_hinge_equals_support_vector_classification(l2: float) -> None:
    features, target, weight = draw(150, 3)
    labels = target_of(Hinge(), target)
    model = LinearClassifier(Hinge(), l2=l2).fit(features, labels, weight)
    exact = SVC(kernel="linear", C=1 / (weight.sum() * l2), tol=1e-6).fit(features, labels, weight)
    hinge = np.maximum(0, 1 - to_signed(labels) * exact.decision_function(features))
    best = np.average(hinge, weights=weight) + l2 / 2 * np.sum(exact.coef_**2)
    assert best * (1 - 1e-3) <= model.objective_ <= best * (1 + 1e-6)
    np.testing.assert_array_equal(model.predict(features), exact.predict(features))


# ---- optimality ---------------------------------------------------------------------------------------------------


TRAINABLE = [
    loss
    for loss in DEFAULTS
    # One number a target; losses of several heads with kinks have no solver that is sure of the minimum.
    if -1e300 in loss.prediction
    and isinstance(loss.target, fields.Domain)
    and (len(loss.heads) == 1 or loss.smoothness >= 1)
    and not loss.surrogate
]


@pytest.mark.parametrize("fit_intercept", [True, False])
# Of SigmoidMargin, which is bounded, coefficients may grow without end.
@pytest.mark.parametrize(
    "loss",
    [loss for loss in TRAINABLE if loss.smoothness >= 1 and not isinstance(loss, SigmoidMargin)],
    ids=label,
)
def test_smooth_losses_end_where_the_gradient_vanishes(loss: PointwiseLoss, fit_intercept: bool) -> None:
    features, target, weight = draw(200, 3)
    target = target_of(loss, target)
    model = model_of(loss, l2=0.01, fit_intercept=fit_intercept).fit(features, target, weight)
    scores = features @ np.atleast_2d(model.coef_).T + model.intercept_
    pred = scores if len(loss.heads) > 1 else scores[:, 0]
    rows = loss.gradient(pred, encoded(loss, target), weight=weight).reshape(scores.shape)
    # Where the curvature is infinite at ties, the objective is flat long before its gradient vanishes.
    atol = 1e-3 if loss.smoothness == 1 and loss.gradient_lipschitz is None else 1e-6
    np.testing.assert_allclose(rows.T @ features + 0.01 * np.atleast_2d(model.coef_), 0.0, atol=atol)
    if fit_intercept:
        np.testing.assert_allclose(rows.sum(axis=0), 0.0, atol=atol)
    np.testing.assert_allclose(model.objective_, objective(model, features, target, weight), rtol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.01])
@pytest.mark.parametrize(
    "loss",
    [*[loss for loss in TRAINABLE if loss.smoothness == 0 and loss.convex], ELASTIC, Huber() + Pinball(tau=0.8)],
    ids=repr,
)
def test_losses_with_kinks_end_at_a_minimum(loss: PointwiseLoss, l2: float) -> None:
    # For a convex objective, no small step in any direction helps.
    features, target, weight = draw(200, 3)
    target = target_of(loss, target)
    model = model_of(loss, l2=l2).fit(features, target, weight)
    reached = objective(model, features, target, weight)
    np.testing.assert_allclose(model.objective_, reached, rtol=1e-12)
    rng = np.random.default_rng(3)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(50):
            moved = clone(model)
            moved.coef_ = model.coef_ + size * rng.normal(size=model.coef_.shape)
            moved.intercept_ = model.intercept_ + size * rng.normal()
            assert objective(moved, features, target, weight) >= reached * (1 - 1e-8)


@pytest.mark.parametrize("seed", range(30))
def test_losses_with_kinks_reach_the_optimum_of_awkward_data(seed: int) -> None:
    # Ties, constant and repeated features, outliers, bad scales, integer weights, hardly any rows.
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(6, 120)), int(rng.integers(1, 10))
    features = [
        rng.normal(size=(rows, columns)),
        rng.integers(0, 3, (rows, columns)).astype(float),
        rng.standard_t(1.5, size=(rows, columns)),
    ][seed % 3]
    features[:, 0] = 1.0 if seed % 4 == 0 else features[:, -1]
    features *= 10 ** rng.uniform(-3, 3, columns)
    target = [rng.normal(size=rows), rng.integers(0, 4, rows).astype(float), rng.standard_cauchy(rows)][seed % 5 % 3]
    weight = [np.ones(rows), rng.uniform(0.1, 3.0, rows), rng.integers(1, 4, rows).astype(float)][seed % 7 % 3]
    tau = float(rng.choice([0.05, 0.5, 0.9]))
    model = LinearRegressor(Pinball(tau=tau)).fit(features, target, weight)
    # The linear program is solved to 1e-7 itself.
    assert model.objective_ <= exact_pinball(features, target, weight, tau) * (1 + 1e-6) + 1e-9
    labels = target > np.median(target)
    labels[:2] = [False, True]
    classifier = LinearClassifier(Hinge()).fit(features, labels, weight)
    assert classifier.objective_ <= exact_hinge(features, to_signed(labels.astype(int)), weight) * (1 + 1e-6) + 1e-6


def test_the_proximal_point_of_absolute_errors_is_soft_thresholding() -> None:
    x, target = np.linspace(-3.0, 3.0, 301), np.full(301, 0.25)
    solution = proximal(AbsoluteError(), target, x, 0.5)
    residual = x - target
    expected = target + np.sign(residual) * np.maximum(np.abs(residual) - 0.5, 0.0)
    np.testing.assert_allclose(solution.point, expected, rtol=1e-14, atol=1e-15)


class TwoDeadZones(PointwiseLoss):
    """Convex, with four kinks and a curved tail: nothing that a formula for one kink would survive."""

    convex = True
    smoothness = 0

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the loss."""
        r = xp.abs(pred - target)
        return xp.where(r > 1, r - 1, 0) + xp.where(r > 2, 3 * (r - 2), 0) + xp.where(r > 4, (r - 4) * (r - 4), 0)


@pytest.mark.parametrize("loss", [AbsoluteError(), Pinball(tau=0.9), ELASTIC, TwoDeadZones(), Huber()], ids=repr)
@pytest.mark.parametrize("width", [1e-3, 0.3, 20.0])
def test_proximal_points_minimise(loss: PointwiseLoss, width: float) -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=300)
    x = target + rng.normal(size=300) * 10
    solution = proximal(loss, target, x, width)

    def value(v: Array) -> Array:
        return loss.elementwise(v, target) + (x - v) ** 2 / (2 * width)

    # The function is strongly convex: the values at v ± h bound the distance to the minimum.
    for h in (1e-3, 1e-6):
        rise = np.minimum(value(solution.point + h), value(solution.point - h)) - value(solution.point)
        assert (rise >= -1e-13 * (1 + np.abs(value(solution.point)))).all()
    np.testing.assert_array_equal(solution.value, loss.elementwise(solution.point, target))


# ---- weights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [SquaredError(), Huber(), AbsoluteError(), ELASTIC, Poisson(), BinaryFocal(), Hinge(), GaussianNLL()],
    ids=repr,
)
def test_weight_two_is_a_repeated_row_and_weight_zero_a_deleted_one(loss: PointwiseLoss) -> None:
    features, target, _ = draw(101, 2)
    target = target_of(loss, target)
    weight = np.resize([1.0, 2.0, 0.0], len(target))
    kept = np.repeat(np.arange(len(target)), weight.astype(int))
    weighted = model_of(loss, l2=0.02).fit(features, target, weight)
    repeated = model_of(loss, l2=0.02).fit(features[kept], target[kept])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(weighted.objective_, repeated.objective_, rtol=1e-9)
    # Only ratios of weights matter.
    scaled = model_of(loss, l2=0.02).fit(features, target, 1000 * weight)
    np.testing.assert_allclose(scaled.coef_, weighted.coef_, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", [SquaredError(), AbsoluteError()], ids=repr)
def test_a_feature_that_varies_only_where_weights_are_zero_is_constant(loss: PointwiseLoss) -> None:
    features, target, _ = draw(60, 2)
    weight = np.resize([1.0, 1.0, 0.0], 60)
    features[weight > 0, 1] = 0.1
    model = LinearRegressor(loss).fit(features, target, weight)
    kept = LinearRegressor(loss).fit(features[weight > 0, :1], target[weight > 0])
    np.testing.assert_allclose(model.coef_, [kept.coef_[0], 0.0], rtol=1e-9, atol=1e-12)


def test_rows_of_weight_zero_may_hold_forbidden_targets() -> None:
    features, target, _ = draw(30, 2)
    counts = np.abs(target)
    counts[3] = -5.0
    weight = np.ones(30)
    weight[3] = 0.0
    model = LinearRegressor(Poisson()).fit(features, counts, weight)
    assert np.isfinite(model.coef_).all()


# ---- predictions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [
        BinaryCrossEntropy(),
        BinaryCrossEntropy(pos_weight=5.0),
        BinaryCrossEntropy(label_smoothing=0.2),
        BinaryFocal(gamma=2.0),
        BinaryFocal(gamma=3.0, alpha=0.25),
    ],
    ids=repr,
)
def test_probabilities_are_those_of_the_data_whatever_the_loss(loss: PointwiseLoss) -> None:
    # One parameter per group: each loss can reach its own minimiser, which hides the group's share of positives.
    rng = np.random.default_rng(0)
    group = rng.integers(0, 5, 400)
    truth = np.array([0.1, 0.25, 0.5, 0.7, 0.9])
    labels = (rng.random(400) < truth[group]).astype(int)
    features = np.eye(5)[group]
    model = LinearClassifier(loss, fit_intercept=False).fit(features, labels)
    shares = np.array([labels[group == g].mean() for g in range(5)])
    np.testing.assert_allclose(model.predict_proba(np.eye(5))[:, 1], shares, rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(features).sum(axis=1), 1.0)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(pos_weight=5.0), BinaryFocal(gamma=1.0)], ids=repr)
def test_a_logistic_truth_is_recovered(loss: PointwiseLoss) -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(5000, 1))
    truth = 1 / (1 + np.exp(-(features[:, 0] - 1.0)))
    labels = rng.random(5000) < truth
    model = LinearClassifier(loss).fit(features, labels)
    corrected = model.predict_proba(features)[:, 1]
    naive = 1 / (1 + np.exp(-model.decision_function(features)))
    assert np.abs(corrected - truth).mean() < 0.03
    assert np.abs(naive - truth).mean() > 0.05


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [False, True], [5, 7], [-1, 1], [-2.0, 3.0]],
    ids=["text", "bool", "int", "signed", "float"],
)
@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Hinge()], ids=repr)
def test_any_two_labels_are_classes(loss: PointwiseLoss, labels: list[Any]) -> None:
    features, target, _ = draw(80, 2)
    codes = target_of(loss, target)
    model = LinearClassifier(loss, l2=0.1).fit(features, np.array(labels)[codes])
    plain = LinearClassifier(loss, l2=0.1).fit(features, codes)
    assert model.classes_.tolist() == labels
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    np.testing.assert_array_equal(model.predict(features), np.array(labels)[plain.predict(features)])
    np.testing.assert_array_equal(model.predict(features) == labels[1], model.decision_function(features) > 0)


def test_hinge_has_no_probabilities() -> None:
    assert not hasattr(LinearClassifier(Hinge()), "predict_proba")
    assert hasattr(LinearClassifier(), "predict_proba")
    assert not hasattr(LinearRegressor(), "predict_heads")


def test_a_model_predicts_with_what_it_was_trained_with() -> None:
    features, target, _ = draw(80, 2)
    rates = LinearRegressor(Poisson()).fit(features, np.abs(target).round())
    before = rates.predict(features)
    rates.set_params(loss=GaussianNLL())
    np.testing.assert_array_equal(rates.predict(features), before)
    assert not hasattr(rates, "predict_heads")
    labels = target_of(Hinge(), target)
    margins = LinearClassifier(Hinge(), l2=0.1).fit(features, labels).set_params(loss=BinaryCrossEntropy())
    assert not hasattr(margins, "predict_proba")
    logits = LinearClassifier(BinaryCrossEntropy(), l2=0.1).fit(features, labels)
    probabilities = logits.predict_proba(features)
    np.testing.assert_array_equal(logits.set_params(loss=Hinge()).predict_proba(features), probabilities)


def test_a_gaussian_likelihood_finds_mean_and_spread() -> None:
    rng = np.random.default_rng(0)
    features = rng.uniform(-1.0, 1.0, size=(2000, 1))
    target = 1e4 * (2.0 + 3.0 * features[:, 0] + np.exp(0.5 * features[:, 0]) * rng.normal(size=2000))
    model = LinearRegressor(GaussianNLL()).fit(features, target)
    heads = model.predict_heads(features)
    assert heads.shape == (2000, 2)
    np.testing.assert_array_equal(model.predict(features), heads[:, 0])
    np.testing.assert_allclose(model.coef_, [[3e4], [1.0]], rtol=0.1)
    np.testing.assert_allclose(model.intercept_, [2e4, 2 * np.log(1e4)], rtol=0.02)


@pytest.mark.parametrize("unit", [1e-10, 1e10])
def test_units_of_the_target_do_not_matter_to_a_likelihood(unit: float) -> None:
    # The mean is measured in the target's units, the log-variance has none.
    features, target, _ = draw(200, 2)
    plain = LinearRegressor(GaussianNLL()).fit(features, target)
    scaled = LinearRegressor(GaussianNLL()).fit(features, target * unit)
    np.testing.assert_allclose(scaled.coef_, plain.coef_ * [[unit], [1.0]], rtol=1e-5)


# ---- hard data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [SquaredError(), Huber(), AbsoluteError(), BinaryCrossEntropy()], ids=repr)
def test_units_and_offsets_of_features_do_not_matter(loss: PointwiseLoss) -> None:
    features, target, _ = draw(150, 4)
    target = target_of(loss, target)
    scale, offset = np.array([1e-6, 1.0, 1e3, 1e8]), np.array([0.0, 100.0, -1e6, 1e9])
    plain = model_of(loss).fit(features, target)
    awkward = model_of(loss).fit(features * scale + offset, target)
    np.testing.assert_allclose(awkward.coef_ * scale, plain.coef_, rtol=1e-5)
    np.testing.assert_allclose(awkward.objective_, plain.objective_, rtol=1e-9)


@pytest.mark.parametrize("loss", [SquaredError(), AbsoluteError(), Poisson()], ids=repr)
def test_constant_and_repeated_features_leave_predictions_alone(loss: PointwiseLoss) -> None:
    features, target, _ = draw(100, 2)
    target = target_of(loss, target)
    wide = np.column_stack([features, np.full(100, 1e8 / 3), features[:, 0]])
    plain, model = LinearRegressor(loss).fit(features, target), LinearRegressor(loss).fit(wide, target)
    assert abs(model.coef_[2]) < 1e-15
    assert np.abs(model.coef_).max() < 10.0
    np.testing.assert_allclose(model.predict(wide), plain.predict(features), rtol=1e-6)


@pytest.mark.parametrize("loss", [SquaredError(), Huber(), AbsoluteError(), ELASTIC], ids=repr)
def test_an_exact_fit_is_found(loss: PointwiseLoss) -> None:
    features, _, _ = draw(100, 3)
    model = LinearRegressor(loss).fit(features, features @ [1.0, -2.0, 0.5] + 7.0)
    np.testing.assert_allclose([*model.coef_, model.intercept_], [1.0, -2.0, 0.5, 7.0], rtol=1e-9)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), BinaryFocal()], ids=repr)
def test_separable_classes_end_with_a_warning_and_a_separating_plane(loss: PointwiseLoss) -> None:
    features, _, _ = draw(100, 2)
    labels = features[:, 0] > 0.1
    model = LinearClassifier(loss)
    with pytest.warns(ConvergenceWarning, match=r"no finite minimum.*hyperplane\s+separates.*set l2 > 0"):
        model.fit(features, labels)
    assert np.isfinite(model.coef_).all()
    assert (model.predict(features) == labels).all()
    # With a penalty there is a minimum, and no warning: the test suite turns warnings into errors.
    assert LinearClassifier(loss, l2=1e-3).fit(features, labels).objective_ > 0


def test_one_group_without_events_ends_with_a_warning() -> None:
    # Only the coefficient of the group runs to -∞; the others are ordinary.
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=300), np.arange(300) % 3 == 0])
    counts = rng.poisson(np.exp(features[:, 0])) * (features[:, 1] == 0)
    with pytest.warns(ConvergenceWarning, match="no finite minimum"):
        model = LinearRegressor(Poisson()).fit(features, counts)
    rest = LinearRegressor(Poisson()).fit(features[features[:, 1] == 0][:, :1], counts[features[:, 1] == 0])
    np.testing.assert_allclose(model.coef_[0], rest.coef_[0], rtol=1e-6)


def test_counts_that_are_all_zero_predict_zero_with_a_warning() -> None:
    features, _, _ = draw(20, 2)
    with pytest.warns(ConvergenceWarning, match="no finite minimum"):
        model = LinearRegressor(Poisson()).fit(features, np.zeros(20))
    np.testing.assert_array_equal(model.predict(features), 0.0)
    assert model.objective_ == 0.0


def test_too_few_steps_end_with_a_warning() -> None:
    features, target, _ = draw(100, 3)
    for loss in (Huber(delta=0.01), AbsoluteError()):
        with pytest.warns(ConvergenceWarning, match="stopped after 2 steps.*increase max_iter"):
            model = LinearRegressor(loss, max_iter=2).fit(features, target)
        assert model.n_iter_ == 2


@pytest.mark.parametrize("loss", [Huber(), BinaryCrossEntropy(), AbsoluteError(), GaussianNLL()], ids=repr)
def test_lbfgs_agrees_with_newton(loss: PointwiseLoss, monkeypatch: pytest.MonkeyPatch) -> None:
    features, target, weight = draw(150, 3)
    target = target_of(loss, target)
    newton = model_of(loss, l2=0.01).fit(features, target, weight)
    monkeypatch.setattr(lossfn.sklearn.newton, "NEWTON_LIMIT", 0)
    lbfgs = model_of(loss, l2=0.01, tol=1e-7).fit(features, target, weight)
    assert lbfgs.n_iter_ != newton.n_iter_
    np.testing.assert_allclose(lbfgs.objective_, newton.objective_, rtol=1e-6)
    np.testing.assert_allclose(lbfgs.coef_, newton.coef_, rtol=1e-2, atol=1e-3)


def test_lbfgs_reports_separable_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lossfn.sklearn.newton, "NEWTON_LIMIT", 0)
    features, _, _ = draw(100, 2)
    with pytest.warns(ConvergenceWarning, match="no finite minimum"):
        LinearClassifier().fit(features, features[:, 0] > 0.1)


# ---- losses of one's own ------------------------------------------------------------------------------------------


class Undeclared(PointwiseLoss):
    """The absolute error, declaring neither its kink nor that it is convex."""

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the loss."""
        return xp.abs(pred - target)


class Kinked(Undeclared):
    """The absolute error, declaring its kink."""

    smoothness = 0


class KinkedAndConvex(Kinked):
    """The absolute error with everything declared."""

    convex = True


def test_declarations_of_a_loss_of_ones_own_decide_how_it_is_solved() -> None:
    features, target, _ = draw(150, 3)
    best = LinearRegressor(AbsoluteError()).fit(features, target).objective_
    assert LinearRegressor(KinkedAndConvex()).fit(features, target).objective_ == pytest.approx(best, rel=1e-9)
    with pytest.warns(ConvergenceWarning, match="declare `convex = True`"):
        uncertified = LinearRegressor(Kinked()).fit(features, target)
    assert best * (1 - 1e-9) <= uncertified.objective_ <= best * 1.01
    with pytest.warns(ConvergenceWarning, match="must declare `smoothness = 0`"):
        LinearRegressor(Undeclared()).fit(features, target)


# ---- refusals -----------------------------------------------------------------------------------------------------


def test_the_wrong_kind_of_loss_is_refused_with_the_cure() -> None:
    features, target, _ = draw(20, 2)
    labels = target > 3
    with raises(ValueError, "LinearRegressor cannot train Hinge(margin=1.0)", "binary", "use LinearClassifier"):
        LinearRegressor(Hinge()).fit(features, target)
    with raises(ValueError, "LinearClassifier cannot train Huber(delta=1.0)", "regression", "use LinearRegressor"):
        LinearClassifier(Huber()).fit(features, labels)
    with raises(TypeError, "loss must be a pointwise loss", "'huber'", "lossfn.parse_loss"):
        LinearRegressor("huber").fit(features, target)  # type: ignore[arg-type]
    with raises(TypeError, "loss must be a pointwise loss", "None"):
        LinearRegressor(None).fit(features, target)  # type: ignore[arg-type]
    with raises(ValueError, "scores of a linear model can be any number", "a probability", "inputs='logits'"):
        LinearClassifier(BinaryCrossEntropy(inputs="probabilities")).fit(features, labels)


def test_targets_outside_the_domain_are_refused() -> None:
    features, target, _ = draw(20, 2)
    target = np.abs(target)
    target[4] = -1.5
    with raises(ValueError, "Poisson", "target[4] = -1.5", "a finite number >= 0"):
        LinearRegressor(Poisson()).fit(features, target)


def test_a_binary_loss_takes_two_classes_only() -> None:
    features, _, _ = draw(30, 2)
    with raises(ValueError, "Only binary classification is supported. The type of the target is multiclass."):
        LinearClassifier(BinaryCrossEntropy()).fit(features, np.arange(30) % 3)
    with raises(ValueError, "only one class", "[0]"):
        LinearClassifier().fit(features, np.arange(30) % 2, sample_weight=np.arange(30) % 2 == 0)


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("l2", -1.0, "a finite number >= 0"),
        ("l2", np.nan, "a finite number >= 0"),
        ("tol", "small", "a finite number >= 0"),
        ("max_iter", 0, "an integer >= 1"),
        ("max_iter", 2.5, "an integer >= 1"),
    ],
)
def test_invalid_settings_are_refused(parameter: str, value: Any, expected: str) -> None:
    features, target, _ = draw(20, 2)
    with raises(ValueError, f"LinearRegressor: {parameter} must be {expected}", repr(value)):
        LinearRegressor(**{parameter: value}).fit(features, target)


def test_negative_weights_are_refused() -> None:
    features, target, weight = draw(20, 2)
    with raises(ValueError, "Negative values in data passed to `sample_weight`"):
        LinearRegressor().fit(features, target, -weight)


def test_losses_stay_free_of_scikit_learn() -> None:
    assert [field.name for field in dataclasses.fields(Huber())] == ["delta"]
    assert not hasattr(Huber(), "get_params")
