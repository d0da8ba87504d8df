"""The laws of weights, masks and reductions, for value, gradient and Hessian, through every path."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import (
    NUMPY_PATHS,
    PATHS,
    VARIANTS,
    a_few_losses,
    assert_close,
    draw,
    every_numpy_path,
    every_path,
    every_variant,
    every_variant_and_path,
    label,
    parts_of,
    repeat,
    spoil,
    take,
    through,
)
from hypothesis import given, strategies as st

import lossfn
from lossfn import (
    AbsoluteError,
    BinaryCrossEntropy,
    BinaryFocal,
    Expectile,
    HalfSquaredError,
    Hinge,
    Huber,
    LogCosh,
    Pinball,
    PseudoHuber,
    SmoothL1,
    SquaredError,
)
from lossfn.engine import paths

ROWS = 9
# As many rows after repeating as before, so that JAX compiles for few shapes.
REPEATS = np.array([2, 1, 0, 3, 1, 0, 1, 1, 0])
KEPT = REPEATS > 0


# ---- rows ---------------------------------------------------------------------------------------------------------


@every_variant_and_path
def test_an_integer_weight_is_a_duplicated_row(loss, path):
    pred, target = draw(loss, ROWS)
    first = np.flatnonzero(np.diff(np.repeat(np.arange(ROWS), REPEATS), prepend=-1))
    for reduction in ("mean", "sum"):
        weighted = through(path, loss, pred, target, weight=REPEATS.astype(float), reduction=reduction)
        repeated = through(path, loss, repeat(pred, REPEATS), repeat(target, REPEATS), reduction=reduction)
        assert_close(weighted.value, repeated.value)
        assert_close(weighted.gradient[KEPT], np.add.reduceat(repeated.gradient, first, axis=0))
        assert_close(weighted.hessian[KEPT], np.add.reduceat(repeated.hessian, first, axis=0))


@every_variant_and_path
def test_a_dropped_row_is_a_deleted_row_whatever_stands_in_it(loss, path):
    pred, target = spoil(*draw(loss, ROWS), ~KEPT)
    weight = np.linspace(0.5, 1.5, ROWS)
    for reduction in ("mean", "sum"):
        deleted = through(path, loss, pred[KEPT], take(target, KEPT), weight[KEPT], reduction=reduction)
        masked = through(path, loss, pred, target, weight, KEPT, reduction=reduction)
        weightless = through(path, loss, pred, target, weight * KEPT, reduction=reduction)
        for dropped in (masked, weightless):
            assert_close(dropped.value, deleted.value)
            assert_close(dropped.gradient[KEPT], deleted.gradient)
            assert_close(dropped.hessian[KEPT], deleted.hessian)
            # Exactly zero: NaN times zero would be NaN.
            assert not dropped.gradient[~KEPT].any()
            assert not dropped.hessian[~KEPT].any()


@every_path
@a_few_losses
def test_elements_of_a_row_can_be_dropped_one_by_one(loss, path):
    keep = np.array([1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1], bool).reshape(4, 3)
    pred, target = spoil(*draw(loss, 4, 3), ~keep)
    flat = through(path, loss, pred[keep], take(target, keep))
    for dropped in (
        through(path, loss, pred, target, mask=keep),
        through(path, loss, pred, target, keep.astype(float)),
    ):
        assert_close(dropped.value, flat.value)
        assert_close(dropped.gradient[keep], flat.gradient)
        assert_close(dropped.hessian[keep], flat.hessian)
        assert not dropped.gradient[~keep].any()
        assert not dropped.hessian[~keep].any()


@every_variant_and_path
def test_the_order_of_rows_does_not_matter(loss, path):
    pred, target = draw(loss, ROWS)
    weight = np.linspace(0.5, 1.5, ROWS)
    order = np.random.default_rng(1).permutation(ROWS)
    plain = through(path, loss, pred, target, weight)
    shuffled = through(path, loss, pred[order], take(target, order), weight[order])
    assert_close(shuffled.value, plain.value)
    assert_close(shuffled.gradient, plain.gradient[order])
    assert_close(shuffled.hessian, plain.hessian[order])


@given(data=st.data())
def test_totals_of_any_batches_add_up(data):
    loss = data.draw(st.sampled_from(VARIANTS))
    size = data.draw(st.integers(1, 30))
    pred, target = draw(loss, size, seed=data.draw(st.integers(0, 1000)))
    weight = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)), float)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=3)))
    parts = [slice(start, stop) for start, stop in zip([0, *cuts], [*cuts, size], strict=True)]
    totals = [loss.total(pred[part], take(target, part), weight=weight[part], mask=mask[part]) for part in parts]
    whole = sum(totals)
    assert_close(whole.sum, loss(pred, target, weight=weight, mask=mask, reduction="sum"), atol=1e-11)
    assert whole.weight == (weight * mask).sum()
    assert_close(whole.mean(), loss(pred, target, weight=weight, mask=mask), atol=1e-11)


@every_path
@a_few_losses
def test_gradients_of_batches_with_a_common_denominator_are_those_of_the_whole(loss, path):
    pred, target = draw(loss, ROWS)
    weight = np.linspace(0.5, 1.5, ROWS)
    whole = through(path, loss, pred, target, weight)
    parts = [
        through(path, loss, pred[part], take(target, part), weight[part], denominator=float(weight.sum()))
        for part in (slice(0, 6), slice(6, ROWS))
    ]
    assert_close(sum(part.value for part in parts), whole.value)
    assert_close(np.concatenate([part.gradient for part in parts]), whole.gradient)
    assert_close(np.concatenate([part.hessian for part in parts]), whole.hessian)


@given(data=st.data())
def test_weights_masks_and_deleted_rows_agree_on_any_data(data):
    loss = data.draw(st.sampled_from(VARIANTS))
    size = data.draw(st.integers(1, 40))
    pred, target = draw(loss, size, seed=data.draw(st.integers(0, 1000)))
    repeats = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    kept = repeats > 0
    pred, target = spoil(pred, target, ~kept)
    weighted = through("arrays", loss, pred, target, weight=repeats.astype(float), reduction="sum")
    masked = through("arrays", loss, pred, target, np.maximum(repeats, 1).astype(float), kept, reduction="sum")
    repeated = through("arrays", loss, repeat(pred, repeats), repeat(target, repeats), reduction="sum")
    assert_close(weighted.value, repeated.value, atol=1e-11)
    assert_close(masked.value, repeated.value, atol=1e-11)
    assert_close(weighted.gradient.sum(axis=0), repeated.gradient.sum(axis=0), atol=1e-11)
    np.testing.assert_array_equal(weighted.gradient, masked.gradient)
    np.testing.assert_array_equal(weighted.hessian, masked.hessian)


# ---- reductions ---------------------------------------------------------------------------------------------------

WEIGHT_SHAPES = {"no weight": (), "row weights": (4,), "element weights": (4, 3)}
MASK_SHAPES = {"no mask": (), "row mask": (4,), "element mask": (4, 3)}


def spread(values, shape):
    """Repeat the values of rows over their elements."""
    return np.broadcast_to(values.reshape(values.shape + (1,) * (len(shape) - values.ndim)), shape)


@pytest.mark.parametrize("mask_shape", MASK_SHAPES.values(), ids=MASK_SHAPES)
@pytest.mark.parametrize("weight_shape", WEIGHT_SHAPES.values(), ids=WEIGHT_SHAPES)
@every_path
@a_few_losses
def test_what_each_reduction_divides_by(loss, path, weight_shape, mask_shape):
    shape = (4, 3)
    rng = np.random.default_rng(5)
    weight = rng.uniform(0.5, 2.0, weight_shape) if weight_shape else None
    mask = rng.random(mask_shape) < 0.6 if mask_shape else None
    if mask is not None:
        # A row without any kept element.
        mask[1] = False
    pred, target = draw(loss, *shape)
    factor = spread(np.ones(4) if weight is None else weight, shape) * spread(
        np.ones(4) if mask is None else mask, shape
    )
    rows = 4 if mask is None else int(mask.reshape(4, -1).any(axis=1).sum())
    divisors = {"mean": factor.sum(), "sum": 1.0, "none": 1.0, "mean_over_batch": rows}

    elements = loss.elementwise(pred, target)
    gradient = loss.gradient(pred, target, reduction="sum")
    hessian = loss.hessian(pred, target, reduction="sum")
    weighted = (elements * factor, gradient * spread(factor, gradient.shape), hessian * spread(factor, hessian.shape))
    for reduction, divisor in divisors.items():
        if path in ("kernel", "threads") and reduction == "none":
            continue  # A kernel of its own: see the tests of kernels.
        got = through(path, loss, pred, target, weight, mask, reduction=reduction)
        value = weighted[0] if reduction == "none" else weighted[0].sum() / divisor
        assert_close(got.value, value)
        assert_close(got.gradient, weighted[1] / divisor)
        assert_close(got.hessian, weighted[2] / divisor)
    got = through(path, loss, pred, target, weight, mask, denominator=7.5)
    assert_close(got.value, weighted[0].sum() / 7.5)
    assert_close(got.gradient, weighted[1] / 7.5)
    assert_close(got.hessian, weighted[2] / 7.5)


@every_path
@a_few_losses
def test_a_zero_total_weight_gives_zero(loss, path):
    pred, target = spoil(*draw(loss, 4), np.ones(4, bool))
    for dropped in ({"weight": np.zeros(4)}, {"mask": np.zeros(4, bool)}):
        for reduction in ("mean", "sum", "mean_over_batch"):
            for part in through(path, loss, pred, target, **dropped, reduction=reduction):
                assert not np.any(part)


@every_path
@a_few_losses
def test_an_empty_array_has_a_sum_but_no_mean(loss, path):
    pred, target = draw(loss, 0)
    empty = through(path, loss, pred, target, reduction="sum")
    assert empty.value == 0
    assert empty.gradient.shape == pred.shape
    assert empty.hessian.shape == (*pred.shape, *pred.shape[1:])
    with pytest.raises(ValueError, match="mean of an empty array is undefined; use reduction='sum' or total"):
        through(path, loss, pred, target)


def test_the_total_of_an_empty_array_is_zero():
    assert Huber().total([], []) == lossfn.Total(0, 0)
    assert Huber().total([], []).mean() == 0


# ---- memory -------------------------------------------------------------------------------------------------------

LAYOUTS = {
    "reversed": lambda a: a[::-1].copy()[::-1],
    "every second": lambda a: a.repeat(2, axis=0)[::2],
    "Fortran order": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1),
    "big endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@every_numpy_path
@a_few_losses
def test_the_layout_in_memory_does_not_matter(loss, path, layout):
    pred, target = draw(loss, 4, 3)
    weight = np.random.default_rng(0).random((4, 3))
    mask = weight > 0.2
    plain = through(path, loss, pred, target, weight, mask, reduction="sum")
    other = through(path, loss, *map(layout, (pred, target, weight, mask)), reduction="sum")
    # NumPy sums arrays in the order of their memory.
    assert_close(other.value, plain.value)
    np.testing.assert_array_equal(other.gradient, plain.gradient)
    np.testing.assert_array_equal(other.hessian, plain.hessian)


@every_numpy_path
@a_few_losses
def test_broadcast_views_are_read_as_what_they_show(loss, path):
    pred, target = draw(loss, 1, 3)
    views = np.broadcast_to(pred, (4, *pred.shape[1:])), np.broadcast_to(target, (4, 3))
    weight = np.broadcast_to(np.array([[0.5], [1.0], [2.0], [0.0]]), (4, 3))
    for got, expected in zip(
        through(path, loss, *views, weight),
        through(path, loss, *(view.copy() for view in views), weight.copy()),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


@every_variant_and_path
def test_inputs_are_never_written_to(loss, path):
    pred, target = spoil(*draw(loss, ROWS), ~KEPT)
    weight, mask = REPEATS.astype(float), KEPT.copy()
    given_arrays = (pred, *parts_of(target), weight, mask)
    copies = [array.copy() for array in given_arrays]
    through(path, loss, pred, target, weight, mask)
    for array, copy in zip(given_arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@every_variant
def test_read_only_inputs_are_accepted(loss):
    pred, target = draw(loss, ROWS)
    for array in (pred, *parts_of(target)):
        array.flags.writeable = False
    assert np.isfinite(through("arrays", loss, pred, target).value)


# ---- repeatable ---------------------------------------------------------------------------------------------------


@every_variant_and_path
def test_repeated_calls_give_the_same_bits(loss, path):
    pred, target = draw(loss, ROWS)
    for once, again in zip(through(path, loss, pred, target), through(path, loss, pred, target), strict=True):
        np.testing.assert_array_equal(once, again)


@a_few_losses
def test_threads_give_the_bits_of_one_thread(loss):
    pred, target = draw(loss, 7001)
    weight = np.random.default_rng(0).random(7001)
    one, many = (through(path, loss, pred, target, weight) for path in ("kernel", "threads"))
    for got, expected in zip(many, one, strict=True):
        np.testing.assert_array_equal(got, expected)


# ---- losses that are each other -------------------------------------------------------------------------------------

# Left equals factor times right.
EQUAL = [
    (BinaryFocal(gamma=0.0, alpha=0.5), 0.5, BinaryCrossEntropy()),
    (BinaryFocal(gamma=2.0, alpha=0.5), 0.5, BinaryFocal(gamma=2.0)),
    (SmoothL1(beta=0.3), 1 / 0.3, Huber(delta=0.3)),
    (SmoothL1(beta=4.0), 1 / 4.0, Huber(delta=4.0)),
    (Pinball(tau=0.5), 0.5, AbsoluteError()),
    (Expectile(tau=0.5), 1.0, HalfSquaredError()),
    (SquaredError(), 2.0, HalfSquaredError()),
    (Huber(delta=1e6), 1.0, HalfSquaredError()),
    (SmoothL1(beta=1e-9), 1.0, AbsoluteError()),
]


@pytest.mark.parametrize("path", ["arrays", "torch", "jax"])
@pytest.mark.parametrize(
    ("left", "factor", "right"), EQUAL, ids=lambda item: label(item) if hasattr(item, "gradient") else ""
)
def test_losses_that_are_multiples_of_each_other(left, factor, right, path):
    pred, target = draw(left, ROWS)
    expected = through(path, right, pred, target)
    for got, part in zip(through(path, left, pred, target), expected, strict=True):
        assert_close(got, factor * part, atol=1e-9 if right == AbsoluteError() else 1e-14)


@every_path
def test_focal_loss_without_focus_is_cross_entropy_to_the_last_bit(path):
    special = np.array([0.0, -0.0, 1e-300, -1e-300, 33.3, -33.3, 800.0, -800.0, np.inf, -np.inf])
    logits = np.concatenate([np.random.default_rng(0).normal(0, 5, 200), special])
    for labels in (np.zeros_like(logits), np.ones_like(logits)):
        focal = through(path, BinaryFocal(gamma=0.0), logits, labels, reduction="sum")
        entropy = through(path, BinaryCrossEntropy(), logits, labels, reduction="sum")
        for got, expected in zip(focal, entropy, strict=True):
            np.testing.assert_array_equal(got, expected)


SCALED = [
    (Huber(delta=2.5), Huber(delta=1.0), 2.5),
    (PseudoHuber(delta=2.5), PseudoHuber(delta=1.0), 2.5),
    (LogCosh(scale=2.5), LogCosh(scale=1.0), 2.5),
]


@pytest.mark.parametrize(("scaled", "unit", "scale"), SCALED, ids=lambda item: str(item))
def test_scale_parameters_are_in_units_of_the_target(scaled, unit, scale):
    # With curvature 1 at zero: loss_s(r) = s² loss_1(r / s).
    residual = np.linspace(-9, 9, 37)
    zero = np.zeros_like(residual)
    got = through("arrays", scaled, residual, zero, reduction="sum")
    expected = through("arrays", unit, residual / scale, zero, reduction="sum")
    assert_close(got.value, scale**2 * expected.value)
    assert_close(got.gradient, scale * expected.gradient)
    assert_close(got.hessian, expected.hessian, atol=1e-13)


def test_the_margin_of_a_hinge_scales_it():
    pred, target = draw(Hinge(), 50)
    assert_close(Hinge(margin=0.3)(0.3 * pred, target), 0.3 * Hinge()(pred, target))
    assert_close(Hinge(margin=0.3).gradient(0.3 * pred, target), Hinge().gradient(pred, target))


def test_cross_entropy_is_the_same_in_every_input_space():
    logits, target = draw(BinaryCrossEntropy(), 60)
    probability = 1 / (1 + np.exp(-logits))
    elements = BinaryCrossEntropy().elementwise(logits, target)
    gradient = BinaryCrossEntropy().gradient(logits, target, reduction="sum")
    # The chain rule: dp/dz = p (1 - p), d log p / dz = 1 - p.
    for inputs, pred, slope in (
        ("probabilities", probability, probability * (1 - probability)),
        ("log_probabilities", np.log(probability), 1 - probability),
    ):
        loss = BinaryCrossEntropy(inputs=inputs)
        assert_close(loss.elementwise(pred, target), elements, rtol=1e-10)
        assert_close(loss.gradient(pred, target, reduction="sum") * slope, gradient, rtol=1e-9, atol=1e-10)


def test_positive_weight_is_a_weight_of_the_positive_rows():
    pred, _ = draw(BinaryCrossEntropy(), 30)
    target = np.random.default_rng(0).integers(0, 2, 30)
    weighted = BinaryCrossEntropy()(pred, target, weight=np.where(target, 3.0, 1.0), reduction="sum")
    assert_close(BinaryCrossEntropy(pos_weight=3.0)(pred, target, reduction="sum"), weighted)


def test_focal_alpha_weighs_class_one_by_alpha_and_class_zero_by_the_rest():
    pred, target = draw(BinaryFocal(), 30)
    weighted = BinaryFocal()(pred, target, weight=np.where(target > 0, 0.25, 0.75), reduction="sum")
    assert_close(BinaryFocal(alpha=0.25)(pred, target, reduction="sum"), weighted)


@pytest.mark.parametrize("path", NUMPY_PATHS)
def test_dispatch_takes_the_forced_path_only_inside_the_context(path):
    with paths.forced(path):
        assert paths.path_of("numpy", np.zeros(3)) == path
        assert paths.path_of("torch", None) == "arrays"
    assert paths.path_of("numpy", np.zeros(3)) == "arrays"


def test_all_paths_are_under_test():
    assert PATHS == ["arrays", "kernel", "threads", "torch", "jax"]
