"""Cross-entropy of a linear map: the numbers of the loss of its logits, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from conftest import raises
from torch.nn import functional

import lossfn
from lossfn import linear_rows
from lossfn.engine import paths, threads
from lossfn.engine.products import add_product
from lossfn.engine.threads import linear_algebra, products_in_one_thread

# So few that none of them is compiled, which takes a second each.
ROWS, SIZE, CLASSES = 23, 5, 13
#: Chunks that end at the last row, before it and after it.
CHUNKS = (1, 4, ROWS, 100, None)
OPTIONS: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.1},
    {"temperature": 2.5, "z_loss": 0.01},
    {"ignore_index": 3},
    {"class_weight": tuple(np.linspace(0.0, 2.0, CLASSES)), "ignore_index": 3, "label_smoothing": 0.2},
]
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}

names = pytest.mark.parametrize("dtype", ["float32", "float64"])


def draw(dtype: str = "float64", rows: int = ROWS, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """Draw features, projection, bias and class indices."""
    rng = np.random.default_rng(seed)
    shapes = ((rows, SIZE), (CLASSES, SIZE), (CLASSES,))
    features, projection, bias = (rng.normal(size=shape).astype(dtype) for shape in shapes)
    return features, projection, bias, rng.integers(0, CLASSES, rows)


def weights(rows: int = ROWS) -> dict[str, Any]:
    """Return weights and a mask, some of them zero."""
    rng = np.random.default_rng(1)
    return {"weight": rng.integers(0, 3, rows) / 2.0, "mask": rng.uniform(size=rows) < 0.8}


def of_logits(features: Any, projection: Any, bias: Any, target: Any, options: dict[str, Any], **call: Any) -> Any:
    """Return value and derivatives by way of all logits."""
    loss = lossfn.CrossEntropy(**options)
    value, slopes = loss.value_and_gradient(features @ projection.T + bias, target, **call)
    flat, rows = slopes.reshape(-1, CLASSES), features.reshape(-1, SIZE)
    return value, slopes @ projection, flat.T @ rows, flat.sum(0)


def assert_close(got: Any, expected: Any, dtype: str) -> None:
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype == dtype
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * np.abs(other).max())


@names
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_numbers_are_those_of_the_logits(options: dict[str, Any], chunk: int | None, dtype: str) -> None:
    features, projection, bias, target = draw(dtype)
    for reduction in ("mean", "sum", "none", "mean_over_batch"):
        for call in ({}, weights()):
            expected = of_logits(features, projection, bias, target, options, reduction=reduction, **call)
            given = {"bias": bias, "reduction": reduction, "chunk": chunk, **options, **call}
            value, gradient = lossfn.linear_cross_entropy_value_and_gradient(features, projection, target, **given)
            assert_close((value, *gradient), expected, dtype)
            alone = lossfn.linear_cross_entropy(features, projection, target, **given)
            assert_close((alone,), expected[:1], dtype)


def test_compiled_chunks() -> None:
    dtype = "float32"
    features, projection, bias, target = draw(dtype, rows=200)
    for call in ({}, weights(200)):
        expected = of_logits(features, projection, bias, target, {}, **call)
        # The last chunk is so small that it is not compiled.
        value, gradient = lossfn.linear_cross_entropy_value_and_gradient(
            features, projection, target, bias=bias, chunk=45, **call
        )
        assert_close((value, *gradient), expected, dtype)


@names
def test_distributions_as_targets(dtype: str) -> None:
    features, projection, bias, _ = draw(dtype)
    target = np.random.default_rng(2).dirichlet(np.ones(CLASSES), ROWS)
    options = {"label_smoothing": 0.1, "class_weight": tuple(np.linspace(0.5, 2.0, CLASSES))}
    expected = of_logits(features, projection, bias, target, options, **weights())
    value, gradient = lossfn.linear_cross_entropy_value_and_gradient(
        features, projection, target, bias=bias, chunk=6, **options, **weights()
    )
    assert_close((value, *gradient), expected, dtype)


def test_rows_of_any_shape() -> None:
    features, projection, bias, target = draw(rows=24)
    features, target = features.reshape(2, 3, 4, SIZE), target.reshape(2, 3, 4)
    for call in ({}, {"weight": np.array([0.5, 2.0])}, {"mask": target % 2 == 0}, {"denominator": 7.0}):
        expected = of_logits(features, projection, bias, target, {}, **call)
        value, gradient = lossfn.linear_cross_entropy_value_and_gradient(
            features, projection, target, bias=bias, chunk=5, **call
        )
        assert_close((value, *gradient), expected, "float64")
    single = lossfn.linear_cross_entropy(features[0, 0, 0], projection, target[0, 0, 0], bias=bias)
    assert single == lossfn.CrossEntropy()(projection @ features[0, 0, 0] + bias, target[0, 0, 0])


def test_half_precision_is_computed_in_single() -> None:
    features, projection, bias, target = draw("float16")
    value, gradient = lossfn.linear_cross_entropy_value_and_gradient(features, projection, target, bias=bias, chunk=7)
    exact = of_logits(*(array.astype("float32") for array in (features, projection, bias)), target, {})
    for got, expected in zip((value, *gradient), exact, strict=True):
        assert got.dtype == "float16"
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


def test_no_rows() -> None:
    features, projection, bias, target = draw(rows=0)
    value, gradient = lossfn.linear_cross_entropy_value_and_gradient(
        features, projection, target, bias=bias, reduction="sum"
    )
    assert value == 0.0
    assert gradient.features.shape == (0, SIZE)
    assert not gradient.projection.any()
    assert lossfn.linear_cross_entropy(features, projection, target, reduction="none").shape == (0,)
    with raises(ValueError, "mean of an empty"):
        lossfn.linear_cross_entropy(features, projection, target)


def test_dropped_rows_are_not_used() -> None:
    features, projection, _, target = draw()
    mask = np.arange(ROWS) % 3 > 0
    expected = lossfn.linear_cross_entropy_value_and_gradient(features[mask], projection, target[mask], chunk=4)
    features[~mask], target[~mask] = np.nan, -7
    value, gradient = lossfn.linear_cross_entropy_value_and_gradient(features, projection, target, mask=mask, chunk=4)
    np.testing.assert_allclose(value, expected[0], rtol=1e-14)
    np.testing.assert_allclose(gradient.projection, expected[1].projection, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradient.features[mask], expected[1].features, rtol=1e-12, atol=1e-15)
    assert not gradient.features[~mask].any()
    assert gradient.bias is None
    nothing = lossfn.linear_cross_entropy(features, projection, target, mask=np.zeros(ROWS, bool))
    assert nothing == 0.0


def test_nan_comes_through() -> None:
    features, projection, _, target = draw()
    features[3, 1] = np.nan
    assert np.isnan(lossfn.linear_cross_entropy(features, projection, target, chunk=5))


def test_memory_is_that_of_the_chunks() -> None:
    # As with 32000 classes, where a chunk is 768 rows of 8192.
    rows, classes, size = 8192, 4096, 16
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, size)).astype("float32")
    projection = rng.normal(size=(classes, size)).astype("float32")
    target = rng.integers(0, classes, rows)
    chunk = 768
    # Twice a chunk, so that what threads need is loaded.
    some = 2 * chunk
    lossfn.linear_cross_entropy_value_and_gradient(features[:some], projection, target[:some], chunk=chunk)
    tracemalloc.start()
    result = lossfn.linear_cross_entropy_value_and_gradient(features, projection, target, chunk=chunk)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept >= result[1].projection.nbytes
    assert peak - kept < 0.1 * rows * classes * features.itemsize


# ---- threads ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two threads share any chunk of four rows or more, whatever the machine."""
    monkeypatch.setattr(threads, "limit", lambda: 2)
    monkeypatch.setattr(linear_rows, "limit", lambda: 2)
    monkeypatch.setattr(linear_rows, "LEAST_ROWS", 2)
    # Several blocks of classes.
    monkeypatch.setattr(linear_rows, "BLOCK", 4 * SIZE)


@pytest.mark.usefixtures("array_code", "two_threads")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("call", [{}, weights(), {"reduction": "none"}], ids=["mean", "weighted", "unreduced"])
def test_threads_give_the_same_numbers_every_time(options: dict[str, Any], call: dict[str, Any]) -> None:
    features, projection, bias, target = draw()
    expected = of_logits(features, projection, bias, target, options, **call)

    def computed() -> tuple[Any, ...]:
        value, gradient = lossfn.linear_cross_entropy_value_and_gradient(
            features, projection, target, bias=bias, chunk=4, **options, **call
        )
        return value, *gradient

    first = computed()
    assert_close(first, expected, "float64")
    for _ in range(5):
        for one, other in zip(computed(), first, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("array_code", "two_threads")
@pytest.mark.parametrize("row", [0, 17, ROWS - 1])
def test_an_error_in_a_thread_names_its_row_and_leaves_nothing_behind(row: int) -> None:
    features, projection, _, target = draw()
    before = linear_algebra().info()
    target[row] = CLASSES
    with raises(ValueError, f"target[{row}] = 13 is not a class index from 0 to 12"):
        lossfn.linear_cross_entropy_value_and_gradient(features, projection, target, chunk=4)
    assert linear_algebra().info() == before


@pytest.mark.usefixtures("array_code", "two_threads")
def test_of_two_calls_at_once_one_sets_the_threads_of_products() -> None:
    features, projection, _, target = draw()
    expected = lossfn.linear_cross_entropy_value_and_gradient(features, projection, target, chunk=2)
    before = linear_algebra().info()
    with products_in_one_thread() as is_first:
        assert is_first
        with products_in_one_thread() as is_second:
            assert not is_second
        got = lossfn.linear_cross_entropy_value_and_gradient(features, projection, target, chunk=4)
        np.testing.assert_allclose(got[1].projection, expected[1].projection, atol=1e-15)
    assert linear_algebra().info() == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 3, 4), (1, 3, 1), (4, 0, 2), (7, 1, 1)], ids=str)
def test_products_are_added_to_what_is_there(dtype: str, shape: tuple[int, int, int]) -> None:
    rows, columns, width = shape
    # Integers, of which sums are exact.
    rng = np.random.default_rng(0)
    total, left, right = (
        rng.integers(-9, 10, of).astype(dtype) for of in ((2 * columns, width), (rows, 3 * columns), (width, rows))
    )
    places, some = slice(columns, 2 * columns), slice(columns // 2, columns // 2 + columns)
    expected = total.copy()
    expected[places] += left[:, some].T @ right.T
    # Some rows of one, some columns of another, and rows whose numbers do not lie side by side.
    add_product(total[places], left[:, some], right.T)
    np.testing.assert_array_equal(total, expected)


# ---- PyTorch --------------------------------------------------------------------------------------------------------


def tensors(dtype: str = "float64") -> tuple[Any, ...]:
    """Return features, projection and bias that require gradients, and class indices."""
    features, projection, bias, target = draw(dtype)
    return *(torch.tensor(array, requires_grad=True) for array in (features, projection, bias)), torch.tensor(target)


@pytest.fixture(params=["NumPy", "PyTorch"])
def computed_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Compute tensors by either library: as on the processor, and as on accelerators."""
    if request.param == "PyTorch":
        monkeypatch.setattr(lossfn.engine.batch, "is_traced", lambda *_: True)
        monkeypatch.setattr(lossfn.engine.rows, "is_traced", lambda *_: True)
        with paths.forced("arrays"):
            yield request.param
    else:
        yield request.param


@names
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_derivatives_are_those_of_autograd(computed_by: str, reduction: str, dtype: str) -> None:
    *inputs, target = tensors(dtype)
    features, projection, bias = inputs
    target[::5] = -100
    table = torch.linspace(0.5, 2.0, CLASSES, dtype=features.dtype)
    peer = functional.cross_entropy(
        functional.linear(features, projection, bias), target, table, reduction=reduction, ignore_index=-100
    )
    value = lossfn.linear_cross_entropy(
        features, projection, target, bias=bias, reduction=reduction, chunk=4,
        class_weight=tuple(table.tolist()), ignore_index=-100,
    )  # fmt: skip
    upstream = torch.linspace(-1.0, 2.0, ROWS, dtype=features.dtype) if reduction == "none" else torch.tensor(3.0)
    upstream = upstream.to(features.dtype)
    got = (value.detach(), *torch.autograd.grad(value, inputs, upstream))
    expected = (peer.detach(), *torch.autograd.grad(peer, inputs, upstream))
    assert computed_by in ("NumPy", "PyTorch")
    assert_close([part.numpy() for part in got], [part.numpy() for part in expected], dtype)


def test_only_what_requires_gradients_is_computed(computed_by: str) -> None:
    features, projection, bias, target = tensors()
    projection.requires_grad_(False)
    for reduction in ("sum", "none"):
        value = lossfn.linear_cross_entropy(features, projection, target, bias=bias, reduction=reduction)
        value.sum().backward()
    loss = lossfn.CrossEntropy()
    twin = features.detach().requires_grad_()
    (2 * loss(functional.linear(twin, projection, bias.detach()), target, reduction="sum")).backward()
    assert projection.grad is None
    torch.testing.assert_close(features.grad, twin.grad, rtol=1e-12, atol=1e-14)
    with torch.no_grad():
        assert not lossfn.linear_cross_entropy(features, projection, target).requires_grad
    value, gradient = lossfn.linear_cross_entropy_value_and_gradient(features, projection, target, bias=bias)
    assert not value.requires_grad
    assert gradient.projection.shape == projection.shape
    assert computed_by in ("NumPy", "PyTorch")


def test_second_derivatives_are_refused() -> None:
    features, projection, _, target = tensors()
    for reduction in ("mean", "none"):
        value = lossfn.linear_cross_entropy(features, projection, target, reduction=reduction).sum()
        (slope,) = torch.autograd.grad(value, features, create_graph=True)
        with raises(NotImplementedError, "differentiated once", "use CrossEntropy on the logits"):
            slope.sum().backward()


def test_bfloat16_and_autocast(computed_by: str) -> None:
    features, projection, bias, target = tensors("float32")
    exact = functional.cross_entropy(functional.linear(features, projection, bias), target)
    exact_slopes = torch.autograd.grad(exact, (features, projection, bias))
    halves = [array.detach().bfloat16().requires_grad_() for array in (features, projection, bias)]
    value = lossfn.linear_cross_entropy(halves[0], halves[1], target, bias=halves[2], chunk=6)
    assert value.dtype == torch.bfloat16
    for got, expected in zip(torch.autograd.grad(value, halves), exact_slopes, strict=True):
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(got.float(), expected, rtol=0.05, atol=0.01)
    with torch.autocast("cpu", torch.bfloat16):
        # As a network would: half precision meets parameters in single.
        mixed = lossfn.linear_cross_entropy(halves[0], projection, target, bias=bias, chunk=6)
    (slope,) = torch.autograd.grad(mixed, projection)
    assert slope.dtype == torch.float32
    torch.testing.assert_close(slope, exact_slopes[1], rtol=0.05, atol=0.01)
    assert computed_by in ("NumPy", "PyTorch")


# ---- refusals -------------------------------------------------------------------------------------------------------


def test_refusals() -> None:
    features, projection, bias, target = draw()
    call = lossfn.linear_cross_entropy
    with raises(ValueError, "features must be (..., d)", "Use projection.T", "(5, 13)"):
        call(features, projection.T, target)
    with raises(ValueError, "features (23, 5)", "projection (13, 4)"):
        call(features, projection[:, :4], target)
    with raises(ValueError, "bias must have one number for each class (13,); got (5,)"):
        call(features, projection, target, bias=bias[:5])
    with raises(TypeError, "features and projection must have the same dtype", "float64 and float32"):
        call(features, projection.astype("float32"), target)
    with raises(TypeError, "features", "int64"):
        call(features.astype(int), projection.astype(int), target)
    with raises(ValueError, "chunk must be a number of rows, an integer >= 1; got 0"):
        call(features, projection, target, chunk=0)
    with raises(TypeError, "chunk must be a number of rows", "2.5"):
        call(features, projection, target, chunk=2.5)
    with raises(ValueError, "linear_cross_entropy: reduction must be one of", "'avg'"):
        call(features, projection, target, reduction="avg")
    with raises(ValueError, "class_weight has 2 weights", "13 classes"):
        call(features, projection, target, class_weight=(1.0, 2.0))
    with raises(TypeError, "arrays of one library", "features is from numpy", "projection is from torch"):
        call(features, torch.tensor(projection), target)


def test_wrong_targets_are_named_by_their_row() -> None:
    features, projection, _, target = draw()
    target[17] = CLASSES
    with raises(ValueError, "target[17] = 13 is not a class index from 0 to 12"):
        lossfn.linear_cross_entropy(features, projection, target, chunk=4)
    shares = np.full((ROWS, CLASSES), 1 / CLASSES)
    shares[19] *= 2
    with raises(ValueError, "target[19]", "it sums to 2"):
        lossfn.linear_cross_entropy(features, projection, shares, chunk=16)


def test_what_has_no_derivative_is_refused() -> None:
    features, projection, _, target = tensors()
    weight = torch.ones(ROWS, dtype=torch.float64, requires_grad=True)
    with raises(ValueError, "weight requires grad", "pass weight.detach()"):
        lossfn.linear_cross_entropy(features, projection, target, weight=weight)
    shares = torch.full((ROWS, CLASSES), 1 / CLASSES, dtype=torch.float64, requires_grad=True)
    with raises(ValueError, "target requires grad"):
        lossfn.linear_cross_entropy(features, projection, shares)


def test_jax_is_refused() -> None:
    jnp = pytest.importorskip("jax.numpy")
    with raises(TypeError, "got JAX arrays", "jax.checkpoint"):
        lossfn.linear_cross_entropy(jnp.ones((2, 3)), jnp.ones((4, 3)), jnp.zeros(2, int))


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"target": [0, 1, 2, 3]}, "target[3] = 3 is not a class index"),
        ({"target": [0, 1, 2]}, "for logits (4, 3)"),
        ({"target": [0, 1, 2, 0], "class_weight": (1, 2)}, "logits has 3 classes"),
        ({"target": [0, 1, 2, 0], "temperature": 0}, "temperature must be a finite number > 0"),
    ],
    ids=str,
)
def test_errors_speak_of_what_was_called(options: dict[str, Any], fragment: str) -> None:
    for function in (lossfn.linear_cross_entropy, lossfn.linear_cross_entropy_value_and_gradient):
        with raises(ValueError, "linear_cross_entropy: ", fragment):
            function(np.ones((4, 2)), np.ones((3, 2)), **options)
