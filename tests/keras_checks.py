"""What losses do in Keras, on the backend that KERAS_BACKEND names: test_keras.py runs this once for each backend.

Prints one line of JSON: the name of each check, with the traceback of those that failed. What does not depend on the
backend is checked on torch alone, where nothing compiles.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np

import lossfn
from lossfn.keras import as_loss

rng = np.random.default_rng(0)
N = 40
X = rng.normal(size=(N, 2)).astype(np.float32)
Y = (X @ [1.0, -2.0] + 0.5 + 0.1 * rng.normal(size=N)).astype(np.float32)
WEIGHT = rng.uniform(0.2, 2.0, N).astype(np.float32)
LABELS = np.digitize(Y, [-1.0, 1.0])
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


def numbers(array: Any) -> Any:
    return keras.ops.convert_to_numpy(array)


def close(got: Any, expected: Any, rtol: float = 2e-5) -> None:
    np.testing.assert_allclose(numbers(got), numbers(expected), rtol, atol=1e-6)


def raises(kind: type[Exception], *fragments: str) -> Any:
    class Expected:
        def __enter__(self) -> None:
            pass

        def __exit__(self, found: Any, error: Any, _: Any) -> bool:
            assert found is not None, "nothing was raised"
            for fragment in fragments:
                assert fragment in str(error), f"{fragment!r} is missing in: {error}"
            return issubclass(found, kind)

    return Expected()


def linear(loss: Any, units: int = 1, rate: float = 0.1, **options: Any) -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units, kernel_initializer="zeros", **options)])
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
    return model


def train(model: Any, target: Any, epochs: int, **options: Any) -> Any:
    # The whole data are one batch.
    return model.fit(X, target, batch_size=N, epochs=epochs, verbose=0, shuffle=False, **options).history["loss"]


# ---- values ---------------------------------------------------------------------------------------------------------


def torch_check_reductions_are_those_of_keras() -> None:
    output = X[:, :1]
    for reduction in REDUCTIONS:
        ours = as_loss(lossfn.Huber(delta=0.7), reduction=reduction)
        theirs = keras.losses.Huber(delta=0.7, reduction=reduction)
        # Keras's own loss of (N,) targets and (N, 1) outputs expands the targets.
        close(ours(Y, output), theirs(Y[:, None], output))
        for weight in (WEIGHT, WEIGHT[:, None]):
            close(ours(Y, output, sample_weight=weight), theirs(Y[:, None], output, sample_weight=WEIGHT))


def torch_check_masks_and_weights_of_sequences() -> None:
    scores = rng.normal(size=(4, 5, 3)).astype(np.float32)
    labels, kept = rng.integers(0, 3, (4, 5)), rng.random((4, 5)) < 0.6
    weight = rng.uniform(0.2, 2.0, (4, 5)).astype(np.float32)
    for reduction in REDUCTIONS:
        ours = as_loss(lossfn.CrossEntropy(), reduction=reduction)
        theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
        for given in (None, weight):
            outputs = [keras.ops.convert_to_tensor(scores) for _ in range(2)]
            for output in outputs:
                output._keras_mask = keras.ops.convert_to_tensor(kept)
            close(ours(labels, outputs[0], given), theirs(labels, outputs[1], given))
    # The mask of rows applies to each of their elements, as do the weights.
    output = keras.ops.convert_to_tensor(scores)
    output._keras_mask = keras.ops.convert_to_tensor(kept[:, 0])
    target = np.zeros_like(scores)
    expected = lossfn.Huber()(scores, target, weight=weight[:, 0], mask=kept[:, 0])
    close(as_loss(lossfn.Huber(), reduction="mean_with_sample_weight")(target, output, weight[:, 0]), expected)


def torch_check_ignored_classes_do_not_count() -> None:
    labels = np.where(Y > 1.5, -1, LABELS)
    output = rng.normal(size=(N, 3)).astype(np.float32)
    ours = as_loss(lossfn.CrossEntropy(ignore_index=-1))
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    close(ours(labels, output), theirs(labels, output))


def torch_check_one_axis_is_added_or_dropped_and_no_other() -> None:
    row, column = Y, Y[:, None]
    expected = lossfn.Huber()(X[:, 0], Y)
    for target in (row, column):
        for output in (X[:, 0], X[:, :1]):
            close(as_loss(lossfn.Huber())(target, output), expected)
    two = lossfn.GaussianNLL()
    for target in (row, column):
        close(as_loss(two)(target, X), two(X, Y))
    three, scores = lossfn.CrossEntropy(), rng.normal(size=(N, 3)).astype(np.float32)
    for target in (LABELS, LABELS[:, None], np.eye(3, dtype=np.float32)[LABELS]):
        close(as_loss(three)(target, scores), three(scores, LABELS))
    trials = np.stack([LABELS, LABELS + 1], axis=1).astype(np.float32)
    parts = lossfn.Binomial.Target(trials[:, 0], trials[:, 1])
    for output in (X[:, 0], X[:, :1]):
        close(as_loss(lossfn.Binomial())(trials, output), lossfn.Binomial()(X[:, 0], parts))
        close(as_loss(lossfn.Binomial())(parts, output), lossfn.Binomial()(X[:, 0], parts))
    with raises(ValueError, "must have the same shape; got pred (40, 1) and target (39,)"):
        as_loss(lossfn.Huber())(Y[1:], X[:, :1])
    with raises(ValueError, "sample_weight must have the shape (40,) or (40, 1); got (39,)"):
        as_loss(lossfn.Huber())(Y, X[:, :1], sample_weight=WEIGHT[1:])
    with raises(ValueError, "target.successes, target.trials", "last axis"):
        as_loss(lossfn.Binomial())(Y, X[:, 0])
    with raises(TypeError, "must be integers; got", "float32"):
        as_loss(lossfn.CrossEntropy())(LABELS.astype(np.float32), scores)


# ---- training -------------------------------------------------------------------------------------------------------


def check_training_reaches_least_squares_and_survives_saving() -> None:
    model = linear(as_loss(lossfn.HalfSquaredError(), name="half"))
    history = train(model, Y, 150, sample_weight=WEIGHT)
    design = np.column_stack([X, np.ones(N)]) * np.sqrt(WEIGHT)[:, None]
    best = np.linalg.lstsq(design, Y * np.sqrt(WEIGHT), rcond=None)[0]
    kernel, bias = model.get_weights()
    close([*kernel[:, 0], *bias], best, rtol=2e-2)
    assert history[-1] < 0.02 * history[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        again = keras.models.load_model(path)
    assert (again.loss.loss, again.loss.name) == (lossfn.HalfSquaredError(), "half")
    close(again.evaluate(X, Y, verbose=0), model.evaluate(X, Y, verbose=0))
    close(train(again, Y, 1), train(model, Y, 1))


def torch_check_classes_and_several_heads_train_in_one_model() -> None:
    inputs = keras.Input((2,))
    heads = [keras.layers.Dense(units, kernel_initializer="zeros", name=name)(inputs)
             for units, name in ((3, "kind"), (2, "number"), (1, "yes"))]  # fmt: skip
    losses = [lossfn.CrossEntropy(label_smoothing=0.01), lossfn.GaussianNLL(), lossfn.BinaryFocal(gamma=1.0)]
    model = keras.Model(inputs, heads)
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss=[as_loss(loss) for loss in losses])
    targets = [LABELS[:, None], Y, (Y > 0).astype(np.float32)]
    history = train(model, targets, 60)
    constants = sum(
        loss(np.broadcast_to(loss.optimal_constant(target), (N, 1, 3)[:1] + np.shape(loss.optimal_constant(target))),
             target) for loss, target in zip(losses, (LABELS, Y, targets[2]), strict=True)
    )  # fmt: skip
    # All three together are better than the best that does not look at the features.
    assert history[-1] < 0.6 * float(constants)


def check_gradients_are_derived_ones() -> None:
    # What automatic differentiation makes of the formula is NaN there, or 0.
    loss, output, target = as_loss(lossfn.LogCosh(), reduction="sum"), [0.0, 1e30, -1e30], np.zeros(3, np.float32)
    if keras.config.backend() == "jax":
        import jax

        gradient = jax.jit(jax.grad(lambda p: loss(target, p)))(jax.numpy.array(output))
    else:
        import torch

        leaf = torch.tensor(output, requires_grad=True)
        loss(target, leaf).backward()
        gradient = leaf.grad
    close(gradient, [0.0, 1.0, -1.0])


def torch_check_mixed_precision() -> None:
    model = linear(as_loss(lossfn.BinaryCrossEntropy()), dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(model(X).dtype) == "bfloat16"
    value = as_loss(lossfn.BinaryCrossEntropy())((Y > 0).astype(np.float32), model(X))
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    history = train(model, (Y > 0).astype(np.float32), 20)
    assert history[-1] < 0.5 * history[0]
    half = as_loss(lossfn.Huber(), dtype="float16")(Y, X[:, 0])
    assert keras.backend.standardize_dtype(half.dtype) == "float16"


def check_masking_layers_reach_the_loss() -> None:
    steps = rng.normal(size=(6, 4, 2)).astype(np.float32)
    steps[rng.random((6, 4)) < 0.4] = 0.0
    inputs = keras.Input((4, 2))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Masking()(inputs)))
    model.compile(loss=as_loss(lossfn.Huber()))
    target = rng.normal(size=(6, 4)).astype(np.float32)
    kept = (steps != 0).any(axis=-1)
    expected = lossfn.Huber()(model.predict(steps, verbose=0)[..., 0], target, mask=kept)
    close(model.evaluate(steps, target, verbose=0), expected)


# ---- objects --------------------------------------------------------------------------------------------------------


def torch_check_serialisation() -> None:
    for loss in (lossfn.CrossEntropy(class_weight=(1.0, 2.0)), 0.5 * lossfn.Huber() + lossfn.Pinball(tau=0.9)):
        wrapped = as_loss(loss, reduction="sum", dtype="float64")
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(wrapped)))
        again = keras.saving.deserialize_keras_object(config)
        assert (again.loss, again.get_config()) == (loss, wrapped.get_config())
    Own = lossfn.define("Quartic", lambda _, p, y: (p - y) ** 4)  # noqa: N806
    config = keras.saving.serialize_keras_object(as_loss(Own()))
    again = keras.saving.deserialize_keras_object(config, custom_objects={"Quartic": Own})
    close(again(Y, X[:, 0]), ((X[:, 0] - Y) ** 4).mean())
    with raises(ValueError, "unknown loss 'Quartic'", "custom_objects="):
        keras.saving.deserialize_keras_object(config)


def torch_check_refusals() -> None:
    with raises(ValueError, "reduction must be one of sum_over_batch_size", "got 'average'"):
        as_loss(lossfn.Huber(), reduction="average")
    with raises(TypeError, "got 'huber'", "parse_loss"):
        as_loss("huber")
    with (
        mock.patch.object(keras.config, "backend", return_value="tensorflow"),
        raises(NotImplementedError, "this is tensorflow", "KERAS_BACKEND to torch or jax"),
    ):
        as_loss(lossfn.Huber())
    with raises(ValueError, "Hinge", "target[0]", "to_signed"):
        as_loss(lossfn.Hinge())(np.zeros(2), np.zeros(2))


if __name__ == "__main__":
    warnings.simplefilter("error")
    # Of Keras's own conversion to NumPy.
    warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
    results = {}
    for name, check in list(globals().items()):
        if name.startswith(("check_", f"{keras.config.backend()}_check_")):
            try:
                check()
                results[name] = ""
            except Exception:
                results[name] = traceback.format_exc()
    json.dump(results, sys.stdout)
