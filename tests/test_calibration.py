"""Reliability in bins and without, states that merge, and corrections for losses that are not proper."""

from __future__ import annotations

import copy
import math
import pickle
import tracemalloc
from fractions import Fraction
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from conftest import in_library, raises, run_python
from hypothesis import given, strategies as st

import lossfn
from lossfn.calibration import (
    Reliability,
    ReliabilityState,
    decompose,
    desmooth,
    expected_calibration_error,
    focal_to_probability,
    maximum_calibration_error,
    reliability,
    unweight_probability,
)
from lossfn.calibration.exact import UNIT, exact_sums
from lossfn.numerics import softmax

# Compiling kernels would take longer than what is tested here.
pytestmark = pytest.mark.usefixtures("array_code")

BRIER = lossfn.SquaredError()
LOG_SCORE = lossfn.BinaryCrossEntropy(inputs="probabilities")
ARRAYS = ("edges", "counts", "weight", "mean_probability", "frequency", "effective_counts", "low", "high")
KINDS = ("positive", "top_label", "class_wise")


def calibrated(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities, and labels that come true as often (errata P06: the labels are drawn last)."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(size=size)
    return p, (rng.uniform(size=size) < p).astype(int)


def several_classes(size: int = 500, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return over-confident distributions and labels."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(size, classes))
    return softmax(logits), (logits / 2 + rng.gumbel(size=logits.shape)).argmax(axis=1)


def rows_of(kind: str, size: int = 500) -> tuple[np.ndarray, np.ndarray]:
    return calibrated(size) if kind == "positive" else several_classes(size)


def assert_same(first: Reliability, second: Reliability) -> None:
    """Compare to the last bit."""
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


# ---- bins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["width", "mass"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_counted(kind: str, strategy: str) -> None:
    result = reliability(*rows_of(kind), bins=7, strategy=strategy, kind=kind)
    assert (result.counts.sum(axis=-1) == 500).all()
    assert result.counts.shape == ((4, 7) if kind == "class_wise" else (7,))
    assert result.edges.shape == ((4, 8) if kind == "class_wise" else (8,))


def test_the_ends_belong_to_the_outer_bins() -> None:
    result = reliability([0.0, 0.5, 1.0, 1.0], [0, 1, 0, 0], bins=2)
    np.testing.assert_array_equal(result.counts, [1, 3])
    # A forecaster who is certain and always wrong.
    for strategy in ("width", "mass"):
        assert expected_calibration_error([1.0] * 9, [0] * 9, strategy=strategy) == 1.0
        assert maximum_calibration_error([0.0] * 9, [1] * 9, strategy=strategy) == 1.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bins", [1, 3, 10, 15, 100])
def test_rows_lie_between_the_edges_of_their_bins(bins: int, dtype: Any) -> None:
    edges = reliability([0.5], [1], bins).edges
    p = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges[:-1], 1)]).astype(dtype)
    for probability in p:
        (index,) = np.flatnonzero(reliability(np.array([probability]), [1], bins).counts)
        assert edges[index] <= float(probability)
        assert float(probability) < edges[index + 1] or index == bins - 1


def test_against_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve

    p, y = calibrated(1000)
    frequency, mean = calibration_curve(y, p, n_bins=12)
    result = reliability(p, y, bins=12)
    np.testing.assert_allclose(result.frequency, frequency, rtol=1e-14)
    np.testing.assert_allclose(result.mean_probability, mean, rtol=1e-13)


@pytest.mark.filterwarnings("ignore")
def test_against_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchmetrics.functional.classification")

    p, y = calibrated(1000)
    several, labels = several_classes()
    for norm, ours in (("l1", expected_calibration_error), ("max", maximum_calibration_error)):
        binary = theirs.binary_calibration_error(torch.tensor(p), torch.tensor(y), n_bins=15, norm=norm)
        assert ours(p, y) == pytest.approx(float(binary), rel=1e-6)
        top = theirs.multiclass_calibration_error(torch.tensor(several), torch.tensor(labels), 4, n_bins=15, norm=norm)
        assert ours(several, labels, kind="top_label") == pytest.approx(float(top), rel=1e-5)


def test_class_wise_is_one_against_the_rest() -> None:
    p, labels = several_classes()
    result = reliability(p, labels, kind="class_wise")
    errors = []
    for index in range(4):
        single = reliability(p[:, index].copy(), labels == index)
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(result, name)[index], getattr(single, name))
        errors.append(single.expected_error())
    assert result.expected_error() == pytest.approx(np.mean(errors), rel=1e-14)


def test_equal_mass() -> None:
    p, y = calibrated(1000)
    counts = reliability(p, y, bins=15, strategy="mass").counts
    assert set(counts) == {66, 67}
    # Ties stay together, and leave bins empty.
    tied = reliability([0.2] * 5 + [0.7] * 5, [0] * 10, bins=5, strategy="mass")
    assert sorted(tied.counts) == [0, 0, 0, 5, 5]
    weight = np.where(p < 0.5, 3.0, 1.0)
    shares = reliability(p, y, bins=10, strategy="mass", weight=weight).weight / weight.sum()
    np.testing.assert_allclose(shares, 0.1, atol=0.004)


def test_wilson_intervals_against_scipy() -> None:
    from scipy.stats import binomtest

    y = np.array([0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1])
    p = np.array([0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.4, 0.4, 0.9, 0.9, 0.9])
    result = reliability(p, y, bins=3, level=0.9)
    for index, (hits, count) in enumerate([(0, 3), (3, 5), (3, 3)]):
        interval = binomtest(hits, count).proportion_ci(0.9, method="wilson")
        np.testing.assert_allclose([result.low[index], result.high[index]], interval, atol=1e-14)


def test_wilson_intervals_against_a_published_example() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I: 15 of 148 gives 0.0624 to 0.1605.
    result = reliability(np.full(148, 0.1), np.arange(148) < 15, bins=1)
    assert (result.low[0], result.high[0]) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_empty_bins_have_no_numbers() -> None:
    result = reliability([0.1], [0], bins=2)
    assert result.counts.tolist() == [1, 0]
    for name in ("mean_probability", "frequency", "low", "high"):
        assert math.isnan(getattr(result, name)[1])


@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_libraries(kind: str, library: str) -> None:
    p, y = rows_of(kind)
    arrays = [in_library(library, array) for array in (p.astype(np.float32), y.astype(np.int32))]
    assert_same(reliability(*arrays, kind=kind), reliability(p.astype(np.float32), y, kind=kind))


# ---- errors -------------------------------------------------------------------------------------------------------


def test_the_sign_of_the_gap_says_over_or_under_confident() -> None:
    # errata P03: 50 of 100 at 0.7 are over-confident, 90 of 100 under-confident
    over, under = (reliability([0.7] * 100, [1] * hits + [0] * (100 - hits), bins=1) for hits in (50, 90))
    np.testing.assert_allclose([over.gap[0], under.gap[0]], [0.2, -0.2])


def test_scores_that_look_over_confident_may_be_under_confident() -> None:
    # errata P06: labels first, then Beta(8, 2) and Beta(2, 8) scores; at 0.8 nearly all come true
    rng = np.random.default_rng(0)
    y = rng.uniform(size=10**5) < 0.3
    p = np.where(y, rng.beta(8, 2, y.size), rng.beta(2, 8, y.size))
    near = reliability(p, y, bins=20)
    assert near.gap[16] == pytest.approx(0.825 - 0.9996, abs=0.01)


@pytest.mark.parametrize(("size", "bias"), [(100, 0.101), (1000, 0.032)])
def test_the_plain_error_of_a_calibrated_forecaster_is_biased(size: int, bias: float) -> None:
    # errata P04
    results = [reliability(*calibrated(size, seed), bins=10) for seed in range(300)]
    plain = np.mean([result.expected_error() for result in results])
    debiased = np.mean([result.expected_error(debiased=True) for result in results])
    assert plain == pytest.approx(bias, rel=0.05)
    assert 0.5 * plain < debiased < 0.7 * plain


def test_debiasing_is_the_resampling_of_kumar_et_al() -> None:
    p, y = calibrated(400)
    result = reliability(p**1.3, y, bins=10)
    rng = np.random.default_rng(0)
    deviation = np.sqrt(result.frequency * (1 - result.frequency) / result.counts)
    drawn = rng.normal(result.frequency, deviation, size=(200_000, 10))
    redrawn = (np.abs(drawn - result.mean_probability) @ (result.counts / 400)).mean()
    plain = result.expected_error()
    assert result.expected_error(debiased=True) == pytest.approx(plain - (redrawn - plain), abs=1e-4)


def test_no_bins_find_what_bins_hide() -> None:
    # errata P04: the error in bins can be 0 although nothing inside the bin is calibrated
    p, y = [0.1, 0.4] * 50, [1, 0] * 25 + [0, 0] * 25
    assert expected_calibration_error(p, y, bins=2) == pytest.approx(0.0, abs=1e-15)
    assert decompose(BRIER, p, y).miscalibration > 0.02


# ---- exact sums ---------------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(finite, st.integers(0, 2)), max_size=30))
def test_sums_are_exact(pairs: list[tuple[float, int]]) -> None:
    values = np.array([value for value, _ in pairs], dtype=float)
    groups = np.array([group for _, group in pairs], dtype=np.intp)
    for group, total in enumerate(exact_sums(values, groups, 3)):
        wanted = sum((Fraction(value) for value, place in pairs if place == group), start=Fraction(0))
        assert Fraction(total) * Fraction(2) ** UNIT == wanted


def test_means_are_correctly_rounded() -> None:
    p = np.concatenate([np.random.default_rng(0).uniform(size=100) ** 60, [5e-324, 1e-310, 0.0]])
    result = reliability(p, np.zeros(len(p)), bins=1)
    assert result.mean_probability[0] == float(sum(map(Fraction, p.tolist())) / len(p))


@given(st.permutations(range(40)), st.lists(st.integers(0, 40), max_size=5), st.sampled_from(KINDS), st.booleans())
def test_the_split_does_not_matter(order: list[int], cuts: list[int], kind: str, weighted: bool) -> None:
    p, y = rows_of(kind, 40)
    weight = np.random.default_rng(1).exponential(size=40) if weighted else None
    states = []
    for part in np.split(np.array(order), sorted(cuts)):
        state = ReliabilityState(bins=5, kind=kind)
        states.append(state.update(p[part], y[part], weight=None if weight is None else weight[part]))
    total = ReliabilityState(bins=5, kind=kind)
    for state in reversed(states):
        total.merge(state)
    assert_same(total.result(), reliability(p, y, bins=5, kind=kind, weight=weight))


def test_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    from lossfn.engine import threads

    p, y = calibrated(10**5)
    weight = np.random.default_rng(1).exponential(size=len(p))
    results = []
    for limit in (1, 2, 5):
        monkeypatch.setattr(threads, "limit", lambda limit=limit: limit)
        results.append(reliability(p, y, weight=weight))
    assert_same(results[0], results[1])
    assert_same(results[0], results[2])


# ---- weights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count_like_repeated_rows(kind: str) -> None:
    p, y = rows_of(kind)
    weight = np.random.default_rng(0).integers(0, 4, size=500)
    ours = reliability(p, y, kind=kind, weight=weight)
    repeated = reliability(p.repeat(weight, axis=0), y.repeat(weight), kind=kind)
    for name in ("mean_probability", "frequency", "weight"):
        np.testing.assert_allclose(getattr(ours, name), getattr(repeated, name), rtol=1e-14)
    assert (ours.counts.sum(axis=-1) == (weight > 0).sum()).all()
    assert ours.expected_error() == pytest.approx(repeated.expected_error(), rel=1e-12)


def test_rows_of_weight_zero_are_not_looked_at() -> None:
    p, y = calibrated(50)
    weight = np.ones(50)
    spoiled, labels = p.copy(), y.copy()
    weight[:3], spoiled[:3], labels[:3] = 0.0, [np.nan, -100.0, np.inf], -100
    assert_same(reliability(spoiled, labels, weight=weight), reliability(p[3:], y[3:]))
    assert decompose(BRIER, spoiled, labels, weight=weight).score == decompose(BRIER, p[3:], y[3:]).score


def test_intervals_count_effective_rows() -> None:
    result = reliability([0.5] * 4, [0, 1, 1, 0], bins=1, weight=[4.0, 1.0, 1.0, 2.0])
    assert result.effective_counts[0] == pytest.approx(64 / 22)
    # Scaling all weights changes nothing.
    scaled = reliability([0.5] * 4, [0, 1, 1, 0], bins=1, weight=[4e100, 1e100, 1e100, 2e100])
    np.testing.assert_allclose([scaled.low, scaled.high], [result.low, result.high])


# ---- states -------------------------------------------------------------------------------------------------------


def test_states_keep_their_size() -> None:
    state = ReliabilityState()
    sizes = set()
    for seed in range(5):
        for _ in range(seed + 1):
            state.update(*calibrated(20_000, seed))
        sizes.add(round(len(pickle.dumps(state)) / 1000))
    assert max(sizes) <= 15
    assert_same(pickle.loads(pickle.dumps(state)).result(), state.result())


def test_memory_does_not_grow_with_the_rows() -> None:
    p, y = calibrated(10**6)
    p32, y32 = p.astype(np.float32), y.astype(np.int32)
    ReliabilityState().update(p32[:20_000], y32[:20_000])
    tracemalloc.start()
    ReliabilityState().update(p32, y32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_a_refused_chunk_leaves_the_state_as_it_was() -> None:
    p, y = calibrated(50_000)
    state = ReliabilityState().update(p, y)
    before = copy.deepcopy(state)
    bad = p.copy()
    bad[49_000] = 1.5
    with raises(ValueError, "ReliabilityState.update", "probability[49000] = 1.5", "probability in [0, 1]"):
        state.update(bad, y)
    assert_same(state.result(), before.result())


def test_states_refuse() -> None:
    with raises(ValueError, "strategy must be 'width'", "'mass'", "depend on all rows", "reliability("):
        ReliabilityState(strategy="mass")
    with raises(ValueError, "bins must be an integer >= 1", "0"):
        ReliabilityState(bins=0)
    with raises(ValueError, "no rows yet", "update"):
        ReliabilityState().result()
    with raises(ValueError, "same bins and kind", "15 bins", "3 of"):
        ReliabilityState().merge(ReliabilityState(bins=3))
    with raises(TypeError, "needs another state", "int"):
        ReliabilityState().merge(3)
    with raises(ValueError, "the state has 4 classes, the rows have 3"):
        ReliabilityState(kind="class_wise").update(*several_classes()).update(*several_classes(classes=3))


@pytest.mark.parametrize(
    ("arguments", "settings", "fragments"),
    [
        (([0.5, 1.2], [0, 1]), {}, ["probability[1] = 1.2", "probability in [0, 1]"]),
        (([0.5, math.nan], [0, 1]), {}, ["probability[1] = nan"]),
        (([0.5, 0.5], [0, 2]), {}, ["target[1] = 2", "label 0 or 1"]),
        (([0.5], [[0]]), {}, ["the same shape", "(1,)", "(1, 1)"]),
        (([[0.5, 0.5]], [0]), {}, ["(1, 2)", "kind='top_label'"]),
        (([0.5], [0]), {"kind": "top_label"}, ["(N, K)", "(1,)"]),
        (([[0.5, 0.4]], [0]), {"kind": "class_wise"}, ["row 0 add up to 0.9", "softmax", "kind='positive'"]),
        (([[0.5, 0.5]], [2]), {"kind": "top_label"}, ["target[0] = 2", "class index from 0 to 1"]),
        (([0.5], [0]), {"bins": 2.5}, ["bins must be an integer >= 1", "2.5"]),
        (([0.5], [0]), {"kind": "all"}, ["kind must be one of positive, top_label, class_wise", "'all'"]),
        (([0.5], [0]), {"strategy": "even"}, ["strategy must be one of width, mass", "'even'"]),
        (([0.5], [0]), {"level": 95}, ["level must be", "95"]),
        (([0.5], [0]), {"weight": [-1.0]}, ["weight[0] = -1.0"]),
        (([0.5, 0.5], [0, 1]), {"weight": [0.0, 1e200]}, ["between 1e-140 and 1e+140", "got 1e+200", "by their mean"]),
        (([0.5, 0.5], [0, 1]), {"weight": [1e-200, 1.0]}, ["between 1e-140 and 1e+140", "got 1e-200"]),
        (([0.5], [0]), {"weight": [1.0, 1.0]}, ["weight must have shape (1,)", "(2,)"]),
    ],
)  # fmt: skip
def test_refusals(arguments: tuple[Any, Any], settings: dict[str, Any], fragments: list[str]) -> None:
    with raises(ValueError, "reliability", *fragments):
        reliability(*arguments, **settings)


def test_refused_types() -> None:
    with raises(TypeError, "probability must be floating", "int", "astype(float)"):
        reliability([0, 1], [0, 1])
    with raises(TypeError, "labels 0/1 or class indices", "<U2"):
        reliability([0.5], ["no"])
    with raises(TypeError, "class indices", "float64"):
        reliability([[0.5, 0.5]], [1.0], kind="top_label")
    with raises(ValueError, "without rows"):
        expected_calibration_error(np.zeros(0), np.zeros(0))
    with raises(TypeError, "reliability: level must be a number, a number strictly between 0 and 1", "'0.9'"):
        reliability([0.5], [1], level="0.9")  # type: ignore[arg-type]
    with raises(TypeError, "ReliabilityState.result: level must be a number", "'0.9'"):
        ReliabilityState().update([0.5], [1]).result(level="0.9")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", lossfn.calibration.__all__)
def test_everything_public_has_an_example(name: str) -> None:
    assert ">>>" in (getattr(lossfn.calibration, name).__doc__ or "")


# ---- decomposition ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [BRIER, LOG_SCORE, 3.0 * lossfn.HalfSquaredError()], ids=["brier", "log", "scaled"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_parts_of_a_score(loss: Any, weighted: bool) -> None:
    p, y = calibrated(800)
    p = p**1.5
    weight = np.random.default_rng(0).exponential(size=800) if weighted else None
    found = decompose(loss, p, y, weight=weight)
    assert found.score == pytest.approx(float(loss(p, y, weight=weight)), rel=1e-14)
    parts = found.miscalibration - found.discrimination + found.uncertainty
    assert parts == pytest.approx(found.score, rel=1e-13)
    assert found.miscalibration > 0
    assert found.discrimination > 0
    # Recalibrating leaves nothing to gain and does not change what is told apart.
    recalibrated = np.interp(p, found.probability, found.recalibrated)
    again = decompose(loss, recalibrated, y, weight=weight)
    assert again.miscalibration == pytest.approx(0.0, abs=1e-12)
    assert again.discrimination == pytest.approx(found.discrimination, rel=1e-12)


def test_the_recalibration_is_the_isotonic_regression_of_scikit_learn() -> None:
    from sklearn.isotonic import IsotonicRegression

    p, y = calibrated(500)
    p, weight = p.round(2), np.random.default_rng(0).exponential(size=500)
    theirs = IsotonicRegression().fit(p, y, sample_weight=weight).predict(np.unique(p))
    np.testing.assert_allclose(decompose(BRIER, p, y, weight=weight).recalibrated, theirs, rtol=1e-12, atol=1e-15)


def test_with_few_predictions_in_order_the_parts_are_those_of_murphy() -> None:
    # Murphy (1973), doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2: reliability, resolution, uncertainty
    p = np.repeat([0.1, 0.5, 0.8], [10, 20, 10])
    hits = np.repeat([2, 9, 7], [10, 20, 10])
    y = np.concatenate([np.arange(10) < 2, np.arange(20) < 9, np.arange(10) < 7])
    frequency = hits / np.repeat([10, 20, 10], [10, 20, 10])
    found = decompose(BRIER, p, y)
    assert found.miscalibration == pytest.approx(np.mean((p - frequency) ** 2))
    assert found.discrimination == pytest.approx(np.mean((frequency - 18 / 40) ** 2))
    assert found.uncertainty == pytest.approx(18 / 40 * 22 / 40)


def test_certain_and_wrong_predictions_are_infinitely_miscalibrated() -> None:
    found = decompose(LOG_SCORE, [0.0, 0.0, 1.0, 1.0], [0, 1, 1, 1])
    assert found.score == found.miscalibration == math.inf
    assert found.uncertainty == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
    assert math.isfinite(found.discrimination)


def test_parts_of_classes_sum_to_those_of_the_multiclass_score():
    rng = np.random.default_rng(0)
    p, target = rng.dirichlet(np.ones(3), 50), rng.integers(0, 3, 50)
    parts = [decompose(BRIER, p[:, k], target == k) for k in range(3)]
    score = lossfn.MulticlassBrier(inputs="probabilities")(p, target)
    np.testing.assert_allclose(sum(part.score for part in parts), score, rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "fragments"),
    [
        (lossfn.BinaryCrossEntropy(), ["not a score of probabilities", "inputs='probabilities'"]),
        (lossfn.BinaryFocal(), ["not a score of probabilities", "SquaredError()"]),
        (lossfn.Poisson(), ["not a score of probabilities"]),
        (lossfn.AbsoluteError(), ["not a proper score", "SquaredError()"]),
        (lossfn.BinaryCrossEntropy(inputs="probabilities", pos_weight=2.0), ["not a proper score"]),
        (lossfn.BinaryCrossEntropy(inputs="probabilities", label_smoothing=0.1), ["not a proper score"]),
        (lossfn.GaussianNLL(), ["not a score of probabilities"]),
    ],
    ids=lambda item: type(item).__name__,
)
def test_improper_scores_are_refused(loss: Any, fragments: list[str]) -> None:
    with raises(ValueError, "decompose", *fragments):
        decompose(loss, [0.2, 0.7], [0, 1])


def test_decomposition_refuses() -> None:
    with raises(TypeError, "proper score", "'brier'", "SquaredError()"):
        decompose("brier", [0.2, 0.7], [0, 1])
    with raises(TypeError, "MulticlassBrier", "one class against the rest", "p[:, k], target == k"):
        decompose(lossfn.MulticlassBrier(inputs="probabilities"), [[0.2, 0.8]], [1])
    with raises(ValueError, "no rows"):
        decompose(BRIER, np.zeros(0), np.zeros(0))


# ---- corrections --------------------------------------------------------------------------------------------------


def minimiser(expected: Any, classes: int) -> np.ndarray:
    """Return the distribution that minimises an expected loss, by brute force over logits."""
    from scipy.optimize import minimize

    found = minimize(
        lambda z: expected(softmax(np.append(z, 0.0))), np.zeros(classes - 1), method="BFGS", options={"gtol": 1e-10}
    )
    return softmax(np.append(found.x, 0.0))


TRUTHS = [[0.1, 0.9], [0.37, 0.63], [0.2, 0.3, 0.5], [0.05, 0.15, 0.1, 0.7]]


@pytest.mark.parametrize("truth", TRUTHS, ids=str)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 3.5])
def test_focal_loss_is_undone(gamma: float, truth: list[float]) -> None:
    predicted = minimiser(lambda p: -np.sum(truth * (1 - p) ** gamma * np.log(p)), len(truth))
    np.testing.assert_allclose(focal_to_probability(predicted, gamma, axis=-1), truth, atol=1e-6)
    if len(truth) == 2:
        np.testing.assert_allclose(focal_to_probability(predicted, gamma), truth, atol=1e-6)


@pytest.mark.parametrize("truth", TRUTHS, ids=str)
def test_class_weights_are_undone(truth: list[float]) -> None:
    weight = [19.0, 1.0, 0.3, 2.0][: len(truth)]
    predicted = minimiser(lambda p: -np.sum(np.multiply(weight, truth) * np.log(p)), len(truth))
    np.testing.assert_allclose(unweight_probability(predicted, weight, axis=0), truth, atol=1e-6)
    if len(truth) == 2:
        np.testing.assert_allclose(unweight_probability(predicted[:1], 19.0), truth[:1], atol=1e-6)


@pytest.mark.parametrize("truth", TRUTHS, ids=str)
def test_label_smoothing_is_undone(truth: list[float]) -> None:
    smoothed = 0.7 * np.array(truth) + 0.3 / len(truth)
    predicted = minimiser(lambda p: -np.sum(smoothed * np.log(p)), len(truth))
    np.testing.assert_allclose(desmooth(predicted, 0.3, axis=-1), truth, atol=1e-6)
    if len(truth) == 2:
        np.testing.assert_allclose(desmooth(predicted, 0.3), truth, atol=1e-6)


def test_published_minimisers() -> None:
    # errata F11, C17, L05
    np.testing.assert_allclose(focal_to_probability([0.306, 0.422, 0.578, 0.694], 2.0), [0.1, 0.3, 0.7, 0.9], atol=2e-3)
    np.testing.assert_allclose(unweight_probability([0.5, 0.891], 19.0), [0.05, 0.3], atol=1e-3)
    np.testing.assert_allclose(desmooth([0.64], 0.3), [0.7], atol=1e-12)


def test_corrections_agree_with_the_inverse_links_of_the_losses() -> None:
    logits = np.linspace(-6, 6, 25)
    p = lossfn.numerics.sigmoid(logits)
    for gamma in (0.0, 0.5, 2.0, 5.0):
        expected = lossfn.BinaryFocal(gamma=gamma).inverse_link(logits)
        np.testing.assert_allclose(focal_to_probability(p, gamma), expected, rtol=1e-11)
    weighted = lossfn.BinaryCrossEntropy(pos_weight=7.0).inverse_link(logits)
    np.testing.assert_allclose(unweight_probability(p, 7.0), weighted, rtol=1e-12)
    smoothed = lossfn.BinaryCrossEntropy(label_smoothing=0.1).inverse_link(logits)
    np.testing.assert_allclose(desmooth(p, 0.1), smoothed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 7.0])
def test_certainty_stays_certainty(gamma: float) -> None:
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(focal_to_probability([0.0, 1.0], gamma), [0.0, 1.0])
        np.testing.assert_array_equal(focal_to_probability([[0.0, 1.0, 0.0]], gamma, axis=1), [[0.0, 1.0, 0.0]])
    assert focal_to_probability([0.5], gamma)[0] == 0.5
    assert np.isfinite(focal_to_probability([5e-324, 1e-300, 1 - 1e-16], gamma)).all()


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_corrections_in_other_libraries(library: str) -> None:
    p = np.array([[0.2, 0.8], [0.5, 0.5]], np.float32)
    array = in_library(library, p)
    for correct in (
        lambda p, axis: focal_to_probability(p, 2.0, axis),
        lambda p, axis: unweight_probability(p, 3.0 if axis is None else [3.0, 1.0], axis),
        lambda p, axis: desmooth(p, 0.1, axis),
    ):
        for axis in (None, 1):
            result = correct(array, axis)
            assert str(result.dtype).endswith("float32")
            np.testing.assert_allclose(np.asarray(result), correct(p, axis), rtol=1e-6)


def test_beyond_the_smoothed_range_nothing_is_more_than_certain() -> None:
    np.testing.assert_array_equal(desmooth([0.01, 0.99], 0.1), [0.0, 1.0])
    np.testing.assert_allclose(desmooth([[0.02, 0.49, 0.49]], 0.3, axis=1), [[0.0, 0.5, 0.5]])


def test_corrections_refuse() -> None:
    with raises(ValueError, "focal_to_probability", "gamma", "-1"):
        focal_to_probability([0.5], -1)
    with raises(ValueError, "desmooth", "epsilon", "1.0"):
        desmooth([0.5], 1.0)
    with raises(ValueError, "unweight_probability", "weight must be a finite number > 0", "0.0"):
        unweight_probability([0.5], 0.0)
    with raises(TypeError, "unweight_probability", "weight must be a number", "[1, 2]"):
        unweight_probability([0.5], [1, 2])
    with raises(ValueError, "no axis 2", "(1, 2)"):
        desmooth([[0.5, 0.5]], 0.1, axis=2)
    with raises(ValueError, "one weight for each of 2 classes", "got 3"):
        unweight_probability([[0.5, 0.5]], [1.0, 2.0, 3.0], axis=1)
    with raises(ValueError, "probability[0] = 3.0", "sigmoid"):
        desmooth([3.0], 0.1)


# ---- pictures -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pyplot() -> Any:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.mark.usefixtures("pyplot")
@pytest.mark.parametrize("strategy", ["width", "mass"])
@pytest.mark.parametrize("kind", KINDS)
def test_reliability_diagrams(kind: str, strategy: str) -> None:
    result = reliability(*rows_of(kind), bins=6, kind=kind, strategy=strategy)
    display = result.plot(name="model")
    display.figure_.canvas.draw()
    assert display.ax_.figure is display.histogram_ax_.figure is display.figure_
    curves = display.ax_.containers
    assert len(curves) == (4 if kind == "class_wise" else 1)
    points = curves[0].lines[0].get_xydata()
    first = result if kind != "class_wise" else reliability(*rows_of("top_label"), bins=6, kind=kind, strategy=strategy)
    filled = first.counts.reshape(-1, 6)[0] > 0
    np.testing.assert_allclose(points[:, 0], first.mean_probability.reshape(-1, 6)[0][filled])
    np.testing.assert_allclose(points[:, 1], first.frequency.reshape(-1, 6)[0][filled])
    assert display.ax_.get_legend_handles_labels()[1][0] == "calibrated"


def test_diagrams_are_drawn_into_given_axes(pyplot: Any) -> None:
    figure, axes = pyplot.subplots(1, 2, layout="constrained")
    p, y = calibrated(300)
    for ax, result in zip(axes, (reliability(p, y), decompose(LOG_SCORE, p, y)), strict=True):
        display = result.plot(ax)
        assert display.ax_ is ax
        assert display.figure_ is figure
    figure.canvas.draw()
    free = pyplot.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    below = reliability(p, y).plot(free).histogram_ax_
    assert below.get_position().y1 < free.get_position().y0


@pytest.mark.usefixtures("pyplot")
def test_decomposition_diagrams() -> None:
    p, y = calibrated(400)
    found = decompose(BRIER, p**2, y, weight=np.random.default_rng(0).exponential(size=400))
    display = found.plot(name="model", level=0.8)
    display.figure_.canvas.draw()
    assert display.ax_.get_legend_handles_labels()[1] == ["calibrated", "80 % if calibrated", "model"]
    assert f"miscalibration {found.miscalibration:.4f}" in display.ax_.texts[0].get_text()
    assert len(found.plot(level=None).ax_.collections) == 0


def test_debiasing_helps_where_predictions_are_off() -> None:
    truth = np.mean([reliability((p := calibrated(10**5, 0))[0] ** 2, p[1], bins=10).expected_error()])
    plain, debiased = [], []
    for seed in range(200):
        p, y = calibrated(100, seed)
        result = reliability(p**2, y, bins=10)
        plain.append(result.expected_error())
        debiased.append(result.expected_error(debiased=True))
    assert abs(np.mean(debiased) - truth) < 0.5 * abs(np.mean(plain) - truth)


def test_the_band_holds_the_curves_of_calibrated_predictions() -> None:
    from lossfn.calibration.display import consistency_band

    inside = []
    for seed in range(20):
        p, y = calibrated(500, seed)
        found = decompose(BRIER, p, y)
        points, low, high = consistency_band(found.probability, found.effective_counts, 0.9)
        curve = np.interp(points, found.probability, found.recalibrated)
        inside.append(np.mean((curve >= low) & (curve <= high)))
    assert 0.84 < np.mean(inside) < 0.97


@pytest.mark.usefixtures("pyplot")
def test_too_many_classes_are_not_drawn() -> None:
    with raises(ValueError, "11 classes", "kind='top_label'"):
        reliability(*several_classes(classes=11), kind="class_wise").plot()


def test_importing_is_light() -> None:
    code = (
        "import sys, lossfn; lossfn.calibration; print(sorted(m for m in sys.modules if m in sys.argv[1].split(',')))"
    )
    assert run_python(code, "torch,jax,scipy,sympy,numba,sklearn,matplotlib,pandas").strip() == "[]"
