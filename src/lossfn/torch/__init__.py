"""Losses in PyTorch: one call, three routes to the same derived derivatives.

========================  =========================================================================================
route                     taken by
========================  =========================================================================================
kernels                   float32 and float64 tensors whose numbers lie in the memory of the processor, uncopied;
                          value and gradient come from one pass
operations of PyTorch     tensors on accelerators, in half precision, and inside ``vmap``, ``jvp``, ``torch.func.grad``;
                          second derivatives
one node of a graph       code that ``torch.compile`` reads: the operations are fused with those around them
========================  =========================================================================================

All are differentiable twice by the prediction, and refuse a target that requires a gradient. Code that is compiled with
``fullgraph=True`` uses losses that were made outside of it. Where values cannot be checked, as on accelerators and in
transforms, a target outside its domain gives NaN.
"""

from __future__ import annotations

from lossfn.extras import needs

with needs("lossfn.torch", "torch"):
    # The engine takes these from here; users take what __all__ says.
    from lossfn.torch.compiled import in_graph as in_graph, number_of as number_of
    from lossfn.torch.kernels import differentiable as differentiable
    from lossfn.torch.linear import (
        linear as linear,
        linear_arrays as linear_arrays,
        linear_value_and_gradient as linear_value_and_gradient,
    )
    from lossfn.torch.module import LossModule, as_module
    from lossfn.torch.operations import evaluate as evaluate, rowwise as rowwise

__all__ = ["LossModule", "as_module"]
