"""The functions of lossfn.numerics: exact values, limits and derivatives in every array library."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from conftest import in_library, raises, run_python

from lossfn import numerics
from lossfn.engine.primitives import PRIMITIVES

LIBRARIES = ["numpy", "torch", "jax"]
every_library = pytest.mark.parametrize("library", LIBRARIES)
INF, NAN = math.inf, math.nan

# The textbook formulas, with their limits; mpmath has digits to spare.
EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "log_sigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "softplus": lambda x: mpmath.inf if x == mpmath.inf else mpmath.log1p(mpmath.exp(x)),
    "log1mexp": lambda x: -mpmath.inf if x == 0 else mpmath.log(-mpmath.expm1(x)),
}
SIZES = [0.0, 1e-300, 1e-30, 1e-8, 0.1, math.log(2), 0.7, 1.0, 5.0, 17.0, 36.0, 100.0, 700.0, 1e4, 1e30]


@pytest.fixture(autouse=True)
def _sixty_four_bits():
    import jax

    with jax.enable_x64(True), mpmath.workdps(400):
        yield


def as_numpy(array: Any) -> np.ndarray:
    return np.asarray(array.detach() if hasattr(array, "detach") else array)


def gradient(library: str, function: Any, x: Any) -> np.ndarray:
    """Return the gradient of the sum of a function, by the library's own differentiation."""
    if library == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        return torch.autograd.grad(function(x).sum(), x)[0].numpy()
    import jax

    return np.asarray(jax.grad(lambda z: function(z).sum())(jax.numpy.asarray(x)))


def assert_accurate(got: Any, exact: Any, condition: float = 1.0, units: float = 4.0) -> None:
    """Compare a number with an exact one: at most ``units`` of the last place per condition number."""
    got = np.asarray(got)[()]
    info = np.finfo(got.dtype)
    if abs(exact) > float(info.max) or not mpmath.isfinite(exact):
        assert got == (INF if exact > 0 else -INF)
        return
    place = np.spacing(np.maximum(got.dtype.type(abs(exact)), info.smallest_normal))
    assert abs(mpmath.mpf(float(got)) - exact) <= units * max(1.0, condition) * float(place), (got, exact)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
@every_library
def test_values_are_exact_over_the_whole_domain(library: str, name: str, dtype: str) -> None:
    # errata C02, C04, C19: no form overflows on the side where it would be used
    sizes = np.array(SIZES, dtype)
    points = -sizes if name == "log1mexp" else np.concatenate([-sizes, sizes])
    points = np.append(points, [-INF] if name == "log1mexp" else [-INF, INF]).astype(dtype)
    results = as_numpy(getattr(numerics, name)(in_library(library, points)))
    assert results.dtype == dtype
    for x, got in zip(points, results, strict=True):
        number = mpmath.mpf(float(x))
        exact = EXACT[name](number)
        slope = mpmath.diff(EXACT[name], number) if 0 < abs(number) < 1e4 else 0
        condition = float(abs(number * slope / exact)) if exact and mpmath.isfinite(exact) else 1.0
        # The logarithm of XLA alone is ten units off near -0.37.
        assert_accurate(got, exact, condition, units=16.0 if library == "jax" else 4.0)
    assert np.isnan(as_numpy(getattr(numerics, name)(in_library(library, np.array([NAN], dtype))))[0])


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_derivatives_are_right_at_kinks_and_limits(library: str, name: str) -> None:
    function = getattr(numerics, name)
    points = np.array([-800.0, -30.0, -1.0, -1e-10, *([] if name == "log1mexp" else [0.0, 1e-10, 2.0, 40.0, 800.0])])
    first = gradient(library, function, points)
    for x, got in zip(points, first, strict=True):
        assert_accurate(got, mpmath.diff(EXACT[name], mpmath.mpf(float(x))), condition=abs(x))
    limits = {"sigmoid": [0, 0], "log_sigmoid": [1, 0], "softplus": [0, 1], "log1mexp": [0]}[name]
    np.testing.assert_array_equal(np.abs(gradient(library, function, np.array([-INF, INF])[: len(limits)])), limits)


@pytest.mark.parametrize(("name", "value"), [("softplus", 0.25), ("log_sigmoid", -0.25), ("sigmoid", 0.0)])
def test_second_derivatives_at_zero(name: str, value: float) -> None:
    import jax
    import torch

    function = getattr(numerics, name)
    assert torch.autograd.functional.hessian(function, torch.tensor(0.0, dtype=torch.float64)) == value
    assert jax.grad(jax.grad(function))(0.0) == value
    assert jax.jacfwd(jax.grad(function))(0.0) == value
    # Through the transforms, too.
    assert torch.func.vmap(torch.func.grad(torch.func.grad(function)))(torch.zeros(2))[1] == value
    assert jax.jit(jax.vmap(jax.hessian(function)))(jax.numpy.zeros(2))[1] == value


def test_third_derivative_by_gradgradcheck() -> None:
    import torch

    for function in (numerics.softplus, numerics.log_sigmoid, numerics.sigmoid, numerics.logsumexp, numerics.softmax):
        x = torch.tensor([-2.0, 0.3, 1.5], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(function, x)
        assert torch.autograd.gradgradcheck(function, x)


@every_library
def test_xlogy_lets_zero_win(library: str) -> None:
    x, y = (in_library(library, np.array(values)) for values in ([0.0, 0.0, 2.0, 0.0, NAN], [0.0, INF, 3.0, NAN, 0.0]))
    np.testing.assert_allclose(as_numpy(numerics.xlogy(x, y)), [0, 0, 2 * math.log(3), NAN, NAN])


@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_derivatives_of_xlogy(library: str) -> None:
    fixed = in_library(library, np.array([0.0, 3.0, 3.0]))
    by_y = gradient(library, lambda y: numerics.xlogy(fixed, y), np.array([0.0, 0.0, 2.0]))
    np.testing.assert_array_equal(by_y, [0, INF, 1.5])
    by_x = gradient(library, lambda x: numerics.xlogy(x, fixed), np.array([0.0, 1.0, 5.0]))
    np.testing.assert_allclose(by_x, [-INF, *np.log([3, 3])])
    np.testing.assert_allclose(gradient(library, numerics.entropy, np.array([0.0, 0.5])), [INF, math.log(2) - 1])


def test_masked_entries_have_no_gradient_although_the_slope_is_infinite() -> None:
    import torch

    p = torch.tensor([0.0, 0.5], requires_grad=True)
    masked = torch.where(p > 0, numerics.xlogy(p, p), 0.0)
    np.testing.assert_allclose(torch.autograd.grad(masked.sum(), p)[0], [0, math.log(0.5) + 1], rtol=1e-6)


ROWS = [
    [0.0, 50.0, 1.0],
    [1e4, -1e4, 9999.0],
    [-1e4, -1e4, -1e4],
    [3.0, -INF, 1.0],
    [0.0, 745.0, -745.0],
    [1e-20, -1e-20, 0.0],
    [-1.0986122886681098, -1.0986122886681096, -1.0986122886681098],
]


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_library
def test_rows_are_exact(library: str, dtype: str, row: list[float]) -> None:
    x = np.array(row, dtype)
    numbers = [mpmath.mpf(float(entry)) for entry in x]
    total = mpmath.log(sum(map(mpmath.exp, numbers)))
    shares = [mpmath.exp(number - total) for number in numbers]
    moved = sum(abs(number * share) for number, share in zip(numbers, shares, strict=True) if share)
    array = in_library(library, x)
    assert_accurate(as_numpy(numerics.logsumexp(array)), total, float(moved / abs(total)))
    for number, share, p, log_p in zip(
        numbers, shares, as_numpy(numerics.softmax(array)), as_numpy(numerics.log_softmax(array)), strict=True
    ):
        spread = 0.0 if mpmath.isinf(number) else float(abs(number) * (1 - share) + moved)
        assert_accurate(p, share, spread)
        exact = number - total
        if mpmath.isfinite(exact):
            sizes = [abs(other * part) for other, part in zip(numbers, shares, strict=True) if other != number and part]
            assert_accurate(log_p, exact, float((abs(number) * (1 - share) + sum(sizes)) / abs(exact)))
        else:
            assert log_p == -INF


@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_the_gradient_of_a_dominating_class_does_not_cancel(library: str) -> None:
    def cross_entropy(z: Any) -> Any:
        return -numerics.log_softmax(z)[1]

    got = gradient(library, cross_entropy, np.array([0.0, 60.0, 1.0]))
    weights = [mpmath.exp(-60), mpmath.mpf(0), mpmath.exp(-59)]
    total = 1 + sum(weights)
    exact = [weights[0] / total, -sum(weights) / total, weights[2] / total]
    for number, wanted in zip(got, exact, strict=True):
        assert_accurate(number, wanted)


@every_library
def test_limits_of_rows(library: str) -> None:
    # errata C13: where the largest entry is infinite, so is the result; the sum of exponentials is never zero
    rows = in_library(library, np.array([[-INF, -INF], [INF, 1.0], [INF, INF], [INF, -INF], [NAN, 0.0], [5.0, -INF]]))
    np.testing.assert_array_equal(as_numpy(numerics.logsumexp(rows)), [-INF, INF, INF, INF, NAN, 5.0])
    nothing = [NAN, NAN]
    probabilities = [nothing, [1, 0], nothing, [1, 0], nothing, [1, 0]]
    np.testing.assert_array_equal(as_numpy(numerics.softmax(rows)), probabilities)
    np.testing.assert_array_equal(np.exp(as_numpy(numerics.log_softmax(rows))), probabilities)
    empty = in_library(library, np.zeros((2, 0)))
    np.testing.assert_array_equal(as_numpy(numerics.logsumexp(empty)), [-INF, -INF])
    assert numerics.softmax(empty).shape == numerics.log_softmax(empty).shape == (2, 0)
    assert numerics.logsumexp(in_library(library, np.zeros((0, 3)))).shape == (0,)
    single = in_library(library, np.array([[-INF], [INF], [2.0]]))
    np.testing.assert_array_equal(as_numpy(numerics.softmax(single)), [[1], [1], [1]])


@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_gradients_of_infinite_rows_are_not_nan(library: str) -> None:
    rows = np.array([[-INF, -INF, -INF], [0.0, INF, 1.0], [INF, INF, 0.0], [0.0, -INF, 0.0]])
    expected = [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0.5, 0, 0.5]]
    np.testing.assert_allclose(gradient(library, numerics.logsumexp, rows), expected)
    # A padded row, dropped from the loss, leaves no trace.
    kept = in_library(library, np.array([False, True, True, True]))
    xp = __import__({"torch": "torch", "jax": "jax.numpy"}[library], fromlist=["where"])
    got = gradient(library, lambda z: xp.where(kept, numerics.softmax(z)[:, 0], 0.0), rows)
    assert np.isfinite(got[[0, 1, 3]]).all()


@pytest.mark.parametrize(
    ("library", "axis"), [("numpy", 0), ("numpy", 1), ("numpy", -1), ("numpy", -2), ("torch", 0), ("jax", 1)]
)
def test_axes_against_scipy(library: str, axis: int) -> None:
    from scipy import special, stats

    x = np.random.default_rng(0).normal(size=(4, 5, 3)) * 20
    array = in_library(library, x)
    np.testing.assert_allclose(as_numpy(numerics.logsumexp(array, axis)), special.logsumexp(x, axis), rtol=1e-13)
    np.testing.assert_allclose(as_numpy(numerics.softmax(array, axis)), special.softmax(x, axis), rtol=1e-12)
    np.testing.assert_allclose(as_numpy(numerics.log_softmax(array, axis)), special.log_softmax(x, axis), 1e-12, 1e-15)
    p = special.softmax(x, axis)
    np.testing.assert_allclose(
        as_numpy(numerics.entropy(in_library(library, p), axis)), stats.entropy(p, axis=axis), 1e-9, 1e-15
    )


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("axis", [None, (0, 1), (2, 0), (-1,)], ids=str)
def test_several_axes_together_against_scipy(library: str, axis: Any) -> None:
    from scipy import special

    x = np.random.default_rng(2).normal(size=(2, 3, 4))
    array = in_library(library, x)
    for name in ("logsumexp", "softmax", "log_softmax"):
        ours = as_numpy(getattr(numerics, name)(array, axis))
        # JAX computes in single precision.
        np.testing.assert_allclose(ours, getattr(special, name)(x, axis), rtol=1e-5 if library == "jax" else 1e-12)
    together = as_numpy(numerics.entropy(in_library(library, special.softmax(x, axis)), axis))
    p = special.softmax(x, axis)
    np.testing.assert_allclose(together, -(p * np.log(p)).sum(axis), rtol=1e-5)


def test_no_axis_is_a_sum_of_one_number() -> None:
    assert numerics.logsumexp(3.0, axis=None) == 3.0
    assert numerics.logsumexp(np.zeros((0, 2)), axis=None) == -np.inf


def test_long_rows_are_exact_along_every_axis() -> None:
    x = np.random.default_rng(0).uniform(-1e4, 1e4, size=10**5)
    x[:1000] = 0.1 + x.max()
    exact = x.max() + math.log(math.fsum(np.exp(x - x.max()).tolist()))
    for array in (x[None], x[:, None], np.asfortranarray(np.stack([x, x]))):
        axis = int(np.argmax(array.shape))
        np.testing.assert_allclose(numerics.logsumexp(array, axis), exact, rtol=4e-16)
        np.testing.assert_allclose(numerics.logsumexp(array.astype(np.float32), axis), exact, rtol=4e-7)


@pytest.mark.parametrize(("given", "result"), [("float16", "float16"), ("bfloat16", "bfloat16"), ("int64", "float32")])
def test_dtypes_of_pytorch(given: str, result: str) -> None:
    import torch

    x = torch.tensor([3, 11], dtype=getattr(torch, given))
    for function in (numerics.sigmoid, numerics.softmax, numerics.logsumexp):
        assert function(x).dtype == getattr(torch, result)
    # Computed in float32: e^11 · 2 overflows float16 nowhere.
    assert numerics.logsumexp(torch.tensor([11.0, 11.0], dtype=torch.float16)) == torch.tensor(11.6931).half()


def test_numbers_lists_and_mixtures() -> None:
    assert numerics.sigmoid(0) == 0.5
    assert numerics.sigmoid([0, 0]).tolist() == [0.5, 0.5]
    assert numerics.xlogy(np.float32([2.0]), 3.0).dtype == np.float32
    assert numerics.softplus(np.zeros((0, 2))).shape == (0, 2)
    import torch

    with raises(TypeError, "xlogy", "x is from numpy, y is from torch"):
        numerics.xlogy(np.ones(2), torch.ones(2))
    with raises(TypeError, "sigmoid", "real numbers", "complex128"):
        numerics.sigmoid(np.array([1j]))
    with raises(TypeError, "x is a masked array"):
        numerics.softmax(np.ma.masked_array([1.0, 2.0], [True, False]))
    with raises(ValueError, "softmax", "no axis 5", "(2, 2)"):
        numerics.softmax(np.ones((2, 2)), axis=5)
    with raises(TypeError, "logsumexp", "axis must be an integer, a tuple of integers or None", "1.0"):
        numerics.logsumexp(np.ones((2, 2)), axis=1.0)
    with raises(ValueError, "softmax", "names one axis twice", "(1, -1)"):
        numerics.softmax(np.ones((2, 2)), axis=(1, -1))
    with raises(ValueError, "entropy", "no axis 2", "(2, 2)"):
        numerics.entropy(np.ones((2, 2)) / 4, axis=(0, 2))
    with raises(ValueError, "entropy", "probability[1] = 1.5", "probability in [0, 1]"):
        numerics.entropy([0.2, 1.5])


def test_scalar_functions_are_the_primitives_of_the_engine() -> None:
    x = np.linspace(-3, -0.1, 7)
    for name in EXACT:
        np.testing.assert_array_equal(getattr(numerics, name)(x), PRIMITIVES[name].array(np, x))


def test_importing_is_light() -> None:
    code = "import sys, lossfn.numerics; print(sorted(m for m in sys.modules if m in sys.argv[1].split(',')))"
    assert run_python(code, "torch,jax,scipy,sympy,numba,sklearn").strip() == "[]"
