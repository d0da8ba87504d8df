"""Losses inside ``torch.compile``: each call is one node of the graph, whatever Python stands behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from lossfn.loss import Loss

#: Losses in graphs, for ever: a graph may hold numbers, but no losses.
_losses: list[Loss] = []


def in_graph(loss: Loss, method: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of a loss as one node of the graph that is being built.

    The compiler does not read the method. It runs it on tensors without numbers and sees the operations of PyTorch,
    derived gradients among them, so that they are fused with those around them.
    """
    return _call(_number_of(loss), method, *arguments, **options)


# Run, not read: what it returns is a constant of the graph.
@torch.compiler.assume_constant_result
def _number_of(loss: Loss) -> int:
    if loss not in _losses:
        _losses.append(loss)
    return _losses.index(loss)


@torch.compiler.allow_in_graph
def _call(number: int, method: str, *arguments: Any, **options: Any) -> Any:
    return getattr(_losses[number], method)(*arguments, **options)
