"""The objective of a linear model for SciPy's solvers: derivatives, agreement with estimators and with peers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
from conftest import label, raises
from scipy import sparse
from scipy.optimize import approx_fprime, minimize

import lossfn
from lossfn.registry import sample
from lossfn.sklearn import LinearClassifier, LinearRegressor

# One number, several heads, a target of two parts, rows of classes, fewer scores than classes, rows with parts.
LOSSES = [
    lossfn.PseudoHuber(),
    lossfn.GaussianNLL(),
    lossfn.Binomial(),
    lossfn.CrossEntropy(class_weight=(1.0, 2.0, 0.5)),
    lossfn.Coral(),
    lossfn.MixtureDensity(components=2),
    lossfn.Distillation(),
]
rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
WEIGHT = rng.integers(0, 3, 30).astype(float)


def targets(loss: Any, rows: int = 30) -> Any:
    return sample(loss, np.random.default_rng(1), rows)[1]


def fitted(objective: Any, **options: Any) -> Any:
    """Minimise with second derivatives."""
    product = objective.hessian_vector_product
    options = {"gtol": 1e-9} | options
    return minimize(
        objective.value_and_gradient, objective.start, jac=True, hessp=product, method="trust-ncg", options=options
    )


@pytest.mark.parametrize("loss", LOSSES, ids=label)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_derivatives_are_those_of_the_documented_value(loss: Any, fit_intercept: bool) -> None:
    y = targets(loss)
    objective = lossfn.scipy_objective(loss, X, y, l2=0.3, weight=WEIGHT, fit_intercept=fit_intercept)
    point = objective.start + np.random.default_rng(2).normal(size=objective.start.shape)
    coef, intercept = (np.asarray(part) for part in objective.coefficients(point))
    value = loss(X @ coef.T + intercept, y, weight=WEIGHT) + 0.15 * (coef**2).sum()
    np.testing.assert_allclose(objective.value(point), value, rtol=1e-13)
    np.testing.assert_allclose(objective.gradient(point), approx_fprime(point, objective.value), rtol=1e-4, atol=1e-5)
    vector = np.random.default_rng(3).normal(size=point.shape)
    step = 1e-6 * vector
    change = (objective.gradient(point + step) - objective.gradient(point - step)) / 2e-6
    np.testing.assert_allclose(objective.hessian_vector_product(point, vector), change, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", [lossfn.PseudoHuber(), lossfn.GaussianNLL()], ids=label)
def test_the_estimator_reaches_the_same_minimum(loss: Any) -> None:
    y = X @ [1.0, -2.0] + rng.normal(size=30)
    model = LinearRegressor(loss, l2=0.1).fit(X, y, WEIGHT)
    objective = lossfn.scipy_objective(loss, X, y, l2=0.1, weight=WEIGHT)
    found = fitted(objective)
    np.testing.assert_allclose(found.fun, model.objective_, rtol=1e-9)
    coef, intercept = objective.coefficients(found.x)
    np.testing.assert_allclose(coef, model.coef_, atol=1e-4)
    np.testing.assert_allclose(intercept, model.intercept_, atol=1e-4)


def test_losses_of_rows_reach_the_minimum_of_the_estimator() -> None:
    y = rng.integers(0, 3, 30)
    model = LinearClassifier(lossfn.CrossEntropy(), l2=0.1).fit(X, y)
    objective = lossfn.scipy_objective(lossfn.CrossEntropy(), X, y, l2=0.1)
    found = fitted(objective)
    np.testing.assert_allclose(found.fun, model.objective_, rtol=1e-9)
    np.testing.assert_allclose(objective.coefficients(found.x)[0], model.coef_, atol=1e-5)


def test_poisson_regression_of_scikit_learn() -> None:
    y = np.random.default_rng(4).poisson(np.exp(X @ [0.5, -0.3] + 1.0))
    objective = lossfn.scipy_objective(lossfn.Poisson(), X, y, l2=0.1)
    coef, intercept = objective.coefficients(fitted(objective).x)
    peer = sklearn.linear_model.PoissonRegressor(alpha=0.1, tol=1e-12, solver="newton-cholesky").fit(X, y)
    np.testing.assert_allclose(coef, peer.coef_, rtol=1e-6)
    np.testing.assert_allclose(intercept, peer.intercept_, rtol=1e-6)


def test_weights_count_rows_and_the_start_is_the_best_constant() -> None:
    loss, y = lossfn.Huber(), rng.normal(size=30)
    weighted = lossfn.scipy_objective(loss, X, y, l2=0.1, weight=WEIGHT)
    times = WEIGHT.astype(int)
    repeated = lossfn.scipy_objective(loss, X.repeat(times, axis=0), y.repeat(times), l2=0.1)
    point = np.array([0.3, 1.0, -1.0])
    np.testing.assert_allclose(weighted.gradient(point), repeated.gradient(point), rtol=1e-12)
    np.testing.assert_allclose(weighted.start, [loss.optimal_constant(y, weight=WEIGHT), 0.0, 0.0])
    # The best constant of two labels that are all 0 is infinite, and no place to start from.
    assert not lossfn.scipy_objective(lossfn.BinaryCrossEntropy(), X, np.zeros(30)).start.any()


@pytest.mark.parametrize("loss", [lossfn.PseudoHuber(), lossfn.GaussianNLL(), lossfn.CrossEntropy()], ids=label)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sparse_features_give_what_dense_ones_give(loss: Any, fit_intercept: bool) -> None:
    features, y = np.where(X > 0, X, 0.0), targets(loss)
    dense = lossfn.scipy_objective(loss, features, y, l2=0.2, fit_intercept=fit_intercept)
    vector = np.random.default_rng(3).normal(size=dense.start.shape)
    for convert in (sparse.csr_matrix, sparse.csc_array):
        thin = lossfn.scipy_objective(loss, convert(features), y, l2=0.2, fit_intercept=fit_intercept)
        for method in (thin.value_and_gradient, thin.gradient):
            got, wanted = method(vector), getattr(dense, method.__name__)(vector)
            for part, expected in zip(got, wanted, strict=True):
                np.testing.assert_allclose(part, expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(
            thin.hessian_vector_product(vector, vector), dense.hessian_vector_product(vector, vector), rtol=1e-12
        )


def test_classes_that_do_not_occur_have_scores_too() -> None:
    objective = lossfn.scipy_objective(lossfn.CrossEntropy(), X, np.zeros(30, int), classes=4)
    assert objective.coefficients(objective.start)[0].shape == (4, 2)
    # Four ranks are told apart by three scores.
    assert lossfn.scipy_objective(lossfn.Coral(), X, np.full(30, 3)).start.shape == (3 * 3,)


def test_what_does_not_fit_is_refused() -> None:
    y = np.zeros(30)
    call = lossfn.scipy_objective
    with raises(TypeError, "loss must be a loss such as Huber(delta=1.0)", "'huber'", "parse_loss"):
        call("huber", X, y)
    with raises(ValueError, "BetaNLL(beta=0.5)", "its gradient is not that of its value"):
        call(lossfn.BetaNLL(), X, y)
    with raises(ValueError, "Brier()", "a probability in [0, 1]"):
        call(lossfn.Brier(), X, y)
    with raises(ValueError, "takes probabilities; use inputs='logits'"):
        call(lossfn.CrossEntropy(inputs="probabilities"), X, y.astype(int))
    with raises(ValueError, "target holds class 0 alone, which does not tell how many there are; say classes="):
        call(lossfn.CrossEntropy(), X, y.astype(int))
    with raises(ValueError, "l2 must be a finite number >= 0; got -1"):
        call(lossfn.Huber(), X, y, l2=-1)
    with raises(ValueError, "X has 30 rows, but y has the shape (29,)"):
        call(lossfn.Huber(), X, y[:29])
    with raises(ValueError, "X must be a matrix (n, p); got (30,)", "X[:, None]"):
        call(lossfn.Huber(), X[:, 0], y)
    with raises(ValueError, "every feature in X must be a finite number"):
        call(lossfn.Huber(), np.where(X > 0, np.nan, X), y)
    with raises(ValueError, "target[0] = 0.0 is not a label -1 or +1", "to_signed"):
        call(lossfn.LogisticMargin(), X, y)
    with raises(ValueError, "at least one row of positive weight"):
        call(lossfn.Huber(), X, y, weight=y)
    with raises(ValueError, "parameters must have the shape of start (3,); got (2,)"):
        call(lossfn.Huber(), X, y).value([0.0, 0.0])


def test_the_penalty_may_be_given_by_position() -> None:
    loss, X, y, parameters = lossfn.Huber(), np.ones((2, 1)), np.zeros(2), np.array([3.0, 0.0])
    by_name = lossfn.scipy_objective(loss, X, y, l2=0.5).value(parameters)
    assert lossfn.scipy_objective(loss, X, y, 0.5).value(parameters) == by_name
