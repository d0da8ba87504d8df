"""Every refusal says what came in, what was expected, and how to get there."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from conftest import every_loss, raises

import lossfn
from lossfn import (
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    Expectile,
    GaussianNLL,
    Hinge,
    Huber,
    Pinball,
    Poisson,
    SquaredError,
    fields,
)
from lossfn.engine import paths

ZEROS = np.zeros(3)


# ---- shapes ---------------------------------------------------------------------------------------------------------

SHAPES = {
    "column prediction": ((3, 1), (3,), ["pred (3, 1) and target (3,)", "pred[..., 0]", "pred.reshape((3,))"]),
    "column target": ((3,), (3, 1), ["pred (3,) and target (3, 1)", "target[..., 0]", "target.reshape((3,))"]),
    "row prediction": ((1, 3), (3,), ["pred (1, 3) and target (3,)", "Nothing is broadcast"]),
    "one target for all": ((3,), (), ["pred (3,) and target ()", "Nothing is broadcast"]),
    "one target in an array": ((3,), (1,), ["pred (3,) and target (1,)", "Nothing is broadcast"]),
    "other length": ((3,), (4,), ["pred (3,) and target (4,)", "reshape"]),
    "transposed": ((3, 2), (2, 3), ["pred (3, 2) and target (2, 3)"]),
}


@pytest.mark.parametrize(("pred", "target", "fragments"), SHAPES.values(), ids=SHAPES)
def test_nothing_is_broadcast(pred, target, fragments):
    calls = [Huber().__call__, Huber().elementwise, Huber().gradient, Huber().hessian, Huber().total]
    calls += [Huber().value_and_gradient, Huber().gradient_and_hessian]
    for call in calls:
        with raises(ValueError, "Huber: pred and target must have the same shape", *fragments):
            call(np.zeros(pred), np.zeros(target))
    with raises(ValueError, *fragments):
        lossfn.check(Huber(), np.zeros(pred), np.zeros(target))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 3), (2, 2)])
def test_heads_are_the_last_axis(shape):
    with raises(
        ValueError, "GaussianNLL", "a last axis of 2 heads (mean, log_variance)", f"(3, 2) here; got pred {shape}"
    ):
        GaussianNLL()(np.zeros(shape), ZEROS)


@pytest.mark.parametrize("name", ["weight", "mask"])
@pytest.mark.parametrize("shape", [(2,), (3, 1), (1, 2), (2, 3), (), (6,)])
def test_weights_and_masks_have_the_shape_of_rows_or_elements(name, shape):
    values = np.ones(shape, bool) if name == "mask" else np.ones(shape)
    with raises(ValueError, f"Huber: {name} must have shape (3,) or (3, 2); got {shape}"):
        Huber()(np.zeros((3, 2)), np.zeros((3, 2)), **{name: values})
    with raises(ValueError, f"{name} must have shape (3,); got {shape}"):
        Huber()(ZEROS, ZEROS, **{name: values})


def test_out_must_fit():
    with raises(ValueError, "Huber: out must be an array (3,) float64; got (4,) float64"):
        Huber().value_and_gradient(ZEROS, ZEROS, out=np.zeros(4))
    with raises(ValueError, "out must be an array (3,) float32; got (3,) float64"):
        Huber().value_and_gradient(ZEROS.astype(np.float32), ZEROS, out=np.zeros(3))
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    for path in ("arrays", "kernel"):
        with paths.forced(path), raises(ValueError, "Huber: out is read-only; pass an array that may be written to"):
            Huber().value_and_gradient(ZEROS, ZEROS, out=read_only)
    with raises(ValueError, "out must be an array (3,) float64; got list"):
        Huber().value_and_gradient(ZEROS, ZEROS, out=[0.0, 0.0, 0.0])
    with raises(TypeError, "out= is for NumPy arrays", "Tensor"):
        torch = pytest.importorskip("torch")
        Huber().value_and_gradient(torch.zeros(3), torch.zeros(3), out=np.zeros(3))


# ---- types ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
def test_integer_predictions_are_refused(dtype):
    with raises(TypeError, "Huber: pred must be float16, bfloat16, float32 or float64", dtype, "pred.astype(float)"):
        Huber()(np.ones(3, dtype), ZEROS)


def test_predictions_that_are_not_real_are_refused():
    for pred, name in ((np.ones(3, complex), "complex128"), (np.array(["a", "b", "c"]), "str"), ([None] * 3, "object")):
        with raises(TypeError, "pred must be float16, bfloat16, float32 or float64", name):
            Huber()(pred, ZEROS)


@pytest.mark.parametrize(
    ("target", "dtype"), [([1j, 0, 0], "complex128"), (["a", "b", "c"], "<U1"), ([None, 1, 2], "object")]
)
def test_targets_that_are_not_real_are_refused(target, dtype):
    with raises(TypeError, "Huber: target must be real, integer or boolean", dtype):
        Huber()(ZEROS, target)
    with raises(TypeError, "Huber: weight must be real, integer or boolean", dtype):
        Huber()(ZEROS, ZEROS, weight=target)


@pytest.mark.parametrize("mask", [[0, 1, 1], [0.0, 1.0, 1.0], ["yes", "no", "no"]])
def test_a_mask_is_boolean(mask):
    with raises(TypeError, "Huber: mask must be boolean (True keeps an element); got dtype"):
        Huber()(ZEROS, ZEROS, mask=mask)


@pytest.mark.parametrize("name", ["pred", "target", "weight", "mask"])
def test_masked_and_sparse_arrays_are_refused(name):
    import scipy.sparse

    arrays = {
        "pred": np.zeros((1, 3)),
        "target": np.zeros((1, 3)),
        "weight": np.ones((1, 3)),
        "mask": np.ones((1, 3), bool),
    }
    masked = np.ma.masked_array(arrays[name], mask=[[0, 1, 0]])
    with raises(TypeError, f"Huber: {name} is a masked array", f"{name}.data and mask=~{name}.mask"):
        Huber()(**(arrays | {name: masked}))
    for sparse in (scipy.sparse.csr_array(arrays[name]), scipy.sparse.coo_matrix(arrays[name])):
        with raises(TypeError, f"Huber: {name} is a sparse array", f"{name}.toarray()"):
            Huber()(**(arrays | {name: sparse}))


def test_masked_arrays_of_scores_and_indices_are_refused():
    arrays = {"pred": np.zeros((2, 3)), "target": np.array([0, 1]), "weight": np.ones(2), "mask": np.ones(2, bool)}
    for name, array in arrays.items():
        masked = np.ma.masked_array(array, mask=np.arange(array.size).reshape(array.shape) == 1)
        with raises(TypeError, f"CrossEntropy: {name} is a masked array", f"{name}.data and mask=~{name}.mask"):
            CrossEntropy()(**(arrays | {name: masked}))
    matrix = arrays["pred"].view(np.matrix)
    assert CrossEntropy()(matrix, arrays["target"]) == CrossEntropy()(arrays["pred"], arrays["target"])


def test_libraries_are_not_mixed():
    torch = pytest.importorskip("torch")
    jax = pytest.importorskip("jax")
    arrays = {"numpy": np.ones(3), "torch": torch.ones(3), "jax": jax.numpy.ones(3)}
    for first, second in (("numpy", "torch"), ("torch", "numpy"), ("jax", "numpy"), ("torch", "jax")):
        with raises(TypeError, "Huber", f"pred is from {first}", f"target is from {second}", "Convert"):
            Huber()(arrays[first], arrays[second])
    with raises(TypeError, "pred is from torch", "weight is from numpy"):
        Huber()(arrays["torch"], arrays["torch"], weight=arrays["numpy"])


# ---- values ---------------------------------------------------------------------------------------------------------

TO_SIGNED = "lossfn.to_signed"
TO_BINARY = "(label + 1) / 2"
LABELS = [
    (BinaryFocal(), [0, 1, 2], 2, "2.0", "a label 0 or 1", TO_BINARY),
    (BinaryFocal(), [-1, 1, 1], 0, "-1.0", "a label 0 or 1", TO_BINARY),
    (BinaryFocal(), [0, 0.5, 1], 1, "0.5", "a label 0 or 1", TO_BINARY),
    (BinaryCrossEntropy(), [0, 1, -1], 2, "-1.0", "a probability in [0, 1]", TO_BINARY),
    (BinaryCrossEntropy(), [0, 1, 1.01], 2, "1.01", "a probability in [0, 1]", TO_BINARY),
    (Hinge(), [1, 0, 1], 1, "0.0", "a label -1 or +1", TO_SIGNED),
    (Poisson(), [1, 2, -3], 2, "-3.0", "a finite number >= 0", ""),
    (SquaredError(), [1, math.inf, 3], 1, "inf", "a finite number", ""),
    (SquaredError(), [1, 2, math.nan], 2, "nan", "a finite number", ""),
    (Hinge(), [1, 1, math.nan], 2, "nan", "a label -1 or +1", TO_SIGNED),
]


@pytest.mark.parametrize(("loss", "target", "index", "value", "expected", "cure"), LABELS)
def test_wrong_targets_are_named_with_index_and_cure(loss, target, index, value, expected, cure):
    name = type(loss).__name__
    with raises(ValueError, f"{name}: target[{index}] = {value} is not {expected}", cure):
        loss(ZEROS, target)
    # In the kernel, far from the start, in two dimensions.
    many = np.full((400, 3), float(target[1 if index == 0 else 0]))
    many[333] = target
    with raises(ValueError, f"{name}: target[333, {index}] = {value} is not {expected}", cure):
        loss.gradient(np.zeros((400, 3)), many, weight=np.ones(400), mask=np.ones(400, bool))


@every_loss
def test_no_loss_takes_a_missing_target(loss):
    pred = np.full((2, len(loss.heads)), 0.25 if loss.prediction is fields.PROBABILITY else -0.25).squeeze()
    label = loss.target.labels[-1]
    parts = [np.array([1.0, np.nan if each == label else 1.0]) for each in loss.target.labels]
    with raises(ValueError, f"{type(loss).__name__}: {label}[1] = nan is not "):
        loss(pred, fields.joined(loss.target, parts))


def test_how_many_others_are_wrong():
    with raises(ValueError, "target[1] = 5.0", "(3 values are outside)"):
        BinaryFocal()(np.zeros(5), [0, 5, 1, 7, 9])


@pytest.mark.parametrize(
    ("inputs", "pred", "fragments"),
    [
        ("probabilities", 1.2, ["pred[1] = 1.2 is not a probability in [0, 1]", "logits by a sigmoid"]),
        ("probabilities", -0.1, ["pred[1] = -0.1 is not a probability in [0, 1]"]),
        ("log_probabilities", 0.3, ["pred[1] = 0.3 is not a log-probability <= 0", "inputs='logits'"]),
    ],
)
def test_predictions_in_the_wrong_space_are_refused(inputs, pred, fragments):
    with raises(ValueError, "BinaryCrossEntropy", *fragments):
        BinaryCrossEntropy(inputs=inputs)([-0.0, pred], [0, 1])


@pytest.mark.parametrize("value", [-1.0, -1e-300, math.nan, math.inf, -math.inf])
def test_weights_are_finite_and_not_negative(value):
    weight = np.array([1.0, 0.0, value])
    with raises(ValueError, f"Huber: weight[2] = {value} is not a finite number >= 0"):
        Huber()(ZEROS, ZEROS, weight=weight)
    with raises(ValueError, f"weight[2] = {value}"):
        Huber().total(ZEROS, ZEROS, weight=weight)
    with raises(ValueError, f"weight[2, 1] = {value}"):
        Huber()(np.zeros((3, 2)), np.zeros((3, 2)), weight=np.stack([np.ones(3), weight], axis=1))


def test_labels_that_cannot_be_converted_are_named():
    with raises(ValueError, "to_signed: labels[2] = 2.0 is not a label 0 or 1"):
        lossfn.to_signed([0, 1, 2])


# ---- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["avg", "", None, True, "Mean"])
def test_unknown_reductions_are_refused(reduction):
    for call in (Huber().__call__, Huber().value_and_gradient, Huber().hessian, Huber().gradient_and_hessian):
        with raises(ValueError, "Huber: reduction must be one of mean, sum, none, mean_over_batch", repr(reduction)):
            call(ZEROS, ZEROS, reduction=reduction)


@pytest.mark.parametrize(
    "denominator", [0, -1, 0.0, math.nan, math.inf, np.int64(0), np.float32(-1), np.float64(math.nan)]
)
def test_denominators_are_positive_and_finite(denominator):
    for call in (Huber().__call__, Huber().value_and_gradient, Huber().hessian):
        with raises(ValueError, "Huber: denominator must be a finite number > 0", repr(denominator)):
            call(ZEROS, ZEROS, denominator=denominator)


@pytest.mark.parametrize("denominator", ["3", True])
def test_denominators_are_numbers(denominator):
    with raises(TypeError, "Huber: denominator must be a finite number > 0", repr(denominator)):
        Huber()(ZEROS, ZEROS, denominator=denominator)


def test_a_denominator_that_would_not_be_used_is_refused():
    with raises(ValueError, "reduction='none' divides by nothing", "denominator=2 is refused"):
        Huber()(ZEROS, ZEROS, reduction="none", denominator=2)


def test_the_mean_of_nothing_is_refused():
    with raises(ValueError, "Huber: the mean of an empty array is undefined", "reduction='sum' or total()"):
        Huber()([], [])
    with raises(ValueError, "the mean of an empty array is undefined"):
        Huber()(np.zeros((3, 0)), np.zeros((3, 0)))
    with raises(ValueError, "the mean of an empty batch is undefined", "reduction='sum' or total()"):
        Huber()([], [], reduction="mean_over_batch")


@pytest.mark.parametrize("curvature", ["Exact", "diagonal_bound", None])
def test_unknown_curvatures_are_refused(curvature):
    with raises(ValueError, "Huber: curvature must be one of exact, majorizing", repr(curvature)):
        Huber().gradient_and_hessian(ZEROS, ZEROS, curvature=curvature)


def test_options_that_do_not_exist_are_refused():
    for call in (Huber().__call__, Huber().gradient, Huber().hessian, Huber().total):
        with pytest.raises(TypeError, match="unexpected keyword argument 'sample_weight'"):
            call(ZEROS, ZEROS, sample_weight=ZEROS)
    with pytest.raises(TypeError, match="positional"):
        Huber()(ZEROS, ZEROS, ZEROS)


# ---- parameters -----------------------------------------------------------------------------------------------------

PARAMETERS = [
    (lambda: Huber(delta=0), ValueError, ["Huber: delta must be a finite number > 0", "got 0"]),
    (lambda: Huber(delta=-2.5), ValueError, ["Huber: delta", "-2.5"]),
    (lambda: Huber(delta=math.inf), ValueError, ["Huber: delta", "inf"]),
    (lambda: Huber(delta=math.nan), ValueError, ["Huber: delta", "nan"]),
    (lambda: Huber(delta="1"), TypeError, ["Huber: delta must be a number", "'1'"]),
    (lambda: Huber(delta=True), TypeError, ["Huber: delta must be a number", "True"]),
    (lambda: Huber(delta=None), TypeError, ["Huber: delta must be a number", "None"]),
    (lambda: Pinball(tau=0), ValueError, ["Pinball: tau must be a number strictly between 0 and 1", "got 0"]),
    (lambda: Pinball(tau=1.0), ValueError, ["Pinball: tau", "1.0"]),
    (lambda: Expectile(tau=2), ValueError, ["Expectile: tau", "got 2"]),
    (lambda: BinaryFocal(gamma=-0.1), ValueError, ["BinaryFocal: gamma must be a finite number >= 0", "-0.1"]),
    (lambda: BinaryFocal(alpha=1.0), ValueError, ["BinaryFocal: alpha must be a number strictly between 0 and 1"]),
    (lambda: BinaryCrossEntropy(label_smoothing=1.0), ValueError, ["label_smoothing must be a number in [0, 1)"]),
    (lambda: BinaryCrossEntropy(pos_weight=0.0), ValueError, ["pos_weight must be a finite number > 0"]),
    (lambda: BinaryCrossEntropy(inputs="logit"), ValueError, ["inputs must be one of 'logits'", "'logit'"]),
    (lambda: GaussianNLL(constants=2), ValueError, ["constants must be one of False, True", "2"]),
]


@pytest.mark.parametrize(("make", "kind", "fragments"), PARAMETERS)
def test_parameters_are_validated(make, kind, fragments):
    with raises(kind, *fragments):
        make()


def test_unknown_parameters_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'beta'"):
        Huber(beta=1.0)
    with pytest.raises(TypeError, match="positional"):
        BinaryFocal(2.0, 0.25)


def test_numbers_of_any_kind_are_accepted_and_stored_as_float():
    for number in (2, 2.0, np.float32(2), np.int64(2)):
        assert type(Huber(delta=number).delta) is float
        assert Huber(delta=number) == Huber(delta=2.0)


# ---- statistics -----------------------------------------------------------------------------------------------------


def test_an_optimal_constant_needs_data():
    for target, weight in (([], None), ([1.0, 2.0], [0, 0])):
        with raises(ValueError, "Huber: the optimal constant needs at least one target of positive weight"):
            Huber().optimal_constant(target, weight=weight)
    with raises(ValueError, "Huber: weight must have shape (2,); got (3,)"):
        Huber().optimal_constant([1.0, 2.0], weight=[1, 2, 3])
    with raises(ValueError, "Poisson: target[1] = -1.0 is not a finite number >= 0"):
        Poisson().optimal_constant([1.0, -1.0])
    with raises(ValueError, "weight[0] = -1.0"):
        Huber().optimal_constant([1.0, 2.0], weight=[-1, 2])


def test_a_class_is_not_a_probability():
    with raises(ValueError, "Hinge estimates the more likely class, not its probability"):
        Hinge().inverse_link(ZEROS)


def test_data_frames_keep_their_two_axes():
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    with raises(ValueError, "pred (2, 1) and target (2,)"):
        Huber()(frame, frame["a"])
    assert Huber()(frame, frame) == 0.0


def test_missing_values_of_pandas_are_named():
    with raises(ValueError, "Huber: target[1] = nan is not a finite number"):
        Huber()(pd.Series([1.0, 2.0]), pd.Series([1, None], dtype="Int64"))


@pytest.mark.parametrize("numbers", [np.array(["1", "3"]), np.array([1, 3j]), np.array([1, 3], "m8[s]")])
def test_weights_of_rows_are_real(numbers):
    with raises(TypeError, "CrossEntropy: weight must be real, integer or boolean", str(numbers.dtype)):
        CrossEntropy()(np.zeros((2, 3)), [0, 1], weight=numbers)


def test_imaginary_parts_are_not_dropped_by_other_libraries():
    torch = pytest.importorskip("torch")
    with raises(TypeError, "Huber: weight must be real, integer or boolean; got dtype torch.complex64"):
        Huber()(torch.zeros(2), torch.zeros(2), weight=torch.tensor([1 + 9j, 1]))
    with raises(TypeError, "CrossEntropy: target must be real, integer or boolean; got dtype torch.complex64"):
        CrossEntropy()(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.complex64))


@pytest.mark.parametrize("weights", ["12", ["a", "b"], 3])
def test_weights_of_classes_are_numbers(weights):
    with raises(TypeError, "CrossEntropy: class_weight must be a sequence of one number a class; got"):
        CrossEntropy(class_weight=weights)


def test_a_choice_becomes_the_declared_one():
    assert Poisson(constants=1).constants is True
    with raises(ValueError, "Poisson: constants must be one of False, True; got array([0, 1])"):
        Poisson(constants=np.arange(2))
