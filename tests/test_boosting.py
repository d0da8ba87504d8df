"""Boosted trees: what holds for every engine."""

from __future__ import annotations

import doctest
import importlib
import pickle
import sys

import numpy as np
import pytest
from conftest import raises, run_python
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import lossfn
from lossfn.boosting import BoostedClassifier, BoostedRegressor
from lossfn.boosting.engines import engine_of

# The parameters under which an engine splits as often as it can and penalises nothing, on one thread.
ENGINES = {
    "xgboost": {"nthread": 1, "reg_lambda": 0.0, "min_child_weight": 0.0, "max_depth": 3},
}

every_engine = pytest.mark.parametrize("engine", ENGINES)


def problem(rows: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Return features of few values, on which engines bin alike, and a target with an outlier."""
    rng = np.random.default_rng(3)
    features = rng.integers(0, 8, (rows, 3)).astype(float)
    target = features[:, 0] - 0.5 * features[:, 1] + rng.normal(size=rows)
    target[5] = 40.0
    return features, target


def regressor(loss: lossfn.PointwiseLoss, engine: str, **params: object) -> BoostedRegressor:
    return BoostedRegressor(loss, engine=engine, n_estimators=10, **{**ENGINES[engine], **params})


def classifier(loss: lossfn.Loss | None, engine: str, **params: object) -> BoostedClassifier:
    return BoostedClassifier(loss, engine=engine, n_estimators=10, **{**ENGINES[engine], **params})


@pytest.mark.parametrize("name", ["estimators", *ENGINES])
def test_examples_in_docstrings_run(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"lossfn.boosting.{name}"))
    assert results.attempted > 0
    assert results.failed == 0


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


@every_engine
def test_classes_have_labels_and_probabilities(engine: str) -> None:
    features, target = problem()
    labels = np.array(["low", "middle", "high"])[np.digitize(target, [-0.5, 2.0])]
    model = classifier(None, engine).fit(features, labels)
    probabilities = model.predict_proba(features)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (model.classes_[probabilities.argmax(axis=1)] == model.predict(features)).all()
    assert model.score(features, labels) > 0.7
