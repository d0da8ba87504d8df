"""LightGBM: parity with its own objectives, weights, starts, refitted leaves, metrics and saving."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

import lossfn
from lossfn import (
    AbsoluteError,
    AbsolutePercentageError,
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    EpsilonInsensitive,
    Fair,
    Gamma,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    MultiQuantile,
    Pinball,
    Poisson,
    SmoothL1,
    SquaredError,
    Tweedie,
)
from lossfn.boosting import BoostedClassifier, BoostedRegressor, LightGBMMetric, LightGBMObjective
from lossfn.boosting.curvature import default_curvature
from lossfn.boosting.lightgbm import LightGBMEngine, add_to_scores

# Compiling kernels would take longer than what is tested here.
pytestmark = pytest.mark.usefixtures("array_code")

VERSION = tuple(map(int, lightgbm.__version__.split(".")[:2]))
ROWS = 400
SETTINGS = {
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "num_leaves": 8,
    "learning_rate": 0.3,
    "min_data_in_leaf": 5,
    "boost_from_average": False,
}


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Few values a feature: bins are the values, whatever the weights."""
    return np.random.default_rng(0).integers(0, 12, (ROWS, 4)).astype(float)


def targets_of(loss: Any, features: np.ndarray) -> np.ndarray:
    """Draw targets that depend on the features, exactly representable in LightGBM's single precision."""
    rng = np.random.default_rng(1)
    signal = features[:, 0] / 4 - np.abs(features[:, 1] - 6) / 3
    if loss.task == "multiclass":
        return np.digitize(signal + rng.normal(0, 0.5, ROWS), [-0.5, 1.0])
    if loss.task == "binary":
        return (signal + rng.normal(0, 0.5, ROWS) > 0.3).astype(float)
    if loss.link == "log":
        return np.float32(rng.gamma(2.0, np.exp(signal / 2))).astype(float)
    return np.round(4 * (signal + rng.standard_t(3, ROWS))) / 4


def scores_of(objective: Any, features: np.ndarray, target: np.ndarray, start: np.ndarray, **settings: Any) -> Any:
    data = lightgbm.Dataset(
        features, label=target, weight=settings.pop("weight", None), init_score=np.tile(start, (ROWS, 1)).ravel("F")
    )
    several = {"num_class": len(start)} if len(start) > 1 else {}
    model = lightgbm.train({**SETTINGS, **several, **settings, "objective": objective}, data, 12)
    return model.predict(features, raw_score=True, num_threads=1)


# ---- parity with the engine's own objectives ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "weighted"),
    [
        (SquaredError(), True),
        (HalfSquaredError(), False),
        (Huber(delta=0.8), True),
        (SmoothL1(beta=0.8), False),
        (Fair(scale=1.5), True),
        (Poisson(), True),
        (Gamma(), False),
        (Tweedie(power=1.3), True),
        (BinaryCrossEntropy(), False),
        (BinaryCrossEntropy(pos_weight=3.0), True),
        (CrossEntropy(), True),
    ],
    ids=repr,
)
def test_it_trains_the_trees_of_the_engines_own_objective(loss: Any, weighted: bool, features: np.ndarray) -> None:
    target = targets_of(loss, features)
    weight = np.random.default_rng(2).integers(1, 4, ROWS).astype(float) if weighted else None
    own = next(each for each in loss.equivalents if each.library == "LightGBM" and each.holds_for(loss))
    objective = LightGBMObjective(loss, curvature="engine")
    start = objective.start(target, weight)
    # A penalty of some rows: it must be compared with the same curvatures.
    ours = scores_of(objective, features, target, start, weight=weight, lambda_l2=2.0)
    settings = {**own.settings_for(loss), "weight": weight, "lambda_l2": 2.0}
    theirs = scores_of(features=features, target=target, start=start, **settings)
    assert np.ptp(theirs) > 0.5
    assert np.abs(ours - theirs).max() <= 1e-5 * np.ptp(theirs)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", [AbsoluteError(), Pinball(tau=0.8)], ids=repr)
def test_refitted_trees_are_those_of_the_engine_where_quantiles_are_unique(loss: Any, weighted: bool) -> None:
    # Whole numbers and a start and steps of a half: residuals repeat, so that quantiles are, and never vanish, so that
    # both sides agree on gradients.
    rng = np.random.default_rng(0)
    rows = 3000
    features = rng.integers(0, 3, (rows, 3)).astype(float)
    target = np.round(features @ [2.0, 1.0, 4.0] + rng.normal(0, 0.6, rows))
    weight = rng.integers(1, 3, rows).astype(float) if weighted else np.ones(rows)
    start = np.array([6.5])
    settings = {**SETTINGS, "learning_rate": 0.5, "num_leaves": 4}
    (there,) = (each for each in loss.equivalents if each.library == "LightGBM")
    data = lightgbm.Dataset(
        features, label=target, weight=weight if weighted else None, init_score=np.full(rows, start[0])
    )
    model = lightgbm.train({**settings, **there.settings_for(loss)}, data, 3)
    theirs = start[0] + model.predict(features, raw_score=True)
    engine = LightGBMEngine()
    objective = LightGBMObjective(loss, curvature="engine")
    ours = engine.train(objective, features, target, weight, start, 3, settings, sets_leaves=True)
    scores = engine.scores(ours, features)[:, 0]
    assert np.ptp(theirs) > 5
    assert np.abs(scores - theirs).max() <= 1e-5 * np.ptp(theirs)


@pytest.mark.skipif(VERSION < (4, 3), reason="it interpolates between two residuals of a leaf")
def test_medians_are_those_of_the_engine_on_any_data_without_weights() -> None:
    features, target = load_diabetes(return_X_y=True)
    loss, start, engine, weights = AbsoluteError(), np.array([140.0]), LightGBMEngine(), np.ones(len(target))
    found = []
    for weight in (weights, weights * np.random.default_rng(0).uniform(0.5, 1.5, len(target))):
        data = lightgbm.Dataset(features, label=target, weight=weight, init_score=np.full(len(target), start[0]))
        theirs = start + lightgbm.train({**SETTINGS, "objective": "regression_l1"}, data, 20).predict(features)
        objective = LightGBMObjective(loss, curvature="engine")
        model = engine.train(objective, features, target, weight, start, 20, SETTINGS, sets_leaves=True)
        ours = engine.scores(model, features)[:, 0]
        losses = [float(loss(scores, target, weight=weight)) for scores in (ours, theirs)]
        found.append((np.abs(ours - theirs).max() / np.ptp(theirs), losses))
    assert found[0][0] <= 1e-5
    # Between weighted residuals it interpolates.
    assert found[1][0] == pytest.approx(0.29, abs=0.005)
    assert found[1][1] == pytest.approx([29.8, 32.0], abs=0.05)


@pytest.mark.parametrize("loss", [Pinball(tau=0.1), Pinball(tau=0.9)], ids=repr)
def test_exact_leaves_predict_better_than_steps_and_no_worse_than_the_engines_own(loss: Any) -> None:
    features, target = load_diabetes(return_X_y=True)
    train = np.arange(len(target)) % 3 > 0
    settings = {"verbosity": -1, "num_threads": 1, "learning_rate": 0.3, "num_leaves": 8}
    (there,) = (each for each in loss.equivalents if each.library == "LightGBM")
    own = lightgbm.train(
        {**settings, **there.settings_for(loss)}, lightgbm.Dataset(features[train], label=target[train]), 20
    )
    refitted = BoostedRegressor(loss, n_estimators=20, **settings).fit(features[train], target[train])
    steps = BoostedRegressor(loss, n_estimators=20, refit_leaves=False, **settings).fit(features[train], target[train])

    def held_out(model: Any) -> float:
        return float(loss(model.predict(features[~train]), target[~train]))

    assert held_out(refitted) < held_out(steps)
    # LightGBM's own quantiles of a leaf differ between its versions.
    assert held_out(refitted) <= 1.1 * held_out(own)


# ---- weights, starts, layouts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [Huber(delta=0.8), Pinball(tau=0.7), GaussianNLL(), CrossEntropy()], ids=repr)
def test_weight_is_repetition(loss: Any, features: np.ndarray) -> None:
    target = targets_of(loss, features)
    times = np.random.default_rng(3).integers(1, 4, ROWS)
    # Limits that count rows would count repeated ones.
    settings = {**SETTINGS, "min_data_in_leaf": 1, "min_data_in_bin": 1, "min_sum_hessian_in_leaf": 5.0}
    engine = LightGBMEngine()

    def scores(repeats: np.ndarray, weight: np.ndarray) -> np.ndarray:
        rows, labels = features.repeat(repeats, axis=0), target.repeat(repeats)
        objective = LightGBMObjective(loss)
        start = objective.start(labels, weight)
        objective.count_rows(start, labels, weight)
        refit = loss.hessian_is_partial
        return engine.scores(engine.train(objective, rows, labels, weight, start, 5, settings, refit), features)

    once = scores(np.ones(ROWS, int), times.astype(float))
    np.testing.assert_allclose(once, scores(times, np.ones(times.sum())), atol=1e-5 * np.ptp(once))


def test_native_weights_count_once(features: np.ndarray) -> None:
    target = targets_of(Huber(), features)
    weight = np.random.default_rng(2).integers(0, 3, ROWS).astype(float)
    data = lightgbm.Dataset(features, label=target, weight=weight).construct()
    gradient, curvature = LightGBMObjective(Huber(delta=100.0))(np.zeros(ROWS), data)
    np.testing.assert_allclose(gradient, -weight * target)
    np.testing.assert_allclose(curvature, weight)


@pytest.mark.skipif(VERSION < (4, 6), reason="its estimators need an old scikit-learn")
def test_both_interfaces_of_lightgbm_train_the_same_trees(features: np.ndarray) -> None:
    target = targets_of(Huber(), features)
    weight = np.random.default_rng(2).integers(1, 3, ROWS).astype(float)
    objective, metric = LightGBMObjective(Huber(delta=0.8)), LightGBMMetric(Huber(delta=0.8))
    native = scores_of(objective, features, target, np.zeros(1), weight=weight)
    own = {name: value for name, value in SETTINGS.items() if name != "boost_from_average"}
    estimator = lightgbm.LGBMRegressor(objective=objective, n_estimators=12, **own)
    with warnings.catch_warnings():
        # Named otherwise from version 4.7 on.
        warnings.filterwarnings("ignore", "The argument 'eval_set' is deprecated")
        estimator.fit(features, target, sample_weight=weight, eval_set=[(features, target)], eval_metric=metric)
    np.testing.assert_array_equal(estimator.predict(features), native)
    (recorded,) = (values["mean_huber"] for values in estimator.evals_result_.values())
    assert recorded[-1] == pytest.approx(float(Huber(delta=0.8)(native, target, weight=weight)))


def test_the_start_is_in_the_saved_model(features: np.ndarray, tmp_path: Path) -> None:
    for loss in (SquaredError(), CrossEntropy()):
        target = targets_of(loss, features) + (1000 if loss.task == "regression" else 0)
        objective = LightGBMObjective(loss)
        weight = np.ones(ROWS)
        start = objective.start(target, weight)
        engine = LightGBMEngine()
        model = engine.train(objective, features, target, weight, start, 4, SETTINGS)
        scores = engine.scores(model, features)
        # One round moves the scores by a part of the residuals only: without the start they would be near 0.
        assert np.abs(scores - start).max() < 10
        model.save_model(tmp_path / "model.txt")
        loaded = lightgbm.Booster(model_file=tmp_path / "model.txt")
        np.testing.assert_array_equal(engine.scores(loaded, features), scores)
        np.testing.assert_array_equal(engine.scores(pickle.loads(pickle.dumps(model)), features), scores)
        native = scores_of(objective, features, target, start, weight=weight) + start
        assert native.reshape(ROWS, -1).shape == scores.shape


def test_a_model_without_splits_predicts_the_start() -> None:
    features, target = np.zeros((30, 1)), np.r_[np.zeros(20), np.full(10, 9.0)]
    for loss in (SquaredError(), AbsoluteError()):
        model = BoostedRegressor(loss, n_estimators=3).fit(features, target)
        assert model.predict(features).tolist() == [float(loss.optimal_constant(target))] * 30
    model = BoostedRegressor(MultiQuantile(taus=(0.1, 0.9)), n_estimators=3).fit(features, target)
    assert model.predict_heads(features)[0].tolist() == [0.0, 9.0]


def test_native_starts_can_be_added_to_a_model(features: np.ndarray) -> None:
    target = targets_of(CrossEntropy(), features)
    data = lightgbm.Dataset(features, label=target, weight=np.ones(ROWS))
    model = lightgbm.train({**SETTINGS, "objective": LightGBMObjective(CrossEntropy()), "num_class": 3}, data, 2)
    before = model.predict(features, raw_score=True)
    add_to_scores(model, [1.0, 2.0, -3.0])
    np.testing.assert_allclose(model.predict(features, raw_score=True) - before, np.tile([1.0, 2.0, -3.0], (ROWS, 1)))
    with pytest.raises(ValueError, match=r"3 outputs.*2 numbers"):
        add_to_scores(model, [1.0, 2.0])


def test_kinks_are_majorized_where_leaves_are_not_set() -> None:
    engine = LightGBMEngine()
    for refit, curvature in ((None, "exact"), (True, "exact"), (False, "majorizing")):
        assert default_curvature(Pinball(), engine.sets_leaves(Pinball(), refit)) == curvature
    # LightGBM's own interface sets none.
    assert LightGBMObjective(Pinball()).curvature == "majorizing"
    assert not engine.sets_leaves(Huber(), None)


# ---- refitted leaves ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [Pinball(tau=0.8), AbsolutePercentageError(), EpsilonInsensitive(epsilon=0.5)], ids=repr
)
def test_leaves_are_the_shrunk_optimum_of_their_rows(loss: Any, features: np.ndarray) -> None:
    target = np.abs(targets_of(Huber(), features)) + 1
    weight = np.random.default_rng(2).integers(0, 3, ROWS).astype(float)
    objective, engine, start = LightGBMObjective(loss), LightGBMEngine(), np.array([2.0])
    settings = {**SETTINGS, "learning_rate": 0.25, "bagging_fraction": 0.6, "bagging_freq": 1}
    model = engine.train(objective, features, target, weight, start, 3, settings, sets_leaves=True)
    before = start[0] + np.zeros(ROWS)
    leaves = model.predict(features, pred_leaf=True)
    for tree in range(3):
        after = model.predict(features, raw_score=True, num_iteration=tree + 1)
        for leaf in np.unique(leaves[:, tree]):
            rows = leaves[:, tree] == leaf
            (step,) = {round(number, 9) for number in (after - before)[rows]}

            def total(shift: float, rows: np.ndarray = rows, before: np.ndarray = before) -> float:
                return float(loss(before[rows] + shift, target[rows], weight=weight[rows]))

            assert total(step / 0.25) <= min(map(total, np.linspace(-6, 6, 241))) + 1e-9
        before = after


def test_settings_whose_leaves_cannot_be_set_are_refused(features: np.ndarray) -> None:
    target = targets_of(Huber(), features)
    with pytest.raises(ValueError, match="refit_leaves=False or boosting='gbdt'"):
        BoostedRegressor(AbsoluteError(), boosting_type="dart").fit(features, target)
    with pytest.raises(ValueError, match="linear_tree is refused"):
        BoostedRegressor(Huber(), linear_tree=True).fit(features, target)
    for name, advice in (("eta", "learning_rate"), ("num_trees", "n_estimators"), ("early_stopping", "LightGBMMetric")):
        with pytest.raises(ValueError, match=rf"{name} is refused.*{advice}"):
            BoostedRegressor(Huber(), **{name: 3}).fit(features, target)
    with pytest.raises(ValueError, match="refit_leaves must be True, False or None; got 'yes'"):
        BoostedRegressor(Huber(), refit_leaves="yes").fit(features, target)
    # Without refitting, dropped trees are LightGBM's business.
    model = BoostedRegressor(AbsoluteError(), boosting_type="dart", refit_leaves=False, n_estimators=20, num_threads=1)
    assert AbsoluteError()(model.fit(features, target).predict(features), target) < 0.9 * AbsoluteError()(
        np.full(ROWS, AbsoluteError().optimal_constant(target)), target
    )


# ---- metrics --------------------------------------------------------------------------------------------------------


def test_the_metric_stops_training_where_its_loss_is_least() -> None:
    features, target = load_diabetes(return_X_y=True)
    train, valid = slice(0, 300), slice(300, None)
    loss = Huber(delta=30.0)
    objective, metric = LightGBMObjective(loss), LightGBMMetric(loss)
    start = objective.start(target[train])[0]
    data = lightgbm.Dataset(features[train], label=target[train], init_score=np.full(300, start))
    held_out = lightgbm.Dataset(features[valid], label=target[valid], init_score=np.full(142, start), reference=data)
    history: dict[str, Any] = {}
    model = lightgbm.train(
        {**SETTINGS, "learning_rate": 0.3, "objective": objective, "metric": "none"},
        data,
        100,
        valid_sets=[held_out],
        feval=metric,
        callbacks=[lightgbm.early_stopping(10, verbose=False), lightgbm.record_evaluation(history)],
    )
    values = history["valid_0"]["mean_huber"]
    assert len(values) == model.best_iteration + 10 < 100
    assert int(np.argmin(values)) + 1 == model.best_iteration
    add_to_scores(model, start)
    best = float(loss(model.predict(features[valid]), target[valid]))
    assert best == pytest.approx(min(values))


def test_the_metric_is_that_of_the_engine(features: np.ndarray) -> None:
    target = targets_of(SquaredError(), features)
    weight = np.random.default_rng(2).integers(1, 4, ROWS).astype(float)
    data = lightgbm.Dataset(features, label=target, weight=weight)
    history: dict[str, Any] = {}
    lightgbm.train(
        {**SETTINGS, "objective": "regression", "metric": "l2"},
        data,
        5,
        valid_sets=[data],
        feval=LightGBMMetric(SquaredError()),
        callbacks=[lightgbm.record_evaluation(history)],
    )
    np.testing.assert_allclose(history["training"]["mean_squared_error"], history["training"]["l2"], rtol=1e-6)


# ---- real data ------------------------------------------------------------------------------------------------------


def test_quantiles_do_not_cross_and_hold_their_share() -> None:
    features, target = load_diabetes(return_X_y=True)
    loss = MultiQuantile(taus=(0.1, 0.5, 0.9), crossing="impossible")
    settings = {"n_estimators": 12, "learning_rate": 0.3, "num_threads": 1, "num_leaves": 4}
    model = BoostedRegressor(loss, **settings).fit(features[:300], target[:300])
    quantiles = model.predict_heads(features[300:])
    assert lossfn.crossing_rate(quantiles) == 0
    score = MultiQuantile(taus=loss.taus)
    constant = np.tile(score.optimal_constant(target[:300]), (142, 1))
    assert score(quantiles, target[300:]) < 0.85 * score(constant, target[300:])
    assert 0.6 < np.mean((quantiles[:, 0] < target[300:]) & (target[300:] < quantiles[:, 2])) < 0.95


def test_means_and_variances_beat_a_constant() -> None:
    features, target = load_diabetes(return_X_y=True)
    loss = GaussianNLL()
    settings = {"n_estimators": 20, "num_threads": 1, "num_leaves": 4}
    model = BoostedRegressor(loss, **settings).fit(features[:300], target[:300])
    constant = np.tile(loss.optimal_constant(target[:300]), (142, 1))
    assert loss(model.predict_heads(features[300:]), target[300:]) < loss(constant, target[300:]) - 0.1


def test_focal_beats_a_constant() -> None:
    features, target = load_breast_cancer(return_X_y=True)
    loss = BinaryFocal(gamma=2.0)
    model = BoostedClassifier(loss, n_estimators=60, num_threads=1, num_leaves=8).fit(features[::2], target[::2])
    scores = model.decision_function(features[1::2])
    constant = np.full(len(scores), loss.optimal_constant(target[::2].astype(float)))
    assert loss(scores, target[1::2].astype(float)) < 0.3 * loss(constant, target[1::2].astype(float))
    assert model.score(features[1::2], target[1::2]) > 0.93
