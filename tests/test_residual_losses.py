"""Residual losses beside their peers and each other, what they refuse, and how their scale is chosen."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from conftest import assert_close, draw, label, raises

import lossfn
from lossfn import (
    AbsoluteError,
    AbsolutePercentageError,
    Barron,
    Cauchy,
    EpsilonInsensitive,
    Fair,
    GaussianNLL,
    GemanMcClure,
    HalfSquaredError,
    Huber,
    LinEx,
    LogCosh,
    Minkowski,
    Pinball,
    PseudoHuber,
    SquaredEpsilonInsensitive,
    SquaredError,
    SquaredLogError,
    StudentT,
    SymmetricAbsolutePercentageError,
    TukeyBiweight,
    Welsch,
    efficient_tuning,
    gaussian_efficiency,
    robust_scale,
)

# Compiling kernels would take longer than what is tested here.
pytestmark = pytest.mark.usefixtures("array_code")

RESIDUALS = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 60), -np.geomspace(1e-3, 1e3, 60)])
ZERO = np.zeros_like(RESIDUALS)

REDESCENDING = [
    Cauchy(scale=1.3),
    GemanMcClure(scale=1.3),
    Welsch(scale=1.3),
    TukeyBiweight(c=3.0),
    StudentT(df=3.0, scale=1.3),
    Barron(alpha=-1.0, scale=1.3),
]
every_redescending = pytest.mark.parametrize("loss", REDESCENDING, ids=label)


# ---- executed peers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "rho"),
    [(Cauchy(scale=1.7), "cauchy"), (PseudoHuber(delta=1.7), "soft_l1"), (Huber(delta=1.7), "huber")],
    ids=["cauchy", "soft_l1", "huber"],
)
def test_equal_to_the_robust_losses_of_scipys_least_squares(loss: Any, rho: str) -> None:
    from scipy.optimize import least_squares

    # A model without freedom: its cost is half the scaled sum of rho.
    for residual in (-9.0, -0.4, 0.0, 2.5, 80.0):
        found = least_squares(lambda x, r=residual: r + 0.0 * x, [0.0], loss=rho, f_scale=1.7, max_nfev=1)
        assert math.isclose(loss([residual], [0.0]), found.cost, rel_tol=1e-12, abs_tol=1e-300)


@pytest.mark.parametrize("name", ["EpsilonInsensitive", "SquaredEpsilonInsensitive"])
def test_equal_to_the_losses_of_support_vector_regression(name: str) -> None:
    peer = getattr(pytest.importorskip("sklearn.linear_model._sgd_fast"), name)(0.3)
    loss = getattr(lossfn, name)(epsilon=0.3)
    pred, target = draw(loss, 200)
    pairs = list(zip(target, pred, strict=True))
    assert_close(loss.elementwise(pred, target), [peer.py_loss(p, y) for y, p in pairs])
    assert_close(loss.gradient(pred, target, reduction="sum"), [peer.py_dloss(p, y) for y, p in pairs])


@pytest.mark.parametrize(("df", "scale"), [(1.0, 1.0), (3.0, 2.0), (50.0, 0.1)])
def test_student_t_is_the_log_density_of_scipy(df: float, scale: float) -> None:
    # errata k07; errata R19: the dropped terms, log(scale) among them, do not depend on the prediction.
    from scipy.stats import t

    difference = t.logpdf(0.0, df, scale=scale) - t.logpdf(RESIDUALS, df, scale=scale)
    assert_close(StudentT(df=df, scale=scale).elementwise(RESIDUALS, ZERO), difference, rtol=1e-9, atol=1e-13)


def test_student_t_tends_to_the_gaussian_likelihood() -> None:
    # errata k07
    small = RESIDUALS[np.abs(RESIDUALS) < 10]
    got = StudentT(df=1e12, scale=2.0).elementwise(small, np.zeros_like(small))
    assert_close(got, small**2 / 8, rtol=1e-9)


def test_student_t_says_that_its_parameters_cannot_be_learned() -> None:
    # errata R19: with log(scale) dropped a larger scale always looks better.
    values = [StudentT(df=3.0, scale=scale)([1.0, -2.0], [0.0, 0.0]) for scale in (1.0, 1e6)]
    assert values[1] < 1e-10 < values[0]
    assert "neither parameter can be learned" in " ".join((StudentT.__doc__ or "").split())


# ---- identities -----------------------------------------------------------------------------------------------------

S = 0.7
IDENTITIES = {
    "Barron at 2": (S**2 * Barron(alpha=2.0, scale=S), HalfSquaredError()),
    "Barron at 1": (S**2 * Barron(alpha=1.0, scale=S), PseudoHuber(delta=S)),
    "Barron at 0": (S**2 * Barron(alpha=0.0, scale=S), Cauchy(scale=math.sqrt(2) * S)),
    "Barron at -2": (S**2 * Barron(alpha=-2.0, scale=S), GemanMcClure(scale=2 * S)),
    "Barron at -inf": (S**2 * Barron(alpha=-math.inf, scale=S), Welsch(scale=math.sqrt(2) * S)),
    "Student with one degree of freedom": (S**2 / 2 * StudentT(df=1.0, scale=S), Cauchy(scale=S)),
    "Minkowski at 1": (Minkowski(p=1.0), AbsoluteError()),
    "Minkowski at 2": (Minkowski(p=2.0), SquaredError()),
    "no tube": (EpsilonInsensitive(epsilon=0.0), AbsoluteError()),
    "no squared tube": (SquaredEpsilonInsensitive(epsilon=0.0), SquaredError()),
}


@pytest.mark.parametrize(("loss", "same"), IDENTITIES.values(), ids=IDENTITIES)
def test_identities(loss: Any, same: Any) -> None:
    assert_close(loss.elementwise(RESIDUALS, ZERO), same.elementwise(RESIDUALS, ZERO), rtol=1e-14)
    assert_close(loss.gradient(RESIDUALS, ZERO), same.gradient(RESIDUALS, ZERO), rtol=4e-14)
    scale = np.abs(same.hessian(RESIDUALS, ZERO)).max()
    assert_close(loss.hessian(RESIDUALS, ZERO), same.hessian(RESIDUALS, ZERO), rtol=1e-13, atol=1e-15 * scale)


@pytest.mark.parametrize("limit", [2.0, 0.0])
def test_barron_is_continuous_where_its_formula_divides_by_zero(limit: float) -> None:
    near, at = Barron(alpha=limit - 1e-7, scale=1.3), Barron(alpha=limit, scale=1.3)
    assert_close(near.elementwise(RESIDUALS, ZERO), at.elementwise(RESIDUALS, ZERO), rtol=1e-5)
    assert_close(near.gradient(RESIDUALS, ZERO), at.gradient(RESIDUALS, ZERO), rtol=1e-5)


def test_barron_tends_to_its_limit_at_minus_infinity() -> None:
    near, at = Barron(alpha=-1e9, scale=1.3), Barron(alpha=-math.inf, scale=1.3)
    assert_close(near.elementwise(RESIDUALS, ZERO), at.elementwise(RESIDUALS, ZERO), rtol=1e-7)


@pytest.mark.parametrize(
    "loss",
    [*REDESCENDING[:4], Fair(scale=1.3), Huber(delta=1.3), PseudoHuber(delta=1.3), LogCosh(scale=1.3)],
    ids=label,
)
def test_robust_losses_are_half_the_square_near_zero(loss: Any) -> None:
    assert math.isclose(loss([1e-5], [0.0]), 0.5e-10, rel_tol=1e-5)
    assert loss.hessian([0.0], [0.0]) == 1.0


def test_linex_is_half_the_squared_error_for_small_rates_and_mirrors_its_sign() -> None:
    small = RESIDUALS[np.abs(RESIDUALS) < 10]
    zero = np.zeros_like(small)
    assert_close((1e12 * LinEx(a=1e-6)).elementwise(small, zero), small**2 / 2, rtol=1e-5)
    assert_close(LinEx(a=0.4).elementwise(small, zero), LinEx(a=-0.4).elementwise(-small, zero))


def test_symmetric_percentage_errors_have_a_stated_value_where_quotients_have_none() -> None:
    loss = SymmetricAbsolutePercentageError()
    pred, target = [0.0, 0.0, 5.0, -1.0, math.inf], [0.0, 5.0, 0.0, 1.0, 1.0]
    np.testing.assert_array_equal(loss.elementwise(pred, target), [0.0, 2.0, 2.0, 2.0, 2.0])
    np.testing.assert_array_equal(loss.gradient(pred, target), np.zeros(5))
    # Too low by 50 costs more than too high by 50.
    assert loss([50.0], [100.0]) > loss([150.0], [100.0])


# ---- refusals -------------------------------------------------------------------------------------------------------


def test_a_percentage_of_zero_is_refused_with_its_index_and_the_cure() -> None:
    loss = AbsolutePercentageError()
    with raises(ValueError, "target[2] = 0.0", "other than 0", "mask=(target != 0)", "AbsoluteError"):
        loss([1.0, 2.0, 3.0], [1.0, 2.0, 0.0])
    target = np.array([1.0, 2.0, 0.0])
    assert loss([2.0, 2.0, 3.0], target, mask=target != 0) == 0.5
    large = np.ones(1000)
    large[700] = 0.0
    with raises(ValueError, "target[700] = 0.0"):
        loss(large, large)


def test_logarithms_refuse_what_is_not_above_minus_one() -> None:
    with raises(ValueError, "target[1] = -1.0", "> -1", "SquaredError"):
        SquaredLogError()([1.0, 1.0], [0.0, -1.0])
    with raises(ValueError, "pred[0] = -3.0", "> -1", "log(1 + target)"):
        SquaredLogError()([-3.0], [0.0])


@pytest.mark.parametrize(
    ("make", "fragments"),
    [
        (lambda: Minkowski(p=0.5), ["Minkowski: p", ">= 1", "0.5"]),
        (lambda: LinEx(a=0.0), ["LinEx: a", "other than 0"]),
        (lambda: Barron(alpha=3.0), ["Barron: alpha", "<= 2", "-inf", "3"]),
        (lambda: Barron(alpha=math.nan), ["Barron: alpha"]),
        (lambda: EpsilonInsensitive(epsilon=-1.0), [">= 0"]),
        (lambda: Cauchy(scale=0.0), ["> 0"]),
    ],
)
def test_impossible_parameters_are_refused(make: Any, fragments: list[str]) -> None:
    with raises(ValueError, *fragments):
        make()


def test_minus_infinity_can_be_spelled() -> None:
    assert lossfn.parse_loss("barron(alpha=-inf)") == Barron(alpha=-math.inf)
    assert repr(Barron(alpha=-math.inf)) == "Barron(alpha=-inf, scale=1.0)"


# ---- tuning ---------------------------------------------------------------------------------------------------------

# Holland and Welsch (1977), table 2 (Huber, Fair, Cauchy, Welsch, biweight); LogCosh is their logistic weight.
LITERATURE = {Huber: 1.345, Fair: 1.400, Cauchy: 2.385, Welsch: 2.985, TukeyBiweight: 4.685, LogCosh: 1.205}


@pytest.mark.parametrize(("loss", "constant"), LITERATURE.items(), ids=lambda item: getattr(item, "__name__", None))
def test_tuning_constants_of_the_literature(loss: Any, constant: float) -> None:
    # errata k10
    assert round(efficient_tuning(loss), 3) == constant


def test_efficiencies_of_the_huber_loss() -> None:
    # errata R25: the default of 1 keeps 0.9031, 1.345 keeps 0.9500.
    assert round(gaussian_efficiency(Huber(delta=1.0)), 4) == 0.9031
    assert round(gaussian_efficiency(Huber(delta=1.345)), 4) == 0.9500


@pytest.mark.parametrize("loss", [SquaredError(), HalfSquaredError(), Barron(alpha=2.0)], ids=label)
def test_the_mean_is_fully_efficient(loss: Any) -> None:
    assert math.isclose(gaussian_efficiency(loss), 1.0, rel_tol=1e-12)


@pytest.mark.parametrize("loss", [AbsoluteError(), Pinball(tau=0.5), Minkowski(p=1.0), Huber(delta=1e-6)], ids=label)
def test_the_median_keeps_two_over_pi(loss: Any) -> None:
    # errata k11
    assert math.isclose(gaussian_efficiency(loss), 2 / math.pi, rel_tol=1e-5)


@pytest.mark.parametrize("loss", [Fair(scale=1.3), *REDESCENDING[:4]], ids=label)
def test_efficiency_is_that_of_the_second_derivative(loss: Any) -> None:
    from scipy.integrate import quad
    from scipy.stats import norm

    def expected(function: Any) -> float:
        return quad(lambda z: norm.pdf(z) * function([z], [0.0], reduction="sum")[0], -12, 12, points=[-3, 0, 3])[0]

    slope, square = expected(loss.hessian), expected(lambda p, t, **options: loss.gradient(p, t, **options) ** 2)
    assert math.isclose(gaussian_efficiency(loss), slope**2 / square, rel_tol=1e-7)


def test_a_tube_is_most_efficient_at_the_width_that_smola_found() -> None:
    # Smola, Murata, Schölkopf and Müller (1998), doi:10.1007/978-1-4471-1599-1_12: 0.612 standard deviations.
    widths = np.linspace(0.5, 0.75, 251)
    efficiency = [gaussian_efficiency(EpsilonInsensitive(epsilon=width)) for width in widths]
    assert widths[np.argmax(efficiency)] == pytest.approx(0.612, abs=1e-3)
    with raises(ValueError, "no epsilon", "0.95", "reaches", "0.8093"):
        efficient_tuning(EpsilonInsensitive)


def test_tuning_keeps_other_parameters_and_meets_other_goals() -> None:
    loss = StudentT(df=2.0)
    scale = efficient_tuning(loss, 0.8)
    assert math.isclose(gaussian_efficiency(StudentT(df=2.0, scale=scale)), 0.8, rel_tol=1e-9)


def test_what_has_no_tuning_constant_says_so() -> None:
    with raises(ValueError, "one parameter in units of the target", "none"):
        efficient_tuning(AbsoluteError)
    with raises(ValueError, "strictly between 0 and 1", "95"):
        efficient_tuning(Huber, 95)
    with raises(ValueError, "not an even function"):
        gaussian_efficiency(Pinball(tau=0.9))
    with raises(TypeError, "efficient_tuning: efficiency must be a number", "'a'"):
        efficient_tuning(Huber, "a")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "loss",
    [GaussianNLL(), SymmetricAbsolutePercentageError(), lossfn.Poisson(), lossfn.Brier(), lossfn.CrossEntropy(), 3],
    ids=repr,
)
def test_only_losses_of_a_residual_have_an_efficiency(loss: Any) -> None:
    for function in (gaussian_efficiency, efficient_tuning):
        with raises(ValueError, f"{function.__name__}: {loss!r} is not a loss of a residual", "such as Huber"):
            function(loss)


def test_robust_scale_is_that_of_scipy() -> None:
    from scipy.stats import median_abs_deviation

    residuals = np.random.default_rng(1).standard_t(2, 501)
    assert math.isclose(robust_scale(residuals), median_abs_deviation(residuals, scale="normal"), rel_tol=1e-12)
    assert robust_scale(residuals + 100) == pytest.approx(robust_scale(residuals))
    counts = np.random.default_rng(2).integers(0, 4, 501)
    repeated = np.repeat(residuals, counts)
    assert math.isclose(robust_scale(residuals, weight=counts), robust_scale(repeated), rel_tol=1e-12)
    assert robust_scale([1.0, 1.0, 1.0, 9.0]) == 0.0


def test_robust_scale_refuses_what_it_cannot_use() -> None:
    with raises(ValueError, "at least one residual"):
        robust_scale([])
    with raises(ValueError, "1 of 3 residuals are NaN"):
        robust_scale([1.0, math.nan, 2.0])
    with raises(ValueError, "shape", "(2,)", "(3,)"):
        robust_scale([1.0, 2.0], weight=[1, 1, 1])


# ---- several minima -------------------------------------------------------------------------------------------------


@every_redescending
def test_the_best_constant_of_two_clusters_is_the_larger_one(loss: Any) -> None:
    random = np.random.default_rng(3)
    few, many = random.normal(0, 1, 200), random.normal(60, 1, 300)
    for target in (np.concatenate([few, many]), -np.concatenate([many, few])):
        best = loss.optimal_constant(target)
        assert abs(abs(best) - 60) < 1
        grid = np.linspace(target.min(), target.max(), 400)
        assert loss(np.full_like(target, best), target) <= min(loss(np.full_like(target, c), target) for c in grid)
    # Weights decide as repeated rows do.
    weight = np.where(np.arange(500) < 200, 2.0, 1.0)
    assert abs(loss.optimal_constant(np.concatenate([few, many]), weight=weight)) < 1


@every_redescending
def test_redescending_locations_lead_to_the_mean(loss: Any) -> None:
    target = np.array([0.0, 1.0, 5.0, 6.0, 30.0])
    (name,) = loss.scale_parameters
    wide = dataclasses.replace(loss, **{name: 1e5})
    assert wide.optimal_constant(target) == pytest.approx(8.4, abs=1e-3)


def test_a_minimum_outside_the_data_is_found_by_the_general_search() -> None:
    shifted = lossfn.define("Shifted", lambda xp, pred, target: xp.log1psq(pred - target - 10))()
    assert shifted.optimal_constant([0.0, 0.0, 0.1]) == pytest.approx(10.03, abs=0.05)


@every_redescending
def test_a_linear_fit_ignores_outliers(loss: Any) -> None:
    from lossfn.sklearn import LinearRegressor

    random = np.random.default_rng(4)
    features = random.normal(size=(200, 2))
    target = features @ [2.0, -1.0] + 1 + random.normal(0, 0.3, 200)
    target[:60] += 100
    model = LinearRegressor(loss=loss).fit(features, target)
    assert model.coef_ == pytest.approx([2.0, -1.0], abs=0.15)
    assert model.intercept_ == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(
    "loss",
    [Minkowski(p=1.1), Minkowski(p=4.0), LinEx(a=0.5), EpsilonInsensitive(epsilon=0.2), AbsolutePercentageError()],
    ids=label,
)
def test_linear_fits_cannot_be_improved(loss: Any) -> None:
    from scipy.optimize import minimize

    from lossfn.sklearn import LinearRegressor

    random = np.random.default_rng(5)
    features = random.normal(size=(40, 2))
    target = features @ [2.0, -1.0] + 6 + random.laplace(0, 0.3, 40)
    model = LinearRegressor(loss=loss).fit(features, target)
    start = np.array([*model.coef_, model.intercept_])

    def objective(parameters: np.ndarray) -> float:
        return float(loss(features @ parameters[:2] + parameters[2], target))

    better = minimize(objective, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14}).fun
    assert model.objective_ <= better * (1 + 1e-7)


def test_a_linear_model_refuses_bounded_predictions_with_the_cure() -> None:
    from lossfn.sklearn import LinearRegressor

    with raises(ValueError, "> -1", "train SquaredError on log(1 + target)"):
        LinearRegressor(loss=SquaredLogError()).fit([[0.0], [1.0]], [1.0, 2.0])


def test_comparison_gives_each_loss_the_scale_that_it_needs() -> None:
    pytest.importorskip("pandas")
    from lossfn.comparison.candidates import choose_candidates, noise_in_scale
    from lossfn.comparison.data import read_data
    from lossfn.comparison.models import Linear

    assert noise_in_scale(Huber()) == 1.345
    assert round(noise_in_scale(TukeyBiweight()), 3) == 4.685
    numbers = np.linspace(0.0, 1.0, 50)
    data = read_data(numbers[:, None], numbers**2, task=None, weight=None, groups=None, folds=5, target_name=None)

    def candidate(text: str) -> Any:
        # The default that all are compared with comes first.
        return choose_candidates([text], data, Linear())[0][-1]

    assert candidate("tukey_biweight").with_estimates(2.0, 1.0).c == pytest.approx(9.37, abs=1e-3)
    assert candidate("tukey_biweight(c=3)").with_estimates(2.0, 1.0).c == 3.0
    # A tube is a tolerance that the data do not decide.
    assert candidate("epsilon_insensitive").estimated == ()
