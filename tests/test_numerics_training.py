"""Clipping of gradients, loss scaling and labels in every array library."""

from __future__ import annotations

import math
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import in_library, raises
from test_numerics import INF, NAN, _sixty_four_bits, as_numpy, every_library, gradient  # noqa: F401

from lossfn import numerics

# ---- gradients ----------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Gradients of one layer."""

    weight: Any
    bias: Any


@every_library
def test_clipping_by_the_global_norm(library: str) -> None:
    gradients = {
        "layers": [Pair(in_library(library, np.array([3.0, 0.0])), None)],
        "top": (in_library(library, np.array([[4.0]])),),
    }
    clipped, norm = numerics.clip_by_global_norm(gradients, 1.0)
    assert float(norm) == 5.0
    pair = clipped["layers"][0]
    assert isinstance(pair, Pair)
    assert pair.bias is None
    np.testing.assert_allclose(as_numpy(pair.weight), [0.6, 0.0])
    np.testing.assert_allclose(as_numpy(clipped["top"][0]), [[0.8]])
    same, _ = numerics.clip_by_global_norm(gradients, 5.0)
    np.testing.assert_array_equal(as_numpy(same["top"][0]), [[4.0]])
    for limit, expected in ((INF, 4.0), (0.0, 0.0)):
        assert float(numerics.clip_by_global_norm(gradients, limit)[0]["top"][0][0, 0]) == expected


@every_library
def test_zero_gradients_stay_zero(library: str) -> None:
    # errata O13: min(1, c/‖g‖) divides by zero at g = 0
    zero = in_library(library, np.zeros(3))
    for limit in (1.0, 0.0, INF):
        clipped, norm = numerics.clip_by_global_norm([zero], limit)
        np.testing.assert_array_equal(as_numpy(clipped[0]), np.zeros(3))
        assert float(norm) == 0.0
    if library != "numpy":
        np.testing.assert_array_equal(
            gradient(library, lambda g: numerics.clip_by_global_norm([g], 1.0)[1], np.zeros(3)), 0
        )


@every_library
def test_norms_neither_overflow_nor_vanish(library: str) -> None:
    for size in (1e-200, 1e200):
        clipped, norm = numerics.clip_by_global_norm([in_library(library, np.array([3 * size, 4 * size]))], size)
        np.testing.assert_allclose(float(norm), 5 * size, rtol=1e-15)
        np.testing.assert_allclose(as_numpy(clipped[0]), [0.6 * size, 0.8 * size], rtol=1e-15)
    narrow = in_library(library, np.array([3e30, 4e30], np.float32))
    clipped, norm = numerics.clip_by_global_norm([narrow], 1.0)
    np.testing.assert_allclose(as_numpy(clipped[0]), [0.6, 0.8], rtol=1e-6)
    assert clipped[0].dtype == narrow.dtype


@pytest.mark.parametrize("bad", [INF, -INF, NAN])
@every_library
def test_infinite_gradients_are_never_taken_for_good_ones(library: str, bad: float) -> None:
    arrays = [in_library(library, np.array([1.0, 2.0])), in_library(library, np.array([bad]))]
    clipped, norm = numerics.clip_by_global_norm(arrays, 1.0)
    assert not math.isfinite(float(norm))
    assert all(np.isnan(as_numpy(array)).all() for array in clipped)


def test_clipping_agrees_with_pytorch() -> None:
    import torch

    arrays = [torch.randn(5, 3, generator=torch.Generator().manual_seed(index)) for index in range(3)]
    parameters = [torch.nn.Parameter(torch.zeros(5, 3)) for _ in arrays]
    for parameter, array in zip(parameters, arrays, strict=True):
        parameter.grad = array.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters, 2.0)
    clipped, ours = numerics.clip_by_global_norm(arrays, 2.0)
    torch.testing.assert_close(ours.float(), norm)
    for parameter, array in zip(parameters, clipped, strict=True):
        torch.testing.assert_close(parameter.grad, array)


@every_library
def test_clipping_by_value(library: str) -> None:
    clipped = numerics.clip_by_value([in_library(library, np.array([-3.0, 0.5, INF, NAN])), None], 1.0)
    np.testing.assert_array_equal(as_numpy(clipped[0]), [-1.0, 0.5, 1.0, NAN])
    assert clipped[1] is None


def test_clipping_refuses() -> None:
    with raises(ValueError, "clip_by_global_norm", "max_norm must be a number >= 0", "-1"):
        numerics.clip_by_global_norm([np.ones(2)], -1.0)
    with raises(TypeError, "clip_by_value", "limit", "'1'"):
        numerics.clip_by_value([np.ones(2)], "1")
    with raises(TypeError, "clip_by_global_norm", "floating", "int64"):
        numerics.clip_by_global_norm([np.array([3, 4])], 1.0)
    assert numerics.clip_by_global_norm([], 1.0) == ([], 0.0)


# ---- loss scaling -------------------------------------------------------------------------------------------------


def test_the_scale_moves_like_that_of_pytorch() -> None:
    import torch

    overflows = [False, False, False, True, False, False, False, True, True, False, False, False, False]
    theirs = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
    ours = numerics.LossScaler(scale=1024.0, growth_interval=3)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    steps = 0
    for overflow in overflows:
        theirs.scale(torch.ones(1))
        parameter.grad = torch.tensor([INF if overflow else 512.0])
        gradients = ours.unscale([parameter.grad.clone()])
        assert (gradients is None) == overflow
        steps += gradients is not None
        theirs.step(optimizer)
        theirs.update()
        assert ours.scale == theirs.get_scale()
    assert ours.skipped_steps == len(overflows) - steps == 3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_scaled_gradients_of_pytorch_do_not_vanish(dtype: str) -> None:
    import torch

    x = torch.tensor([1e-3], dtype=getattr(torch, dtype), requires_grad=True)
    scaler = numerics.LossScaler(scale=2.0**12)
    (small,) = torch.autograd.grad(scaler.scale_loss((x * 1e-6).sum()), x)
    assert small.dtype == x.dtype
    (gradient,) = scaler.unscale([small])
    assert gradient.dtype == torch.float32
    assert float(gradient[0]) == pytest.approx(1e-6, rel=0.02)
    # A loss of 32 times the scale overflows float16, and is made float32.
    assert float(scaler.scale_loss(torch.tensor(32.0, dtype=torch.float16))) == 2.0**17


def test_a_static_scale_skips_steps_and_stays() -> None:
    scaler = numerics.LossScaler(scale=128.0, growth_interval=None)
    assert scaler.unscale({"w": np.array([256.0]), "b": None})["w"] == 2.0
    assert scaler.unscale([np.array([NAN])]) is None
    assert (scaler.scale, scaler.skipped_steps) == (128.0, 1)


def test_the_scale_stays_within_float32() -> None:
    scaler = numerics.LossScaler(growth_interval=1)
    for _ in range(400):
        scaler.unscale([np.ones(1)])
    assert scaler.scale == 2.0**100
    for _ in range(800):
        scaler.unscale([np.array([INF])])
    assert scaler.scale == 2.0**-100


def test_the_state_of_a_scaler() -> None:
    scaler = numerics.LossScaler(growth_interval=3)
    scaler.unscale([np.array([INF])])
    scaler.unscale([np.ones(1)])
    restored = numerics.LossScaler()
    restored.load_state_dict(scaler.state_dict())
    assert restored == scaler == pickle.loads(pickle.dumps(scaler))
    state = scaler.state_dict()
    del state["quiet_steps"]
    with raises(ValueError, "LossScaler", "lacks quiet_steps"):
        restored.load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "value"), [("scale", 0.0), ("growth_factor", 1.0), ("backoff_factor", 1.0), ("growth_interval", 0)]
)
def test_scalers_refuse(name: str, value: float) -> None:
    with raises(ValueError, f"LossScaler: {name} must be", repr(value)):
        numerics.LossScaler(**{name: value})


@pytest.mark.parametrize("value", [2.5, "a", True])
def test_quiet_periods_are_whole_numbers_of_steps(value: Any) -> None:
    with raises(TypeError, "LossScaler: growth_interval must be an integer >= 1", "None", repr(value)):
        numerics.LossScaler(growth_interval=value)
    assert numerics.LossScaler(growth_interval=np.int64(3)).growth_interval == 3


# ---- labels -------------------------------------------------------------------------------------------------------


@every_library
def test_one_hot(library: str) -> None:
    import torch

    labels = np.array([[0, 2], [1, 1]])
    got = as_numpy(numerics.one_hot(in_library(library, labels), 3))
    np.testing.assert_array_equal(got, torch.nn.functional.one_hot(torch.tensor(labels), 3))
    with raises(ValueError, "one_hot: labels[0, 1] = 2 is not a class index from 0 to 1"):
        numerics.one_hot(in_library(library, labels), 2)
    with raises(TypeError, "labels must be integers", "float64"):
        numerics.one_hot(in_library(library, labels.astype(float)), 3)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int64", "float16", "bfloat16", "float32", "float64"])
@every_library
def test_labels_become_signed(library: str, dtype: str) -> None:
    import jax
    import torch

    made: dict[str, Any] = {"numpy": np.array, "torch": torch.tensor, "jax": jax.numpy.array}
    if (library, dtype) == ("numpy", "bfloat16"):
        pytest.skip("NumPy has no bfloat16")
    labels = made[library]([0, 1, 1], dtype=getattr(torch, dtype) if library == "torch" else dtype)
    got = numerics.to_signed(labels)
    assert got.tolist() == [-1.0, 1.0, 1.0]
    usual = {"numpy": np.array(0.0), "torch": torch.tensor(0.0), "jax": jax.numpy.array(0.0)}[library].dtype
    assert got.dtype == (labels.dtype if "float" in dtype else usual)


@every_library
def test_signed_labels_refuse_what_is_no_label(library: str) -> None:
    with raises(ValueError, "to_signed: labels[0] = 2.0 is not a label 0 or 1"):
        numerics.to_signed(in_library(library, np.array([2, 3])))
    with raises(ValueError, "labels[1] = -1.0", "labels -1/+1 need no conversion"):
        numerics.to_signed(in_library(library, np.array([1, -1])))


@every_library
def test_smoothed_labels_train_like_pytorch_s_label_smoothing(library: str) -> None:
    import torch

    logits, labels = (
        torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        [0, 3, 1, 1, 2, 0],
    )
    smoothed = as_numpy(numerics.smooth_labels(numerics.one_hot(in_library(library, np.array(labels)), 4), 0.3))
    ours = -(smoothed * numerics.log_softmax(logits.numpy())).sum(axis=1).mean()
    theirs = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), label_smoothing=0.3)
    assert ours == pytest.approx(float(theirs), rel=1e-6)
    binary = as_numpy(numerics.smooth_labels(in_library(library, np.array([0.0, 1.0, 0.5])), 0.2, axis=None))
    np.testing.assert_allclose(binary, [0.1, 0.9, 0.5])


def test_smoothing_refuses_what_is_no_distribution() -> None:
    with raises(ValueError, "smooth_labels", "adds up to 2", "one_hot", "axis=None"):
        numerics.smooth_labels([0.0, 1.0, 1.0], 0.1)
    with raises(ValueError, "target[1] = 2.0", "probability"):
        numerics.smooth_labels([0.0, 2.0], 0.1, axis=None)
    with raises(ValueError, "epsilon must be a number in [0, 1]", "1.5"):
        numerics.smooth_labels([0.0, 1.0], 1.5)


def test_functions_can_be_traced() -> None:
    import jax
    import torch

    z, labels = np.array([[0.5, -1.0, 2.0]]), np.array([1])

    def everything(z: Any, labels: Any) -> Any:
        target = numerics.smooth_labels(numerics.one_hot(labels, 3, z.dtype), 0.1)
        (clipped,), norm = numerics.clip_by_global_norm([numerics.softmax(z)], 0.5)
        cross_entropy = -(target * numerics.log_softmax(z)).sum()
        return cross_entropy + clipped.sum() + norm + numerics.entropy(numerics.softmax(z)).sum()

    eager = float(everything(torch.tensor(z), torch.tensor(labels)))
    assert float(jax.jit(everything)(z, labels)) == pytest.approx(eager, rel=1e-6)
    by_rows = torch.func.vmap(everything)(torch.tensor(z), torch.tensor(labels))
    assert float(by_rows[0]) == pytest.approx(eager)
