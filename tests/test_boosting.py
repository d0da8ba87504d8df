"""Boosted trees: what holds for every engine."""

from __future__ import annotations

import doctest
import importlib.metadata
import pickle
import sys
import warnings

import numpy as np
import pytest
from conftest import ENTRIES, draw, label, raises, run_python
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.utils.estimator_checks import check_estimator

import lossfn
from lossfn.boosting import BoostedClassifier, BoostedRegressor, Objective
from lossfn.boosting.curvature import CURVATURES, gradient_and_curvature
from lossfn.boosting.engines import engine_of

# The parameters under which an engine splits as often as it can and penalises nothing, on one thread.
ENGINES = {
    "xgboost": {"nthread": 1, "reg_lambda": 0.0, "min_child_weight": 0.0, "max_depth": 3},
    # LightGBM estimates from curvatures how many rows a bin has, and lets nobody split off less than one: curvature of
    # a few rows keeps such leaves out.
    "lightgbm": {
        "num_threads": 1,
        "deterministic": True,
        "max_depth": 3,
        "min_data_in_leaf": 1,
        "min_data_in_bin": 1,
        "min_sum_hessian_in_leaf": 5.0,
    },
    "catboost": {"thread_count": 1, "l2_leaf_reg": 0.0, "random_strength": 0.0, "bootstrap_type": "No", "max_depth": 3},
}

THREADS = {"xgboost": {"nthread": 1}, "lightgbm": {"num_threads": 1}, "catboost": {"thread_count": 1}}

every_engine = pytest.mark.parametrize("engine", ENGINES)


def problem(rows: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Return features of few values, on which engines bin alike, and a target with an outlier."""
    rng = np.random.default_rng(3)
    features = rng.integers(0, 8, (rows, 3)).astype(float)
    target = features[:, 0] - 0.5 * features[:, 1] + rng.normal(size=rows)
    target[5] = 40.0
    return features, target


def regressor(loss: lossfn.PointwiseLoss, engine: str, **params: object) -> BoostedRegressor:
    return BoostedRegressor(loss, engine=engine, **{"n_estimators": 10, **ENGINES[engine], **params})


def classifier(loss: lossfn.Loss | None, engine: str, **params: object) -> BoostedClassifier:
    return BoostedClassifier(loss, engine=engine, **{"n_estimators": 10, **ENGINES[engine], **params})


@pytest.mark.parametrize("name", ["estimators", "objective", *ENGINES])
def test_examples_in_docstrings_run(name: str) -> None:
    if name == "lightgbm" and tuple(map(int, importlib.metadata.version(name).split(".")[:2])) < (4, 5):
        pytest.skip("LightGBM prints warnings before 4.5, whatever its verbosity, where the objective is one's own")
    results = doctest.testmod(importlib.import_module(f"lossfn.boosting.{name}"))
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("name", lossfn.boosting.__all__)
def test_every_public_class_has_an_example(name: str) -> None:
    assert ">>>" in (getattr(lossfn.boosting, name).__doc__ or "")


def test_importing_brings_no_engine() -> None:
    code = "import sys, lossfn.boosting; print(sorted(set(sys.modules) & set(sys.argv[1].split(','))))"
    assert run_python(code, "xgboost,lightgbm,catboost,sklearn").strip() == "[]"


def test_engines_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with raises(ImportError, "xgboost", "pip install 'lossfn[xgboost]'"):
        engine_of("BoostedRegressor", "xgboost")
    with raises(ValueError, "engine must be one of", "'forest'"):
        engine_of("BoostedRegressor", "forest")


@every_engine
@pytest.mark.parametrize("loss", [lossfn.SquaredError(), lossfn.Pinball(tau=0.8), lossfn.GaussianNLL()])
def test_weights_are_repetitions_and_zero_weights_deletions(engine: str, loss: lossfn.PointwiseLoss) -> None:
    features, target = problem()
    weight = np.random.default_rng(0).integers(0, 3, len(target))
    weighted = regressor(loss, engine).fit(features, target, sample_weight=weight)
    repeated = regressor(loss, engine).fit(features.repeat(weight, axis=0), target.repeat(weight))
    np.testing.assert_allclose(weighted.start_, repeated.start_, rtol=1e-12)
    np.testing.assert_allclose(weighted.predict(features), repeated.predict(features), rtol=1e-4, atol=1e-4)


@every_engine
def test_parameters_of_engine_and_loss_are_searched(engine: str) -> None:
    features, target = problem()
    model = regressor(lossfn.Huber(delta=1.0), engine)
    assert clone(model).get_params() == model.get_params()
    assert model.get_params()["max_depth"] == 3
    search = GridSearchCV(model, {"learning_rate": [0.01, 0.3], "loss__delta": [0.5, 2.0], "max_depth": [1, 2]}, cv=2)
    search.fit(features, target)
    best = search.best_estimator_
    assert best.engine_params["nthread" if engine == "xgboost" else "max_depth"] is not None
    assert {name: best.get_params()[name] for name in search.best_params_} == search.best_params_


@every_engine
def test_models_are_pickled(engine: str) -> None:
    features, target = problem()
    model = regressor(lossfn.Poisson(), engine).fit(features, np.abs(target))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(features), model.predict(features))


def test_a_model_predicts_with_what_it_was_trained_with() -> None:
    x, y = np.arange(40.0)[:, None], np.repeat([1.0, 5.0], 20)
    model = BoostedRegressor(lossfn.Poisson(), engine="xgboost", n_estimators=5).fit(x, y)
    before = model.predict(x)
    model.set_params(engine="lightgbm", loss=lossfn.SquaredError())
    np.testing.assert_array_equal(model.predict(x), before)


@every_engine
def test_classes_have_labels_and_probabilities(engine: str) -> None:
    features, target = problem()
    labels = np.array(["low", "middle", "high"])[np.digitize(target, [-0.5, 2.0])]
    model = classifier(None, engine).fit(features, labels)
    probabilities = model.predict_proba(features)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (model.classes_[probabilities.argmax(axis=1)] == model.predict(features)).all()
    assert model.score(features, labels) > 0.7


# ---- curvatures: without an engine --------------------------------------------------------------------------------


def trainable(loss: lossfn.Loss) -> bool:
    """Whether trees can train this loss."""
    try:
        Objective(loss)
    except ValueError:
        return False
    return True


BOOSTED = [entry.loss for entry in ENTRIES if trainable(entry.loss)]


def test_losses_that_trees_cannot_train_are_refused() -> None:
    refused = {type(entry.loss).__name__ for entry in ENTRIES if not trainable(entry.loss)}
    # Targets of several parts, predictions that are probabilities, no gradient.
    assert refused == {
        "Binomial", "LogScore", "Brier", "Spherical", "ZeroOne", "Distillation", "MixtureDensity", "SquaredLogError",
    }  # fmt: skip
    with raises(ValueError, "Brier()", "raw scores of trees can be any number", "logits by a sigmoid"):
        Objective(lossfn.Brier())
    with raises(ValueError, "ZeroOne", "no gradient"):
        Objective(lossfn.ZeroOne())
    with raises(TypeError, "'huber'", "parse_loss"):
        Objective("huber")


@pytest.mark.parametrize("loss", BOOSTED, ids=label)
def test_curvatures_are_positive_and_finite(loss) -> None:
    scores, target = draw(loss, 60)
    weight = np.arange(60.0) % 3
    gradient, curvature = Objective(loss).derivatives(scores, target, weight)
    expected = loss.gradient(scores, target, weight=weight, reduction="sum")
    np.testing.assert_array_equal(gradient, expected)
    assert curvature.shape == scores.shape
    assert np.isfinite(curvature).all()
    assert (curvature >= 0).all()
    assert (curvature[weight == 0] == 0).all()
    # A row that pulls has something to divide by.
    assert (curvature[gradient != 0] > 0).all()


@pytest.mark.parametrize("loss", BOOSTED, ids=label)
def test_starts_are_finite_and_best(loss) -> None:
    scores, target = draw(loss, 60)
    start = Objective(loss).start(target)
    assert start.shape == scores.shape[1:] or (scores.ndim == 1 and start.shape == (1,))
    assert np.isfinite(start).all()


@every_engine
@pytest.mark.parametrize("loss", [lossfn.OrdinalAbsolute(), lossfn.SigmoidMargin()], ids=label)
def test_flat_starts_are_left(engine: str, loss: lossfn.Loss) -> None:
    features, number = problem()
    target = number > np.median(number) if loss.task == "binary" else np.digitize(number, [0.0, 3.0])
    model = BoostedClassifier(loss, engine=engine, n_estimators=20, **THREADS[engine]).fit(features, target)
    assert not model.start_.any()
    assert model.score(features, target) > np.bincount(target).max() / len(target) + 0.2


def test_starts_do_not_look_at_rows_without_weight() -> None:
    objective = Objective(lossfn.SigmoidMargin())
    assert objective.start(np.array([1.0, 1.0, -1.0, np.nan]), np.array([2.0, 1.0, 1.0, 0.0])) == [0.0]
    assert objective.start(np.array([1.0, 1.0, -1.0]), np.array([2.0, 1.0, 0.0])) == objective.start(np.ones(3))


def test_best_constants_that_fit_all_rows_are_kept() -> None:
    assert Objective(lossfn.SigmoidMargin()).start(np.ones(5)) == Objective(lossfn.SigmoidMargin()).start(np.ones(9))
    assert Objective(lossfn.SigmoidMargin()).start(np.ones(5)) > 0
    assert Objective(lossfn.SquaredError()).start(np.full(5, 3.0)) == [3.0]


def test_infinite_starts_are_replaced() -> None:
    assert Objective(lossfn.Poisson()).start(np.zeros(5)) == [-10.0]
    assert Objective(lossfn.BinaryCrossEntropy()).start(np.ones(5)) == [10.0]


def test_fitted_curvature_is_that_of_squares_and_of_mean_roots_of_absolute_residuals() -> None:
    residual = np.array([-3.0, 1.0, 0.5, 7.0])
    weight = np.array([1.0, 2.0, 0.0, 1.5])

    def fitted(loss: lossfn.PointwiseLoss) -> np.ndarray:
        objective = Objective(loss, "fitted")
        return objective.derivatives(residual, np.zeros(4), weight)[1]

    np.testing.assert_allclose(fitted(lossfn.SquaredError()), 2.0 * weight, rtol=1e-14)
    root = np.average(np.sqrt(np.abs(residual)), weights=weight)
    np.testing.assert_allclose(fitted(lossfn.AbsoluteError()), weight / (2 * root**2), rtol=1e-14)
    # Half squares with another lower bound than zero: a Gaussian likelihood has none.
    np.testing.assert_allclose(fitted(lossfn.SquaredError() * 3.0), 6.0 * weight, rtol=1e-14)


@pytest.mark.parametrize("loss", [lossfn.AbsoluteError(), lossfn.Pinball(tau=0.9)], ids=label)
def test_kinks_are_majorized_up_to_ten_rows(loss: lossfn.PointwiseLoss) -> None:
    scores, target = np.array([-3.0, 1.0, 1e-9, 0.0, np.nan, 2000.0]), np.zeros(6)
    weight = np.array([1.0, 2.0, 1.0, 1.0, 0.0, 1.0])
    curvature = Objective(loss, "majorizing").derivatives(scores, target, weight)[1]
    row = Objective(loss, "fitted").derivatives(scores, target, weight)[1][0]
    jump = loss.gradient([1.0], [0.0], reduction="sum")[0] - loss.gradient([-1.0], [0.0], reduction="sum")[0]
    expected = np.clip(jump / (2 * np.array([3.0, 1.0, 1e-9, 1e-300, 1.0, 2000.0])), row / 10, 10 * row) * weight
    np.testing.assert_allclose(curvature, expected, rtol=1e-12)
    assert Objective(loss).curvature == "majorizing"


@every_engine
def test_percentages_of_targets_over_powers_of_ten_are_trained(engine: str) -> None:
    # One limit of curvature for slopes of 1 / |target| sent the loss to five times that of the best constant.
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1000, 5))
    target = np.exp(features[:, 0] + 0.5 * features[:, 1] + 2 * rng.normal(size=1000))
    loss = lossfn.AbsolutePercentageError()
    model = BoostedRegressor(loss, engine=engine, n_estimators=100, **THREADS[engine]).fit(features, target)
    constant = loss(np.full(1000, loss.optimal_constant(target)), target)
    assert loss(model.predict(features), target) < 0.95 * constant
    assert Objective(loss).curvature == "majorizing"


def test_limits_of_majorized_percentages_follow_their_slopes() -> None:
    target, weight = np.array([1.0, 10.0, 1e-3, 5.0, 1.0]), np.array([1.0, 2.0, 1.0, 0.0, 1.0])
    scores = target * np.array([1 + 1e-9, 1 - 1e-9, 1 + 1e-9, 1.0, 1e6])
    curvature = Objective(lossfn.AbsolutePercentageError()).derivatives(scores, target, weight)[1]
    row = Objective(lossfn.AbsolutePercentageError(), "fitted").derivatives(scores, target, weight)[1][0]
    steepness = 1 / target / np.average(1 / target, weights=weight)
    np.testing.assert_allclose(curvature[:4], (10 * row * weight * np.maximum(1, steepness))[:4], rtol=1e-9)
    np.testing.assert_allclose(curvature[4], row / 10, rtol=1e-9)


@pytest.mark.parametrize("curvature", ["majorizing", "fitted"])
def test_heads_of_a_residual_each_are_trained_as_losses_of_their_own(curvature: str) -> None:
    rng = np.random.default_rng(0)
    taus, scores, target = (0.1, 0.5, 0.9), rng.normal(size=(40, 3)), rng.normal(size=40)
    weight = rng.integers(0, 3, 40).astype(float)
    together = Objective(lossfn.MultiQuantile(taus=taus), curvature).derivatives(scores, target, weight)
    for head, tau in enumerate(taus):
        alone = Objective(lossfn.Pinball(tau=tau), curvature).derivatives(scores[:, head], target, weight)
        for ours, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(ours[:, head], expected, rtol=1e-12)
    assert Objective(lossfn.MultiQuantile(taus=taus)).curvature == "majorizing"
    # Increments move several quantiles at once.
    assert Objective(lossfn.MultiQuantile(crossing="impossible")).curvature == "exact"


@pytest.mark.parametrize("name", ["fitted", "majorizing"])
def test_workers_add_up_what_concerns_all_rows(name: str) -> None:
    loss = lossfn.AbsolutePercentageError()
    scores, target = draw(loss, 50)
    whole = gradient_and_curvature(loss, name, scores, target, None, lambda numbers: numbers)[1]
    parts = (slice(20), slice(20, None))
    asked: list[list[np.ndarray]] = [[], []]

    def remember(numbers: np.ndarray) -> np.ndarray:
        asked[part].append(numbers)
        return numbers

    for part in (0, 1):
        gradient_and_curvature(loss, name, scores[parts[part]], target[parts[part]], None, remember)
    sums = iter([first + second for first, second in zip(*asked, strict=True)])
    first = gradient_and_curvature(loss, name, scores[:20], target[:20], None, lambda _: next(sums))[1]
    np.testing.assert_allclose(first, whole[:20], rtol=1e-14)


def test_curvatures_that_a_loss_lacks_are_refused() -> None:
    with raises(ValueError, "curvature must be one of exact, majorizing, diagonal_bound, fitted, engine", "'newton'"):
        Objective(lossfn.Huber(), "newton")
    with raises(ValueError, "infinite at its kinks", "curvature='fitted'"):
        Objective(lossfn.Hinge(), "majorizing")
    with raises(ValueError, "no majorizing curvature", "curvature='exact'"):
        Objective(lossfn.Poisson(), "majorizing")
    with raises(ValueError, "no diagonal_bound curvature"):
        Objective(lossfn.MulticlassBrier(), "diagonal_bound")
    assert set(CURVATURES) == {"exact", "majorizing", "diagonal_bound", "fitted", "engine"}


# ---- training -----------------------------------------------------------------------------------------------------


HARD = [
    lossfn.AbsoluteError(),
    lossfn.EpsilonInsensitive(epsilon=0.5),
    lossfn.StudentT(df=3.0),
    lossfn.Huber(delta=0.01),
    lossfn.IntervalScore(level=0.8),
    lossfn.LaplaceNLL(),
    lossfn.CRPSNormal(),
]


@every_engine
@pytest.mark.parametrize("loss", HARD, ids=label)
def test_zero_and_negative_curvatures_neither_stall_nor_explode(engine: str, loss: lossfn.PointwiseLoss) -> None:
    features, target = problem()
    model = regressor(loss, engine).fit(features, target)
    start = np.broadcast_to(model.start_, (len(target), len(model.start_)))
    raw = model._scores(features)
    before, after = (float(loss(each if each.shape[1] > 1 else each[:, 0], target)) for each in (start, raw))
    assert after < before - 0.1 * abs(before)
    assert np.abs(raw).max() < 100


@every_engine
@pytest.mark.parametrize("loss", [lossfn.AbsoluteError(), lossfn.LaplaceNLL()], ids=label)
def test_units_of_the_target_change_nothing(engine: str, loss: lossfn.PointwiseLoss) -> None:
    features, target = problem()
    if engine == "catboost" and len(loss.heads) > 1:
        pytest.skip("CatBoost grows one tree for all heads; their units decide which one its splits are for")
    # With the engine's own limits and penalties.
    small, large = (
        BoostedRegressor(loss, engine=engine, n_estimators=10, **THREADS[engine]).fit(features, unit * target)
        for unit in (1.0, 2.0**20)
    )
    np.testing.assert_allclose(large.predict(features), 2.0**20 * small.predict(features), rtol=1e-3, atol=1e3)


@every_engine
def test_predictions_are_on_the_natural_scale_and_start_at_the_best_constant(engine: str) -> None:
    features, target = problem()
    counts = np.floor(np.abs(target))
    weight = np.linspace(0.5, 2.0, len(target))
    model = regressor(lossfn.Poisson(), engine, learning_rate=1e-6).fit(features, counts, sample_weight=weight)
    np.testing.assert_allclose(model.predict(features), np.average(counts, weights=weight), rtol=1e-4)


def test_targets_that_single_precision_cannot_tell_apart_are_named() -> None:
    features, target = problem()
    model = regressor(lossfn.SquaredError(), "lightgbm", n_estimators=1)
    with raises(ValueError, "engines keep targets in float32; y reaches 1e+39: use a larger unit"):
        model.fit(features, 1e39 * target / np.abs(target).max())
    with pytest.warns(UserWarning, match="engines keep targets in float32, which moves these by up to .*: subtract"):
        model.fit(features, target + 1e9)


@every_engine
@pytest.mark.parametrize("loss", [lossfn.Huber(), lossfn.GaussianNLL()], ids=label)
def test_constant_targets_are_predicted(engine: str, loss: lossfn.PointwiseLoss) -> None:
    features, target = problem()
    model = regressor(loss, engine, n_estimators=2).fit(features, np.full_like(target, 3.0))
    np.testing.assert_array_equal(model.predict(features), 3.0)


@every_engine
def test_quantiles_do_not_cross(engine: str) -> None:
    features, target = problem()
    loss = lossfn.MultiQuantile(taus=(0.2, 0.5, 0.8), crossing="impossible")
    model = regressor(loss, engine, learning_rate=0.5).fit(features, target)
    quantiles = model.predict_heads(features)
    assert lossfn.crossing_rate(quantiles) == 0.0
    start = np.broadcast_to(model.start_, (len(target), 3))
    assert loss(model._scores(features), target) < 0.8 * loss(start, target)
    np.testing.assert_array_equal(model.predict(features), quantiles[:, 0])


@every_engine
def test_mean_and_variance_beat_a_constant_on_real_data(engine: str) -> None:
    features, target = load_diabetes(return_X_y=True)
    train, test, y_train, y_test = train_test_split(features, target, random_state=0)
    loss = lossfn.GaussianNLL()
    model = BoostedRegressor(loss, engine=engine, n_estimators=40, max_depth=2, learning_rate=0.05, **THREADS[engine])
    model.fit(train, y_train)
    constant = np.broadcast_to(loss.optimal_constant(y_train), (len(y_test), 2))
    assert loss(model._scores(test), y_test) < loss(constant, y_test) - 0.05


@every_engine
def test_focal_loss_beats_a_constant_on_real_data(engine: str) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    train, test, y_train, y_test = train_test_split(features, labels, random_state=0)
    model = BoostedClassifier(
        lossfn.BinaryFocal(gamma=2.0), engine=engine, n_estimators=30, max_depth=2, **THREADS[engine]
    )
    model.fit(train, y_train)
    assert model.score(test, y_test) > 0.93
    # Focal scores, taken for log-odds, are far too close to 0.
    assert lossfn.LogScore()(model.predict_proba(test)[:, 1], y_test) < 0.25


@every_engine
@pytest.mark.parametrize("loss", [lossfn.Hinge(), lossfn.LogitAdjusted(), lossfn.WestonWatkins()], ids=label)
def test_margins_and_rows_train_classifiers(engine: str, loss: lossfn.Loss) -> None:
    features, target = problem()
    labels = np.where(target > np.median(target), "high", "low")
    assert classifier(loss, engine).fit(features, labels).score(features, labels) > 0.8


# What an engine cannot pass, and why.
EXPECTED_FAILURES = {
    "check_no_attributes_set_in_init": "parameters of the engine are kept in one attribute",
    "check_sample_weight_equivalence_on_dense_data": "engines add up in single precision, in another order",
}


@every_engine
@pytest.mark.parametrize(
    ("estimator", "loss"),
    # Rows of scores would have kernels of their own compiled; they train above.
    [(BoostedRegressor, lossfn.SquaredError()), (BoostedClassifier, lossfn.BinaryCrossEntropy())],
)
def test_scikit_learn_checks_pass(engine: str, estimator: type, loss: lossfn.Loss) -> None:
    model = estimator(loss, engine=engine, n_estimators=3, learning_rate=0.5, **ENGINES[engine])
    with warnings.catch_warnings():
        # About checks that are skipped.
        warnings.simplefilter("ignore")
        results = check_estimator(model, on_fail=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert set(failed) <= set(EXPECTED_FAILURES), failed


def test_wrong_parameters_are_named() -> None:
    features, target = problem()
    for params, fragments in (
        ({"n_estimators": 0}, ["n_estimators must be an integer >= 1", "0"]),
        ({"learning_rate": -0.1}, ["learning_rate must be a finite number > 0", "-0.1"]),
        ({"objective": "reg:squarederror"}, ["objective= is refused", "loss="]),
        ({"scale_pos_weight": 5}, ["scale_pos_weight= is refused", "sample_weight", "pos_weight"]),
        ({"auto_class_weights": "Balanced"}, ["auto_class_weights= is refused", "class_weight=(1.0, 3.0)"]),
        ({"refit_leaves": True}, ["XGBoost lets no leaves be set", "engine='lightgbm'"]),
        ({"engine": "catboost", "refit_leaves": True}, ["CatBoost lets no leaves be set", "engine='lightgbm'"]),
        ({"engine": "forest"}, ["engine must be one of lightgbm, xgboost, catboost", "'forest'"]),
    ):
        with raises(ValueError, *fragments):
            BoostedRegressor(**{"engine": "xgboost", **params}).fit(features, target)
    with raises(ValueError, "BoostedRegressor cannot train Hinge", "use BoostedClassifier"):
        BoostedRegressor(lossfn.Hinge()).fit(features, target)
    with raises(ValueError, "Invalid parameter 'gamma' for loss Huber"):
        BoostedRegressor(lossfn.Huber()).set_params(loss__gamma=1.0)
