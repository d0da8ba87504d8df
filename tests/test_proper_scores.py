"""Proper scores of probabilities: with a name, of a convex generator, and the search for counter-examples."""

from __future__ import annotations

import math
import pickle
from functools import cache
from typing import Any

import numpy as np
import pytest
from conftest import label, raises

import lossfn
from lossfn import Brier, LogScore, Spherical
from lossfn.scoring import Propriety, is_proper, ranked_probability_score, savage
from lossfn.scoring.propriety import simplex_grid

FORECASTS = np.array([1e-300, 1e-9, 0.03, 0.2, 0.5, 0.7, 0.97, 1 - 1e-9])


# ---- scores of a convex function ------------------------------------------------------------------------------------


def minus_entropy(xp: Any, p: Any) -> Any:
    return p * xp.log(p) + (1 - p) * xp.log1p(-p)


def guarded_minus_entropy(xp: Any, p: Any) -> Any:
    return xp.xlogy(p, p) + xp.xlog1py(1 - p, -p)


def parabola(_xp: Any, p: Any) -> Any:
    return p * p - p


def length(xp: Any, p: Any) -> Any:
    return xp.sqrt(p * p + (1 - p) * (1 - p))


def minus_root(xp: Any, p: Any) -> Any:
    return -2 * xp.sqrt(p * (1 - p))


GENERATORS = {
    "minus entropy": (minus_entropy, LogScore()),
    "minus entropy, guarded": (guarded_minus_entropy, LogScore()),
    "parabola": (parabola, Brier()),
    "parabola and a line": (lambda _xp, p: p * p + 0.3 * p - 7, Brier()),
    "length": (length, Spherical()),
}

# Deriving and verifying a score takes a second.
savage_once = cache(savage)


# errata P01: S1 = -G - (1-p) G', S0 = -G + p G'; errata P02: which generators are convex
@pytest.mark.parametrize(("generator", "named"), GENERATORS.values(), ids=GENERATORS)
def test_convex_generators_give_the_scores_with_a_name(generator, named):
    score = savage_once(generator)
    for target in (0.0, 1.0, 0.3):
        targets = np.full_like(FORECASTS, target)
        # A line, or the expected score of a right forecast that is no label, may add a constant.
        difference = score.elementwise(FORECASTS, targets) - named.elementwise(FORECASTS, targets)
        np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-12)
        for derivative in ("gradient", "hessian"):
            got, expected = (getattr(loss, derivative)(FORECASTS, targets, reduction="sum") for loss in (score, named))
            np.testing.assert_allclose(got, expected, rtol=1e-12, err_msg=derivative)


@pytest.mark.parametrize("generator", [minus_entropy, length, parabola])
def test_simplified_scores_are_exact_at_certain_forecasts(generator):
    score, p = savage_once(generator), np.array([0.0, 1.0, 0.0, 1.0])
    right_and_wrong = {minus_entropy: (0, math.inf), length: (-1, 0), parabola: (0, 1)}[generator]
    values = score.elementwise(p, [0, 1, 1, 0])
    np.testing.assert_array_equal(values, np.repeat(right_and_wrong, 2))


@pytest.mark.parametrize(("generator", "got"), [(3, "got 3"), (lambda p: p * p, "got one of (p)")])
def test_what_is_no_generator_is_refused(generator, got):
    with raises(TypeError, "savage: generator must be a function of (xp, p); ", got):
        savage(generator)


# errata P02: the seed's generators are not convex
@pytest.mark.parametrize(
    ("concave", "curvature"),
    [
        (lambda xp, p: xp.log(p), "-1e+06"),
        (lambda _xp, p: 2 * p - p * p, "-2"),
        (lambda xp, p: 1 / xp.sqrt(p * p + (1 - p) * (1 - p)), "-0.006"),
    ],
    ids=["log p", "2p - p²", "1 / length"],
)
def test_generators_that_are_not_convex_are_refused(concave, curvature):
    with raises(ValueError, "savage: the generator must be convex", "second derivative at p = 0.", curvature):
        savage(concave)


# errata P01: the form of the seed predicts 0 or 1, whatever the truth
def test_the_tangent_makes_the_score_proper():
    score = savage(lambda xp, p: 0.7 * xp.exp(1.3 * p) - 0.4 * xp.log(1 - p * p / 2))
    assert is_proper(score).verdict == "strictly proper"

    def without_tangent(q, outcome):
        g, slope = q[1] ** 2 - q[1], 2 * q[1] - 1
        return -g if outcome else -((1 - q[1]) ** 2 - (1 - q[1])) - q[1] * slope

    assert not is_proper(without_tangent)


def test_a_generator_with_a_corner_scores_one_decision():
    # |p - ½|: right at no cost, wrong at cost 1: the zero-one loss up to a constant; proper, not strictly.
    score = savage(lambda xp, p: xp.abs(p - 0.5))
    values = score.elementwise([0.1, 0.4, 0.6, 0.9], [1, 1, 1, 1])
    np.testing.assert_allclose(values, [0.5, 0.5, -0.5, -0.5], atol=1e-15)
    assert is_proper(score).verdict == "proper"


def test_the_boosting_score():
    p = np.array([0.1, 0.5, 0.8])
    score = savage(minus_root)
    np.testing.assert_allclose(score.elementwise(p, [1, 1, 1]), np.sqrt((1 - p) / p), rtol=1e-13)
    np.testing.assert_allclose(score.elementwise(p, [0, 0, 0]), np.sqrt(p / (1 - p)), rtol=1e-13)


def test_a_score_of_a_generator_is_a_loss_like_any_other():
    score = savage_once(minus_entropy)
    assert pickle.loads(pickle.dumps(score)) == score
    assert score.optimal_constant([0, 0, 1, 1, 1]) == 0.6
    np.testing.assert_allclose(score.inverse_link([0.0, 0.3, 1.0]), [0.0, 0.3, 1.0], rtol=1e-14)
    assert r"\log" in score.formula
    large = np.full(100_000, 0.25)
    assert math.isclose(score(large, np.ones_like(large)), math.log(4), rel_tol=1e-14)
    torch = pytest.importorskip("torch")
    pred = torch.tensor([0.25, 0.5], dtype=torch.float64, requires_grad=True)
    score(pred, torch.tensor([1.0, 0.0]), reduction="sum").backward()
    np.testing.assert_allclose(pred.grad, [-4.0, 2.0])
    with raises(ValueError, "SavageScore: pred[0] = 1.5 is not a probability"):
        score([1.5], [1])


def test_a_score_that_loses_accuracy_says_so():
    with pytest.warns(lossfn.AccuracyWarning, match="SavageScore: the"):
        savage(lambda xp, p: p * p + 1e9 * (xp.log1p(p) - xp.log(1 + p)))


# ---- counter-examples -----------------------------------------------------------------------------------------------


def log3(p: Any, k: int) -> float:
    return -math.log(p[k]) if p[k] else math.inf


STRICTLY_PROPER = [
    *(lossfn.BinaryCrossEntropy(inputs=inputs) for inputs in ("logits", "log_probabilities", "probabilities")),
    LogScore(),
    Brier(),  # errata k35
    Spherical(),  # errata k36
    lossfn.BinaryFocal(gamma=0.0),
    2.0 * Brier() + 0.5 * LogScore(),
]


# errata k34: the log score is strictly proper
@pytest.mark.parametrize("score", STRICTLY_PROPER, ids=str)
def test_no_counter_example_to_strictly_proper_scores(score):
    found = is_proper(score)
    assert found
    assert found == Propriety("strictly proper", None, None, 0.0, 200)


IMPROPER = [
    lossfn.BinaryFocal(gamma=2.0),  # errata k31
    lossfn.BinaryFocal(gamma=0.5),
    lossfn.BinaryCrossEntropy(label_smoothing=0.1),  # errata L05
    lossfn.BinaryCrossEntropy(label_smoothing=1e-5),
    lossfn.BinaryCrossEntropy(pos_weight=2.0),
    lossfn.BinaryCrossEntropy(pos_weight=1 + 1e-5, inputs="probabilities"),
    lossfn.Hinge(),
]


@pytest.mark.parametrize("loss", IMPROPER, ids=label)
def test_a_counter_example_proves_that_a_loss_is_improper(loss):
    found = is_proper(loss)
    assert found.verdict == "improper"
    assert not found
    # The proof, computed again.
    logit = {"logits": lambda p: math.log(p[1] / p[0]), "probabilities": lambda p: p[1]}[
        getattr(loss, "inputs", "logits")
    ]
    labels = [-1.0, 1.0] if isinstance(loss, lossfn.Hinge) else [0.0, 1.0]
    truth = np.array(found.truth)
    expected = [truth @ loss.elementwise([logit(q)] * 2, labels) for q in (found.truth, found.forecast)]
    assert expected[1] < expected[0]
    assert math.isclose(expected[0] - expected[1], found.advantage, rel_tol=1e-3)
    if loss.gives_probability and getattr(loss, "gamma", 1) and not isinstance(loss, lossfn.Hinge):
        # The forecast is the minimiser that the loss itself implies for this truth.
        implied = loss.inverse_link(np.array([logit(found.forecast)]))[0]
        assert math.isclose(implied, truth[1], abs_tol=1e-5)


# errata P07: a constant score is proper, and not strictly
def test_proper_and_strictly_proper_are_different_things():
    found = is_proper(lambda _p, _k: 5.0, classes=3)
    assert found.verdict == "proper"
    assert found.truth != found.forecast
    assert found.advantage == 0
    zero_one = is_proper(lambda p, k: float(p[1] > 0.5) != k)
    assert zero_one.verdict == "proper"


MULTICLASS = {
    "log": (log3, "strictly proper"),
    "Brier": (lambda p, k: ((p - np.eye(len(p))[k]) ** 2).sum(), "strictly proper"),
    "spherical": (lambda p, k: -p[k] / math.hypot(*p), "strictly proper"),
    "ranked probability": (ranked_probability_score, "strictly proper"),
    "zero-one": (lambda p, k: float(p.argmax() != k), "proper"),
    "linear": (lambda p, k: -p[k], "improper"),
    "focal": (lambda p, k: (1 - p[k]) ** 2 * log3(p, k), "improper"),  # errata k31
    # errata L05: smoothed labels
    "smoothed": (lambda p, k: 0.9 * log3(p, k) + 0.1 / len(p) * sum(log3(p, j) for j in range(len(p))), "improper"),
    "log, certain forecasts refused": (lambda p, k: log3(0.999 * p + 0.001 / len(p), k), "improper"),
}


@pytest.mark.parametrize(("score", "verdict"), MULTICLASS.values(), ids=MULTICLASS)
def test_scores_of_three_classes(score, verdict):
    found = is_proper(score, classes=3)
    assert found.verdict == verdict
    if verdict == "improper":
        truth = np.array(found.truth)
        own, other = (sum(p * score(np.array(q), k) for k, p in enumerate(truth) if p) for q in (truth, found.forecast))
        assert math.isclose(own - other, found.advantage, rel_tol=1e-6)
        assert math.isclose(sum(found.forecast), 1, rel_tol=1e-12)


def test_smoothing_moves_the_best_forecast_to_the_published_place():
    # errata L05: with three classes 1 - ε + ε/K is the minimiser for a certain truth; .7 goes to .64 for two classes
    found = is_proper(lossfn.BinaryCrossEntropy(label_smoothing=0.2))
    assert math.isclose(found.forecast[1], 0.8 * found.truth[1] + 0.1, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [
        (lossfn.CrossEntropy(), "strictly proper"),
        (lossfn.CrossEntropy(inputs="probabilities"), "strictly proper"),
        (lossfn.CrossEntropy(label_smoothing=0.1), "improper"),
        (lossfn.MulticlassBrier(), "strictly proper"),
        (lossfn.MulticlassBrier(inputs="log_probabilities"), "strictly proper"),
        (lossfn.SphericalScore(), "strictly proper"),
        (lossfn.RankedProbabilityScore(), "strictly proper"),
        (lossfn.SoftmaxFocal(), "improper"),
        (lossfn.OrdinalAbsolute(), "improper"),
    ],
    ids=repr,
)
def test_losses_of_rows_are_scored_at_the_logarithms_of_probabilities(loss, verdict):
    assert is_proper(loss, classes=2).verdict == verdict


def test_losses_of_rows_have_as_many_classes_as_asked_for():
    found = is_proper(lossfn.RankedProbabilityScore(), classes=3)
    assert (found.verdict, found.steps) == ("strictly proper", 30)
    assert len(is_proper(lossfn.OrdinalAbsolute(), classes=3).truth) == 3


def test_losses_of_rows_without_softmax_need_a_link():
    for loss in (lossfn.CrammerSinger(), lossfn.Corn()):
        with raises(TypeError, "is_proper", type(loss).__name__, "softmax", "link="):
            is_proper(loss)
    for loss in (lossfn.Distillation(), lossfn.MixtureDensity()):
        with raises(TypeError, "is_proper", "targets are classes", type(loss).__name__):
            is_proper(loss)
    with np.errstate(divide="ignore"):
        found = is_proper(lossfn.Corn(), link=lambda p: np.log(p[:, 1:]) - np.log(p[:, :1]))
    assert found.verdict == "strictly proper"


def test_an_exponential_margin_loss_is_proper_on_its_own_link():
    loss = lossfn.define(
        "ExponentialOfMargin", lambda xp, pred, target: xp.exp(-pred * target), target=lossfn.fields.SIGNED
    )()
    assert not is_proper(loss)
    assert is_proper(loss, link=lambda p: (np.log(p) - np.log1p(-p)) / 2).verdict == "strictly proper"


def test_the_grid_is_every_distribution_in_whole_steps():
    grid = simplex_grid(3, 4)
    assert len(np.unique(grid, axis=0)) == len(grid) == 15
    np.testing.assert_allclose(grid.sum(axis=1), 1)
    assert grid.min() == 0
    assert is_proper(log3, classes=4).steps == 12


def test_what_cannot_be_judged_is_refused():
    with raises(TypeError, "is_proper", "two classes", "Huber"):
        is_proper(lossfn.Huber())
    with raises(ValueError, "score of forecast (0.0, 1.0) and label 0 is NaN"):
        is_proper(lambda p, _k: float(p[0]) if p[0] else math.nan)
    with raises(ValueError, "classes must be at least 2; got 1"):
        is_proper(log3, classes=1)
    with raises(ValueError, "two classes; got classes=3"):
        is_proper(Brier(), classes=3)
    with raises(TypeError, "a loss such as Brier()", "got <class 'lossfn.losses.probability.Brier'>"):
        is_proper(Brier)
    with raises(TypeError, "link= is for losses"):
        is_proper(log3, link=np.log)
    with raises(TypeError, "got 2", "whole row of probabilities", "probabilities[label]"):
        is_proper(lambda p, y: (p - y) ** 2)
