"""The settings for training elsewhere that losses state are executed, and gradients and Hessians read off.

They are not public. A step of stochastic gradient descent with rate 1 is the gradient. Of boosted trees, one round from
known scores, whose leaves hold a row or a few, gives both: XGBoost's saved model holds the sums, LightGBM and CatBoost
have leaf values under two penalties or methods.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from conftest import draw, label

import lossfn
from lossfn.equivalents import Equivalent

ROWS = 24

CASES = [
    pytest.param(loss, there, id=f"{label(loss)}-{there.call}")
    for entry in lossfn.catalogue()
    for loss in entry.variants
    for there in loss.equivalents
    if there.is_objective and there.holds_for(loss)
]


def of_library(library: str) -> Any:
    chosen = [case for case in CASES if case.values[1].library == library]
    assert len(chosen) > 8
    return pytest.mark.parametrize(("loss", "there"), chosen)


def data_for(loss: Any, there: Equivalent) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows for which the statement holds: targets from the domain, some rounded, none too large for float32."""
    pred, target = draw(loss, 8 * ROWS)
    pred = np.clip(pred, -3, 3)
    rounded = np.round(target[::2]) if there.rows else target[::2]
    target = np.concatenate([target[1::2], rounded])
    kept = np.flatnonzero(there.rows_for(loss, pred, target))[-ROWS:]
    assert len(kept) == ROWS
    return pred[kept], target[kept]


def derivatives(loss: Any, there: Equivalent, pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient and the curvature that the statement claims, both of shape (rows, scores)."""
    gradient, hessian = loss.gradient_and_hessian(pred, target, reduction="sum")
    curvature = there.curvature_for(loss, pred, target, hessian)
    factor = there.factor_for(loss)
    return factor * gradient.reshape(len(pred), -1), factor * curvature.reshape(len(pred), -1)


def sums(leaves: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the sum of each leaf that has rows."""
    return np.array([values[leaves == leaf].sum(axis=0) for leaf in np.unique(leaves)])


def one_feature(rows: int = ROWS) -> np.ndarray:
    return np.arange(rows, dtype=float)[:, None]


@of_library("scikit-learn SGD")
def test_gradient_descent_has_the_stated_gradient(loss: Any, there: Equivalent) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    is_classifier = loss.task == "binary"
    kind = linear_model.SGDClassifier if is_classifier else linear_model.SGDRegressor
    pred, target = data_for(loss, there)
    model = kind(**there.settings_for(loss), penalty=None, fit_intercept=False, learning_rate="constant", eta0=1.0)
    more = {"classes": [-1, 1]} if is_classifier else {}
    model.partial_fit([[0.0]], target[:1], **more)
    steps = []
    for score, label_of_row in zip(pred, target, strict=True):
        model.coef_ = np.full_like(model.coef_, score)
        model.partial_fit([[1.0]], [label_of_row])
        steps.append(score - model.coef_.item())
    np.testing.assert_allclose(steps, derivatives(loss, there, pred, target)[0][:, 0], rtol=1e-9, atol=1e-12)


@of_library("XGBoost")
def test_xgboost_has_the_stated_gradient_and_curvature(loss: Any, there: Equivalent) -> None:
    xgboost = pytest.importorskip("xgboost")
    pred, target = data_for(loss, there)
    settings = {
        **there.settings_for(loss),
        **({"num_class": pred.shape[1]} if loss.task == "multiclass" else {}),
        "max_depth": 0,
        "max_leaves": ROWS,
        "grow_policy": "lossguide",
        "max_bin": 4 * ROWS,
        "nthread": 1,
        "min_child_weight": 0,
        "reg_lambda": 0,
        "learning_rate": 1,
        "base_score": 0.5,
    }
    matrix = xgboost.DMatrix(one_feature(), label=there.labels_for(loss, target), base_margin=pred)
    booster = xgboost.train(settings, matrix, 1)
    trees = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]["trees"]
    leaves = booster.predict(matrix, pred_leaf=True).astype(int).reshape(ROWS, -1)
    gradient, curvature = derivatives(loss, there, pred, target)
    for tree, leaf, ours, curved in zip(trees, leaves.T, gradient.T, curvature.T, strict=True):
        kept = np.unique(leaf)
        steps, hessian = np.array(tree["base_weights"])[kept], np.array(tree["sum_hessian"])[kept]
        np.testing.assert_allclose(hessian, sums(leaf, curved), rtol=1e-4)
        # The limit of a step, which one objective sets, bounds the steps and hides larger gradients.
        limit = settings.get("max_delta_step", np.inf)
        np.testing.assert_allclose(steps, np.clip(-sums(leaf, ours) / hessian, -limit, limit), rtol=1e-4, atol=1e-6)
        replaced = np.abs(np.array(tree["split_conditions"])[kept] - steps) > 1e-5
        assert replaced.any() == there.exact_leaves


@of_library("LightGBM")
def test_lightgbm_has_the_stated_gradient_and_curvature(loss: Any, there: Equivalent) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    pred, target = data_for(loss, there)
    labels = there.labels_for(loss, target)
    scores = pred.reshape(ROWS, -1)
    common = {
        "num_leaves": ROWS,
        "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": 0,
        "min_data_in_bin": 1,
        "learning_rate": 1.0,
        "num_class": scores.shape[1],
        "num_threads": 1,
        "verbosity": -1,
    }

    def rows_apart(pred: np.ndarray, _: Any) -> tuple[np.ndarray, np.ndarray]:
        gradient = np.arange(pred.size, dtype=float).reshape(pred.shape, order="F")
        return gradient, np.ones_like(gradient)

    apart = lightgbm.train(
        {**common, "objective": rows_apart}, lightgbm.Dataset(one_feature(), np.zeros(ROWS), params=common), 1
    )
    # One tree for each score, with a leaf for each row, whose values are computed anew.
    steps = {}
    for penalty in (0, 1):
        booster = lightgbm.Booster(model_str=apart.model_to_string())
        booster.params = {**common, **there.settings_for(loss), "lambda_l2": penalty, "boost_from_average": False}
        fitted = booster.refit(one_feature(), labels, decay_rate=0, init_score=pred.ravel(order="F"))
        steps[penalty] = fitted.predict(one_feature(), raw_score=True).reshape(ROWS, -1)
    gradient, curvature = derivatives(loss, there, pred, target)
    for penalty, step in steps.items():
        np.testing.assert_allclose(step, -gradient / (curvature + penalty), rtol=1e-5, atol=1e-6)

    settings = {**common, **there.settings_for(loss), "boost_from_average": False, "min_sum_hessian_in_leaf": 1e-3}
    train = lightgbm.Dataset(one_feature(), labels, init_score=pred.ravel(order="F"), params=settings)
    trained = lightgbm.train(settings, train, 1)
    leaves = trained.predict(one_feature(), pred_leaf=True).reshape(ROWS, -1)
    replaced = [
        abs(trained.get_leaf_output(tree, leaf) + sum_of_gradient / sum_of_curvature) > 1e-4
        for tree, columns in enumerate(zip(leaves.T, gradient.T, curvature.T, strict=True))
        for leaf, sum_of_gradient, sum_of_curvature in zip(
            np.unique(columns[0]), sums(columns[0], columns[1]), sums(columns[0], columns[2]), strict=True
        )
    ]
    assert any(replaced) == there.exact_leaves


@of_library("CatBoost")
def test_catboost_has_the_stated_gradient_and_curvature(loss: Any, there: Equivalent) -> None:
    catboost = pytest.importorskip("catboost")
    pred, target = data_for(loss, there)
    # Several numbers for a row cannot be handed to it as a start, only the scores of classes can.
    is_multiclass = loss.task == "multiclass"
    has_start = is_multiclass or pred.ndim == 1
    pred = pred if has_start else np.zeros_like(pred)
    gradient, curvature = derivatives(loss, there, pred, target)
    settings = {
        **there.settings_for(loss),
        **({} if is_multiclass else {"boost_from_average": False}),
        "iterations": 1,
        "depth": 4,
        "learning_rate": 1,
        "leaf_estimation_iterations": 1,
        "random_strength": 0,
        "leaf_estimation_backtracking": "No",
        "bootstrap_type": "No",
        "boosting_type": "Plain",
        "thread_count": 1,
        "verbose": False,
        "allow_writing_files": False,
    }
    pool = catboost.Pool(one_feature(), there.labels_for(loss, target), baseline=pred if has_start else None)

    def leaf_values(**more: Any) -> tuple[Any, np.ndarray, np.ndarray]:
        model = catboost.CatBoost({**settings, **more}).fit(pool)
        leaves = model.calc_leaf_indexes(catboost.Pool(one_feature())).ravel()
        return model, leaves, model.get_leaf_values().reshape(-1, gradient.shape[1])[np.unique(leaves)]

    _, leaves, steps = leaf_values(leaf_estimation_method="Gradient", l2_leaf_reg=1)
    weights = np.where(target > 0, settings.get("scale_pos_weight", 1), 1)[:, None]
    penalty = weights.mean()
    np.testing.assert_allclose(steps, -sums(leaves, gradient) / (sums(leaves, weights) + penalty), rtol=1e-5, atol=1e-6)
    model, _, _ = leaf_values()
    assert (model.get_all_params()["leaf_estimation_method"] == "Exact") == there.exact_leaves
    if there.curvature:
        # Without a second derivative the engine refuses Newton's steps, and counts rows.
        np.testing.assert_allclose(curvature, 1)
        return
    _, leaves, steps = leaf_values(leaf_estimation_method="Newton", l2_leaf_reg=1)
    if gradient.shape[1] == 1:
        expected = -sums(leaves, gradient) / (sums(leaves, curvature) + penalty)
    else:
        # For several scores the whole Hessian counts.
        blocks = loss.hessian(pred, target, reduction="sum")
        expected = [
            -np.linalg.solve(blocks[leaves == leaf].sum(axis=0) + np.eye(gradient.shape[1]), of_leaf)
            for leaf, of_leaf in zip(np.unique(leaves), sums(leaves, gradient), strict=True)
        ]
    np.testing.assert_allclose(steps, expected, rtol=1e-5, atol=1e-6)
