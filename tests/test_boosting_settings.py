"""Boosted trees: settings of the engines that estimators hand on, and those that they refuse."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from conftest import raises

import lossfn
from lossfn.boosting import BoostedRegressor
from lossfn.boosting.estimators import OF_THE_LOSS
from lossfn.boosting.lightgbm import LightGBMEngine


def problem(rows: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Return features and a target that rises with the first, though not everywhere."""
    rng = np.random.default_rng(3)
    features = rng.uniform(0, 10, (rows, 2))
    return features, features[:, 0] + 3 * np.sin(2 * features[:, 0]) + rng.normal(size=rows)


@pytest.mark.parametrize("name", ["monotone_constraints", "monotone_constraint", "monotonic_cst", "mc"])
def test_leaves_that_are_set_refuse_monotone_constraints(name: str) -> None:
    features, target = problem()
    for constraints in ([1, 0], np.array([0, -1]), "1,0"):
        with raises(ValueError, "monotone_constraints", "refit_leaves=False"):
            BoostedRegressor(lossfn.AbsoluteError(), **{name: constraints}).fit(features, target)
    for none in ([0, 0], "0,0", None):
        BoostedRegressor(lossfn.AbsoluteError(), n_estimators=1, num_threads=1, **{name: none}).fit(features, target)


def test_leaves_by_steps_keep_monotone_constraints() -> None:
    features, target = problem()
    settings = {"n_estimators": 20, "num_threads": 1, "min_data_in_leaf": 5, "refit_leaves": False}
    line = np.column_stack([np.linspace(0, 10, 50), np.full(50, 5.0)])
    free, rising = (
        BoostedRegressor(lossfn.Pinball(tau=0.9), monotone_constraints=signs, **settings).fit(features, target)
        for signs in ([0, 0], [1, 0])
    )
    assert np.diff(free.predict(line)).min() < 0 <= np.diff(rising.predict(line)).min()


@pytest.mark.parametrize(
    ("engine", "name", "advice"),
    [
        ("lightgbm", "app", "loss="),
        ("lightgbm", "application", "loss="),
        ("lightgbm", "objective_type", "loss="),
        ("lightgbm", "boost_from_average", "loss="),
        ("catboost", "boost_from_average", "loss="),
        ("lightgbm", "max_iter", "n_estimators"),
        ("lightgbm", "metric", "LightGBMMetric"),
        ("xgboost", "eval_metric", "XGBoostMetric"),
        ("catboost", "eval_metric", "CatBoostMetric"),
    ],
)
def test_what_estimators_set_themselves_is_refused(engine: str, name: str, advice: str) -> None:
    features, target = problem()
    with raises(ValueError, f"{name}", "is refused", advice):
        BoostedRegressor(engine=engine, **{name: 1}).fit(features, target)


def test_lightgbm_has_no_further_names_for_them() -> None:
    aliases = pytest.importorskip("lightgbm.basic")._ConfigAliases
    own = inspect.signature(BoostedRegressor).parameters.keys()
    settings = ("objective", "num_iterations", "learning_rate", "num_class", "metric", "early_stopping_round")
    assert aliases.get(*settings) - own <= {*OF_THE_LOSS, *LightGBMEngine.taken}


def test_parameters_that_lightgbm_does_not_know_are_refused_with_the_nearest_names() -> None:
    features, target = problem()
    for name, meant in (("learnin_rate", "learning_rate"), ("max_deph", "max_depth"), ("curvatur", "curvature")):
        with raises(ValueError, f"LightGBM has no parameter {name!r}", meant):
            BoostedRegressor(**{name: 3}).fit(features, target)
    with raises(ValueError, "has no parameter 'qqqq'; its documentation"):
        BoostedRegressor(qqqq=3).fit(features, target)


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        ("xgboost", "enable_categorical"),
        ("xgboost", "feature_types"),
        ("catboost", "cat_features"),
        ("catboost", "text_features"),
        ("catboost", "embedding_features"),
    ],
)
def test_categories_that_estimators_do_not_hand_on_are_refused(engine: str, name: str) -> None:
    features, target = problem()
    with raises(ValueError, f"{name} is refused", "OrdinalEncoder", "Objective"):
        BoostedRegressor(engine=engine, **{name: [0]}).fit(np.floor(features), target)


@pytest.mark.parametrize("name", ["categorical_feature", "cat_feature"])
@pytest.mark.parametrize("columns", [[1], "1"], ids=repr)
def test_lightgbm_splits_categories(name: str, columns: object) -> None:
    rng = np.random.default_rng(0)
    features = rng.integers(0, 6, (300, 2)).astype(float)
    target = np.array([3.0, -2.0, 5.0, 0.0, 1.0, -4.0])[features[:, 1].astype(int)]
    settings = {"n_estimators": 1, "learning_rate": 1.0, "num_leaves": 2, "max_cat_to_onehot": 1, "num_threads": 1}
    for loss in (lossfn.HalfSquaredError(), lossfn.AbsoluteError()):
        model = BoostedRegressor(loss, **settings, **{name: columns}).fit(features, target)
        # One split, that no threshold could make.
        predictions = model.predict(np.column_stack([np.zeros(6), np.arange(6.0)]))
        assert len(set(predictions)) == 2
        assert np.count_nonzero(np.diff(predictions)) > 1


def test_columns_of_words_are_named() -> None:
    pandas = pytest.importorskip("pandas")
    features, target = problem()
    table = pandas.DataFrame({"width": features[:, 0], "city": np.where(features[:, 1] > 5, "Rome", "Oslo")})
    numbers = table.assign(city=features[:, 1])
    model = BoostedRegressor(n_estimators=1, num_threads=1).fit(numbers, target)
    for words in (table, table.astype({"city": "category"})):
        for call in (lambda words=words: model.predict(words), lambda words=words: model.fit(words, target)):
            with raises(ValueError, "BoostedRegressor: features must be numbers", "column 'city'", "OrdinalEncoder"):
                call()


def test_lightgbm_keeps_features_in_double_precision() -> None:
    seconds, target = 1.7e9 + np.arange(40.0)[:, None], np.repeat([1.0, 5.0], 20)
    settings = {"n_estimators": 1, "learning_rate": 1.0, "num_threads": 1, "min_data_in_bin": 1}
    np.testing.assert_allclose(BoostedRegressor(**settings).fit(seconds, target).predict(seconds), target)


@pytest.mark.parametrize("engine", ["xgboost", "catboost"])
def test_features_that_single_precision_cannot_tell_apart_are_named(engine: str) -> None:
    pandas = pytest.importorskip("pandas")
    features, target = problem()
    model = BoostedRegressor(engine=engine, n_estimators=1)
    table = pandas.DataFrame({"width": features[:, 0], "time": 1.7e9 + features[:, 1]})
    table.loc[3, "time"] = np.nan
    with pytest.warns(UserWarning, match=r"float32, which moves column 'time' by up to .*: subtract") as record:
        model.fit(table, target)
    assert record[0].filename == __file__
    # Of numbers that it holds, however close, and of constants, nothing is said.
    exact = np.column_stack([2.0**30 + 2.0**7 * (features[:, 0] > 5), np.full(len(target), 0.1), [np.nan] * 120])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(exact, target)
        assert len(set(model.predict(exact))) == 2
    with raises(ValueError, "keeps features in float32", "larger than 3.4e+38"):
        model.predict(1e39 + np.zeros((1, 3)))


def test_names_that_are_refused_are_not_suggested() -> None:
    with pytest.raises(ValueError, match=r"did you mean .*learning_rate") as refusal:
        BoostedRegressor(learnin_rate=3).fit(*problem())
    assert "shrinkage_rate" not in str(refusal.value)
