"""CatBoost: parity with its own objectives, several outputs, saving, and its protocols."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import raises

import lossfn
from lossfn.boosting import BoostedClassifier, BoostedRegressor, CatBoostMetric, CatBoostObjective

catboost = pytest.importorskip("catboost")

# One thread, no files, and no random choice of rows, which CatBoost makes differently for some of its own objectives.
QUIET = {
    "verbose": False,
    "allow_writing_files": False,
    "thread_count": 1,
    "random_seed": 1,
    "bootstrap_type": "No",
}


def problem(rows: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, a skewed positive target and whole weights."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 12, (rows, 4)).astype(float)
    return X, np.exp(0.1 * X[:, 0] + 0.5 * rng.normal(size=rows)), rng.integers(1, 3, rows).astype(float)


def in_catboost(loss: Any, y: np.ndarray, rounds: int = 15, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return raw scores of CatBoost's own objective and of ours with its curvature, from the same start."""
    X, _, weight = problem(len(y))
    objective = CatBoostObjective(loss, "engine")
    start = np.float32(objective.start(y, weight))
    several = len(start) > 1
    baseline = np.tile(start, (len(y), 1)) if several else np.full(len(y), start[0])
    pool = catboost.Pool(X, y, weight=weight, baseline=baseline)
    equivalent = next(each for each in loss.equivalents if each.library == "CatBoost" and each.holds_for(loss))
    settings = {
        "iterations": rounds,
        "depth": 3,
        "learning_rate": 0.2,
        "leaf_estimation_iterations": 1,
        **settings,
        **QUIET,
    }
    own = {} if several else {"boost_from_average": False}
    theirs = catboost.CatBoost({**settings, **own, **equivalent.settings_for(loss)}).fit(pool)
    metric = CatBoostMetric(loss)
    if several:
        objective.offset = metric.offset = start.astype(float)
        pool = catboost.Pool(X, np.tile(y[:, None], len(start)), weight=weight)
    ours = catboost.CatBoost({**settings, "loss_function": objective, "eval_metric": metric}).fit(pool)
    # Neither model has its start in it.
    return tuple(model.predict(X, prediction_type="RawFormulaVal") for model in (theirs, ours))  # type: ignore[return-value]


# Losses with the factor of CatBoost's own.
PARITY = [
    (lossfn.HalfSquaredError(), "amounts"),
    (lossfn.Huber(delta=0.4), "amounts"),
    (lossfn.LogCosh(), "amounts"),
    (lossfn.Expectile(tau=0.7), "amounts"),
    (lossfn.Poisson(), "amounts"),
    (lossfn.Tweedie(power=1.5), "amounts"),
    (lossfn.BinaryCrossEntropy(), "labels"),
    (lossfn.CrossEntropy(), "classes"),
]


def target_of(kind: str) -> np.ndarray:
    # Objectives of several outputs are asked row by row.
    y = problem(60 if kind == "classes" else 300)[1]
    return {"amounts": y, "labels": (y > 2).astype(float), "classes": np.digitize(y, [1.2, 2.5]).astype(float)}[kind]


@pytest.mark.parametrize("method", ["Newton", "Gradient"])
@pytest.mark.parametrize(("loss", "kind"), PARITY, ids=lambda value: str(value))
def test_parity_with_catboosts_own_objectives(loss: Any, kind: str, method: str) -> None:
    rounds = 3 if kind == "classes" else 15
    theirs, ours = in_catboost(loss, target_of(kind), rounds, leaf_estimation_method=method)
    assert np.abs(ours - theirs).max() < 1e-5 * np.ptp(theirs)


@pytest.mark.parametrize("loss", [lossfn.Poisson(), lossfn.Huber(delta=0.4)], ids=str)
def test_parity_with_several_steps_a_leaf(loss: Any) -> None:
    """CatBoost's own objectives take up to ten steps in each leaf; ours take as many as they are told."""
    settings = {"leaf_estimation_iterations": 4, "leaf_estimation_backtracking": "No"}
    theirs, ours = in_catboost(loss, target_of("amounts"), **settings)
    assert np.abs(ours - theirs).max() < 1e-5 * np.ptp(theirs)


def test_quantiles_agree_by_gradients_and_differ_by_exact_leaves() -> None:
    y = target_of("amounts")
    theirs, ours = in_catboost(lossfn.Pinball(tau=0.7), y, leaf_estimation_method="Gradient")
    assert np.abs(ours - theirs).max() < 1e-5 * np.ptp(theirs)
    # By default CatBoost gives its own leaves their exact quantile, which it does for no other objective.
    with raises(catboost.CatBoostError, "Exact method"):
        in_catboost(lossfn.Pinball(tau=0.7), y, leaf_estimation_method="Exact")


def test_the_metric_is_the_weighted_mean_and_less_is_better() -> None:
    X, y, weight = problem()
    loss = lossfn.Huber(delta=0.4)
    settings = {"iterations": 30, "learning_rate": 1.0, "early_stopping_rounds": 2, "use_best_model": True, **QUIET}
    model = catboost.CatBoost(
        {**settings, "loss_function": CatBoostObjective(loss), "eval_metric": CatBoostMetric(loss)}
    )
    held = catboost.Pool(X[200:], y[200:], weight=weight[200:])
    model.fit(catboost.Pool(X[:200], y[:200], weight=weight[:200]), eval_set=held)
    reported = model.evals_result_["validation"]["CatBoostMetric"]
    assert model.tree_count_ == int(np.argmin(reported)) + 1 < 30
    # Labels and weights are kept in single precision.
    assert min(reported) == pytest.approx(loss(model.predict(X[200:]), y[200:], weight=weight[200:]), rel=1e-6)


def test_the_start_is_the_bias_of_the_model() -> None:
    X, y, weight = problem()
    model = BoostedRegressor(lossfn.Pinball(tau=0.9), engine="catboost", n_estimators=1, learning_rate=1e-6, **QUIET)
    model.fit(X, y, sample_weight=weight)
    assert model.model_.get_scale_and_bias() == (1.0, float(model.start_[0]))
    np.testing.assert_allclose(model.predict(X), model.start_[0], rtol=1e-5)


def test_saved_models_predict_by_themselves(tmp_path: Path) -> None:
    X, y, _ = problem()
    model = BoostedRegressor(lossfn.Poisson(), engine="catboost", n_estimators=5, **QUIET).fit(X, y)
    model.model_.save_model(str(tmp_path / "model.cbm"))
    loaded = catboost.CatBoost().load_model(str(tmp_path / "model.cbm"))
    np.testing.assert_array_equal(np.exp(loaded.predict(X)), model.predict(X))


@pytest.mark.parametrize("loss", [lossfn.GaussianNLL(), lossfn.CrossEntropy(), lossfn.Huber(delta=2.0)], ids=str)
def test_objectives_and_metrics_are_pickled(loss: Any) -> None:
    for made in (CatBoostObjective(loss, "exact"), CatBoostMetric(loss)):
        copied = pickle.loads(pickle.dumps(made))
        assert type(copied) is type(made)
        assert (copied.loss, repr(copied)) == (loss, repr(made))


def test_two_heads_learn_mean_and_spread() -> None:
    rng = np.random.default_rng(1)
    X = rng.integers(0, 2, (200, 1)).astype(float)
    y = np.where(X[:, 0] == 1, 5.0 + 2.0 * rng.normal(size=200), 0.5 * rng.normal(size=200))
    model = BoostedRegressor(
        lossfn.GaussianNLL(), engine="catboost", n_estimators=40, learning_rate=0.5, l2_leaf_reg=0, **QUIET
    ).fit(X, y)
    mean, log_variance = model.predict_heads([[0.0], [1.0]]).T
    groups = [y[X[:, 0] == value] for value in (0, 1)]
    np.testing.assert_allclose(mean, [group.mean() for group in groups], atol=0.05)
    np.testing.assert_allclose(log_variance, [2 * np.log(group.std()) for group in groups], atol=0.05)


def test_errors_reach_the_caller() -> None:
    X, y, _ = problem()
    model = catboost.CatBoost(
        {"loss_function": CatBoostObjective(lossfn.Poisson()), "eval_metric": CatBoostMetric(lossfn.Poisson()), **QUIET}
    )
    with raises(catboost.CatBoostError, "Poisson: target[0] = -", "number >= 0"):
        model.fit(X, -y)


def test_labels_in_words() -> None:
    X, y, _ = problem(100)
    words = np.where(y > 2, "dear", "cheap")
    model = BoostedClassifier(lossfn.BinaryFocal(gamma=2.0), engine="catboost", n_estimators=10, **QUIET).fit(X, words)
    assert set(model.predict(X)) == {"dear", "cheap"}
    assert model.predict_proba(X).shape == (100, 2)


@pytest.mark.parametrize("loss", [lossfn.Huber(), lossfn.AbsoluteError(), lossfn.GaussianNLL()], ids=str)
def test_where_nothing_can_be_learnt_the_start_is_predicted(loss: Any) -> None:
    X, y, weight = problem()
    # With CatBoost's own sampling of rows, which fails where no row pulls.
    model = BoostedRegressor(loss, engine="catboost", n_estimators=3, thread_count=1)
    same = np.full(len(y), 7.0)
    np.testing.assert_array_equal(model.fit(X, same).predict(X), same)
    constant = np.column_stack([np.full(len(y), 2.0), np.full(len(y), np.nan)])
    model.fit(constant, y, sample_weight=weight)
    best = np.atleast_1d(loss.optimal_constant(y, weight=weight))[0]
    np.testing.assert_allclose(model.predict(constant), best, rtol=1e-12)
    # Missing or not is something to split.
    gaps = np.where(X[:, :1] > 5, np.nan, 2.0)
    assert len(set(model.fit(gaps, y).predict(gaps))) == 2


def test_training_on_after_every_row_is_fitted_names_the_cure() -> None:
    X = problem()[0]
    model = BoostedClassifier(lossfn.Hinge(), engine="catboost", n_estimators=100, learning_rate=1.0, l2_leaf_reg=0)
    with raises(ValueError, "at its minimum in all rows", "fewer n_estimators", "bootstrap_type='No'"):
        model.fit(X, X[:, 0] > 5)
    assert model.set_params(bootstrap_type="No", n_estimators=20).fit(X, X[:, 0] > 5).score(X, X[:, 0] > 5) == 1.0


def test_a_weight_of_two_is_a_repeated_row_up_to_the_penalty() -> None:
    X, y, _ = problem(100)
    settings = {"engine": "catboost", "n_estimators": 5, "random_strength": 0.0, **QUIET}

    def predictions(penalty: float, times: int, weight: float) -> np.ndarray:
        model = BoostedRegressor(lossfn.Poisson(), l2_leaf_reg=penalty, **settings)
        rows = X.repeat(times, axis=0), y.repeat(times)
        return model.fit(*rows, sample_weight=np.full(len(rows[0]), weight)).predict(X)

    weighted = predictions(3.0, 1, 2.0)
    np.testing.assert_allclose(weighted, predictions(6.0, 2, 1.0), rtol=1e-9)
    assert np.abs(weighted - predictions(3.0, 2, 1.0)).max() > 1e-3
    np.testing.assert_allclose(predictions(0.0, 1, 2.0), predictions(0.0, 2, 1.0), rtol=1e-9)
