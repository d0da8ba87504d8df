"""What every call accepts and returns: shapes, dtypes, special values, buffers and totals."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from conftest import (
    VARIANTS,
    a_few_losses,
    assert_close,
    draw,
    every_path,
    every_variant,
    every_variant_and_path,
    in_library,
    parts_of,
    raises,
    take,
    through,
)

import lossfn
from lossfn import BinaryCrossEntropy, BinaryFocal, Expectile, GaussianNLL, Hinge, Huber, Total

FLOATS = ["float16", "float32", "float64"]


# ---- calls agree with each other ----------------------------------------------------------------------------------


@every_variant
def test_all_calls_agree(loss):
    pred, target = draw(loss, 5, 2)
    options = {"weight": np.array([1.0, 0.5, 0.0, 2.0, 3.0]), "mask": np.arange(10).reshape(5, 2) != 1}
    value, gradient = loss.value_and_gradient(pred, target, **options)
    assert_close(loss(pred, target, **options), value)
    np.testing.assert_array_equal(loss.gradient(pred, target, **options), gradient)
    both = loss.gradient_and_hessian(pred, target, **options)
    np.testing.assert_array_equal(both[0], gradient)
    np.testing.assert_array_equal(loss.hessian(pred, target, **options), both[1])
    for reduction in ("mean", "none"):
        value_here, *derivatives = loss.value_gradient_and_hessian(pred, target, **options, reduction=reduction)
        assert_close(value_here, loss(pred, target, **options, reduction=reduction))
        expected = loss.gradient_and_hessian(pred, target, **options, reduction=reduction)
        for found, wanted in zip(derivatives, expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert_close(loss.total(pred, target, **options).mean(), value)
    elements = loss(pred, target, **options, reduction="none")
    assert_close(elements.sum(), loss(pred, target, **options, reduction="sum"))
    np.testing.assert_array_equal(
        loss.elementwise(pred, target), loss(pred, target, reduction="none", weight=np.ones((5, 2)))
    )


@every_variant
def test_the_gradient_of_unreduced_values_is_that_of_their_sum(loss):
    pred, target = draw(loss, 6)
    weight = np.arange(6.0)
    elements, gradient = loss.value_and_gradient(pred, target, weight=weight, reduction="none")
    assert elements.shape == (6,)
    np.testing.assert_array_equal(gradient, loss.gradient(pred, target, weight=weight, reduction="sum"))
    np.testing.assert_array_equal(
        loss.hessian(pred, target, weight=weight, reduction="none"),
        loss.hessian(pred, target, weight=weight, reduction="sum"),
    )


@every_path
@a_few_losses
def test_shapes(loss, path):
    # JAX compiles for every shape anew.
    for shape in [(), (2, 1, 3)] if path == "jax" else [(), (1,), (5,), (2, 3), (2, 1, 3)]:
        pred, target = draw(loss, *shape)
        heads = pred.shape[len(shape) :]
        result = through(path, loss, pred, target)
        assert np.shape(result.value) == ()
        assert np.shape(result.gradient) == shape + heads
        assert np.shape(result.hessian) == shape + heads + heads
        assert loss.elementwise(pred, target).shape == shape


def test_a_single_element_is_its_own_mean():
    assert Huber(delta=1.5)(4.0, 0.0) == 4.875
    assert Huber(delta=1.5)(4.0, 0.0, weight=3.0, mask=True) == 4.875
    assert Huber(delta=1.5)(4.0, 0.0, reduction="mean_over_batch") == 4.875
    assert Huber(delta=1.5).gradient(4.0, 0.0) == 1.5


# ---- dtypes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@every_variant
def test_results_have_the_dtype_of_the_prediction(loss, dtype):
    pred, target = draw(loss, 8)
    half = pred.astype(dtype)
    options = {"weight": np.linspace(0.5, 2.0, 8)}
    results = {
        "value": loss(half, target, **options),
        "elements": loss.elementwise(half, target),
        "value again": loss.value_and_gradient(half, target, **options)[0],
        "gradient": loss.gradient(half, target, **options),
        "Hessian": loss.hessian(half, target, **options),
    }
    assert {name: result.dtype.name for name, result in results.items()} == dict.fromkeys(results, dtype)
    exact = half.astype(np.float64)
    tolerance = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-12}[dtype]
    expected = {"value": loss, "gradient": loss.gradient, "Hessian": loss.hessian}
    for name, method in expected.items():
        with np.errstate(over="ignore"):
            wanted = np.asarray(method(exact, target, **options)).astype(dtype)
        assert_close(results[name], wanted, rtol=tolerance, atol=tolerance)
    assert np.asarray(loss.total(half, target).sum).dtype == np.float64


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss", [Huber(), Expectile(), BinaryCrossEntropy()], ids=str)
def test_the_majorizing_curvature_has_the_dtype_of_the_prediction(loss, dtype):
    pred, target = draw(loss, 4, dtype=dtype)
    for options in ({}, {"weight": np.ones(4)}, {"mask": np.ones(4, bool)}):
        gradient, curvature = loss.gradient_and_hessian(pred, target, curvature="majorizing", **options)
        assert gradient.dtype == curvature.dtype == dtype


def test_bfloat16_arrays_are_computed_in_float32():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    pred, target = draw(BinaryCrossEntropy(), 50)
    value, gradient = BinaryCrossEntropy().value_and_gradient(pred.astype(bfloat16), target)
    assert value.dtype == gradient.dtype == bfloat16
    exact = BinaryCrossEntropy()(pred.astype(bfloat16).astype(np.float32), target)
    assert value == bfloat16(exact)


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint8, np.float16, np.float32, bool, list, pd.Series])
def test_targets_may_be_real_integer_or_boolean_in_any_container(kind):
    labels = [0, 1, 1, 0]
    target = kind(labels) if kind in (list, pd.Series) else np.array(labels, dtype=kind)
    for dtype in FLOATS:
        pred = np.array([0.3, -2.0, 1.0, 0.0], dtype)
        value, gradient = BinaryFocal().value_and_gradient(pred, target)
        assert value == BinaryFocal()(pred, np.array(labels, np.float64))
        assert gradient.dtype == dtype


def test_lists_numbers_and_data_frame_columns_are_converted():
    frame = pd.DataFrame({"pred": [1.0, 4.0], "target": [0, 0], "weight": [1, 3], "keep": [True, True]})
    expected = Huber()(np.array([1.0, 4.0]), np.zeros(2), weight=np.array([1.0, 3.0]))
    assert Huber()([1.0, 4.0], (0, 0), weight=[1, 3]) == expected
    assert Huber()(frame.pred, frame.target, weight=frame.weight, mask=frame.keep) == expected
    assert Huber()(4.0, 1) == 2.5


# ---- special values -----------------------------------------------------------------------------------------------


@every_variant_and_path
def test_nan_comes_out_exactly_where_it_went_in(loss, path):
    pred, target = draw(loss, 5, 2)
    spoiled = pred.copy()
    spoiled[3, 1] = np.nan
    clean, result = (through(path, loss, p, target, reduction="sum") for p in (pred, spoiled))
    there = np.zeros((5, 2), bool)
    there[3, 1] = True
    assert np.isnan(result.value)
    for got, expected in ((result.gradient, clean.gradient), (result.hessian, clean.hessian)):
        assert np.isnan(got[there]).all()
        np.testing.assert_array_equal(got[~there], expected[~there])
    elements = loss.elementwise(spoiled, target)
    np.testing.assert_array_equal(np.isnan(elements), there)


@pytest.mark.parametrize("path", ["arrays", "kernel", "torch", "jax"])
def test_nan_in_one_head_is_enough(path):
    for pred in ([[np.nan, 0.0]], [[0.0, np.nan]]):
        result = through(path, GaussianNLL(), np.array(pred), np.array([1.0]))
        assert np.isnan(result.value)
        assert np.isnan(result.gradient).all()
        assert np.isnan(result.hessian).all()


@pytest.mark.parametrize(
    ("inputs", "pred", "target", "value", "gradient"),
    [
        ("probabilities", 1.0, 1, 0.0, -1.0),
        ("probabilities", 0.0, 1, math.inf, -math.inf),
        ("probabilities", 1.0, 0, math.inf, math.inf),
        ("probabilities", 0.0, 0, 0.0, 1.0),
        ("log_probabilities", 0.0, 1, 0.0, -1.0),
        ("log_probabilities", 0.0, 0, math.inf, math.inf),
        ("log_probabilities", -math.inf, 1, math.inf, -1.0),
        ("log_probabilities", -math.inf, 0, 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("path", ["arrays", "kernel", "torch", "jax"])
def test_certain_probabilities_are_neither_clipped_nor_floored(path, inputs, pred, target, value, gradient):
    result = through(path, BinaryCrossEntropy(inputs=inputs), np.array([pred]), np.array([float(target)]))
    assert result.value == value
    np.testing.assert_array_equal(result.gradient, [gradient])


def test_overflow_warns_on_no_path():
    huge = np.full(600, 1e200)
    for size in (3, 600):
        assert lossfn.SquaredError()(huge[:size], np.zeros(size), weight=np.full(size, 2.0)) == np.inf


# ---- buffers ------------------------------------------------------------------------------------------------------

BUFFERS = {
    "contiguous": lambda shape, dtype: np.full(shape, np.nan, dtype),
    "every second": lambda shape, dtype: np.full((2 * shape[0], *shape[1:]), np.nan, dtype)[::2],
    "Fortran order": lambda shape, dtype: np.full(shape, np.nan, dtype, order="F"),
}


@pytest.mark.parametrize("buffer", BUFFERS.values(), ids=BUFFERS)
@pytest.mark.parametrize(("path", "dtype"), [("arrays", "float16"), ("arrays", "float64"), ("kernel", "float64")])
@a_few_losses
def test_out_receives_the_gradient(loss, path, buffer, dtype):
    pred, target = draw(loss, 4, 3, dtype=dtype)
    out = buffer(pred.shape, dtype)
    options = {"weight": np.ones(4), "mask": np.ones(4, bool)}
    with lossfn.engine.paths.forced(path):
        value, gradient = loss.value_and_gradient(pred, target, **options, out=out)
        expected = loss.value_and_gradient(pred, target, **options)
    assert gradient is out
    assert value == expected[0]
    np.testing.assert_array_equal(out, expected[1])


@pytest.mark.parametrize("name", ["pred", "target", "weight"])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_out_must_not_be_an_input(name, dtype):
    arrays = {"pred": np.ones(3, dtype), "target": np.zeros(3, dtype), "weight": np.ones(3, dtype)}
    with raises(ValueError, "Huber", f"must not share memory with {name}", "never written to"):
        Huber().value_and_gradient(**arrays, out=arrays[name])


# ---- totals -------------------------------------------------------------------------------------------------------


@every_path
@a_few_losses
def test_totals_merge_and_divide_once(loss, path):
    pred, target = draw(loss, 6)
    weight = np.arange(6.0)
    p, t, w = (in_library(path, data) for data in (pred, target, weight))
    parts = [loss.total(p[rows], take(t, rows), weight=w[rows]) for rows in (slice(0, 2), slice(2, 6))]
    whole = parts[0] + parts[1]
    assert isinstance(whole, Total)
    assert float(whole.weight) == 15.0
    rtol = 1e-5 if path == "jax" else 1e-12
    assert_close(float(whole.mean()), loss(pred, target, weight=weight), rtol=rtol)
    assert_close(float(sum(parts).sum), float(whole.sum), rtol=rtol)


def test_an_unweighted_total_counts_the_elements():
    total = Huber().total(np.ones((3, 2)), np.zeros((3, 2)))
    assert total == Total(3.0, 6)
    assert Huber().total(np.ones((3, 2)), np.zeros((3, 2)), weight=[1, 2, 3]).weight == 12.0
    assert Huber().total(np.ones((3, 2)), np.zeros((3, 2)), mask=[True, False, False]).weight == 2.0


def test_adding_something_else_to_a_total_is_refused():
    with pytest.raises(TypeError, match="unsupported operand"):
        Total(1.0, 1.0) + 3
    with pytest.raises(TypeError, match="unsupported operand"):
        3 + Total(1.0, 1.0)


# ---- checking on demand -------------------------------------------------------------------------------------------


def test_check_accepts_what_a_call_accepts():
    assert lossfn.check(Hinge(), [0.3, -2.0], [1, -1]) is None
    assert lossfn.check(Hinge(), [0.3, np.nan], [1, -100], weight=[1, 0]) is None
    assert lossfn.check(Hinge(), [0.3, np.nan], [1, -100], mask=[True, False]) is None


def test_check_names_the_first_value_that_is_outside():
    with raises(ValueError, "Hinge", "target[1, 0] = 0.0", "-1 or +1", "to_signed"):
        lossfn.check(Hinge(), np.zeros((2, 1)), [[1], [0]])


@every_variant
def test_samples_are_valid(loss):
    for dtype in ("float32", "float64"):
        pred, target = draw(loss, 200, dtype=dtype)
        assert {part.dtype for part in (pred, *parts_of(target))} == {np.dtype(dtype)}
        lossfn.check(loss, pred, target)


def test_the_catalogue_holds_every_public_loss_once():
    bases = {lossfn.Loss, lossfn.PointwiseLoss, lossfn.RowwiseLoss, lossfn.SoftmaxLoss}
    public = {getattr(lossfn, name) for name in lossfn.__all__ if name[0].isupper()}
    losses = {found for found in public if issubclass(found, lossfn.Loss)} - bases
    listed = [type(entry.loss) for entry in lossfn.catalogue()]
    assert len(listed) == len(losses) == len({entry.name for entry in lossfn.catalogue()})
    assert set(listed) == losses
    assert len(set(VARIANTS)) == len(VARIANTS)


@pytest.mark.parametrize("rows", [2, 600])
def test_parameters_beyond_single_precision_are_its_largest_numbers(rows: int) -> None:
    scores = np.tile(np.float32([[0.5, 2.0, -1.0]]), (rows, 1))
    # So many degrees of freedom are Gaussian noise; so large a power leaves nothing of rows that are not certain.
    many = lossfn.StudentT(df=1e300).elementwise(scores, np.zeros_like(scores))
    np.testing.assert_allclose(many, scores**2 / 2, rtol=1e-5)
    value, gradient = lossfn.SoftmaxFocal(gamma=1e300).value_and_gradient(scores, np.ones(rows, int))
    assert value == 0.0
    assert not gradient.any()
