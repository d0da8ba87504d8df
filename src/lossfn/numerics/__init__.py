"""The functions that losses are made of, exact at their limits, for arrays of NumPy, PyTorch and JAX.

Results are of the caller's library and dtype (half precision is computed in float32); derivatives are right at kinks
and at ±∞, as often as one differentiates. Nothing is clipped and no epsilon is added.
"""

from lossfn.numerics.elementwise import log1mexp, log_sigmoid, sigmoid, softplus, xlogy
from lossfn.numerics.gradients import clip_by_global_norm, clip_by_value
from lossfn.numerics.labels import one_hot, smooth_labels, to_signed
from lossfn.numerics.rows import entropy, log_softmax, logsumexp, softmax
from lossfn.numerics.scaling import LossScaler

__all__ = [
    "LossScaler",
    "clip_by_global_norm",
    "clip_by_value",
    "entropy",
    "log1mexp",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "one_hot",
    "sigmoid",
    "smooth_labels",
    "softmax",
    "softplus",
    "to_signed",
    "xlogy",
]
