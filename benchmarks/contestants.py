"""Who computes value and gradient of a mean loss: each as its users would write it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numba
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

from benchmarks.native import sklearn_loss
from benchmarks.points import Array
from lossfn import BinaryCrossEntropy, BinaryFocal, Huber, LogCosh, Pinball, PointwiseLoss, Poisson

#: Returns value and gradient.
Run = Callable[[], tuple[Any, Any]]

LOSSES: tuple[PointwiseLoss, ...] = (
    BinaryCrossEntropy(),
    BinaryFocal(gamma=2.0),
    Huber(delta=1.0),
    LogCosh(),
    Pinball(tau=0.9),
    Poisson(),
)

OURS, FRESH, FLOOR = "lossfn, out=", "lossfn", "floor"
EAGER, COMPILED, JAX_JIT = "PyTorch eager", "torch.compile", "JAX jit"
SKLEARN, NUMPY = "scikit-learn", "NumPy"


# ---- PyTorch: the native function, or the formula of a few lines that stands in its place ---------------------------


def _torch_focal(pred: Any, target: Any) -> Any:
    # As in torchvision.
    p = torch.sigmoid(pred)
    cross_entropy = F.binary_cross_entropy_with_logits(pred, target, reduction="none")
    p_t = p * target + (1 - p) * (1 - target)
    return (cross_entropy * (1 - p_t) ** 2).mean()


def _torch_log_cosh(pred: Any, target: Any) -> Any:
    residual = pred - target
    return (residual + F.softplus(-2.0 * residual) - math.log(2.0)).mean()


def _torch_pinball(pred: Any, target: Any) -> Any:
    residual = target - pred
    return torch.maximum(0.9 * residual, -0.1 * residual).mean()


TORCH: dict[type, Callable[[Any, Any], Any]] = {
    BinaryCrossEntropy: F.binary_cross_entropy_with_logits,
    BinaryFocal: _torch_focal,
    Huber: F.huber_loss,
    LogCosh: _torch_log_cosh,
    Pinball: _torch_pinball,
    Poisson: F.poisson_nll_loss,
}


# ---- JAX ------------------------------------------------------------------------------------------------------------


def _jax_focal(logit: Any, label: Any) -> Any:
    margin = (2 * label - 1) * logit
    return (jax.nn.sigmoid(-margin) ** 2 * jax.nn.softplus(-margin)).mean()


def _jax_huber(pred: Any, target: Any) -> Any:
    size = jnp.abs(pred - target)
    return jnp.where(size <= 1, size * size / 2, size - 0.5).mean()


JAX: dict[type, Callable[[Any, Any], Any]] = {
    BinaryCrossEntropy: lambda z, t: (jax.nn.relu(z) - z * t + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean(),
    BinaryFocal: _jax_focal,
    Huber: _jax_huber,
    LogCosh: lambda p, t: (jnp.logaddexp(p - t, t - p) - math.log(2.0)).mean(),
    Pinball: lambda p, t: jnp.maximum(0.9 * (t - p), -0.1 * (t - p)).mean(),
    Poisson: lambda z, t: (jnp.exp(z) - t * z).mean(),
}


# ---- NumPy: stable, and with what both value and gradient need computed once ----------------------------------------


def _numpy_cross_entropy(z: Array, t: Array) -> tuple[Any, Array]:
    e = np.exp(-np.abs(z))
    value = np.maximum(z, 0) - z * t + np.log1p(e)
    return value.mean(), (np.where(z >= 0, 1, e) / (1 + e) - t) / z.size


def _numpy_focal(z: Array, t: Array) -> tuple[Any, Array]:
    sign = 2 * t - 1
    m = sign * z
    e = np.exp(-np.abs(m))
    q = np.where(m >= 0, e, 1) / (1 + e)
    softplus = np.maximum(-m, 0) + np.log1p(e)
    return (q * q * softplus).mean(), -sign * q * q * (2 * (1 - q) * softplus + q) / z.size


def _numpy_huber(p: Array, t: Array) -> tuple[Any, Array]:
    r = p - t
    size = np.abs(r)
    return np.where(size <= 1, r * r / 2, size - p.dtype.type(0.5)).mean(), np.clip(r, -1, 1) / p.size


def _numpy_log_cosh(p: Array, t: Array) -> tuple[Any, Array]:
    r = p - t
    size = np.abs(r)
    return (size + np.log1p(np.exp(-2 * size)) - p.dtype.type(math.log(2.0))).mean(), np.tanh(r) / p.size


def _numpy_pinball(p: Array, t: Array) -> tuple[Any, Array]:
    r = t - p
    low, high = p.dtype.type(-0.1), p.dtype.type(0.9)
    return np.maximum(high * r, low * r).mean(), np.where(r > 0, -high, -low) / p.size


def _numpy_poisson(z: Array, t: Array) -> tuple[Any, Array]:
    rate = np.exp(z)
    return (rate - t * z).mean(), (rate - t) / z.size


PLAIN: dict[type, Callable[[Array, Array], tuple[Any, Array]]] = {
    BinaryCrossEntropy: _numpy_cross_entropy,
    BinaryFocal: _numpy_focal,
    Huber: _numpy_huber,
    LogCosh: _numpy_log_cosh,
    Pinball: _numpy_pinball,
    Poisson: _numpy_poisson,
}


# ---- the runs -------------------------------------------------------------------------------------------------------


def inputs(loss: PointwiseLoss, size: int, dtype: str) -> tuple[Array, Array]:
    """Draw predictions and targets: labels 0 and 1, counts, or residuals with heavy tails."""
    random = np.random.default_rng(0)
    pred = random.normal(0.0, 1.5, size)
    match loss:
        case BinaryCrossEntropy() | BinaryFocal():
            target = random.integers(0, 2, size).astype(float)
        case Poisson():
            target = random.poisson(2.0, size).astype(float)
        case _:
            target = pred + random.standard_t(3, size)
    return pred.astype(dtype), target.astype(dtype)


def contestants(loss: PointwiseLoss, pred: Array, target: Array, *, with_compiler: bool) -> dict[str, Run]:
    """Return who is timed, by name."""
    kind = type(loss)
    out = np.empty_like(pred)
    runs: dict[str, Run] = {
        OURS: lambda: loss.value_and_gradient(pred, target, out=out),
        FRESH: lambda: loss.value_and_gradient(pred, target),
        EAGER: torch_run(TORCH[kind], pred, target),
    }
    if with_compiler:
        # Otherwise a second size would be compiled for all sizes, which is slower.
        torch.compiler.reset()
        runs[COMPILED] = torch_run(torch.compile(TORCH[kind]), pred, target)
    runs[JAX_JIT] = _jax_run(JAX[kind], pred, target)
    native = sklearn_loss(loss)
    if native is not None:
        runs[SKLEARN] = _sklearn_run(native, pred, target)
    runs[NUMPY] = lambda: PLAIN[kind](pred, target)
    return runs


def torch_run(function: Callable[[Any, Any], Any], pred: Array, target: Array) -> Run:
    """Return forward and backward of a function of PyTorch."""
    leaf, fixed = torch.from_numpy(pred.copy()).requires_grad_(), torch.from_numpy(target)

    def run() -> tuple[Any, Any]:
        leaf.grad = None
        value = function(leaf, fixed)
        value.backward()
        return value.detach(), leaf.grad

    return run


def _jax_run(function: Callable[[Any, Any], Any], pred: Array, target: Array) -> Run:
    compiled = jax.jit(jax.value_and_grad(function))
    first, second = jnp.asarray(pred), jnp.asarray(target)

    def run() -> tuple[Any, Any]:
        value, gradient = jax.block_until_ready(compiled(first, second))
        return value, gradient

    return run


def _sklearn_run(native: Any, pred: Array, target: Array) -> Run:
    value, gradient = np.empty_like(pred), np.empty_like(pred)

    def run() -> tuple[Any, Any]:
        native.loss_gradient(y_true=target, raw_prediction=pred, loss_out=value, gradient_out=gradient, n_threads=2)
        return value.mean(), np.divide(gradient, gradient.size, out=gradient)

    return run


@numba.njit(parallel=True, error_model="numpy")
def _difference(pred: Any, target: Any, out: Any) -> None:
    for i in numba.prange(pred.size):
        out[i] = pred[i] - target[i]


def floors(pred: Array, target: Array) -> dict[str, Callable[[], Any]]:
    """Return two ways to read both inputs and write one array; the faster one is what memory alone costs."""
    out = np.empty_like(pred)
    return {
        "Numba's floor": lambda: _difference(pred, target, out),
        "NumPy's floor": lambda: np.subtract(pred, target, out=out),
    }
