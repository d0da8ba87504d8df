"""Several classes: the linear classifier against other solvers, and the comparison of losses from data to verdict."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
from conftest import raises
from scipy import stats
from sklearn import metrics
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import lossfn.sklearn.newton
from lossfn import (
    BinaryFocal,
    CrammerSinger,
    CrossEntropy,
    CumulativeLink,
    Distillation,
    GeneralizedCrossEntropy,
    LogitAdjusted,
    MixtureDensity,
    MulticlassBrier,
    RowwiseLoss,
    SoftmaxFocal,
    WestonWatkins,
)
from lossfn.cli import main
from lossfn.comparison import compare
from lossfn.comparison.candidates import choose_candidates
from lossfn.comparison.data import read_data
from lossfn.comparison.models import Linear
from lossfn.comparison.scores import MULTICLASS_SCORES, HeldOut
from lossfn.sklearn import LinearClassifier, LinearRegressor

# Compiling kernels would take longer than what is tested here.
pytestmark = pytest.mark.usefixtures("array_code")

Array = Any


def wine() -> tuple[Array, Array, Array]:
    """Return standardised features, classes 0 to 2 and weights."""
    features, labels = load_wine(return_X_y=True)
    weight = np.random.default_rng(0).uniform(0.2, 2.0, len(labels))
    return StandardScaler().fit_transform(features), labels, weight


# ---- the linear classifier ----------------------------------------------------------------------------------------


@parametrize_with_checks([LinearClassifier(CrossEntropy(), l2=0.01)])  # type: ignore[untyped-decorator]
def test_scikit_learn_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("l2", [0.1, 1e-3])
def test_cross_entropy_equals_multinomial_logistic_regression(l2: float) -> None:
    features, labels, weight = wine()
    model = LinearClassifier(l2=l2).fit(features, labels, weight)
    c = 1 / (weight.sum() * l2)
    exact = sklearn.linear_model.LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(features, labels, weight)
    assert model.loss_ == CrossEntropy()
    assert model.coef_.shape == (3, 13)
    np.testing.assert_allclose(model.coef_, exact.coef_, atol=1e-5)
    np.testing.assert_allclose(model.intercept_, exact.intercept_, atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(features), exact.predict_proba(features), atol=1e-5)


@pytest.mark.parametrize("loss", [SoftmaxFocal(), GeneralizedCrossEntropy(), CrossEntropy(z_loss=0.1)], ids=repr)
def test_the_gradient_of_the_documented_objective_vanishes(loss: RowwiseLoss) -> None:
    features, labels, weight = wine()
    model = LinearClassifier(loss, l2=0.01, tol=1e-12).fit(features, labels, weight)

    def objective(coef: Array, intercept: Array) -> float:
        rows = loss.elementwise(features @ coef.T + intercept, labels)
        return float(np.average(rows, weights=weight) + 0.005 * np.sum(coef**2))

    assert model.objective_ == pytest.approx(objective(model.coef_, model.intercept_), rel=1e-12)
    step = 1e-4
    for seed in range(5):
        direction = np.random.default_rng(seed).normal(size=(3, 14))
        ends = [
            objective(model.coef_ + sign * step * direction[:, 1:], model.intercept_ + sign * step * direction[:, 0])
            for sign in (1, -1)
        ]
        assert abs(ends[0] - ends[1]) / (2 * step) < 1e-6


def test_crammer_singer_comes_near_the_support_vector_machine() -> None:
    features, labels, _ = wine()
    l2 = 0.01
    with pytest.warns(ConvergenceWarning, match="kinks between several classes"):
        model = LinearClassifier(CrammerSinger(), l2=l2, fit_intercept=False).fit(features, labels)
    c = 1 / (len(labels) * l2)
    exact = LinearSVC(multi_class="crammer_singer", C=c, fit_intercept=False, tol=1e-8, max_iter=100_000)
    coef = exact.fit(features, labels).coef_
    least = np.mean(CrammerSinger().elementwise(features @ coef.T, labels)) + l2 / 2 * np.sum(coef**2)
    assert model.objective_ == pytest.approx(least, rel=0.02)


def test_lbfgs_agrees_with_newton(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, weight = wine()
    newton = LinearClassifier(MulticlassBrier(), l2=0.01).fit(features, labels, weight)
    monkeypatch.setattr(lossfn.sklearn.newton, "NEWTON_LIMIT", 0)
    lbfgs = LinearClassifier(MulticlassBrier(), l2=0.01).fit(features, labels, weight)
    assert lbfgs.n_iter_ != newton.n_iter_
    np.testing.assert_allclose(lbfgs.coef_, newton.coef_, atol=1e-3)


def test_two_classes_with_a_loss_of_rows_give_the_binary_model() -> None:
    features, labels, _ = wine()
    two = labels < 2
    rows = LinearClassifier(CrossEntropy(), l2=0.01).fit(features[two], labels[two])
    # Two coefficients of half the size each are penalised half as much as their difference.
    single = LinearClassifier(l2=0.005).fit(features[two], labels[two])
    np.testing.assert_allclose(rows.coef_[1] - rows.coef_[0], single.coef_[0], atol=1e-5)
    np.testing.assert_allclose(rows.decision_function(features), single.decision_function(features), atol=1e-4)
    np.testing.assert_allclose(rows.predict_proba(features), single.predict_proba(features), atol=1e-5)


def test_a_weight_of_zero_deletes_a_row_and_with_all_its_rows_a_class() -> None:
    features, labels, _ = wine()
    model = LinearClassifier(l2=0.01).fit(features, np.array(["a", "b", "c"])[labels], (labels < 2).astype(float))
    assert model.classes_.tolist() == ["a", "b"]
    assert model.coef_.shape == (1, 13)


def test_predictions_follow_scores_and_probabilities_are_corrected() -> None:
    features, labels, _ = wine()
    names = np.array(["x", "y", "z"])[labels]
    counts = tuple(np.bincount(labels).astype(float))
    plain = LinearClassifier(l2=1e-3).fit(features, names)
    adjusted = LinearClassifier(LogitAdjusted(prior=counts), l2=1e-3).fit(features, names)
    # The offset is what the intercept of cross-entropy learns besides, so that the probabilities are the same.
    np.testing.assert_allclose(adjusted.predict_proba(features), plain.predict_proba(features), atol=1e-5)
    gap = adjusted.decision_function(features) - plain.decision_function(features)
    np.testing.assert_allclose(gap + np.log(counts) - np.mean(np.log(counts)), 0.0, atol=1e-4)
    best = adjusted.decision_function(features).argmax(axis=1)
    assert adjusted.predict(features).tolist() == adjusted.classes_[best].tolist()


def test_parameters_clones_and_pickles() -> None:
    features, labels, _ = wine()
    model = LinearClassifier(SoftmaxFocal(), l2=0.01).set_params(loss__gamma=1.0)
    assert clone(model).get_params()["loss__gamma"] == 1.0
    model.fit(features, labels)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(features), model.predict(features))
    assert not hasattr(LinearClassifier(WestonWatkins()), "predict_proba")
    assert not hasattr(LinearClassifier(GeneralizedCrossEntropy(q=1.0)), "predict_proba")


def test_what_the_classifier_refuses() -> None:
    features, labels, _ = wine()
    with raises(ValueError, "Only binary classification", "BinaryFocal", "there are 3", "use a loss of rows"):
        LinearClassifier(BinaryFocal()).fit(features, labels)
    with raises(ValueError, "any number", "takes log-probabilities", "use inputs='logits'"):
        LinearClassifier(CrossEntropy(inputs="log_probabilities")).fit(features, labels)
    with raises(ValueError, "its targets are label and teacher"):
        LinearClassifier(Distillation()).fit(features, labels)
    with raises(ValueError, "CumulativeLink", "scores are not those of classes"):
        LinearClassifier(CumulativeLink()).fit(features, labels)
    with raises(ValueError, "MixtureDensity", "a row of scores"):
        LinearRegressor(MixtureDensity()).fit(features, labels)  # type: ignore[arg-type]
    with raises(ValueError, "a loss for multiclass targets: use LinearClassifier"):
        LinearRegressor(CrossEntropy()).fit(features, labels)  # type: ignore[arg-type]
    with raises(TypeError, "one of rows such as CrossEntropy()", "'cross_entropy'", "lossfn.parse_loss"):
        LinearClassifier("cross_entropy").fit(features, labels)  # type: ignore[arg-type]


# ---- the comparison -----------------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    target, weight = np.array([0.0, 1.0, 2.0, 1.0]), np.array([1.0, 2.0, 1.0, 1.0])
    prediction = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.5, 0.3], [0.5, 0.4, 0.1]])
    rows = HeldOut(target, weight, np.log(prediction), prediction)
    scores = {score.info.key: score(rows) for score in MULTICLASS_SCORES}
    logs = -np.log([0.7, 0.6, 0.3, 0.4])
    assert scores["log_score"] == pytest.approx(np.average(logs, weights=weight))
    # Σ (p - q)²: 0.09 + 0.04 + 0.01, 0.09 + 0.16 + 0.01, 0.04 + 0.25 + 0.49, 0.25 + 0.36 + 0.01.
    assert scores["brier"] == pytest.approx((0.14 + 2 * 0.26 + 0.78 + 0.62) / 5)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["balanced_accuracy"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    # The likeliest class has 0.7 (right), 0.6 (right, twice) and 0.5 (wrong, twice): each is a bin of its own.
    assert scores["ece"] == pytest.approx((0.3 + 2 * 0.4 + 2 * 0.5) / 5)


def read(y: Array, losses: Any = None) -> tuple[Any, Any]:
    features = np.random.default_rng(0).normal(size=(len(y), 2))
    data = read_data(features, y, task="multiclass", weight=None, groups=None, folds=3, target_name=None)
    return data, choose_candidates(losses, data, Linear())


def test_candidates() -> None:
    labels = np.arange(30) % 3
    _, (candidates, _) = read(labels)
    assert [(item.key, item.functional) for item in candidates] == [
        ("CrossEntropy", "probability"),
        ("SoftmaxFocal", "probability"),
        ("PolyCrossEntropy", "probability"),
        ("MulticlassBrier", "probability"),
        ("GeneralizedCrossEntropy", "probability"),
        ("WestonWatkins", "class"),
    ]
    _, (candidates, notes) = read(labels, ["GeneralizedCrossEntropy(q=0.5)", CrammerSinger()])
    assert [item.key for item in candidates] == ["CrossEntropy", "GeneralizedCrossEntropy(q=0.5)", "CrammerSinger"]
    assert "CrossEntropy was added" in notes[0]


def test_the_command_on_wine_with_names_of_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = load_wine(as_frame=True).frame
    frame["grape"] = frame.pop("target").map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})
    frame.to_csv(tmp_path / "wine.csv", index=False)
    files = [tmp_path / "wine.html", tmp_path / "wine.json"]
    losses = "cross_entropy,multiclass_brier,crammer_singer"
    arguments = ["compare", str(tmp_path / "wine.csv"), "--target", "grape", "--losses", losses, "--l2", "0.01"]
    assert main([*arguments, "--folds", "3", "--repeats", "1", "--out", str(files[0]), "--json", str(files[1])]) == 0
    printed = capsys.readouterr().out
    assert "Accuracy" in printed
    assert "CrammerSinger estimates the class, not a probability." in printed
    content = json.loads(files[1].read_text())
    assert content["task"] == "multiclass"
    # In the order of the alphabet: 48 of Barbera, 59 of Barolo, 71 of Grignolino.
    assert content["evidence"]["classes"]["rows"] == {"Barbera": 48, "Barolo": 59, "Grignolino": 71}
    probabilities = np.array(content["predictions"]["by_loss"]["CrossEntropy"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert metrics.accuracy_score(content["predictions"]["target"], probabilities.argmax(axis=1)) > 0.95
    assert {item["functional"] for item in content["recommendations"]} == {"probability", "class"}
    page = files[0].read_text()
    assert "several classes" in page
    assert "--task multiclass" in page


def test_a_class_without_weight_gets_no_probability(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    iris = load_iris(as_frame=True)
    iris.frame[::3].to_csv(tmp_path / "iris.csv", index=False)
    command = ["compare", str(tmp_path / "iris.csv"), "--target", "target", "--task", "multiclass", "--l2", "0.01"]
    losses = ["--losses", "CrossEntropy,CrossEntropy(class_weight=(0,1,1))"]
    assert main([*command, *losses, "--folds", "2", "--repeats", "1"]) == 0
    assert "estimates the class, not a probability" in " ".join(capsys.readouterr().out.split())
    model = LinearClassifier(CrossEntropy(class_weight=(0.0, 1, 1)), l2=0.01)
    with pytest.warns(ConvergenceWarning, match="no finite minimum"):
        model.fit(iris.data, iris.target)
    assert not hasattr(model, "predict_proba")


def test_weight_two_equals_a_row_twice() -> None:
    iris = load_iris()
    features, labels = iris.data[::3], iris.target[::3]
    weight = np.ones(len(labels))
    weight[::5] = 2.0
    fits = [
        LinearClassifier(CrossEntropy(), l2=0.01).fit(features, labels, weight),
        LinearClassifier(CrossEntropy(), l2=0.01).fit(
            np.repeat(features, weight.astype(int), axis=0), np.repeat(labels, weight.astype(int))
        ),
    ]
    np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, atol=1e-6)


def three_classes(seed: int, rows: int, flipped: float) -> tuple[Array, Array]:
    """Draw classes of which one is rare from a softmax of two features, some of them flipped to any other class."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 2))
    scores = features @ np.array([[2.0, -1.0, -1.0], [0.0, 2.0, -2.0]]) + [0.8, 0.3, -1.1]
    labels = (scores + rng.gumbel(size=(rows, 3))).argmax(axis=1)
    wrong = rng.random(rows) < flipped
    labels[wrong] = (labels[wrong] + rng.integers(1, 3, wrong.sum())) % 3
    return features, labels


def verdicts(flipped: float, losses: list[str], studies: int, rows: int) -> list[Any]:
    """Return the verdicts of many simulated comparisons."""
    found: list[Any] = []
    for seed in range(studies):
        features, labels = three_classes(seed, rows, flipped)
        result = compare(features, labels, task="multiclass", losses=losses, folds=5, repeats=1, l2=1e-2, seed=seed)
        found += result.verdicts
    return found


def at_most(count: int, rate: float) -> int:
    """Return how many false claims of `count` tests are no sign of a higher rate than `rate`."""
    return int(stats.binom.ppf(0.99, count, rate))


def test_where_cross_entropy_is_right_nothing_is_claimed_to_be_better() -> None:
    """It is the likelihood of these data: no loss has a better expected log score or Brier score."""
    studies = 12
    found = verdicts(0.0, ["multiclass_brier", "generalized_cross_entropy"], studies, rows=90)
    for score in ("log_score", "accuracy"):
        false = sum(item.verdict == "better" and item.score == score for item in found)
        assert false <= at_most(2 * studies, 0.05)


def test_flipped_labels_give_no_false_claim_against_robust_losses() -> None:
    """With 20 % of the labels flipped, bounded losses find classes at least as well as cross-entropy."""
    studies = 10
    found = verdicts(0.2, ["multiclass_brier", "generalized_cross_entropy"], studies, rows=120)
    false = sum(item.verdict == "worse" and item.score == "accuracy" for item in found)
    assert false <= at_most(2 * studies, 0.05)


def test_a_loss_that_is_wrong_for_the_data_is_found_out() -> None:
    """A prior that is far from the truth moves the scores, and with them the classes, but not the probabilities."""
    features, labels = three_classes(0, 600, 0.0)
    spoilt = LogitAdjusted(prior=(0.01, 0.01, 0.98), tau=2.0)
    result = compare(features, labels, task="multiclass", losses=[spoilt], folds=5, repeats=2, l2=1e-3)
    verdict = next(item for item in result.verdicts if item.score == "accuracy")
    assert verdict.verdict == "worse"
    assert result.recommendations[-1].loss == "CrossEntropy"
