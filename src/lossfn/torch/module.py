"""A loss as a module, for code that expects one."""

from __future__ import annotations

from typing import Any

import torch

from lossfn import checks
from lossfn.loss import Loss


class LossModule(torch.nn.Module):
    """A loss as a module of PyTorch; made by ``as_module``.

    It has no parameters and nothing in its ``state_dict``: like ``delta`` of ``torch.nn.HuberLoss``, the parameters of
    a loss, class weights among them, belong to the program, and checkpoints fit whatever loss they were trained with.
    They follow the device and dtype of the predictions by themselves.

    Attributes
    ----------
    loss : Loss
        What is computed.
    reduction : str
        How, as in calls of the loss.

    Examples
    --------
    >>> import lossfn, torch
    >>> from lossfn.torch import LossModule
    >>> criterion = LossModule(lossfn.Huber(delta=2.0), reduction="sum")
    >>> criterion(torch.tensor([0.5, 4.0]), torch.zeros(2))
    tensor(6.1250)
    """

    def __init__(self, loss: Loss, reduction: str = "mean") -> None:
        super().__init__()
        if not isinstance(loss, Loss):
            checks.raise_no_loss("as_module", loss, "a loss such as lossfn.Huber()")
        checks.check_reduction("as_module", reduction, None)
        self.loss = loss
        self.reduction = reduction

    def forward(self, pred: Any, target: Any, *, weight: Any = None, mask: Any = None, denominator: Any = None) -> Any:
        """Return the loss of tensors, as the loss itself does."""
        return self.loss(pred, target, weight=weight, mask=mask, reduction=self.reduction, denominator=denominator)

    def extra_repr(self) -> str:
        """Return what stands between the brackets."""
        return f"{self.loss!r}, reduction={self.reduction!r}"


def as_module(loss: Loss, *, reduction: str = "mean") -> LossModule:
    """Return a loss as a ``torch.nn.Module`` without parameters.

    Parameters
    ----------
    loss : Loss
        Any loss.
    reduction : {"mean", "sum", "none", "mean_over_batch"}
        How calls reduce.

    Examples
    --------
    >>> import lossfn, torch
    >>> from lossfn.torch import as_module
    >>> criterion = as_module(lossfn.Huber(delta=2.0))
    >>> criterion
    LossModule(Huber(delta=2.0), reduction='mean')
    >>> pred = torch.tensor([0.5, 4.0], requires_grad=True)
    >>> criterion(pred, torch.zeros(2)).backward()
    >>> pred.grad
    tensor([0.2500, 1.0000])
    """
    return LossModule(loss, reduction)
