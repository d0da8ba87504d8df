"""Importances of features are those of the engines, as shares."""

from __future__ import annotations

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost
from conftest import raises
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel

import lossfn
from lossfn.boosting import BoostedRegressor

# One thread, and no sampling that an engine does for losses of its own only.
SETTINGS = {
    "xgboost": {"nthread": 1},
    "lightgbm": {"num_threads": 1, "verbosity": -1},
    "catboost": {"thread_count": 1, "bootstrap_type": "No", "random_strength": 0.0},
}
every_engine = pytest.mark.parametrize("engine", SETTINGS)


def regressor(loss: lossfn.PointwiseLoss, engine: str, **params: object) -> BoostedRegressor:
    return BoostedRegressor(loss, engine=engine, n_estimators=20, max_depth=3, **SETTINGS[engine], **params)


def built_in(engine: str, features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return what an engine says of its own model of squared errors, trained without scikit-learn."""
    settings = {"learning_rate": 0.1, "max_depth": 3, **SETTINGS[engine]}
    if engine == "lightgbm":
        model = lightgbm.train(settings, lightgbm.Dataset(features, label=target), 20)
        return model.feature_importance("gain")
    if engine == "xgboost":
        model = xgboost.train(settings, xgboost.DMatrix(features, label=target), 20)
        return np.array(list(model.get_score(importance_type="total_gain").values()))
    quiet = {"verbose": False, "allow_writing_files": False}
    model = catboost.CatBoost({"iterations": 20, "loss_function": "RMSE", **quiet, **settings})
    return np.array(model.fit(features, target).get_feature_importance())


@every_engine
def test_importances_are_those_of_the_engine_itself(engine: str) -> None:
    features, target = load_diabetes(return_X_y=True)
    loss = lossfn.SquaredError() if engine == "catboost" else lossfn.HalfSquaredError()
    found = regressor(loss, engine, curvature="engine").fit(features, target).feature_importances_
    expected = built_in(engine, features, target)
    assert found.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-5)


@every_engine
def test_features_are_selected_by_importance(engine: str) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(300, 4))
    target = 3 * features[:, 1] + random.normal(size=300)
    chosen = SelectFromModel(regressor(lossfn.GaussianNLL(), engine), max_features=1).fit(features, target)
    np.testing.assert_array_equal(chosen.get_support(), [False, True, False, False])


@every_engine
def test_a_model_without_splits_gives_no_feature_a_share(engine: str) -> None:
    model = regressor(lossfn.AbsoluteError(), engine).fit(np.ones((20, 3)), np.arange(20.0))
    np.testing.assert_array_equal(model.feature_importances_, np.zeros(3))


@every_engine
def test_an_untrained_model_has_none(engine: str) -> None:
    with raises(NotFittedError, "This BoostedRegressor instance is not fitted yet"):
        _ = regressor(lossfn.SquaredError(), engine).feature_importances_


def test_linear_models_of_xgboost_have_coefficients_instead() -> None:
    features, target = load_diabetes(return_X_y=True)
    model = BoostedRegressor(engine="xgboost", booster="gblinear", n_estimators=2, nthread=1).fit(features, target)
    with raises(AttributeError, "their coefficients are model_.get_score(importance_type='weight')"):
        _ = model.feature_importances_
