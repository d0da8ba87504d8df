"""The verdicts themselves: by hand, under a null where nothing may be claimed, and where there is a winner."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

import lossfn
from lossfn.comparison import ScoreInfo, ScoreResult, compare
from lossfn.comparison.candidates import Candidate
from lossfn.comparison.data import read_data
from lossfn.comparison.models import Linear
from lossfn.comparison.scores import scores_for
from lossfn.comparison.validation import cross_validate
from lossfn.comparison.verdicts import NEGLIGIBLE, compare_scores, holm, holm_levels, judge, paired_test, summarise

RMSE = ScoreInfo("rmse", "RMSE", "mean", True, "")
ACCURACY = ScoreInfo("accuracy", "Accuracy", "class", False, "")

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_corrected_interval_by_hand():
    # Mean 2, variance 1, J = 3 folds, a test set half the size of the training set: (1/3 + 1/2) * 1 = 5/6.
    test = paired_test([1.0, 2.0, 3.0], test_share=0.5)
    assert test.mean == 2.0
    assert test.standard_error == pytest.approx(math.sqrt(5 / 6), rel=1e-15)
    # The 97.5 % point of Student's t with 2 degrees of freedom is 4.302652729911275 (any printed table: 4.303).
    low, high = test.interval(0.95)
    assert (low, high) == pytest.approx(
        (2 - 4.302652729911275 * math.sqrt(5 / 6), 2 + 4.302652729911275 * math.sqrt(5 / 6)), rel=1e-9
    )
    # P(|t| > x) with 2 degrees of freedom is 1 - x / sqrt(2 + x^2).
    x = 2 / math.sqrt(5 / 6)
    assert test.p_value == pytest.approx(1 - x / math.sqrt(2 + x * x), rel=1e-12)


def test_without_overlap_it_is_the_ordinary_t_test():
    values = np.random.default_rng(0).normal(0.3, 1.0, 15)
    ordinary = stats.ttest_1samp(values, 0.0)
    test = paired_test(values, test_share=0.0)
    assert test.p_value == pytest.approx(ordinary.pvalue, rel=1e-12)
    interval = ordinary.confidence_interval(0.95)
    assert test.interval(0.95) == pytest.approx((interval.low, interval.high), rel=1e-12)


def test_a_margin_widens_the_interval_and_excuses_small_differences():
    values = [0.9, 1.0, 1.1]
    strict, lenient = paired_test(values, 0.25), paired_test(values, 0.25, margin=0.4)
    low, high = strict.interval(0.9)
    assert lenient.interval(0.9) == pytest.approx((low - 0.4, high + 0.4))
    assert lenient.p_value > strict.p_value
    assert paired_test(values, 0.25, margin=1.0).p_value == 1.0


def test_differences_without_spread():
    assert paired_test([0.0, 0.0, 0.0], 0.25).p_value == 1.0
    assert paired_test([1.0, 1.0, 1.0], 0.25).p_value == 0.0


def test_holm_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; made monotone, the last is 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5]) == [0.5]
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(p_values)
def test_holm_lies_between_no_correction_and_bonferroni(values):
    for raw, adjusted in zip(values, holm(values), strict=True):
        assert raw <= adjusted <= min(1.0, len(values) * raw)


@given(p_values)
def test_intervals_agree_with_holm(values):
    # At its level, the interval of a test excludes zero exactly when p <= 1 - level.
    for raw, adjusted, level in zip(values, holm(values), holm_levels(values), strict=True):
        assert (adjusted <= 0.05) == (raw <= 1 - level) or math.isclose(raw, 1 - level, rel_tol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(0, 2))
def test_a_verdict_is_clear_exactly_when_its_interval_excludes_zero(seed, count, shift):
    rng = np.random.default_rng(seed)
    default = rng.normal(10, 1, 10)
    results = {"default": summarise(list(default), 0.25)}
    for number in range(count):
        results[f"loss {number}"] = summarise(list(default + rng.normal(shift * (number - 1), 1, 10)), 0.25)
    verdicts = judge(RMSE, results, "default", 0.25)
    assert [verdict.loss for verdict in verdicts] == [f"loss {number}" for number in range(count)]
    for verdict in verdicts:
        assert (verdict.low <= 0 <= verdict.high) == (verdict.verdict == "no clear difference")
        assert verdict.low <= verdict.difference <= verdict.high


def test_better_depends_on_the_direction_of_the_score():
    results = {"default": summarise([1.0, 1.1, 0.9, 1.0], 0.25), "other": summarise([2.0, 2.1, 1.9, 2.0], 0.25)}
    assert judge(RMSE, results, "default", 0.25)[0].verdict == "worse"
    assert judge(ACCURACY, results, "default", 0.25)[0].verdict == "better"


def test_losses_without_the_score_are_passed_over():
    nothing = ScoreResult(None, None, None, "it has no probability")
    values = summarise([1.0, 2.0, 3.0], 0.25)
    assert judge(RMSE, {"default": values, "hinge": nothing}, "default", 0.25) == ()
    assert judge(RMSE, {"default": nothing, "other": values}, "default", 0.25) == ()


def test_differences_within_the_accuracy_of_solvers_are_not_claimed():
    scores = np.linspace(1, 2, 10)
    default = summarise(list(scores), 0.25)
    almost = summarise(list(scores + 0.5 * NEGLIGIBLE), 0.25)
    assert compare_scores(almost, default, 0.25).p_value == 1.0


def two_equally_good_models(seed, rows=60, folds=5, repeats=3):
    """Return the differences in RMSE of least squares on one of two features that matter alike."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 2))
    target = features.sum(axis=1) + rng.normal(size=rows)
    differences = []
    for _ in range(repeats):
        for test in np.array_split(rng.permutation(rows), folds):
            train = np.setdiff1d(np.arange(rows), test)
            rmse = []
            for feature in features.T:
                slope, intercept = np.polyfit(feature[train], target[train], 1)
                rmse.append(math.sqrt(np.mean((slope * feature[test] + intercept - target[test]) ** 2)))
            differences.append(rmse[1] - rmse[0])
    return differences


def test_refitted_models_that_are_equally_good_are_seldom_told_apart():
    studies = [two_equally_good_models(seed) for seed in range(500)]
    corrected = np.mean([paired_test(study, test_share=1 / 4).p_value <= 0.05 for study in studies])
    uncorrected = np.mean([paired_test(study, test_share=0.0).p_value <= 0.05 for study in studies])
    assert corrected <= 0.10
    assert uncorrected > 0.20  # what the correction is for


def claims(losses, draw, studies, scores, rows=60):
    """Return in which share of simulated comparisons a difference is claimed under any of the scores."""
    candidates = [Candidate(f"{loss!r}", loss, "", is_default=i == 0) for i, loss in enumerate(losses)]
    claimed = 0
    for seed in range(studies):
        features, y = draw(np.random.default_rng(seed), rows)
        data = read_data(features, y, task=None, weight=None, groups=None, folds=5, target_name=None)
        fits = cross_validate(data, candidates, folds=5, repeats=1, model=Linear(1e-2), seed=seed, progress=None)
        for score in scores_for(data.task):
            if score.info.key in scores:
                results = {key: summarise([score(fit.held_out) for fit in of], 0.25) for key, of in fits.items()}
                claimed += any(
                    v.verdict != "no clear difference" for v in judge(score.info, results, candidates[0].key, 0.25)
                )
    return claimed / (studies * len(scores))


def test_losses_that_mirror_each_other_are_seldom_told_apart():
    """Where y and -y are equally likely, the 40 % and the 60 % expectile have the same expected RMSE and MAE."""

    def symmetric(rng, rows):
        features = rng.normal(size=(rows, 2))
        return features, features @ [1.0, 0.5] + rng.standard_t(4, size=rows)

    losses = [lossfn.Expectile(tau=0.4), lossfn.Expectile(tau=0.6)]
    assert claims(losses, symmetric, studies=30, scores=["rmse", "mae"]) <= 0.10


def test_class_weights_that_mirror_each_other_are_seldom_told_apart():
    """Where the classes are mirror images, weighting either of them costs as much."""

    def mirrored(rng, rows):
        labels = np.arange(rows) % 2
        return rng.normal(size=(rows, 2)) + 0.5 * np.outer(2 * labels - 1, [1.0, 1.0]), labels

    losses = [lossfn.BinaryCrossEntropy(pos_weight=weight) for weight in (3.0, 1 / 3)]
    assert claims(losses, mirrored, studies=30, scores=["log_score", "brier", "average_precision"]) <= 0.10


def noisy_line(seed, rows, features, noise):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, features))
    return matrix, matrix[:, 0] + getattr(rng, noise)(size=rows)


def test_laplace_noise_makes_the_absolute_loss_better_for_the_median():
    # With Laplace noise the squared error needs twice the rows for the same coefficients. Even for a hundred of them
    # that is no more than 2 % of the MAE, which takes some rows to prove.
    result = compare(*noisy_line(2, 3000, 100, "laplace"), losses=["absolute_error"], l2=1e-3, repeats=2)
    assert result.verdict("AbsoluteError", "mae").verdict == "better"
    median = next(item for item in result.recommendations if item.functional == "median")
    assert (median.loss, median.changes_default) == ("AbsoluteError", True)
    assert "For the median, train with AbsoluteError: its MAE" in median.sentence
    assert "for the median, AbsoluteError" in result.recommendation


def test_skewed_noise_makes_the_absolute_loss_better_for_the_median():
    result = compare(*noisy_line(3, 1500, 2, "exponential"), losses=["absolute_error"], l2=1e-3)
    assert result.verdict("AbsoluteError", "mae").verdict == "better"
    assert result.verdict("AbsoluteError", "rmse").verdict == "worse"  # the mean is another number


def test_gaussian_noise_leaves_the_squared_error_the_default():
    result = compare(*noisy_line(2, 300, 20, "normal"), losses=["absolute_error", "Huber"], l2=1e-3, repeats=2)
    assert result.verdict("AbsoluteError", "rmse").verdict != "better"
    assert result.verdict("Huber", "rmse").verdict != "better"
    assert result.recommendations[0].functional == "mean"
    assert not result.recommendations[0].changes_default
    assert "keep SquaredError" in result.recommendation
