"""The probabilities behind predictions that were trained with a loss which is not proper.

Such a loss is minimised not by the true probability π but by some p(π). These functions return π from p. For losses of
logits of two classes, ``loss.inverse_link`` does the same for any loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lossfn import fields
from lossfn.numerics.arrays import Inputs, check_axis, check_domain, check_number, prepare
from lossfn.numerics.elementwise import xlogy
from lossfn.numerics.rows import softmax


def focal_to_probability(probability: Any, gamma: float, axis: int | None = None) -> Any:
    """Return the true probabilities for which focal loss is minimised by the given ones.

    Focal loss pulls its minimiser towards ½ (towards the uniform distribution), whatever the truth: outputs of a model
    trained with it are under-confident, and this map undoes it. With a(p) = (1 − p)^γ / p − γ (1 − p)^(γ−1) log p the
    true probabilities are in proportion to 1 / a(p).

    Parameters
    ----------
    probability : array
        Probabilities of class 1 of two, one for each element; distributions over K classes along ``axis`` if that is
        given.
    gamma : float
        The focusing parameter of the loss.
    axis : int, optional
        The axis of the classes.

    See Also
    --------
    lossfn.BinaryFocal : its ``inverse_link`` takes logits, which lose nothing near 0 and 1.

    References
    ----------
    .. [1] Charoenphakdee et al. (2021), "On focal loss for class-posterior probability estimation",
       doi:10.1109/CVPR46437.2021.00516.

    Examples
    --------
    >>> from lossfn.calibration import focal_to_probability
    >>> print(focal_to_probability([0.306, 0.578], gamma=2.0).round(2))
    [0.1 0.7]
    """
    owner = "focal_to_probability"
    check_number(owner, "gamma", gamma, fields.NONNEGATIVE)
    inputs = _probabilities(owner, probability)
    (p,) = inputs.arrays
    with inputs.silently():
        if axis is not None:
            return inputs.finish(softmax(_log_share(inputs.xp, p, 1 - p, gamma), axis))
        shares = [_log_share(inputs.xp, *pair, gamma) for pair in ((1 - p, p), (p, 1 - p))]
        return inputs.finish(softmax(inputs.xp.stack(shares, axis=-1))[..., 1])


def _log_share(xp: Any, p: Any, opposite: Any, gamma: float) -> Any:
    """Return −log a(p), with the factor (1 − p)^γ taken out of a: what is left has the limit 1 + γ at p = 1."""
    is_certain = opposite == 0
    left = 1 - gamma * xlogy(p, p) / xp.where(is_certain, 1.0, opposite)
    left = xp.where(is_certain, 1 + gamma, left)
    return xp.log(p) - xlogy(gamma, opposite) - xp.log(left)


def unweight_probability(probability: Any, weight: Any, axis: int | None = None) -> Any:
    """Return the true probabilities for which cross-entropy with class weights is minimised by the given ones.

    With a factor w on the positive term the minimiser is wπ / (wπ + 1 − π), so π = p / (p + w (1 − p)). With a weight
    for each of K classes the true probabilities are in proportion to p / w.

    Parameters
    ----------
    probability : array
        Probabilities of class 1 of two, one for each element; distributions over K classes along ``axis`` if that is
        given.
    weight : float, or sequence of K floats
        The ``pos_weight`` of the loss (or the weight of class 1 over that of class 0); with ``axis`` the class weights.
    axis : int, optional
        The axis of the classes.

    Examples
    --------
    >>> from lossfn.calibration import unweight_probability
    >>> print(unweight_probability([0.5, 0.890625], weight=19.0).round(4))
    [0.05 0.3 ]
    """
    owner = "unweight_probability"
    weights = [weight] if axis is None else np.atleast_1d(weight).tolist()
    for each in weights:
        check_number(owner, "weight", each, fields.POSITIVE)
    inputs = _probabilities(owner, probability)
    (p,) = inputs.arrays
    if axis is None:
        return inputs.finish(p / (p + weight * (1 - p)))
    check_axis(owner, p, axis)
    if len(weights) != p.shape[axis]:
        raise ValueError(f"{owner}: one weight for each of {p.shape[axis]} classes is needed; got {len(weights)}")
    place = {"device": p.device} if inputs.library == "torch" else {}
    share = inputs.xp.moveaxis(p, axis, -1) / inputs.xp.asarray(weights, dtype=p.dtype, **place)
    share = share / inputs.xp.sum(share, axis=-1, keepdims=True)
    return inputs.finish(inputs.xp.moveaxis(share, -1, axis))


def desmooth(probability: Any, epsilon: float, axis: int | None = None) -> Any:
    """Return the true probabilities for which cross-entropy with label smoothing is minimised by the given ones.

    Smoothing replaces labels by (1 − ε)·label + ε/K, and moves the minimiser likewise; π = (p − ε/K) / (1 − ε). No
    truth has a minimiser below ε/K or above 1 − ε + ε/K, although models may say so: such values mean 0 and 1, and a
    distribution that this leaves with another sum is divided by it.

    Parameters
    ----------
    probability : array
        Probabilities of class 1 of two, one for each element; distributions over K classes along ``axis`` if that is
        given.
    epsilon : float
        The smoothing of the loss, in [0, 1).
    axis : int, optional
        The axis of the classes.

    Examples
    --------
    >>> from lossfn.calibration import desmooth
    >>> print(desmooth([0.05, 0.64, 0.999], epsilon=0.3).round(4))
    [0.  0.7 1. ]
    """
    owner = "desmooth"
    check_number(owner, "epsilon", epsilon, fields.HALF_OPEN_FRACTION)
    inputs = _probabilities(owner, probability)
    xp, (p,) = inputs.xp, inputs.arrays
    if axis is not None:
        check_axis(owner, p, axis)
    classes = 2 if axis is None else p.shape[axis]
    result = xp.clip((p - epsilon / classes) / (1 - epsilon), 0.0, 1.0)
    if axis is not None:
        result = result / xp.sum(result, axis=axis, keepdims=True)
    return inputs.finish(result)


def _probabilities(owner: str, probability: Any) -> Inputs:
    inputs = prepare(owner, probability=probability)
    check_domain(owner, "probability", inputs.arrays[0], fields.PROBABILITY, inputs.library)
    return inputs
