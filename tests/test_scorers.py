"""Losses as scikit-learn's metrics and scorers: against its own metrics, in its searches, and what they refuse."""

from __future__ import annotations

import doctest
import inspect
import pickle
from typing import Any

import numpy as np
import pytest
from conftest import label, raises
from scipy.special import expit
from sklearn import metrics
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

import lossfn
import lossfn.sklearn.estimators
import lossfn.sklearn.scorers
from lossfn.sklearn import LinearClassifier, LinearRegressor, metric, scorer

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 2))
SIGNAL = X @ [1.0, -0.5]
Y = SIGNAL + rng.normal(size=120)
COUNTS = rng.poisson(np.exp(0.5 * SIGNAL))
LABELS = np.where(SIGNAL + rng.logistic(size=120) > 0, "yes", "no")
CLASSES = np.digitize(SIGNAL + rng.normal(size=120), [-0.7, 0.7])
WEIGHT = rng.uniform(0.2, 2.0, 120)


class Fixed(BaseEstimator):
    """An estimator that predicts what it was told, whatever the features."""

    def __init__(self, classes: Any = None, **responses: Any) -> None:
        if classes is not None:
            self.classes_ = np.asarray(classes)
        for method, response in responses.items():
            setattr(self, method, lambda _, response=response: response)


@pytest.mark.parametrize(
    "module", [lossfn.sklearn.scorers, lossfn.sklearn.estimators], ids=lambda module: module.__name__
)
def test_examples_run(module: Any) -> None:
    results = doctest.testmod(module)
    assert (results.failed, results.attempted > 10) == (0, True)


# ---- metrics --------------------------------------------------------------------------------------------------------


def test_a_metric_has_the_order_and_the_name_of_scikit_learn() -> None:
    huber = metric(lossfn.Huber(delta=0.5))
    assert huber.__name__ == "huber_loss"
    assert list(inspect.signature(huber).parameters) == ["y_true", "y_pred", "sample_weight"]
    skewed = metric(lossfn.Pinball(tau=0.9))
    assert skewed([1.0], [0.0]) == 0.9
    expected = metrics.mean_pinball_loss(Y, SIGNAL, alpha=0.9, sample_weight=WEIGHT)
    np.testing.assert_allclose(skewed(Y, SIGNAL, sample_weight=WEIGHT), expected, rtol=1e-13)
    again = pickle.loads(pickle.dumps(skewed))
    assert (again.__name__, again([1.0], [0.0])) == ("pinball_loss", 0.9)


def test_a_metric_makes_a_scorer_of_scikit_learn() -> None:
    model = LinearRegression().fit(X, Y)
    theirs = metrics.make_scorer(metric(lossfn.Huber()), greater_is_better=False)
    assert theirs(model, X, Y, sample_weight=WEIGHT) == scorer(lossfn.Huber())(model, X, Y, sample_weight=WEIGHT)


# ---- scorers: against scikit-learn ----------------------------------------------------------------------------------


def test_losses_of_numbers_take_predict() -> None:
    model = LinearRegression().fit(X, Y)
    got = scorer(lossfn.SquaredError())(model, X, Y, sample_weight=WEIGHT)
    expected = metrics.mean_squared_error(Y, model.predict(X), sample_weight=WEIGHT)
    np.testing.assert_allclose(-got, expected, rtol=1e-13)


def test_losses_with_a_logarithmic_link_take_the_logarithm_of_rates() -> None:
    model = PoissonRegressor().fit(X, COUNTS)
    # Half the deviance and the likelihood differ by what the targets alone cost.
    best = lossfn.Poisson()(np.log(np.maximum(COUNTS, 1e-300)), COUNTS)
    deviance = 2 * (-scorer(lossfn.Poisson())(model, X, COUNTS) - best)
    np.testing.assert_allclose(deviance, metrics.mean_poisson_deviance(COUNTS, model.predict(X)), rtol=1e-12)
    # The best log-rate of an observed count is -inf if the rate 0 was predicted: an infinite loss.
    zero = DummyRegressor(strategy="constant", constant=0.0).fit(X, COUNTS)
    assert scorer(lossfn.Poisson())(zero, X, COUNTS) == -np.inf
    with raises(ValueError, "predicted -1", "a rate >= 0", "Poisson"):
        scorer(lossfn.Poisson())(DummyRegressor(strategy="constant", constant=-1.0).fit(X, COUNTS), X, COUNTS)


@pytest.mark.parametrize(
    "loss",
    [lossfn.BinaryCrossEntropy(), lossfn.BinaryCrossEntropy(inputs="probabilities"), lossfn.LogScore(),
     lossfn.BinaryCrossEntropy(inputs="log_probabilities"), lossfn.CrossEntropy(),
     lossfn.CrossEntropy(inputs="log_probabilities"), lossfn.CrossEntropy(inputs="probabilities")],
    ids=label,
)  # fmt: skip
def test_logarithmic_losses_are_the_log_loss_of_probabilities(loss: Any) -> None:
    for model in (LogisticRegression().fit(X, LABELS), make_pipeline(StandardScaler(), LogisticRegression())):
        model.fit(X, LABELS)
        expected = metrics.log_loss(LABELS, model.predict_proba(X), sample_weight=WEIGHT)
        np.testing.assert_allclose(-scorer(loss)(model, X, LABELS, sample_weight=WEIGHT), expected, rtol=1e-12)


def test_several_classes() -> None:
    model = LogisticRegression().fit(X, CLASSES * 10)
    expected = metrics.log_loss(CLASSES, model.predict_proba(X))
    np.testing.assert_allclose(-scorer(lossfn.CrossEntropy())(model, X, CLASSES * 10), expected, rtol=1e-12)
    brier = ((model.predict_proba(X) - np.eye(3)[CLASSES]) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(-scorer(lossfn.MulticlassBrier())(model, X, CLASSES * 10), brier, rtol=1e-9)
    svm = SVC().fit(X, CLASSES)
    expected = metrics.hinge_loss(CLASSES, svm.decision_function(X))
    np.testing.assert_allclose(-scorer(lossfn.CrammerSinger())(svm, X, CLASSES), expected, rtol=1e-13)


def test_losses_of_the_margin_take_the_decision_function() -> None:
    model = LinearSVC().fit(X, LABELS)
    expected = metrics.hinge_loss(LABELS, model.decision_function(X), sample_weight=WEIGHT)
    np.testing.assert_allclose(-scorer(lossfn.Hinge())(model, X, LABELS, sample_weight=WEIGHT), expected, rtol=1e-13)
    # One score of two classes is the difference of the two.
    np.testing.assert_allclose(
        -scorer(lossfn.CrammerSinger())(model, X, LABELS), metrics.hinge_loss(LABELS, model.decision_function(X))
    )
    # A forest has no scores, but its probabilities imply those of a margin loss that estimates them.
    forest = RandomForestClassifier(5, max_depth=3, random_state=0).fit(X, LABELS)
    expected = metrics.log_loss(LABELS, forest.predict_proba(X))
    np.testing.assert_allclose(-scorer(lossfn.LogisticMargin())(forest, X, LABELS), expected, rtol=1e-10)


# ---- scorers: the link of the loss ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [lossfn.BinaryFocal(gamma=2.0, alpha=0.25), lossfn.BinaryCrossEntropy(pos_weight=3.0), lossfn.BiTempered(),
     lossfn.BinaryCrossEntropy(label_smoothing=0.1), lossfn.SquaredErrorOnSigmoid()],
    ids=label,
)  # fmt: skip
def test_probabilities_become_the_predictions_that_imply_them(loss: Any) -> None:
    # Of the estimator that was trained with the loss, the score is the loss of its decision function.
    model = LinearClassifier(loss, l2=0.1).fit(X, LABELS)
    own = loss(model.decision_function(X), (LABELS == "yes").astype(float))
    np.testing.assert_allclose(-scorer(loss)(model, X, LABELS), own, rtol=1e-7)
    np.testing.assert_allclose(-scorer(loss, response_method="decision_function")(model, X, LABELS), own, rtol=1e-13)


@pytest.mark.parametrize(
    "loss", [lossfn.CrossEntropy(class_weight=(1.0, 4.0, 0.5)), lossfn.LogitAdjusted(prior=(0.2, 0.3, 0.5))], ids=label
)
def test_weights_and_priors_of_classes_are_undone(loss: Any) -> None:
    model = LinearClassifier(loss, l2=0.1).fit(X, CLASSES)
    own = loss(model.decision_function(X), CLASSES)
    np.testing.assert_allclose(-scorer(loss)(model, X, CLASSES), own, rtol=1e-9)


def test_certain_probabilities_cost_what_the_best_constant_costs() -> None:
    sure = Fixed(["no", "yes"], predict_proba=np.array([[1.0, 0.0], [0.0, 1.0]]))
    for loss in (lossfn.BinaryFocal(), lossfn.BinaryCrossEntropy()):
        assert scorer(loss)(sure, X[:2], ["no", "yes"]) == 0.0
        assert scorer(loss)(sure, X[:2], ["no", "no"]) == -np.inf


def test_the_score_of_a_focal_loss_rewards_true_probabilities() -> None:
    chance = expit(2 * SIGNAL)
    loss = scorer(lossfn.BinaryFocal(gamma=3.0))

    def expected(said: Any) -> float:
        model = Fixed(["no", "yes"], predict_proba=np.stack([1 - said, said], axis=1))
        sides = (loss(model, X, np.full(120, side), sample_weight=share)
                 for side, share in (("yes", chance), ("no", 1 - chance)))  # fmt: skip
        return sum(side * share for side, share in zip(sides, (chance.sum(), (1 - chance).sum()), strict=True))

    best = expected(chance)
    for wrong in (expit(1.5 * SIGNAL), expit(3 * SIGNAL), np.clip(chance + 0.05, 0, 1)):
        assert expected(wrong) < best


def test_losses_with_several_heads_take_distributions() -> None:
    loss = lossfn.GaussianNLL()
    model = LinearRegressor(loss, l2=0.1).fit(X, Y)
    penalty = 0.05 * (model.coef_**2).sum()
    np.testing.assert_allclose(-scorer(loss)(model, X, Y), model.objective_ - penalty, rtol=1e-12)
    quantiles = lossfn.MultiQuantile(taus=(0.1, 0.9))
    columns = np.stack([SIGNAL - 1, SIGNAL + 1], axis=1)
    for method in ("predict", "predict_heads"):
        assert scorer(quantiles)(Fixed(**{method: columns}), X, Y) == -quantiles(columns, Y)
    # Heads on their natural scale go through the link of each.
    zeros, rate_and_share = lossfn.ZeroInflatedPoisson(), np.tile([2.0, 0.3], (120, 1))
    linked = np.tile([np.log(2.0), np.log(0.3 / 0.7)], (120, 1))
    got = scorer(zeros)(Fixed(predict_heads=rate_and_share), X, COUNTS)
    np.testing.assert_allclose(-got, zeros(linked, COUNTS), rtol=1e-12)
    with raises(ValueError, "no formula is known", "crossing='impossible'"):
        scorer(lossfn.MultiQuantile(taus=(0.1, 0.9), crossing="impossible"))(Fixed(predict_heads=columns), X, Y)
    with raises(ValueError, "takes 2 predictions a row", "Ridge.predict returned (120,)"):
        scorer(quantiles)(Ridge().fit(X, Y), X, Y)


# ---- scorers: in scikit-learn's tools -------------------------------------------------------------------------------


def test_cross_validation_and_permutation_importance() -> None:
    loss = scorer(lossfn.Huber())
    scores = cross_val_score(Ridge(), X, Y, scoring=loss, cv=4)
    assert (scores < 0).all()
    several = cross_validate(Ridge(), X, Y, scoring={"huber": loss, "mse": "neg_mean_squared_error"}, cv=4)
    np.testing.assert_array_equal(several["test_huber"], scores)
    importances = permutation_importance(
        Ridge().fit(X, Y), X, Y, scoring=loss, n_repeats=3, random_state=0, sample_weight=WEIGHT
    ).importances_mean
    assert importances[0] > importances[1] > 0


def test_grid_search_over_losses_and_their_parameters_with_a_scorer_of_its_own() -> None:
    target = Y.copy()
    target[::10] += 300.0
    grid = [{"loss": [lossfn.SquaredError()]}, {"loss": [lossfn.Huber()], "loss__delta": [0.5, 1e3]}]
    search = GridSearchCV(LinearRegressor(), grid, scoring=scorer(lossfn.AbsoluteError()), cv=3)
    search.fit(X, target)
    assert search.best_params_ == {"loss": lossfn.Huber(), "loss__delta": 0.5}
    assert search.best_estimator_.loss == lossfn.Huber(delta=0.5)
    classes = {"loss": [lossfn.BinaryCrossEntropy(), lossfn.BinaryFocal(gamma=4.0)], "l2": [0.01]}
    search = GridSearchCV(LinearClassifier(), classes, scoring=scorer(lossfn.LogScore()), cv=3).fit(X, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(X, LABELS) == scorer(lossfn.LogScore())(search.best_estimator_, X, LABELS)


def test_scorers_are_pickled_and_shown() -> None:
    model = LinearClassifier(l2=0.1).fit(X, LABELS)
    loss = scorer(lossfn.BinaryFocal(gamma=1.0))
    again = pickle.loads(pickle.dumps(loss))
    assert again(model, X, LABELS) == loss(model, X, LABELS)
    assert repr(again) == "scorer(BinaryFocal(gamma=1.0, alpha=None))"


def test_weights_are_routed() -> None:
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        loss = scorer(lossfn.AbsoluteError()).set_score_request(sample_weight=True)
        model = Ridge().set_fit_request(sample_weight=False)
        got = cross_val_score(model, X, Y, scoring=loss, params={"sample_weight": WEIGHT}, cv=2)
    weighted = metrics.make_scorer(metrics.mean_absolute_error, greater_is_better=False)
    halves = [(slice(60, None), slice(0, 60)), (slice(0, 60), slice(60, None))]
    for score, (train, test) in zip(got, halves, strict=True):
        fitted = Ridge().fit(X[train], Y[train])
        np.testing.assert_allclose(score, weighted(fitted, X[test], Y[test], sample_weight=WEIGHT[test]), rtol=1e-12)


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "options", "kind", "fragments"),
    [
        ("huber", {}, TypeError, ["'huber'", "parse_loss"]),
        (lossfn.Binomial(), {}, ValueError, ["successes and trials", "a single number"]),
        (lossfn.Coral(), {}, ValueError, ["Coral", "not those of classes"]),
        (lossfn.MixtureDensity(), {}, ValueError, ["MixtureDensity", "not those of classes"]),
        (lossfn.Huber(), {"response_method": "predict_proba"}, ValueError, ["uses predict, not predict_proba"]),
        (lossfn.Brier(), {"response_method": "decision_function"}, ValueError, ["uses predict_proba"]),
        (lossfn.Huber(), {"response_method": "scores"}, ValueError, ["must be one of predict, predict_proba"]),
    ],
    ids=str,
)
def test_losses_that_no_estimator_can_be_scored_with(loss: Any, options: Any, kind: Any, fragments: Any) -> None:
    with raises(kind, *fragments):
        scorer(loss, **options)


def test_estimators_that_cannot_be_scored() -> None:
    svm = LinearSVC().fit(X, LABELS)
    with raises(AttributeError, "needs predict_proba, which LinearSVC does not have", "decision_function"):
        scorer(lossfn.BinaryFocal())(svm, X, LABELS)
    with raises(ValueError, "no formula is known", "SoftmaxFocal", "response_method='decision_function'"):
        scorer(lossfn.SoftmaxFocal())(LogisticRegression().fit(X, CLASSES), X, CLASSES)
    with raises(ValueError, "a loss of two classes", "knows 3", "CrossEntropy()"):
        scorer(lossfn.BinaryCrossEntropy())(LogisticRegression().fit(X, CLASSES), X, CLASSES)
    with raises(ValueError, "Ridge has no classes_"):
        scorer(lossfn.BinaryCrossEntropy())(Ridge().fit(X, Y), X, Y)
    with raises(ValueError, "'maybe'", "none of the estimator's classes ['no', 'yes']"):
        scorer(lossfn.BinaryCrossEntropy())(DummyClassifier().fit(X, LABELS), X[:2], ["no", "maybe"])
    with raises(ValueError, "predict_proba[0, 1] = 1.5 is not a probability"):
        wrong = Fixed([0, 1], predict_proba=np.array([[0.5, 1.5]]))
        scorer(lossfn.BinaryCrossEntropy())(wrong, X[:1], [1])
