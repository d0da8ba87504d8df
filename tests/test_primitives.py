"""Every primitive against its mpmath oracle: kernels, array forms, derivative rules, limits and NaN."""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest

from lossfn.engine.primitives import (
    LOGICAL,
    PRIMITIVES,
    coefficients as tables,
    gamma_coefficients,
    normal_coefficients,
)
from lossfn.engine.primitives.kernels import float32, float64
from lossfn.engine.primitives.kernels.compile import njit

KERNELS: dict[str, Any] = {"float32": float32, "float64": float64}
FLOATS: dict[str, Any] = {"float32": np.float32, "float64": np.float64}
BOOLEAN_ARGUMENTS = {"where": 1, "logical_and": 2, "logical_or": 2, "logical_not": 1}
NUMERIC = sorted(set(PRIMITIVES) - LOGICAL)
# Losses are differentiated by predictions, so functions of targets or parameters alone have no derivative rule; a last
# derivative has none, and that of a stopped gradient is zero on purpose.
WITHOUT_DERIVATIVE = {
    "stirling_error",
    "stirling_excess",
    "t_centre_density",
    "t_centre_score",
    "gamma_step_curvature",
    "stop_gradient",
}


class Tolerance(NamedTuple):
    """Largest error, in units in the last place, that the kernel and the array form may have."""

    kernel: float = 2.0
    array: float = 4.0
    reason: str = ""


TOLERANCES = {
    "centred_t": Tolerance(kernel=7.0, array=7.0, reason="a logarithm of rounded squares times up to 2 in an exponent"),
    "binary_entropy": Tolerance(kernel=3.0, reason="exponential, product, sum, quotient and sum in a row"),
    "gamma_step": Tolerance(kernel=7.0, array=7.0, reason="next to ν = 4 two bits cancel between log and polynomial"),
    "gamma_step_curvature": Tolerance(kernel=4.0, reason="quotients, a polynomial of 22 terms and two products"),
    "gamma_step_slope": Tolerance(kernel=4.0, reason="quotients, a polynomial of 21 terms and a product"),
    "log1pmx": Tolerance(kernel=2.5, reason="s and z = s² carry three roundings into the product with the series"),
    "mulexp": Tolerance(array=5.5, reason="the error of exp(b/2), up to 2 in NumPy's float32, counts twice"),
    "scaled_tail": Tolerance(kernel=5.0, array=5.0, reason="a polynomial of many terms, whose argument is rounded"),
    "sqrt1psqm1": Tolerance(kernel=2.5, reason="square, root, sum and quotient each round once"),
    "t_centre_density": Tolerance(kernel=4.0, reason="the exponential of a logarithm with an error of 7 units"),
    "tempered_tail": Tolerance(kernel=8.0, array=10.0, reason="its condition reaches 1/(t - 1), at most 4 here"),
    "stirling_error": Tolerance(
        kernel=24.0, array=26.0, reason="from 0.1 to 1 a difference of numbers near 1; it is added to such numbers only"
    ),
    "xlog1py": Tolerance(kernel=2.5, reason="the product rounds once more than log1p, near an exponent's boundary"),
}


def tolerance(name: str) -> Tolerance:
    return TOLERANCES.get(name, Tolerance())


def count_arguments(name: str) -> int:
    return len(inspect.signature(PRIMITIVES[name].array).parameters) - 1


@functools.cache
def inputs(name: str, dtype: str, density: int = 1) -> tuple[np.ndarray, ...]:
    """Return arguments over the whole range of the dtype, ordinary ones, boundaries, zeros, infinities and NaN."""
    real = FLOATS[dtype]
    info = np.finfo(real)
    random = np.random.default_rng(20240)
    low, high = np.log2(float(info.smallest_subnormal)), np.log2(float(info.max))
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, info.max, -info.max, info.smallest_normal])
    if count_arguments(name) == 1:
        wide = np.exp2(np.linspace(low, high, 45 * density, endpoint=False))
        tiny = np.exp2(-random.uniform(0, info.nmant + 2, 20 * density))
        ordinary = np.concatenate([random.uniform(0, 3, 45 * density), random.uniform(0, 100, 30 * density)])
        kinks = np.array(
            [0.2928, 0.3466, 0.41421, 0.5, 0.55, np.log(2), np.sqrt(2), 2.0, 87.3, 88.7, 103.9, 709.7, 745.1]
        )
        positive = np.concatenate([wide, ordinary, 1 + tiny, 1 - tiny, kinks, np.nextafter(kinks, 0)])
        with np.errstate(over="ignore"):
            return (np.concatenate([special, positive, -positive]).astype(real),)
    if name == "tempered_tail":
        # Temperatures that are used: nearer to 1 the condition is that of an exponential.
        wide = np.exp2(random.uniform(low, high, 100 * density))
        ordinary = np.concatenate([wide, random.uniform(0, 3, 100), random.uniform(0, 100, 100)])
        temperature = random.uniform(1.25, 5.0, ordinary.size)
        outside = np.array([-1.0, 1.0, 1.0, np.nan, 1.0, 1.0])
        first = np.concatenate([[0.0, np.inf, info.max], ordinary, outside])
        second = np.concatenate([[2.0, 1.5, 3.0], temperature, [2.0, 1.0, 0.5, 2.0, np.nan, 2.0]])
        third = np.where(random.random(first.size) < 0.5, 1.0, random.uniform(0, 1, first.size))
        third[-1] = np.nan
        return first.astype(real), second.astype(real), third.astype(real)
    if name == "centred_t":
        df = [1.0, 1.5, 3.0, 4.0, 1e3, 1e20, info.max, np.inf, 0.5, np.nan]
        some = np.concatenate([special, [0.5, -2.0, 1e3]])
        first, second = (side.ravel() for side in np.meshgrid(some, df))
        size = np.concatenate([np.exp2(random.uniform(low, high, 50 * density)), random.uniform(0, 9, 150 * density)])
        many = 1 + np.exp(random.uniform(-3, 12, size.size))
        return np.append(first, size).astype(real), np.append(second, many).astype(real)
    grid = np.concatenate([special, [0.5, -0.5, 3.0, -20.0, 1e-3, 700.0]])
    first, second = (side.ravel() for side in np.meshgrid(grid, grid))
    size = np.exp2(random.uniform(low, high, 100 * density))
    near_one = 1 + np.exp2(-random.uniform(0, info.nmant, 100 * density)) * random.choice([-0.5, 1], 100 * density)
    # Second arguments for which powers and products with exponentials are neither zero nor infinite.
    exponent = random.uniform(low, high, 100 * density) * np.log(2)
    moderate = random.uniform(-5, 5, 100 * density)
    first = np.concatenate([first, size, near_one, -size, size, moderate, np.abs(moderate)])
    logarithm = np.log(size)
    partner = exponent - logarithm if name == "mulexp" else exponent / logarithm
    second = np.concatenate([second, partner, exponent / np.log(near_one), partner, moderate, size, moderate[::-1]])
    if name == "xdivy":
        # mpmath has no negative zero.
        second = np.where(second == 0, 0.0, second)
    with np.errstate(over="ignore"):
        return first.astype(real), second.astype(real)


@functools.cache
def exact(name: str, dtype: str, density: int = 1) -> tuple[Any, ...]:
    with mpmath.workdps(60):
        arguments = zip(*(values.tolist() for values in inputs(name, dtype, density)), strict=True)
        return tuple(PRIMITIVES[name].oracle(mpmath.mp, *values) for values in arguments)


def ulp_error(computed: float, expected: Any, info: Any) -> float:
    """Return the error in units in the last place of the expected value; limits and NaN must be met exactly."""
    if mpmath.isnan(expected) or np.isnan(computed):
        return 0.0 if mpmath.isnan(expected) and np.isnan(computed) else np.inf
    largest = mpmath.mpf(float(info.max))
    last_place = mpmath.ldexp(1, int(info.maxexp) - int(info.nmant) - 1)
    if np.isinf(computed):
        # A finite value computed as infinity is off by its distance from the first number beyond the range.
        beyond = largest + last_place
        off = 0 if abs(expected) >= beyond or mpmath.isinf(expected) else (beyond - abs(expected)) / last_place
        return float(off) if (computed > 0) == (expected > 0) else np.inf
    if mpmath.isinf(expected):
        return np.inf
    exponent = mpmath.mag(expected) - 1 if expected else int(info.minexp)
    unit = mpmath.ldexp(1, max(int(exponent), int(info.minexp)) - int(info.nmant))
    return float(abs(mpmath.mpf(computed) - expected) / unit)


def worst(name: str, dtype: str, results: np.ndarray, density: int = 1) -> tuple[float, tuple[float, ...], float]:
    """Return the largest error with its arguments and the computed value."""
    info = np.finfo(FLOATS[dtype])
    with mpmath.workdps(60):
        errors = [
            ulp_error(computed, expected, info)
            for computed, expected in zip(results.tolist(), exact(name, dtype, density), strict=True)
        ]
    at = int(np.argmax(errors))
    return errors[at], tuple(float(values[at]) for values in inputs(name, dtype, density)), float(results[at])


@functools.cache
def compiled_loop(name: str, dtype: str) -> Callable[..., None]:
    arguments = [f"x{i}" for i in range(count_arguments(name))]
    calls = ", ".join(f"{argument}[i]" for argument in arguments)
    source = (
        f"def loop({', '.join(arguments)}, out):\n    for i in range(out.size):\n        out[i] = ops.{name}({calls})\n"
    )
    scope: dict[str, Any] = {"ops": KERNELS[dtype]}
    exec(source, scope)
    return njit()(scope["loop"])


def run_kernel(name: str, dtype: str, density: int = 1) -> np.ndarray:
    arguments = inputs(name, dtype, density)
    out = np.empty(arguments[0].size, arguments[0].dtype)
    compiled_loop(name, dtype)(*arguments, out)
    return out


@pytest.mark.parametrize("dtype", KERNELS)
@pytest.mark.parametrize("name", NUMERIC)
def test_kernel_agrees_with_the_oracle(name: str, dtype: str) -> None:
    error, arguments, computed = worst(name, dtype, run_kernel(name, dtype))
    assert error <= tolerance(name).kernel, f"{name}{arguments} = {computed}"


@pytest.mark.parametrize("dtype", KERNELS)
@pytest.mark.parametrize("name", NUMERIC)
def test_numpy_form_agrees_with_the_oracle(name: str, dtype: str) -> None:
    with np.errstate(all="ignore"):
        results = PRIMITIVES[name].array(np, *inputs(name, dtype))
    assert results.dtype == FLOATS[dtype]
    if name == "mulexp":
        # exp(b/2) overflows where only a subnormal factor keeps the product finite.
        first = inputs(name, dtype)[0]
        results = np.where(
            (first != 0) & (np.abs(first) < np.finfo(first.dtype).smallest_normal), run_kernel(name, dtype), results
        )
    error, arguments, computed = worst(name, dtype, results)
    assert error <= tolerance(name).array, f"{name}{arguments} = {computed}"


@pytest.mark.parametrize("dtype", KERNELS)
@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("name", NUMERIC)
def test_framework_form_agrees_with_the_oracle(name: str, library: str, dtype: str) -> None:
    if library == "jax" and dtype == "float64":
        pytest.skip("JAX computes in float32 unless configured otherwise")
    arguments = [values[::11] for values in inputs(name, dtype)]
    results = apply_framework(library, PRIMITIVES[name].array, arguments)
    assert results.dtype == FLOATS[dtype]
    info = np.finfo(FLOATS[dtype])
    for *values, computed, expected in zip(*arguments, results.tolist(), exact(name, dtype)[::11], strict=True):
        if library == "jax" and any(0 < abs(number) < info.smallest_normal for number in (*values, expected)):
            # XLA sets subnormal arguments and results to zero.
            continue
        assert ulp_error(computed, expected, info) <= tolerance(name).array, f"{name}{tuple(values)} = {computed}"


def apply_framework(library: str, form: Callable[..., Any], arguments: list[np.ndarray]) -> np.ndarray:
    if library == "jax":
        jax = pytest.importorskip("jax")
        return np.asarray(jax.jit(functools.partial(form, jax.numpy))(*arguments))
    torch = pytest.importorskip("torch")
    xp = pytest.importorskip("array_api_compat.torch")
    return np.asarray(form(xp, *map(torch.asarray, arguments)).numpy())


class Oracles:
    """The namespace in which derivative rules compute with mpmath numbers."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the oracle of a primitive."""
        return functools.partial(PRIMITIVES[name].oracle, mpmath.mp)


def differentiation_points(name: str) -> list[tuple[Any, ...]]:
    sizes = ["1e-9", "0.013", "0.37", "0.731", "1.7", "13", "456"]
    if count_arguments(name) == 1:
        return [(mpmath.mpf(sign + size),) for size in sizes for sign in ("", "-")]
    if name == "tempered_tail":
        triples = [("0.37", "1.7", "1"), ("13", "1.0131", "0.2"), ("456", "2.5", "0.5"), ("1e-9", "3", "1.3")]
        return [tuple(map(mpmath.mpf, triple)) for triple in triples]
    if name == "centred_t":
        pairs = [("0.37", "1.7"), ("-1.7", "3"), ("13", "1.0131"), ("456", "2.5"), ("1e-9", "4")]
        return [tuple(map(mpmath.mpf, pair)) for pair in pairs]
    pairs = [("0.37", "1.7"), ("1.7", "0.37"), ("13", "0.0131"), ("456", "2.5"), ("1e-9", "3"), ("2", "-0.4")]
    return [tuple(map(mpmath.mpf, pair)) for pair in pairs]


def test_the_last_derivative_of_the_gamma_step_has_none() -> None:
    with pytest.raises(NotImplementedError, match="its own derivative is not available"):
        PRIMITIVES["gamma_step_curvature"].derivative(Oracles(), 0.0)


@pytest.mark.parametrize("name", sorted(set(NUMERIC) - WITHOUT_DERIVATIVE))
def test_derivative_rule_agrees_with_differences_of_the_oracle(name: str) -> None:
    primitive = PRIMITIVES[name]
    checked = 0
    with mpmath.workdps(800):
        for point in differentiation_points(name):
            if mpmath.isnan(primitive.oracle(mpmath.mp, *point)):
                continue
            for position, derivative in enumerate(primitive.derivative(Oracles(), *point)):
                if derivative is None:
                    continue
                step = abs(point[position]) * mpmath.mpf("1e-70")
                sides = [(*point[:position], point[position] + s, *point[position + 1 :]) for s in (step, -step)]
                above, below = (primitive.oracle(mpmath.mp, *side) for side in sides)
                assert mpmath.almosteq((above - below) / (2 * step), derivative, rel_eps=1e-60, abs_eps=1e-250), point
                checked += 1
    assert checked >= 5


# Where the two sides differ, at a kink or at the edge of the domain: arguments and the partial derivatives there.
CONVENTIONS = [
    ("abs", (0,), (0,)),
    ("relu", (0,), (0,)),
    ("maximum", (1, 1), (0, 1)),
    ("minimum", (1, 1), (0, 1)),
    ("power", (0, 0), (0, -mpmath.inf)),
    ("power", (0, 1), (1, 0)),
    ("power", (0, 2), (0, 0)),
    ("xlogy", (0, 0), (-mpmath.inf, 0)),
    ("xmul", (0, mpmath.inf), (mpmath.inf, 0)),
    ("mulexp", (0, 3), (mpmath.exp(3), 0)),
    ("stop_gradient", (2,), (0,)),
    ("where", (True, 3, 4), (None, 1, 0)),
    ("equal", (1, 2), (None, None)),
    ("logical_not", (True,), (None,)),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), CONVENTIONS)
def test_derivative_at_kinks_and_edges(name: str, arguments: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    assert PRIMITIVES[name].derivative(Oracles(), *arguments) == expected


@pytest.mark.parametrize("dtype", KERNELS)
def test_logic_and_selection(dtype: str) -> None:
    ops, real = KERNELS[dtype], FLOATS[dtype]

    @njit()
    def loop(a: Any, b: Any, out: Any) -> None:
        for i in range(a.size):
            both = ops.logical_and(a[i] > 0, ops.logical_not(ops.equal(a[i], b[i])))
            chosen = ops.where(ops.logical_or(both, ops.greater(a[i], 5)), a[i], b[i])
            out[i] = ops.select(a[i] == a[i], chosen, -1)

    a = np.array([1, 2, -3, np.nan, 7, 6], real)
    b = np.array([1, np.nan, 4, 5, np.nan, 6], real)
    out = np.empty_like(a)
    loop(a, b, out)
    np.testing.assert_array_equal(out, np.array([1, 2, 4, -1, 7, 6], real))
    array = {name: functools.partial(PRIMITIVES[name].array, np) for name in LOGICAL}
    both = array["logical_and"](a > 0, array["logical_not"](array["equal"](a, b)))
    chosen = array["where"](array["logical_or"](both, array["greater"](a, 5.0)), a, b)
    np.testing.assert_array_equal(array["where"](np.equal(a, a), chosen, -1.0), out)


@pytest.mark.parametrize("name", NUMERIC)
def test_no_primitive_but_a_product_with_a_label_leaves_nan_out(name: str) -> None:
    # ``passes_nan`` relies on it: where an expression passes NaN on, nothing restores it. Kernels and oracles are
    # compared at NaN above.
    count = count_arguments(name)
    others = np.array(list(itertools.product([0.0, 0.5, 1.0, 2.0, -1.0, np.inf, -np.inf], repeat=count - 1)))
    for position in range(count):
        arguments = [*others.T]
        arguments.insert(position, np.full(len(others), np.nan))
        with np.errstate(all="ignore"):
            results = PRIMITIVES[name].array(np, *arguments)
        is_dropped = arguments[0] == 0 if (name, position) == ("xmul", 1) else np.zeros(len(others), bool)
        np.testing.assert_array_equal(np.isnan(results), ~is_dropped)


@pytest.mark.parametrize("name", NUMERIC)
def test_array_form_takes_python_numbers_and_any_shape(name: str) -> None:
    form = PRIMITIVES[name].array
    value = -0.375 if name == "log1mexp" else 1.375
    for shape in [(), (3,), (3, 2)]:
        arguments = [np.full(shape, value, np.float32) for _ in range(count_arguments(name))]
        results = form(np, *arguments)
        assert results.shape == shape
        if len(arguments) == 2:
            for mixed in [(value, arguments[1]), (arguments[0], value)]:
                np.testing.assert_array_equal(form(np, *mixed), results)
                assert form(np, *mixed).dtype == np.float32
    with np.errstate(all="ignore"):
        number = form(np, *[value] * count_arguments(name))
    assert type(number) is float
    assert number == pytest.approx(float(np.ravel(results)[0]), rel=1e-5)


def test_kernels_convert_other_number_types() -> None:
    ops = KERNELS["float32"]

    @njit()
    def mixed(x: Any, out: Any) -> None:
        for i in range(x.size):
            out[i] = ops.power(x[i], 2) * ops.relu(0.5)

    out = np.empty(1, np.float32)
    mixed(np.array([3.0], np.float32), out)
    assert out[0] == 4.5
    assert "<2 x double>" not in next(iter(mixed.inspect_llvm().values()))  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", KERNELS)
@pytest.mark.parametrize("name", NUMERIC)
def test_kernel_loops_are_vectorised(name: str, dtype: str) -> None:
    loop = compiled_loop(name, dtype)
    run_kernel(name, dtype)
    width = r"<(2|4|8|16) x (float|double)>"
    assert re.search(width, next(iter(loop.inspect_llvm().values())))  # type: ignore[attr-defined]


def half_steps_of_gamma(mp: Any) -> list[tuple[Any, ...]]:
    table, middle = gamma_coefficients, mp.mpf(gamma_coefficients.MIDDLE)

    def derivative(order: int, x: Any) -> Any:
        half = x + mp.mpf(1) / 2
        if order == 0:
            return mp.loggamma(half) - mp.loggamma(x) - mp.log(x) / 2
        slope = x * (mp.psi(0, half) - mp.psi(0, x))
        return slope - mp.mpf(1) / 2 if order == 1 else slope + x * x * (mp.psi(1, half) - mp.psi(1, x))

    def near(order: int, s: Any) -> Any:
        u = s + middle
        found = derivative(order, u / (1 - u))
        return found - mp.log(u) / 2 if order == 0 else found / (1 - u) / (u if order == 2 else 1)

    def far(order: int, h: Any) -> Any:
        return derivative(order, 1 / h - 1) / h

    ends, third = (-middle, mp.mpf(2) / 3 - middle), mp.mpf(1) / 3
    return [
        (table.NEAR, functools.partial(near, 0), ends, (-51, -22)),
        (table.NEAR_SLOPE, functools.partial(near, 1), ends, (-53, -25)),
        (table.NEAR_CURVATURE, functools.partial(near, 2), ends, (-52, -23)),
        (table.FAR, functools.partial(far, 0), (0.001, third), (-56, -25)),
        (table.FAR_SLOPE, functools.partial(far, 1), (0.001, third), (-56, -26)),
        (table.FAR_CURVATURE, functools.partial(far, 2), (0.001, third), (-55, -26)),
    ]


def test_polynomials_keep_their_error_bounds() -> None:
    mp = mpmath.mp
    root = mp.sqrt(2)
    edge = ((root - 1) / (root + 1)) ** 2
    with mpmath.workdps(50):

        def exponential(r: Any) -> Any:
            return (mp.expm1(r) - r) / r**2

        def logarithm(z: Any) -> Any:
            return (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z

        def scaled_complement(t: Any) -> Any:
            x = 4 * (1 + t) / (1 - t)
            return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)

        # Table, function, interval, and the bounds that its comment states, as powers of two.
        cases = [
            (tables.EXP, exponential, (-mp.ln2 / 2, mp.ln2 / 2), (-51, -22)),
            (tables.LOG, logarithm, (0, edge), (-50, -21)),
            (tables.LOG_TAIL, lambda z: (logarithm(z) - mp.mpf(2) / 3) / z, (0, edge), (-53, -21)),
            (tables.LOG_WIDE, logarithm, (0, mp.mpf(1) / 9), (-52, -24)),
            (tables.LOG1P, lambda x: (mp.log1p(x) - x) / x**2, (0, 1), (None, -21)),
            (tables.LOG_COSH, lambda w: mp.log(mp.cosh(mp.sqrt(w))) / w, (0, 1), (-55, -26)),
            (tables.TANH, lambda w: (mp.tanh(mp.sqrt(w)) - mp.sqrt(w)) / mp.sqrt(w) ** 3, (0, 0.3025), (-50, -23)),
            (tables.EXPM1MX, exponential, (-1, 1), (-54, -26)),
            (normal_coefficients.ERF, lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z), (0, 1), (-55, -24)),
            (normal_coefficients.ERFCX, scaled_complement, (-1, 0.9), (-53, -23)),
            *half_steps_of_gamma(mp),
        ]
        for table, function, (low, high), bounds in cases:
            for coefficients, bound in zip(table, bounds, strict=True):
                if bound is None:
                    assert not coefficients
                    continue
                for x in mp.linspace(mp.mpf(low) + mp.mpf("1e-9"), high, 60):
                    assert abs(mp.polyval(coefficients[::-1], x) / function(x) - 1) < mp.ldexp(1, bound)


def test_importing_the_primitives_is_light() -> None:
    code = "import sys, lossfn.engine.primitives; print([m for m in sys.modules if m in sys.argv[1:]])"
    heavy = ["numba", "llvmlite", "sympy", "mpmath", "torch", "jax"]
    result = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_latex_templates_name_every_argument() -> None:
    for name, primitive in PRIMITIVES.items():
        symbols = ["first", "second", "third"][: count_arguments(name)]
        text = primitive.latex.format(*symbols)
        assert all(symbol in text for symbol in symbols)
        assert text.count("{") == text.count("}")
