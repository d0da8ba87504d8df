"""Scores of ensembles, quantiles, moments and ordered classes against definitions and executed peers."""

from __future__ import annotations

import math
import warnings

import mpmath
import numpy as np
import pytest
from conftest import raises
from scipy import stats

import lossfn
from lossfn import scoring
from lossfn.engine import threads

RANDOM = np.random.default_rng(11)
ENSEMBLE = RANDOM.normal(1.0, 2.0, (7, 4, 12))
TARGET = RANDOM.normal(0.0, 2.0, (7, 4))
VECTORS = RANDOM.normal(1.0, 2.0, (9, 12, 3))
POINTS = RANDOM.normal(0.0, 2.0, (9, 3))


@pytest.fixture(scope="module")
def peer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("scoringrules")


# ---- one number -----------------------------------------------------------------------------------------------------


def crps_by_pairs(members, target, estimator):
    """Return the definition, with all pairs, in exact arithmetic."""
    with mpmath.workdps(100):
        x, y = [mpmath.mpf(float(m)) for m in members], mpmath.mpf(float(target))
        count = len(x)
        pairs = count * (count - 1) if estimator == "fair" else count * count
        spread = mpmath.fsum(abs(a - b) for a in x for b in x) / pairs
        return float(mpmath.fsum(abs(a - y) for a in x) / count - spread / 2)


@pytest.mark.parametrize("estimator", ["fair", "empirical"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_crps_is_exact(estimator, dtype):
    # Members and targets of one sign and size, far apart, in ties, tiny and huge: no digit may cancel.
    rows = np.array(
        [
            [1e6 + 0.5, 1e6 + 0.25, 1e6, 1e6 + 1, 1e6 - 3],
            [1, 1, 2, 2, 1e10],
            [-1e-20, 1e-20, 0, 3e-20, 1],
            [1e37, -1e37, 0, 1, 2],
            [5, 5, 5, 5, 5],
            [-0.0, 0.0, 1, 2, 3],
        ],
        dtype,
    )
    target = np.array([1e6, 1.5, 0, 1, 5, 0], dtype)
    got = scoring.crps_ensemble(rows, target, estimator=estimator, reduction="none")
    assert got.dtype == dtype
    expected = [crps_by_pairs(row, y, estimator) for row, y in zip(rows, target, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps)


def test_crps_is_the_integral_of_the_squared_difference_of_distribution_functions():
    x, y = np.sort(ENSEMBLE[0, 0]), TARGET[0, 0]
    ends = [float(end) for end in np.sort([*x, y])]
    integral = mpmath.quad(lambda t: (float(np.mean(x <= float(t))) - (float(t) >= y)) ** 2, ends)
    assert math.isclose(scoring.crps_ensemble(x, y, estimator="empirical"), integral, rel_tol=1e-9)


def test_crps_is_half_the_squared_energy_distance():
    for x, y in zip(ENSEMBLE[0], TARGET[0], strict=True):
        distance = stats.energy_distance(x, [y])
        assert math.isclose(scoring.crps_ensemble(x, y, estimator="empirical"), distance**2 / 2, rel_tol=1e-12)
        # One member: the Wasserstein distance of two points.
        single = scoring.crps_ensemble(x[:1], y, estimator="empirical")
        assert math.isclose(single, stats.wasserstein_distance(x[:1], [y]), rel_tol=1e-15)


def test_the_fair_estimator_is_unbiased_for_any_number_of_members():
    # CRPS of the standard normal distribution at 0: 2φ(0) - 1/√π.
    exact = math.sqrt(2 / math.pi) - 1 / math.sqrt(math.pi)
    random = np.random.default_rng(0)
    for members in (2, 3, 10):
        draws = scoring.crps_ensemble(random.normal(size=(40_000, members)), np.zeros(40_000), reduction="none")
        assert abs(draws.mean() - exact) < 4 * draws.std() / 200
    biased = scoring.crps_ensemble(random.normal(size=(40_000, 2)), np.zeros(40_000), estimator="empirical")
    assert biased > exact + 0.2


@pytest.mark.parametrize(("estimator", "name"), [("fair", "fair"), ("empirical", "nrg"), ("empirical", "qd")])
def test_crps_equals_scoringrules(peer, estimator, name):
    ours = scoring.crps_ensemble(ENSEMBLE, TARGET, estimator=estimator, reduction="none")
    np.testing.assert_allclose(ours, peer.crps_ensemble(TARGET, ENSEMBLE, estimator=name), rtol=1e-12)


def test_infinite_members_give_the_limit_and_nan_gives_nan():
    def score(members, estimator):
        return scoring.crps_ensemble(members, 0.5, estimator=estimator)

    for estimator in ("fair", "empirical"):
        far = score([0.0, 1.0, 1e300], estimator)
        infinite = score([0.0, 1.0, math.inf], estimator)
        assert math.isclose(infinite, far, rel_tol=1e-12) if estimator == "fair" else infinite == math.inf
        assert math.isnan(score([0.0, math.nan, 1.0], estimator))
    # Two infinite members: their distance from the others counts.
    assert score([0.0, math.inf, math.inf], "fair") == math.inf
    huge = np.finfo(float).max
    got = scoring.crps_ensemble([[huge, huge / 2]], [-huge / 4], reduction="none")
    assert math.isclose(got[0] / huge, 0.75, rel_tol=1e-15)


def test_a_score_does_not_depend_on_blocks_or_threads(monkeypatch):
    ensemble, target = RANDOM.normal(size=(5000, 20)), RANDOM.normal(size=5000)
    shared = scoring.crps_ensemble(ensemble, target, reduction="none")
    monkeypatch.setattr(threads, "limit", lambda: 1)
    alone = scoring.crps_ensemble(ensemble, target, reduction="none")
    np.testing.assert_array_equal(shared, alone)
    np.testing.assert_allclose(
        shared[::997], [scoring.crps_ensemble(ensemble[i], target[i]) for i in range(0, 5000, 997)], rtol=1e-14
    )


# ---- quantiles and intervals ----------------------------------------------------------------------------------------


def test_crps_of_quantiles(peer):
    levels = [0.1, 0.25, 0.5, 0.8]
    quantiles = np.sort(ENSEMBLE[..., :4])
    ours = scoring.crps_quantiles(quantiles, levels, TARGET, reduction="none")
    np.testing.assert_allclose(ours, peer.crps_quantile(TARGET, quantiles, np.array(levels)), rtol=1e-12)
    # The order statistics at the middles of their steps are the whole ensemble.
    count = ENSEMBLE.shape[-1]
    all_levels = (np.arange(count) + 0.5) / count
    np.testing.assert_allclose(
        scoring.crps_quantiles(np.sort(ENSEMBLE), all_levels, TARGET, reduction="none"),
        scoring.crps_ensemble(ENSEMBLE, TARGET, estimator="empirical", reduction="none"),
        rtol=1e-12,
    )


def test_crps_of_many_quantiles_tends_to_that_of_the_distribution():
    levels = (np.arange(2000) + 0.5) / 2000
    quantiles = stats.norm.ppf(levels)
    exact = mpmath.quad(lambda t: (mpmath.ncdf(t) - (t >= 0.7)) ** 2, [-12, 0, 0.7, 12])
    assert math.isclose(scoring.crps_quantiles(quantiles, levels, 0.7), exact, rel_tol=1e-4)


# errata R10: the pinball loss at ½ is half the absolute error, so the factor 2 makes a median score |q - y|
def test_the_median_alone_scores_the_absolute_error():
    assert scoring.crps_quantiles([3.0], [0.5], 10.0) == 7.0


def test_weighted_interval_score(peer):
    levels = np.array([0.5, 0.9])
    middle = np.zeros((*TARGET.shape, 1))
    ends = np.stack([middle - np.array([0.7, 2.0]), middle + np.array([0.6, 2.1])], axis=-1)
    ours = scoring.weighted_interval_score(middle[..., 0], ends, levels, TARGET, reduction="none")
    theirs = peer.weighted_interval_score(TARGET, middle[..., 0], ends[..., 0], ends[..., 1], 1 - levels)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    # Bracher et al. (2021), equation 1, by hand: y = 3 outside (-2, 2.1) and (-0.7, 0.6).
    by_hand = (0.5 * 3 + 0.25 * (1.3 + 4 * 2.4) + 0.05 * (4.1 + 20 * 0.9)) / 2.5
    got = scoring.weighted_interval_score(0.0, [[-0.7, 0.6], [-2.0, 2.1]], levels, 3.0)
    assert math.isclose(got, by_hand, rel_tol=1e-14)


# ---- several dimensions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("estimator", "name"), [("fair", "fair"), ("empirical", "nrg")])
def test_energy_score_equals_scoringrules(peer, estimator, name):
    ours = scoring.energy_score(VECTORS, POINTS, estimator=estimator, reduction="none")
    np.testing.assert_allclose(ours, peer.es_ensemble(POINTS, VECTORS, estimator=name), rtol=1e-12)


@pytest.mark.parametrize("estimator", ["fair", "empirical"])
def test_the_energy_score_of_one_dimension_is_the_crps(estimator):
    ours = scoring.energy_score(ENSEMBLE[..., None], TARGET[..., None], estimator=estimator, reduction="none")
    crps = scoring.crps_ensemble(ENSEMBLE, TARGET, estimator=estimator, reduction="none")
    np.testing.assert_allclose(ours, crps, rtol=1e-12, atol=1e-13)


def test_powers_of_the_energy_score_and_its_scale():
    exact = 0.0
    x, y = VECTORS[0], POINTS[0]
    for i in range(12):
        exact += np.linalg.norm(x[i] - y) ** 0.6 / 12
        exact -= sum(np.linalg.norm(x[i] - x[j]) ** 0.6 for j in range(12)) / 288
    assert math.isclose(scoring.energy_score(x, y, beta=0.6, estimator="empirical"), exact, rel_tol=1e-13)
    for factor in (2.0**600, 2.0**-900):
        # Squares of these overflow or vanish.
        scaled = scoring.energy_score(x * factor, y * factor)
        assert math.isclose(scaled, scoring.energy_score(x, y) * factor, rel_tol=1e-14)
    assert scoring.energy_score(np.where(x == x[3], np.inf, x), y, estimator="empirical") == math.inf
    assert math.isnan(scoring.energy_score(np.where(x == x[3, 1], np.nan, x), y))


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
def test_variogram_score(peer, p):
    ours = scoring.variogram_score(VECTORS, POINTS, p=p, reduction="none")
    np.testing.assert_allclose(ours, peer.vs_ensemble(POINTS, VECTORS, p=p), rtol=1e-11)
    weights = RANDOM.uniform(0, 1, (3, 3))
    weighted = scoring.variogram_score(VECTORS, POINTS, p=p, pair_weight=weights, reduction="none")
    stacked = np.broadcast_to(weights, (9, 3, 3))
    np.testing.assert_allclose(weighted, peer.vs_ensemble(POINTS, VECTORS, stacked, p=p), rtol=1e-11)
    # A common shift of all components is invisible.
    np.testing.assert_allclose(scoring.variogram_score(VECTORS + 5, POINTS, p=p, reduction="none"), ours, rtol=1e-11)


def test_dawid_sebastiani_of_what_is_not_known_is_nan():
    assert math.isnan(scoring.dawid_sebastiani([0.0, 0.0], [[1.0, math.nan], [0.0, 1.0]], [0.0, 1.0]))
    assert math.isnan(scoring.dawid_sebastiani([math.nan], [[1.0]], [0.0]))


def test_dawid_sebastiani(peer):
    mean = VECTORS.mean(axis=1)
    covariance = np.stack([np.cov(sample, rowvar=False) for sample in VECTORS])
    ours = scoring.dawid_sebastiani(mean, covariance, POINTS, reduction="none")
    density = [stats.multivariate_normal.logpdf(*row) for row in zip(POINTS, mean, covariance, strict=True)]
    np.testing.assert_allclose(ours, -2 * np.array(density) - 3 * math.log(2 * math.pi), rtol=1e-11)
    ensemble = scoring.dawid_sebastiani_ensemble(VECTORS, POINTS, reduction="none")
    np.testing.assert_allclose(ensemble, ours, rtol=1e-12)
    np.testing.assert_allclose(ensemble, peer.dssmv_ensemble(POINTS, VECTORS), rtol=1e-11)


# ---- ordered classes ------------------------------------------------------------------------------------------------


def test_ranked_probability_score(peer):
    probabilities = RANDOM.dirichlet(np.ones(5), (6, 2))
    target = RANDOM.integers(0, 5, (6, 2))
    ours = scoring.ranked_probability_score(probabilities, target, reduction="none")
    theirs = peer.rps_score(np.eye(5)[target], probabilities, onehot=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    # Classes at equal distances: the CRPS of a discrete distribution.
    for p, y in zip(probabilities[0], target[0], strict=True):
        distance = stats.energy_distance(np.arange(5), [y], u_weights=p)
        assert math.isclose(scoring.ranked_probability_score(p, y), distance**2 / 2, rel_tol=1e-10)
    two = scoring.ranked_probability_score([[0.3, 0.7], [0.9, 0.1]], [1, 0])
    assert math.isclose(two, lossfn.Brier()([0.7, 0.1], [1, 0]), rel_tol=1e-14)


def test_both_tails_of_ranked_probabilities_keep_their_digits():
    tiny = 1e-20
    got = scoring.ranked_probability_score([[1 - tiny, tiny, 0], [0, tiny, 1]], [0, 2], reduction="none")
    np.testing.assert_allclose(got, tiny**2, rtol=1e-12)
    assert math.isnan(scoring.ranked_probability_score([0.5, math.nan, 0.5], 0))


# ---- weights, masks, reductions, dtypes -----------------------------------------------------------------------------

LEVELS = (np.arange(12) + 0.5) / 12
FUNCTIONS = {
    "crps_ensemble": (scoring.crps_ensemble, ENSEMBLE[:, 0], TARGET[:, 0]),
    "energy_score": (scoring.energy_score, VECTORS, POINTS),
    "variogram_score": (scoring.variogram_score, VECTORS, POINTS),
    "dawid_sebastiani_ensemble": (scoring.dawid_sebastiani_ensemble, VECTORS, POINTS),
    "crps_quantiles": (
        lambda q, y, **options: scoring.crps_quantiles(q, LEVELS, y, **options), np.sort(ENSEMBLE[:, 0]), TARGET[:, 0],
    ),
    "weighted_interval_score": (
        lambda q, y, **options: scoring.weighted_interval_score(q[:, 0], q[:, 1:].reshape(-1, 2, 2), [0.5, 0.9], y,
                                                                **options),
        np.sort(ENSEMBLE[:, 0, :5]), TARGET[:, 0],
    ),
    "ranked_probability_score": (
        scoring.ranked_probability_score, RANDOM.dirichlet(np.ones(4), 8), RANDOM.integers(0, 4, 8),
    ),
}  # fmt: skip
every_function = pytest.mark.parametrize(("function", "forecast", "target"), FUNCTIONS.values(), ids=FUNCTIONS)


@every_function
def test_weights_and_masks_follow_the_rule_of_losses(function, forecast, target):
    rows = len(target)
    scores = function(forecast, target, reduction="none")
    assert scores.shape == (rows,)
    assert math.isclose(function(forecast, target), scores.mean(), rel_tol=1e-13)
    assert math.isclose(function(forecast, target, reduction="sum"), scores.sum(), rel_tol=1e-13)
    assert math.isclose(function(forecast, target, denominator=3), scores.sum() / 3, rel_tol=1e-13)
    weight = np.arange(rows) % 3.0
    weighted = function(forecast, target, weight=weight)
    assert math.isclose(weighted, np.average(scores, weights=weight), rel_tol=1e-13)
    assert math.isclose(weighted, function(*(np.repeat(a, weight.astype(int), axis=0) for a in (forecast, target))))
    # What is dropped may hold anything.
    spoilt_forecast, spoilt_target = forecast.copy(), target.astype(float)
    spoilt_forecast[2], spoilt_target[2] = -7.5, np.nan
    mask = np.arange(rows) != 2
    masked = function(spoilt_forecast, spoilt_target, mask=mask)
    assert math.isclose(masked, function(forecast[mask], target[mask]), rel_tol=1e-13)
    assert function(spoilt_forecast, spoilt_target, mask=mask, reduction="none")[2] == 0
    assert function(forecast, target, weight=np.zeros(rows)) == 0


def test_a_row_weight_applies_to_each_case_of_its_row():
    scores = scoring.crps_ensemble(ENSEMBLE, TARGET, reduction="none")
    weight, mask = np.arange(7) % 3.0, np.arange(7) != 2
    weighted = scoring.crps_ensemble(ENSEMBLE, TARGET, weight=weight, mask=mask)
    rows = (weight * mask)[:, None] * np.ones(4)
    assert math.isclose(weighted, np.average(scores, weights=rows), rel_tol=1e-13)
    by_rows = scoring.crps_ensemble(ENSEMBLE, TARGET, mask=mask, reduction="mean_over_batch")
    assert math.isclose(by_rows, scores[mask].sum() / 6, rel_tol=1e-13)


@every_function
def test_dtypes_and_layouts(function, forecast, target):
    expected = function(forecast, target, reduction="none")
    single = function(forecast.astype(np.float32), target, reduction="none")
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=2e-4, atol=1e-6)
    assert type(function(forecast.astype(np.float32), target)) is np.float32
    assert function(forecast.astype(np.float16), target).dtype == np.float16
    twice = np.repeat(forecast, 2, axis=0)[::2]
    np.testing.assert_array_equal(function(twice, target, reduction="none"), expected)
    before = forecast.copy()
    function(forecast, target)
    np.testing.assert_array_equal(forecast, before)


@every_function
def test_what_does_not_fit_is_refused(function, forecast, target):
    name = function.__name__ if function.__name__ != "<lambda>" else ""
    with raises(ValueError, name, "must have the shape of target", str(len(target) - 1)):
        function(forecast, target[:-1])
    spoilt = target.astype(float)
    spoilt[1] = np.nan
    with raises(ValueError, name, "target[1", "= nan is not a"):
        function(forecast, spoilt)
    with raises(ValueError, name, "weight[0] = -1.0 is not a finite number >= 0"):
        function(forecast, target, weight=np.full(len(target), -1.0))
    with raises(ValueError, name, "weight must have shape"):
        function(forecast, target, weight=np.ones(3))
    with raises(ValueError, "reduction must be one of mean, sum, none, mean_over_batch; got 'average'"):
        function(forecast, target, reduction="average")
    with raises(TypeError, "unknown option 'axis'; there are weight, mask, reduction, denominator"):
        function(forecast, target, axis=0)
    with raises(TypeError, "must be float16", "int64", ".astype(float)"):
        function(np.zeros_like(forecast, dtype=np.int64), target)
    torch = pytest.importorskip("torch")
    with raises(TypeError, "works on NumPy arrays; got torch"):
        function(torch.tensor(forecast), torch.tensor(target))


def test_lists_are_converted():
    assert scoring.crps_ensemble([[0.0, 1.0], [2.0, 4.0]], [1, 3], reduction="none").tolist() == [0.0, 0.0]
    assert scoring.energy_score([[[0.0], [1.0]]], [[1]], estimator="empirical") == 0.25
    assert scoring.crps_quantiles([[0.0, 1.0]], (0.25, 0.75), [1]) == 0.25


def test_other_refusals_say_what_came_and_what_helps():
    with raises(ValueError, "estimator must be one of fair, empirical; got 'nrg'"):
        scoring.crps_ensemble([1.0, 2.0], 0.0, estimator="nrg")
    with raises(ValueError, "needs at least 2 members; got 0"):
        scoring.crps_ensemble(1.0, 0.0)
    with raises(ValueError, "at least one component is needed"):
        scoring.energy_score(np.zeros((3, 4, 0)), np.zeros((3, 0)))
    with raises(ValueError, "covariance[0, 1] = 5.0 is not its mirror image", "a covariance is symmetric"):
        scoring.dawid_sebastiani([0.0, 0.0], [[1.0, 5.0], [0.0, 1.0]], [0.0, 1.0])
    with raises(ValueError, "smallest eigenvalue of covariance = 0.0 is not"):
        scoring.dawid_sebastiani([0.0], [[0.0]], [0.0])
    with raises(ValueError, "needs at least 2 members; got 1", "estimator='empirical'"):
        scoring.crps_ensemble([1.0], 0.0)
    with raises(ValueError, "levels must be", "strictly between 0 and 1", "[0.5, 1.0]"):
        scoring.crps_quantiles([1.0, 2.0], [0.5, 1.0], 0.0)
    with raises(ValueError, "intervals[0, 0] = 2.0 is not in order", "the lower end of an interval comes first"):
        scoring.weighted_interval_score(1.0, [[2.0, 0.0]], [0.5], 1.0)
    with raises(ValueError, "smallest eigenvalue of covariance[1] = -1.0 is not a finite number > 0"):
        scoring.dawid_sebastiani(np.zeros((2, 1)), [[[1.0]], [[-1.0]]], np.zeros((2, 1)))
    with raises(ValueError, "more members than components are needed; got 2 members of 3 components"):
        scoring.dawid_sebastiani_ensemble(np.zeros((2, 3)), np.zeros(3))
    with raises(ValueError, "beta must be a number strictly between 0 and 2; got 2"):
        scoring.energy_score(VECTORS, POINTS, beta=2)
    with raises(TypeError, "energy_score: beta must be a number", "'1'"):
        scoring.energy_score(VECTORS, POINTS, beta="1")
    with raises(TypeError, "variogram_score: p must be a number", "'1'"):
        scoring.variogram_score(VECTORS, POINTS, p="1")
    with raises(ValueError, "p must be a finite number > 0; got 0"):
        scoring.variogram_score(VECTORS, POINTS, p=0)
    with raises(ValueError, "pair_weight must have a row and a column for each component, (3, 3) here; got (2, 2)"):
        scoring.variogram_score(VECTORS, POINTS, pair_weight=np.ones((2, 2)))
    with raises(ValueError, "sum of probabilities[0] = 0.9", "is not 1", "softmax"):
        scoring.ranked_probability_score([[0.5, 0.4]], [0])
    with raises(ValueError, "target[0] = 5 is not a class index 0 to 1"):
        scoring.ranked_probability_score([[0.5, 0.5]], [5])
    with raises(ValueError, "probabilities[0, 1] = -0.5 is not a probability"):
        scoring.ranked_probability_score([[1.5 - 0.5, -0.5, 0.5]], [0])
    with raises(ValueError, "at least two classes"):
        scoring.ranked_probability_score([[1.0]], [0])
