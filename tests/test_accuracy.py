"""Every loss against exact arithmetic over its whole domain, by the rule of ``make accuracy``."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from benchmarks import exact, measure, rule
from benchmarks.judge import judge
from benchmarks.measure import ARRAYS, QUICK_PATHS
from benchmarks.points import FLOATS, Points, finite_points, has_kinks_of_several_heads, in_precision
from conftest import CATALOGUE, COMPILED, DEFAULTS, DEFINITIONS, label

import lossfn
from lossfn import fields
from lossfn.engine import oracle

#: Points of each sort; the official table takes more.
SIZE = 3

#: High-precision values for the points of one loss; other settings of it share most of its formula.
VALUES = {True: 180, False: 80}

every_dtype = pytest.mark.parametrize("dtype", FLOATS)


# Other settings of the same formula are left to make accuracy, and in single precision all other settings; so are most
# points.
JUDGED = [
    pytest.param(loss, dtype, id=f"{label(loss)}-{dtype}")
    for loss in DEFINITIONS
    for dtype in FLOATS
    if dtype == "float64" or loss in DEFAULTS
]


@pytest.mark.parametrize(("loss", "dtype"), JUDGED)
def test_errors_stay_within_what_the_loss_claims(loss: Any, dtype: str) -> None:
    paths = QUICK_PATHS if loss in COMPILED[dtype] else (ARRAYS,)
    wrong = judge(loss, dtype, SIZE, VALUES[loss in DEFAULTS], paths=paths).wrong
    assert not wrong, "\n".join(wrong)


# Other draws, which showed an error of a formula or of the oracle: size, most values, and seed. Array code has the
# formulas of the kernels.
DRAWS = [
    (lossfn.TukeyBiweight(c=0.3), "float32", 6, 1800, 1),
    (lossfn.SymmetricAbsolutePercentageError(), "float64", 6, 1800, 2),
    (lossfn.ZeroInflatedPoisson(), "float32", 6, 1800, 1),
    (lossfn.SquaredLogError(), "float32", 6, 1800, 1),
    (lossfn.BetaNLL(beta=1.0), "float32", 8, 1200, 5),
    (lossfn.BetaNLL(beta=0.0), "float32", 8, 1800, 0),
]


@pytest.mark.parametrize(("loss", "dtype", "size", "values", "seed"), DRAWS)
def test_draws_that_once_showed_errors_show_none(loss: Any, dtype: str, size: int, values: int, seed: int) -> None:
    wrong = judge(loss, dtype, size, values, seed, (ARRAYS,)).wrong
    assert not wrong, "\n".join(wrong)


def at(pred: float, target: float, dtype: str = "float64") -> Points:
    return Points(np.array([[pred]], FLOATS[dtype]), np.array([target], FLOATS[dtype]))


@pytest.mark.parametrize("loss", [loss for loss in DEFAULTS if not loss.surrogate], ids=label)
def test_differences_agree_with_those_of_the_engines_oracle(loss: Any) -> None:
    random = np.random.default_rng(7)
    heads = loss.prediction.sample(random, 3 * len(loss.heads)).reshape(3, -1)
    points = Points(heads, loss.target.sample(random, 3))
    found = exact.reference(loss, points)
    with mpmath.workdps(oracle.DIGITS):
        precise = exact.with_exact_parameters(loss)
        for row, (pred, parts) in enumerate(zip(heads, points.parts, strict=True)):
            target = fields.joined(loss.target, [mpmath.mpf(float(part)) for part in parts])
            place = [mpmath.mpf(float(x)) for x in pred], target
            hessian = [entry for line in oracle.hessian(precise, *place) for entry in line]
            expected = [oracle.value(precise, *place), *oracle.gradient(precise, *place), *hessian]
            entries = [entry for kind in exact.KINDS for entry in found[kind][row]]
            for entry, wanted in zip(entries, expected, strict=True):
                assert mpmath.almosteq(entry.numbers[0], wanted, rel_eps=1e-40, abs_eps=1e-60)


class StoppedWeight(lossfn.PointwiseLoss):
    """Squares times a weight that grows with the prediction and through which no gradient flows."""

    surrogate = True

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:  # noqa: D102
        return xp.stop_gradient(xp.exp(pred)) * (pred - target) ** 2


def test_numbers_whose_gradient_is_stopped_count_for_the_condition_alone() -> None:
    found = exact.reference(StoppedWeight(), at(3.0, 1.0))
    (gradient,), (hessian,) = (found[kind][0] for kind in exact.KINDS[1:])
    with mpmath.workdps(40):
        weight = mpmath.exp(3)
        assert mpmath.almosteq(gradient.numbers[0], 4 * weight, rel_eps=1e-30)
        assert mpmath.almosteq(hessian.numbers[0], 2 * weight, rel_eps=1e-30)
        # |x ∂/∂x| of 2 e^x (x - y) at x = 3, y = 1: the whole of it moves.
        assert mpmath.almosteq(gradient.sensitivity, 3 * (4 + 2) * weight + 2 * weight, rel_eps=1e-20)


def test_at_a_kink_the_documented_subgradient_is_exact_and_both_curvatures_are_right() -> None:
    tie = exact.reference(lossfn.AbsoluteError(), at(3.0, 3.0))
    assert [tie[kind][0][0].numbers for kind in exact.KINDS] == [(0,), (0,), (0,)]
    edge = exact.reference(lossfn.Huber(delta=0.5), at(1.0, 0.5))["Hessian"][0][0]
    assert edge.numbers == (1, 0)


def test_a_residual_that_rounds_onto_a_kink_is_left_out() -> None:
    points = at(0.9999989499501142, -1.0500498858429078e-06)
    assert points.heads[0, 0] - points.target[0] == 1.0
    loss = lossfn.Huber()
    entries = exact.reference(loss, points)["Hessian"]
    result = measure.score(loss, points, entries, np.array([[1.0]]))
    assert result.left_out == {rule.CROSSING: 1}
    assert result.units == 0


@every_dtype
def test_an_error_is_counted_in_units_of_the_condition(dtype: str) -> None:
    loss = in_precision(lossfn.BinaryCrossEntropy(), dtype)
    points = at(-20.0, 0.0, dtype)
    entries = exact.reference(loss, points)["value"]
    # log(1 + e^-20): the condition is 20.
    right = FLOATS[dtype](float(entries[0][0].numbers[0]))
    wrong = right + 200 * np.spacing(right)
    assert measure.score(loss, points, entries, np.array([[right]])).units < 1
    assert measure.score(loss, points, entries, np.array([[wrong]])).units == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("got", [np.nan, -np.inf, 0.0, 1.0])
def test_a_result_beyond_the_dtype_must_be_that_infinity(got: float) -> None:
    points = at(1e200, 0.0)
    loss = lossfn.SquaredError()
    entries = exact.reference(loss, points)["value"]
    assert measure.score(loss, points, entries, np.array([[got]])).wrong_overflows == 1
    assert measure.score(loss, points, entries, np.array([[np.inf]])).wrong_overflows == 0


@every_dtype
def test_points_reach_every_corner(dtype: str) -> None:
    info = np.finfo(FLOATS[dtype])
    for loss in (variant for entry in CATALOGUE for variant in entry.variants):
        points = finite_points(in_precision(loss, dtype), dtype, SIZE)
        sizes = np.abs(points.heads[:, 0])
        assert points.heads.dtype == points.parts.dtype == FLOATS[dtype]
        assert ((sizes > 0) & (sizes < info.smallest_normal)).any()
        assert all(fields.joined(loss.target, parts) in loss.target for parts in points.parts.tolist())
        if np.isinf(loss.prediction.high):
            assert sizes.max() == info.max
            assert (np.signbit(points.heads[:, 0]) & (sizes == 0)).any()
        # Beside the kinks of several heads no difference tells what each head contributes.
        if loss.smoothness < 2 and not loss.target.is_discrete and not has_kinks_of_several_heads(loss):
            assert (points.heads[:, 0] == points.parts[:, 0]).any()
