"""The functions that other libraries offer for our losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from scipy import special
from sklearn._loss import loss as sklearn_losses

from benchmarks.points import Array
from lossfn import (
    AbsoluteError,
    BinaryCrossEntropy,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    Pinball,
    PointwiseLoss,
    Poisson,
    PseudoHuber,
    SmoothL1,
    SquaredError,
)

TorchFunction = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Native:
    """One function of another library: how it is called there, and what it computes from NumPy arrays."""

    library: str
    call: str
    functions: dict[str, Callable[[Array, Array], Array]]


def native_functions(loss: PointwiseLoss) -> list[Native]:
    """Return the functions of PyTorch, scikit-learn and SciPy that compute this loss, elementwise."""
    return [native for native in (_from_torch(loss), _from_sklearn(loss), _from_scipy(loss)) if native is not None]


def torch_function(loss: PointwiseLoss) -> tuple[str, TorchFunction] | None:
    """Return PyTorch's function: its name, and a callable of prediction, target and ``reduction``."""
    match loss:
        case SquaredError():
            return "mse_loss", F.mse_loss
        case AbsoluteError():
            return "l1_loss", F.l1_loss
        case Huber(delta=delta):
            return "huber_loss", lambda pred, target, reduction: F.huber_loss(pred, target, reduction, delta)
        case SmoothL1(beta=beta):
            return "smooth_l1_loss", lambda pred, target, reduction: F.smooth_l1_loss(
                pred, target, reduction=reduction, beta=beta
            )
        case BinaryCrossEntropy(inputs="logits", pos_weight=weight, label_smoothing=0.0):

            def from_logits(pred: Any, target: Any, reduction: str) -> torch.Tensor:
                pos_weight = None if weight == 1 else torch.tensor(weight, dtype=pred.dtype)
                return F.binary_cross_entropy_with_logits(pred, target, reduction=reduction, pos_weight=pos_weight)

            return "binary_cross_entropy_with_logits", from_logits
        case BinaryCrossEntropy(inputs="probabilities", pos_weight=1.0, label_smoothing=0.0):
            return "binary_cross_entropy", lambda pred, target, reduction: F.binary_cross_entropy(
                pred, target, reduction=reduction
            )
        case Poisson():
            return "poisson_nll_loss", lambda pred, target, reduction: F.poisson_nll_loss(
                pred, target, reduction=reduction
            )
        case GaussianNLL(constants=constants):
            return "gaussian_nll_loss", lambda pred, target, reduction: F.gaussian_nll_loss(
                pred[..., 0], target, pred[..., 1].exp(), full=constants, reduction=reduction
            )
    return None


def sklearn_loss(loss: PointwiseLoss) -> Any:
    """Return scikit-learn's loss object, or ``None``."""
    match loss:
        case HalfSquaredError():
            return sklearn_losses.HalfSquaredError()
        case AbsoluteError():
            return sklearn_losses.AbsoluteError()
        case Pinball(tau=tau):
            return sklearn_losses.PinballLoss(quantile=tau)
        case Huber(delta=delta):
            return sklearn_losses.HuberLoss(delta=delta)
        case Poisson():
            return sklearn_losses.HalfPoissonLoss()
        case BinaryCrossEntropy(inputs="logits", pos_weight=1.0, label_smoothing=0.0):
            return sklearn_losses.HalfBinomialLoss()
    return None


def _from_torch(loss: PointwiseLoss) -> Native | None:
    found = torch_function(loss)
    if found is None:
        return None
    name, function = found

    def value(pred: Array, target: Array) -> Array:
        return function(torch.from_numpy(pred), torch.from_numpy(target), reduction="none").numpy()

    def gradient(pred: Array, target: Array) -> Array:
        leaf = torch.from_numpy(pred).clone().requires_grad_()
        function(leaf, torch.from_numpy(target), reduction="sum").backward()
        assert leaf.grad is not None
        return leaf.grad.numpy()

    return Native("PyTorch", name, {"value": value, "gradient": gradient})


def _from_sklearn(loss: PointwiseLoss) -> Native | None:
    found = sklearn_loss(loss)
    if found is None:
        return None
    functions = {
        "value": lambda pred, target: found.loss(y_true=target, raw_prediction=pred),
        "gradient": lambda pred, target: found.gradient(y_true=target, raw_prediction=pred),
    }
    if not found.approx_hessian:
        functions["Hessian"] = lambda pred, target: found.gradient_hessian(y_true=target, raw_prediction=pred)[1]
    return Native("scikit-learn", type(found).__name__, functions)


def _from_scipy(loss: PointwiseLoss) -> Native | None:
    match loss:
        case Huber(delta=delta):
            function = special.huber
        case PseudoHuber(delta=delta):
            function = special.pseudo_huber
        case _:
            return None

    def value(pred: Array, target: Array) -> Array:
        with np.errstate(all="ignore"):
            result: Array = function(pred.dtype.type(delta), pred - target)
        return result

    return Native("SciPy", function.__name__, {"value": value})
