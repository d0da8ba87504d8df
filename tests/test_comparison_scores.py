"""The scores, what explains them, what is recommended, and the units in which losses are trained."""

import dataclasses
import json
import math

import numpy as np
import pytest
from sklearn import metrics

import lossfn
from lossfn import fields
from lossfn.comparison import Comparison, compare
from lossfn.comparison.candidates import Candidate, functional_of
from lossfn.comparison.curves import curves_of
from lossfn.comparison.evidence import gradient_curve, judge_balance, judge_spread, judge_tails
from lossfn.comparison.noise import judge_noise
from lossfn.comparison.output import write_atomically
from lossfn.comparison.recommendation import recommend
from lossfn.comparison.scores import HeldOut, balanced_accuracy, calibration_error, scores_for
from lossfn.comparison.units import in_units, is_scalable, penalty_unit, training_units
from lossfn.comparison.verdicts import judge, summarise

RNG = np.random.default_rng(0)


class Cauchy(lossfn.PointwiseLoss):
    """A loss with a scale that it does not declare to be in units of the target."""

    scale: float = fields.positive(default=1.0, symbol="c", doc="scale")

    def expression(self, xp, pred, target):  # noqa: D102
        return xp.log1psq((pred - target) / self.scale)


def held_out(target, prediction, weight=None, decision=None):
    target, prediction = np.asarray(target, float), np.asarray(prediction, float)
    weight = np.ones(len(target)) if weight is None else np.asarray(weight, float)
    return HeldOut(target, weight, prediction if decision is None else np.asarray(decision, float), prediction)


# ---- scores --------------------------------------------------------------------------------------------------------


def test_regression_scores_by_hand():
    rows = held_out([0, 0, 0, 0], [1, -2, 3, 0], weight=[1, 1, 1, 2])
    values = {score.info.key: score(rows) for score in scores_for("regression")}
    assert values == pytest.approx(
        {
            "rmse": math.sqrt((1 + 4 + 9) / 5),
            "mae": 6 / 5,
            "median_absolute_error": 1.0,
            "pinball_0.1": (0.9 * 1 + 0.1 * 2 + 0.9 * 3) / 5,
            "pinball_0.5": 3 / 5,
            "pinball_0.9": (0.1 * 1 + 0.9 * 2 + 0.1 * 3) / 5,
        }
    )


def test_binary_scores_by_hand():
    rows = held_out([1, 0, 1, 0], [0.8, 0.4, 0.3, 0.1], decision=[2, -1, -2, -3])
    values = {score.info.key: score(rows) for score in scores_for("binary")}
    assert values == pytest.approx(
        {
            "log_score": -(math.log(0.8) + math.log(0.6) + math.log(0.3) + math.log(0.9)) / 4,
            "brier": (0.2**2 + 0.4**2 + 0.7**2 + 0.1**2) / 4,
            "ece": (0.2 + 0.4 + 0.7 + 0.1) / 4,
            "average_precision": 0.5 * 1 + 0.5 * 2 / 3,
            "balanced_accuracy": (1 / 2 + 1) / 2,
        }
    )


def test_calibration_error_counts_every_row():
    # A model that is always wrong and certain: the bin of 1 is closed, the error is 1.
    assert calibration_error(held_out([0, 0], [1.0, 1.0])) == 1.0
    assert calibration_error(held_out([1, 1], [0.0, 0.0])) == 1.0
    probability = RNG.uniform(size=500)
    label = (RNG.uniform(size=500) < probability).astype(float)
    rows = held_out(label, probability)
    bins = np.minimum(np.floor(probability * 10), 9)
    by_hand = sum(
        (bins == b).mean() * abs(probability[bins == b].mean() - label[bins == b].mean()) for b in np.unique(bins)
    )
    assert calibration_error(rows) == pytest.approx(by_hand)
    assert 0 < by_hand < 0.1


def test_the_threshold_of_balanced_accuracy_moves():
    rows = held_out([0, 0, 0, 1], [0.1, 0.1, 0.2, 0.4])
    assert balanced_accuracy(rows, rows.prediction - 0.5) == 0.5
    assert balanced_accuracy(rows, rows.prediction - 0.25) == 1.0


def test_every_score_names_what_it_rewards():
    functionals = {score.info.key: score.info.functional for score in scores_for("regression")}
    assert functionals == {
        "rmse": "mean",
        "mae": "median",
        "median_absolute_error": "median if symmetric",
        "pinball_0.1": "quantile 0.1",
        "pinball_0.5": "median",
        "pinball_0.9": "quantile 0.9",
    }


def test_losses_aim_at_what_their_level_says():
    names = {
        lossfn.Pinball(tau=0.9): "quantile 0.9",
        lossfn.Pinball(tau=0.5): "median",
        lossfn.Expectile(tau=0.5): "mean",
        lossfn.Expectile(tau=0.2): "expectile 0.2",
        lossfn.AbsoluteError(): "median",
        lossfn.Hinge(): "class",
    }
    assert {loss: functional_of(loss) for loss in names} == names


# ---- evidence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "best"),
    [("normal", "Gaussian"), ("laplace", "Laplace"), ("logistic", "logistic")],
)
def test_the_noise_model_that_made_the_residuals_is_found(draw, best):
    residuals = 5 + 100 * getattr(np.random.default_rng(1), draw)(size=3000)
    found = judge_noise(residuals, seed=0)
    assert found.best == best
    assert found.parameters[best] == pytest.approx((5, 100), abs=8)
    assert best in found.sentence


def test_student_noise_is_found_with_its_degrees_of_freedom():
    found = judge_noise(1e-3 * np.random.default_rng(1).standard_t(3, size=3000), seed=0)
    assert found.best == "Student-t"
    assert found.student_df == pytest.approx(3, rel=0.15)
    assert "degrees of freedom" in found.sentence


def test_log_scores_are_densities_in_units_of_the_target():
    residuals = np.random.default_rng(2).normal(size=2000)
    # The differential entropy of a Gaussian is log(sigma) + 1.4189.
    assert judge_noise(10 * residuals, seed=0).log_scores["Gaussian"] == pytest.approx(-math.log(10) - 1.4189, abs=0.05)


def test_too_few_residuals_tell_nothing():
    assert judge_noise(np.arange(10.0), seed=0) is None


def test_tails():
    light = judge_tails(RNG.normal(size=5000))
    assert light.beyond_three_sigma == pytest.approx(0.0027, abs=0.002)
    assert "close to Gaussian" in light.sentence
    heavy = judge_tails(RNG.laplace(size=5000))
    assert heavy.excess_kurtosis == pytest.approx(3, abs=1)
    assert "heavier than Gaussian" in heavy.sentence
    skewed = judge_tails(-RNG.exponential(size=5000))  # residuals are prediction - target
    assert "the longer tail are targets above their prediction" in skewed.sentence
    # One row decides the skewness and not the sentence.
    one = judge_tails(np.append(RNG.normal(size=300), -40))
    assert one.skewness < -1
    assert "longer tail" not in one.sentence
    assert "the longer tail are targets below" in judge_tails(np.append(RNG.exponential(size=300), -40)).sentence


def test_spread():
    prediction = RNG.normal(size=1000)
    noise = RNG.normal(size=1000)
    assert "does not follow" in judge_spread(noise, prediction).sentence
    assert "grows with" in judge_spread(noise * np.exp(prediction), prediction).sentence
    assert "shrinks with" in judge_spread(noise * np.exp(-prediction), prediction).sentence
    assert judge_spread(noise, np.zeros(1000)) is None


def test_balance():
    balance = judge_balance(np.repeat([0.0, 1.0], [95, 5]), np.ones(100), ("no", "yes"))
    assert (balance.negatives, balance.positives, balance.base_rate) == (95, 5, 0.05)
    assert "strongly imbalanced: 5 of 100 rows are 'yes'" in balance.sentence
    assert "always saying 'no' is right in 95.0%" in balance.sentence


def test_gradient_share_by_hand():
    gradient = np.ones(200)
    gradient[[3, 8]] = 99.0  # two of 200 rows are 1 %
    share, rows, curve = gradient_curve(gradient)
    assert share == pytest.approx(198 / (198 + 198))
    assert curve[0] == 0
    assert curve[-1] == pytest.approx(1)
    assert (np.diff(curve) >= 0).all()
    assert (np.diff(curve, 2) <= 1e-12).all()  # falling gradients: a concave curve
    assert len(rows) == len(curve)
    assert gradient_curve(np.zeros(50))[0] == 0.01


# ---- recommendations -----------------------------------------------------------------------------------------------

NOISE = RNG.normal(0, 0.01, 10)


def advise(means, score="mae"):
    """Return the recommendation under one score, from the mean score of each loss; the first is the default."""
    info = next(item.info for item in scores_for("regression") if item.info.key == score)
    candidates, scores = [], {}
    for number, (loss, mean) in enumerate(means.items()):
        candidates.append(Candidate(repr(loss), loss, functional_of(loss), is_default=number == 0))
        scores[repr(loss)] = {score: summarise(mean + np.roll(NOISE, number), 0.25)}
    keys = [candidate.key for candidate in candidates]
    verdicts = judge(info, {key: scores[key][score] for key in keys}, keys[0], 0.25)
    found = recommend([info], candidates, scores, verdicts, 0.25, None)
    return found[0] if found else None


SQUARED, ABSOLUTE, HUBER = lossfn.SquaredError(), lossfn.AbsoluteError(), lossfn.Huber()


def test_without_a_clear_winner_the_default_stays():
    advice = advise({SQUARED: 1.0, ABSOLUTE: 1.0, HUBER: 1.0})
    assert not advice.changes_default
    assert "keep SquaredError()" in advice.sentence
    assert "; AbsoluteError() with 1.001 comes closest and is not clearly different, " in advice.sentence


def test_the_loss_with_the_best_score_is_named_where_the_default_stays():
    advice = advise({SQUARED: 1.0, ABSOLUTE: 1.1, HUBER: 0.9999})
    assert not advice.changes_default
    assert "; Huber(delta=1.0) with 1.001 is lower, but not clearly, a difference of -0.0001 " in advice.sentence


def test_a_clear_winner_is_recommended_with_its_numbers():
    advice = advise({SQUARED: 2.0, ABSOLUTE: 1.0})
    assert advice.loss == "AbsoluteError()"
    assert advice.changes_default
    assert "train with AbsoluteError(): its MAE on held-out rows is 1" in advice.sentence
    assert "a difference of -1 (interval -1.0" in advice.sentence


def test_of_equally_good_losses_the_one_that_aims_at_the_functional_is_taken():
    assert advise({SQUARED: 2.0, HUBER: 0.9999, ABSOLUTE: 1.0}).loss == "AbsoluteError()"
    assert advise({SQUARED: 2.0, HUBER: 0.5, ABSOLUTE: 1.0}).loss == "Huber(delta=1.0)"


def test_a_loss_that_aims_elsewhere_is_recommended_only_with_a_word_of_warning():
    advice = advise({SQUARED: 2.0, HUBER: 1.0}, score="rmse")
    assert "it aims at an M-location, which is the mean only where the noise is symmetric" in advice.sentence


def test_a_quantile_loss_is_recommended_for_its_quantile_alone():
    low, high = lossfn.Pinball(tau=0.1), lossfn.Pinball(tau=0.9)
    assert not advise({SQUARED: 2.0, high: 1.0, ABSOLUTE: 2.0}, score="mae").changes_default
    assert not advise({SQUARED: 2.0, high: 1.0, low: 2.0}, score="pinball_0.1").changes_default
    assert advise({SQUARED: 2.0, low: 1.0, HUBER: 0.5}, score="pinball_0.1").loss == "Pinball(tau=0.1)"


def test_nothing_is_said_of_what_no_loss_aims_at():
    assert advise({SQUARED: 2.0, HUBER: 1.0}, score="pinball_0.1") is None


def test_rare_classes_need_another_threshold_not_another_loss():
    rng = np.random.default_rng(6)
    labels = (np.arange(1500) % 10 == 0).astype(int)
    features = rng.normal(size=(1500, 2)) + 1.2 * labels[:, None]
    result = compare(features, labels, losses=["BinaryCrossEntropy(pos_weight=9)"], l2=1e-3, repeats=2)
    assert result.verdict("BinaryCrossEntropy(pos_weight=9)", "balanced_accuracy").verdict == "better"
    advice = next(item for item in result.recommendations if item.functional == "class")
    assert advice.advice == "BinaryCrossEntropy with the threshold at the base rate"
    assert "is not clearly better than that" in advice.sentence
    moved = result.evidence.balance.moved_threshold
    assert moved.mean == pytest.approx(result.table.loc["BinaryCrossEntropy(pos_weight=9)", "Balanced acc."], abs=0.03)


# ---- units ---------------------------------------------------------------------------------------------------------

SUM = 0.7 * lossfn.SquaredError() + 0.3 * lossfn.AbsoluteError() + 2.0 * lossfn.Huber(delta=0.4)
SCALABLE = [
    SQUARED,
    ABSOLUTE,
    HUBER,
    lossfn.LogCosh(scale=2.0),
    lossfn.Pinball(tau=0.2),
    lossfn.Expectile(tau=0.7),
    SUM,
]


@pytest.mark.parametrize("loss", SCALABLE, ids=repr)
def test_a_change_of_units_keeps_the_minimiser(loss):
    target = RNG.exponential(size=101)
    assert is_scalable(loss)
    there = in_units(loss, 50.0).optimal_constant(target / 50.0)
    assert 50 * there == pytest.approx(float(loss.optimal_constant(target)), rel=1e-6)
    units = training_units(loss, target, np.ones(101))
    assert units.apply(target) == pytest.approx((target - np.median(target)) / units.scale)


def test_a_log_link_is_scaled_without_a_shift():
    target = RNG.poisson(3.0, size=50).astype(float)
    units = training_units(lossfn.Poisson(), target, np.ones(50))
    assert (units.location, units.scale) == (0.0, target.mean())


def test_a_scale_that_is_not_declared_keeps_its_unit():
    loss, target, ones = Cauchy(scale=3.0), 100 * RNG.normal(size=80), np.ones(80)
    assert not is_scalable(loss)
    assert training_units(loss, target, ones).scale == 1.0
    assert in_units(loss, 7.0) == loss
    # The penalty is as strong, per squared spread of the target, as the loss itself.
    assert penalty_unit(loss, target, ones) < 1e-2
    features = RNG.normal(size=(80, 1))
    result = compare(features, 30 * features[:, 0] + RNG.normal(size=80), losses=[loss], repeats=1)
    assert result.table.loc["Cauchy(scale=3)", "RMSE"] < 3


# ---- the result ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result():
    features = np.random.default_rng(7).normal(size=(60, 2))
    target = features[:, 0] + np.random.default_rng(8).laplace(size=60)
    return compare(features, target, losses=["Huber", "Pinball(tau=0.9)"], repeats=1, l2=0.01, target_name="price")


def test_the_table_has_a_row_a_loss_and_a_column_a_score(result):
    assert list(result.table.index) == ["SquaredError", "Huber", "Pinball(tau=0.9)"]
    assert list(result.table.columns) == ["RMSE", "MAE", "Median AE", "Pinball 0.1", "Pinball 0.5", "Pinball 0.9"]
    prediction = result.predictions.by_loss["SquaredError"]
    assert result.table.loc["SquaredError", "RMSE"] == pytest.approx(
        metrics.root_mean_squared_error(result.predictions.target, prediction), rel=0.1
    )


def test_json_holds_everything_without_nan(result, tmp_path):
    def refuse(constant):
        raise AssertionError(constant)

    path = tmp_path / "result.json"
    text = result.to_json(path)
    assert path.read_text(encoding="utf-8") == text
    content = json.loads(text, parse_constant=refuse)
    assert set(content) == {field.name for field in dataclasses.fields(Comparison)} | {"recommendation"}
    assert content["seed"] == 0
    assert set(content["versions"]) >= {"lossfn", "numpy", "scikit-learn"}
    assert content["losses"][1]["scores"]["mae"]["values"] == list(result.losses[1].scores["mae"].values)
    assert len(content["predictions"]["by_loss"]["Huber"]) == 60


def test_it_is_found_by_key_and_shown_in_one_line(result):
    assert result.loss("Huber").label == "Huber"
    assert result.score("mae").label == "MAE"
    assert result.verdict("SquaredError", "mae") is None
    assert repr(result) == (
        "<Comparison of 3 losses for 'price' (regression): 60 rows, 2 features, 1 x 5 folds, seed 0>"
    )
    assert result.recommendation.startswith("For the mean, ")


def test_curves_follow_the_residual(result):
    curve = result.loss("Huber").curves[0]
    delta = result.loss("Huber").parameters["delta"]
    np.testing.assert_allclose(curve.gradient, np.clip(curve.argument, -delta, delta), atol=1e-9)
    assert curve.value.min() == pytest.approx(0, abs=1e-12)
    poisson = Candidate("Poisson", lossfn.Poisson(), "mean")
    (curve,) = curves_of(poisson, poisson.loss, np.array([2.0, 3.0, 4.0]), np.linspace(-5, 5, 50))
    assert curve.argument.min() > -3
    assert curve.argument[np.argmin(curve.value)] == pytest.approx(0, abs=0.06)
    hinge = Candidate("Hinge", lossfn.Hinge(), "class")
    positive, negative = curves_of(hinge, hinge.loss, np.array([0.0, 1.0]), None)
    assert (positive.label, negative.label) == ("target 1", "target 0")
    np.testing.assert_allclose(positive.value, np.maximum(0, 1 - positive.argument), atol=1e-12)


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "old"
