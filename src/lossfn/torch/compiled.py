"""Losses inside ``torch.compile``: each call is one node of the graph, whatever Python stands behind it."""

from __future__ import annotations

from typing import Any

import torch

from lossfn.loss import Loss

#: Losses in graphs, for ever: a graph may hold numbers, but no losses.
_losses: list[Loss] = []


def in_graph(loss: Loss, method: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of a loss as one node of the graph that is being built.

    The compiler does not read the method. It runs it on tensors without numbers and sees the operations of PyTorch,
    derived gradients among them, so that they are fused with those around them.
    """
    # Asking for its identity ties the graph to this loss, and not only to its class.
    id(loss)
    return _call(loss._number_in_graphs(), method, *arguments, **options)


def number_of(loss: Loss) -> int:
    """Return the place of a loss among those in graphs."""
    if loss not in _losses:
        _losses.append(loss)
    return _losses.index(loss)


# Run, not read: what it returns is a constant of the graph. Older versions of PyTorch, 2.8 among them, let a method of
# an object be that, but no function of one.
torch.compiler.assume_constant_result(Loss._number_in_graphs)


@torch.compiler.allow_in_graph
def _call(number: int, method: str, *arguments: Any, **options: Any) -> Any:
    return getattr(_losses[number], method)(*arguments, **options)
