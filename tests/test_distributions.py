"""Predicted distributions: likelihoods and closed-form scores beside other libraries, floors, and best constants."""

from __future__ import annotations

import functools
import math
from typing import Any

import mpmath
import numpy as np
import pytest
from conftest import assert_close, draw, every_path, in_library, label, raises, through
from scipy import stats

import lossfn
from lossfn import (
    BetaNLL,
    CRPSLaplace,
    CRPSLogistic,
    CRPSLogNormal,
    CRPSNormal,
    CRPSStudentT,
    GaussianNLL,
    LaplaceNLL,
    LogisticNLL,
    LogNormalNLL,
    StudentTNLL,
    constant,
    scoring,
)
from lossfn.engine import paths

SIZE = 200

# The log-density of each likelihood, of target, location, scale and what follows.
DENSITIES: list[tuple[Any, Any]] = [
    (LaplaceNLL(constants=True), lambda y, m, s: stats.laplace.logpdf(y, m, s)),
    (LogisticNLL(constants=True), lambda y, m, s: stats.logistic.logpdf(y, m, s)),
    (StudentTNLL(constants=True), lambda y, m, s, df: stats.t.logpdf(y, df, m, s)),
    (LogNormalNLL(constants=True), lambda y, m, s: stats.lognorm.logpdf(y, s, scale=np.exp(m))),
]


@pytest.mark.parametrize(("loss", "density"), DENSITIES, ids=lambda item: label(item) if hasattr(item, "heads") else "")
def test_likelihoods_are_log_densities_of_scipy(loss: Any, density: Any) -> None:
    pred, target = draw(loss, SIZE)
    location, *logarithms = pred.T
    expected = -density(target, location, *np.exp(logarithms))
    # SciPy's Laplace density is the logarithm of a density that underflows.
    finite = np.isfinite(expected)
    assert finite.sum() > 0.9 * SIZE
    assert_close(loss.elementwise(pred, target)[finite], expected[finite], rtol=1e-10, atol=1e-12)
    # errata R19: what depends on a learned scale is no constant.
    free = type(loss)()
    shift = loss.elementwise(pred, target) - free.elementwise(pred, target)
    moved = loss.elementwise(pred + 1.0, target) - free.elementwise(pred + 1.0, target)
    assert_close(shift, moved, rtol=1e-9, atol=1e-11)


def test_many_degrees_of_freedom_are_gaussian_noise() -> None:
    pred, target = draw(GaussianNLL(), SIZE)
    # errata_check k07: the Gaussian limit. The head of GaussianNLL is twice the logarithm of the scale.
    gaussian = through("arrays", GaussianNLL(), pred * [1, 2], target, reduction="sum")
    many = np.concatenate([pred, np.full((SIZE, 1), 60.0)], axis=1)
    student = through("arrays", StudentTNLL(), many, target, reduction="sum")
    assert_close(student.value, gaussian.value)
    assert_close(student.gradient[:, :2], gaussian.gradient * [1, 2], rtol=1e-10)
    assert np.abs(student.gradient[:, 2]).max() < 1e-9


@every_path
def test_student_t_of_many_degrees_of_freedom_is_gaussian_beyond_the_dtype(path: str) -> None:
    # In single precision residual / scale is beyond the dtype, and over √ν it is not; of a square, half of it is not.
    far, large = np.float32([[1.0, -100.0, 300.0]]), np.float32([[2.4e19, 0.0, 300.0]])
    with np.errstate(over="ignore"):
        beyond = through(path, StudentTNLL(), far, np.float32([0.0]), reduction="sum")
        at_edge = through(path, StudentTNLL(), large, np.float32([0.0]), reduction="sum")
    assert beyond.value == math.inf
    assert beyond.gradient[0, :2].tolist() == [math.inf, -math.inf]
    assert_close(at_edge.value, 2.4e19**2 / 2, rtol=1e-6)


# ---- floors ---------------------------------------------------------------------------------------------------------

FLOORED = [
    GaussianNLL(min_log_variance=-2.0),
    LaplaceNLL(min_log_scale=-2.0),
    LogisticNLL(min_log_scale=-2.0),
    StudentTNLL(min_log_scale=-2.0),
]
every_floored = pytest.mark.parametrize("loss", FLOORED, ids=label)


@every_floored
def test_a_floor_bounds_the_likelihood_and_counts_what_it_touches(loss: Any) -> None:
    # errata T03
    pred, target = np.zeros((4, len(loss.heads))), np.zeros(4)
    pred[:, 1] = [-50.0, -2.0, -1.999, 3.0]
    free = type(loss)()
    assert free.elementwise(pred, target)[0] < -20 < loss.lower_bound <= loss.elementwise(pred, target).min()
    assert loss.count_floored(pred) == 2
    assert free.count_floored(pred) == 0
    # Above the floor nothing changes; below it the value is that of the floor and the head has no gradient.
    above, below = loss.gradient(pred, target + 0.1, reduction="sum")[[2, 0]]
    assert_close(above, free.gradient(pred, target + 0.1, reduction="sum")[2])
    at_floor = free.gradient(pred, target + 0.1, reduction="sum")[1]
    at_floor[1] = 0.0
    assert_close(below, at_floor)
    assert not loss.hessian(pred, target + 0.1, reduction="sum")[0][:, 1].any()
    assert loss.hessian_is_partial
    assert free.hessian_is_partial == isinstance(loss, LaplaceNLL)


@every_path
def test_every_path_honours_the_floor(path: str) -> None:
    loss = LaplaceNLL(min_log_scale=-1.0)
    pred, target = np.array([[0.0, -3.0], [0.0, 0.5]]), np.array([1.0, 1.0])
    result = through(path, loss, pred, target, reduction="sum")
    assert_close(result.value, -1 + math.e + 0.5 + math.exp(-0.5))
    assert_close(result.gradient, [[-math.e, 0.0], [-math.exp(-0.5), 1 - math.exp(-0.5)]])


def test_pytorch_clamps_the_variance_without_saying_so() -> None:
    functional = pytest.importorskip("torch").nn.functional
    import torch

    # errata T03: below its eps the value no longer moves, but the gradient goes on as if it did.
    log_variance = torch.tensor([-30.0], dtype=torch.float64, requires_grad=True)
    residual = torch.tensor([1e-4], dtype=torch.float64)

    def peer(s: Any) -> Any:
        return functional.gaussian_nll_loss(residual, torch.zeros_like(residual), s.exp(), eps=1e-6)

    (slope,) = torch.autograd.grad(peer(log_variance), log_variance)
    assert peer(log_variance) == peer(log_variance + 1.0)
    loss = GaussianNLL(min_log_variance=math.log(1e-6))
    pred = np.array([[1e-4, -30.0]])
    assert_close(loss(pred, [0.0]), peer(log_variance).item())
    assert loss.gradient(pred, [0.0])[0, 1] == 0.0
    assert loss.count_floored(pred) == 1
    assert loss.count_floored(torch.tensor(pred)) == 1
    # The peer's own value does not change there.
    assert slope.item() != 0.0


def test_counting_refuses_what_is_no_prediction() -> None:
    with raises(ValueError, "GaussianNLL", "2 heads (mean, log_variance)", "(3,)"):
        GaussianNLL(min_log_variance=0.0).count_floored(np.zeros(3))
    with raises(TypeError, "min_log_variance must be a number", "'low'"):
        GaussianNLL(min_log_variance="low")
    with raises(TypeError, "positional"):
        # Of two parameters neither goes without its name, inherited ones included.
        LaplaceNLL(-3.0)  # type: ignore[misc]


def test_the_floor_is_part_of_the_best_constant() -> None:
    target = np.array([1.0, 1.1, 1.4])
    for loss in (*FLOORED[:3], LogNormalNLL(min_log_scale=-1.0)):
        floored = type(loss)(**{f"min_{loss.heads[1]}": 0.5})
        location, log_size = floored.optimal_constant(target)
        assert log_size == 0.5
        steps = [floored(np.tile([location + step, log_size], (3, 1)), target) for step in (-1e-3, 0.0, 1e-3)]
        assert min(steps) == steps[1]


# ---- best constants -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [
        LaplaceNLL(),
        LogisticNLL(),
        LogNormalNLL(),
        CRPSNormal(),
        CRPSLaplace(),
        CRPSLogistic(),
        CRPSStudentT(df=1.25),
        CRPSLogNormal(),
        BetaNLL(),
    ],
    ids=label,
)
def test_the_gradient_of_the_best_constant_vanishes(loss: Any) -> None:
    random = np.random.default_rng(3)
    target, weight = np.exp(random.normal(1.0, 0.5, 30)), random.uniform(0.5, 2.0, 30)
    best = loss.optimal_constant(target, weight=weight)
    gradient = loss.gradient(np.tile(best, (30, 1)), target, weight=weight, reduction="sum")
    if loss.smoothness == 0:
        # At the median the slope of the location jumps over zero.
        gradient[:, 0] = 0.0
    assert np.abs(gradient.sum(axis=0)).max() < 1e-9 * np.abs(gradient).sum()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        # Found with 24 starts of Nelder and Mead's method. In the first ones a certain forecast is a minimum, too.
        ([1.0] * 10 + [100.0], 8.8419403927),
        ([1.0] * 50 + [1e4], 195.0897075672),
        ([1e-3] * 50 + [1e3], 19.4664346166),
        ([1e-20, 1e20], 3.2535088938e19),
        ([1e-300, 1e300], 3.2535088938e299),
        ([1.0, 1.0, 1.0, 1.0, 5.0], 0.7701479712),
    ],
)
def test_the_best_log_normal_distribution_is_no_local_minimum(target: list[float], expected: float) -> None:
    best = CRPSLogNormal().optimal_constant(target)
    assert_close(CRPSLogNormal()(np.tile(best, (len(target), 1)), target), expected, rtol=1e-9)


class WithHole:
    """√(0.01 + (x − 1)²) + s² + (x − 1)·s/10, but NaN from x = 1.2 on, where the first Newton step from 0.85 ends."""

    def value_and_gradient(self, pred: Any, _target: Any, *, weight: Any, reduction: str) -> tuple[Any, Any]:
        """Return the reduced value and its slope."""
        a, s = pred[:, 0] - 1, pred[:, 1]
        value = np.where(a >= 0.2, np.nan, np.sqrt(0.01 + a * a) + s * s + a * s / 10)
        slope = np.stack([a / np.sqrt(0.01 + a * a) + s / 10, 2 * s + a / 10], axis=1)
        return getattr(value * weight, reduction)(), slope * weight[:, None]

    def hessian(self, pred: Any, _target: Any, *, weight: Any, reduction: str) -> Any:
        """Return the curvature of each row."""
        del reduction
        curvature = np.full((len(pred), 2, 2), 0.1)
        curvature[:, 0, 0], curvature[:, 1, 1] = 0.01 * (0.01 + (pred[:, 0] - 1) ** 2) ** -1.5, 2.0
        return curvature * weight[:, None, None]


def test_the_search_for_a_constant_steps_back_from_nan() -> None:
    loss: Any = WithHole()
    found = constant.leading_heads(loss, np.zeros(3), np.ones(3), (0.85, 0.0))
    assert_close(found, [1.0, 0.0], atol=1e-7)


def test_where_a_certain_forecast_is_best_the_scale_vanishes() -> None:
    for loss in (CRPSNormal(), CRPSLaplace(), CRPSLogistic(), CRPSStudentT()):
        assert_close(loss.optimal_constant(np.r_[np.zeros(50), 1.0, -1.0]), [0.0, -math.inf])
    assert_close(CRPSLogNormal().optimal_constant([2.0, 2.0]), [math.log(2.0), -math.inf])


@pytest.mark.parametrize("rows", [1, 600])
@pytest.mark.parametrize(("df", "limit"), [(1 + 1e-12, 1.0 + 1e-9), (1e300, 1e12)])
def test_degrees_of_freedom_beyond_single_precision_are_those_next_to_them(rows: int, df: float, limit: float) -> None:
    pred, target = np.tile(np.float32([[1.0, 0.5]]), (rows, 1)), np.zeros(rows, np.float32)
    for kind in ("elementwise", "gradient", "hessian"):
        options = {} if kind == "elementwise" else {"reduction": "sum"}
        found = getattr(CRPSStudentT(df=df), kind)(pred, target, **options)
        with paths.forced("arrays"):
            nearby = getattr(CRPSStudentT(df=limit), kind)(pred.astype(float), target, **options)
        assert_close(found, nearby, rtol=2e-6)
    # A vanishing residual beside the root of many degrees of freedom.
    tiny = CRPSStudentT(df=df).hessian(np.tile(np.float32([[1e-30, 0.0]]), (rows, 1)), target, reduction="sum")[0, 0, 1]
    density = CRPSStudentT(df=limit).hessian([[0.0, 0.0]], [0.0])[0, 0, 0]
    assert_close(tiny, -1e-30 * density, rtol=1e-5)


def test_best_constants_are_the_maximum_likelihood_of_scipy() -> None:
    random = np.random.default_rng(0)
    target = random.standard_t(3, 300) * 2 + 1
    location, log_scale = LogisticNLL().optimal_constant(target)
    assert_close([location, math.exp(log_scale)], stats.logistic.fit(target), rtol=1e-4)
    location, log_scale, log_df = StudentTNLL().optimal_constant(target)
    assert_close([math.exp(log_df), location, math.exp(log_scale)], stats.t.fit(target), rtol=1e-2)
    # Light tails: Gaussian noise. Half of the rows on one value: a vanishing scale.
    assert StudentTNLL().optimal_constant(np.linspace(-1, 1, 50))[2] == math.inf
    assert StudentTNLL().optimal_constant([1.0, 1.0, 1.0, 5.0, 9.0]).tolist() == [1.0, -math.inf, 0.0]


def test_a_beta_of_one_moves_the_mean_as_the_squared_error() -> None:
    pred, target = draw(BetaNLL(), SIZE)
    gradient = BetaNLL(beta=1.0).gradient(pred, target)
    assert_close(gradient[:, 0], lossfn.HalfSquaredError().gradient(pred[:, 0], target))
    plain = through("arrays", GaussianNLL(), pred, target)
    for got, expected in zip(through("arrays", BetaNLL(beta=0.0), pred, target), plain, strict=True):
        assert_close(got, expected, rtol=1e-12)
    weighted = np.exp(0.5 * pred[:, 1])[:, None] * GaussianNLL().gradient(pred, target)
    assert_close(BetaNLL(beta=0.5).gradient(pred, target), weighted, rtol=1e-11, atol=1e-13)


# ---- closed forms of the CRPS ---------------------------------------------------------------------------------------

DISTRIBUTION_FUNCTIONS = {
    scoring.crps_normal: mpmath.ncdf,
    scoring.crps_laplace: lambda x: mpmath.exp(x) / 2 if x < 0 else 1 - mpmath.exp(-x) / 2,
    scoring.crps_logistic: lambda x: 1 / (1 + mpmath.exp(-x)),
}


@pytest.mark.parametrize("score", DISTRIBUTION_FUNCTIONS)
def test_closed_forms_are_the_integral_that_defines_the_score(score: Any) -> None:
    distribution = DISTRIBUTION_FUNCTIONS[score]
    with mpmath.workdps(25):
        for target in (-1.3, 0.0, 2.5):
            # The Laplace density has a kink at zero.
            low, high = sorted({-3.0, min(0.0, target), target}), sorted({target, max(0.0, target), 4.0})
            below = mpmath.quad(lambda x: distribution(x) ** 2, [-mpmath.inf, *low])
            above = mpmath.quad(lambda x: (1 - distribution(x)) ** 2, [*high, mpmath.inf])
            # Location 1 and scale 2.
            assert_close(score(1.0, 2.0, 1.0 + 2.0 * target), float(2 * (below + above)), rtol=1e-12)


def test_the_score_of_student_t_is_the_integral_that_defines_it() -> None:
    from scipy.integrate import quad

    for target in (-1.3, 0.0, 2.5):
        below = quad(lambda x: stats.t.cdf(x, 3.5) ** 2, -np.inf, target)[0]
        above = quad(lambda x: stats.t.sf(x, 3.5) ** 2, target, np.inf)[0]
        assert_close(scoring.crps_student_t(3.5, 1.0, 2.0, 1.0 + 2.0 * target), 2 * (below + above), rtol=1e-7)


def test_closed_forms_agree_with_scoringrules() -> None:
    peer = pytest.importorskip("scoringrules")
    random = np.random.default_rng(0)
    target, location = random.normal(0, 3, SIZE), random.normal(0, 2, SIZE)
    scale, df = random.gamma(2, 1, SIZE), 1 + random.gamma(2, 3, SIZE)
    assert_close(scoring.crps_normal(location, scale, target), peer.crps_normal(target, location, scale))
    assert_close(scoring.crps_laplace(location, scale, target), peer.crps_laplace(target, location, scale))
    assert_close(scoring.crps_logistic(location, scale, target), peer.crps_logistic(target, location, scale))
    assert_close(scoring.crps_student_t(df, location, scale, target), peer.crps_t(target, df, location, scale))
    positive, small = np.exp(target / 3), scale / 3
    assert_close(
        scoring.crps_lognormal(location, small, positive), peer.crps_lognormal(positive, location, small), rtol=1e-10
    )
    weights = random.dirichlet([1, 1, 1], SIZE)
    means, scales = random.normal(0, 2, (SIZE, 3)), random.gamma(2, 1, (SIZE, 3))
    assert_close(
        scoring.crps_mixture_normal(weights, means, scales, target), peer.crps_mixnorm(target, means, scales, weights)
    )


@pytest.mark.parametrize("scale", [1e-4, 0.5, 3.0, 30.0])
@pytest.mark.parametrize("target", [-1.0, 0.0, 1e-6, 1.3, 1e4])
def test_the_log_normal_score_is_the_integral_that_defines_it(scale: float, target: float) -> None:
    def formula() -> Any:
        # The mean distance from the target less half of that of two draws, with mpmath's distribution function.
        m, s, y = mpmath.mpf(0.25), mpmath.mpf(scale), mpmath.mpf(target)
        mean = mpmath.exp(m + s * s / 2)
        half_distance = mean * mpmath.erf(s / 2)
        if y <= 0:
            return mean - y - half_distance
        u = (mpmath.log(y) - m) / s
        return y * (2 * mpmath.ncdf(u) - 1) + mean * (1 - 2 * mpmath.ncdf(u - s)) - half_distance

    with mpmath.workdps(500):
        expected = float(formula())
    assert_close(scoring.crps_lognormal(0.25, scale, target), expected, rtol=1e-9)


def test_functions_are_the_losses_and_differentiable() -> None:
    torch = pytest.importorskip("torch")
    scale = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0.0, 3.0], dtype=torch.float64)
    score = scoring.crps_normal(1.0, scale, target)
    (slope,) = torch.autograd.grad(score.sum(), scale)
    pred = np.stack([np.ones(2), np.log([0.5, 2.0])], axis=1)
    assert_close(score.detach().numpy(), CRPSNormal().elementwise(pred, target.numpy()))
    assert_close(slope.numpy() * [0.5, 2.0], CRPSNormal().gradient(pred, target.numpy(), reduction="sum")[:, 1])


def test_certain_forecasts_are_scored_by_their_absolute_error() -> None:
    for score in (scoring.crps_normal, scoring.crps_laplace, scoring.crps_logistic):
        assert_close(score([0.0, 1.0], 0.0, [2.0, 1.0]), [2.0, 0.0])
    assert_close(scoring.crps_student_t(3.0, [0.0, 1.0], 0.0, [2.0, 1.0]), [2.0, 0.0])
    assert_close(scoring.crps_lognormal(0.0, 0.0, [3.0, 1.0]), [2.0, 0.0])
    assert_close(scoring.crps_mixture_normal([0.5, 0.5], [0.0, 2.0], [0.0, 0.0], 0.0), 0.5)
    for score in (scoring.crps_normal, scoring.crps_lognormal, functools.partial(scoring.crps_student_t, 3.0)):
        assert score(np.float32(0), np.float32(1), np.ones(2, np.float32)).dtype == np.float32


LOCATION_SCALE = ["crps_normal", "crps_laplace", "crps_logistic", "crps_student_t"]


def closed_form(name: str) -> Any:
    """Return a score as a function of location, scale and target."""
    function = getattr(scoring, name)
    return functools.partial(function, 3.0) if name == "crps_student_t" else function


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("name", LOCATION_SCALE)
def test_closed_forms_refuse_wrong_values_in_every_library_in_their_own_name(name: str, library: str) -> None:
    pytest.importorskip(library)
    score, zeros = closed_form(name), in_library(library, np.zeros(2))
    with raises(ValueError, f"{name}: scale[1] = -1.0 is not a finite number >= 0"):
        score(zeros, in_library(library, np.array([1.0, -1.0])), zeros)
    with raises(ValueError, f"{name}: scale = -1.0 is not a finite number >= 0"):
        score(zeros, -1.0, zeros)
    with raises(ValueError, f"{name}: target[0] = nan is not a finite number"):
        score(zeros, 1.0, in_library(library, np.array([math.nan, 1.0])))
    with raises(ValueError, f"{name}: target = nan is not a finite number"):
        score(0.0, 1.0, math.nan)


@pytest.mark.parametrize("name", LOCATION_SCALE)
def test_closed_forms_can_be_traced_and_take_any_dtype(name: str) -> None:
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    score = closed_form(name)
    expected = score(0.0, [1.0, 2.0], 1.0)
    for array in (jax.numpy.array([1.0, 2.0]), torch.tensor([1.0, 2.0], dtype=torch.bfloat16)):
        assert score(0.0, array, 1.0).dtype == array.dtype
        assert_close(np.asarray(score(0.0, array, 1.0).tolist()), expected, rtol=1e-2)
    assert_close(np.asarray(jax.jit(lambda scale: score(0.0, scale, 1.0))(np.array([1.0, 2.0]))), expected, rtol=1e-5)
    mapped = torch.vmap(lambda scale: score(0.0, scale, 1.0))(torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert_close(mapped.numpy(), expected)
    assert score(0.0, np.float32([1.0, 2.0]), 1).dtype == np.float32


def test_refusals_of_the_closed_forms_say_what_is_needed() -> None:
    with raises(ValueError, "crps_normal: scale[1] = -1.0", ">= 0"):
        scoring.crps_normal(0.0, [1.0, -1.0], 0.0)
    torch = pytest.importorskip("torch")
    for df in (1.0, [1.0]):
        with raises(ValueError, "crps_student_t: df[0] = 1.0", "there is no mean"):
            scoring.crps_student_t(df, 0.0, 1.0, 0.0)
    with raises(ValueError, "crps_student_t: df[0] = 0.5", "there is no mean"):
        scoring.crps_student_t(0.5, 0.0, 1.0, torch.zeros(3))
    with raises(ValueError, "crps_student_t: df[0] = inf", "crps_normal"):
        scoring.crps_student_t(math.inf, 0.0, 1.0, 0.0)
    with raises(ValueError, "crps_student_t: target[1] = inf is not a finite number"):
        scoring.crps_student_t([3.0], 0.0, 1.0, [0.0, math.inf])
    with raises(ValueError, "crps_lognormal: target[0] = inf is not a finite number"):
        scoring.crps_lognormal(0.0, 1.0, [math.inf])
    with raises(ValueError, "crps_mixture_normal: sum of weights = 1.5 is not 1", "divide"):
        scoring.crps_mixture_normal([0.5, 1.0], [0.0, 0.0], [1.0, 1.0], 0.0)
    with raises(ValueError, "crps_mixture_normal: sum of weights[1] = 1.1 is not 1"):
        scoring.crps_mixture_normal([[0.5, 0.5], [0.5, 0.6]], [0.0, 0.0], [1.0, 1.0], 0.0)
    with raises(ValueError, "crps_mixture_normal: means[1] = nan is not a finite number"):
        scoring.crps_mixture_normal([0.5, 0.5], [0.0, math.nan], [1.0, 1.0], 0.0)
    with raises(ValueError, "crps_mixture_normal: target[1] = inf is not a finite number"):
        scoring.crps_mixture_normal([0.5, 0.5], [0.0, 0.0], [1.0, 1.0], [0.0, math.inf])
    with raises(TypeError, "crps_student_t computes with NumPy arrays"):
        scoring.crps_student_t(torch.tensor(3.0), 0.0, 1.0, 0.0)
