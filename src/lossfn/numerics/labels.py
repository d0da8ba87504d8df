"""Labels in the encodings that losses declare."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from lossfn import checks, fields
from lossfn.engine import batch as batches
from lossfn.engine.libraries import compatible
from lossfn.fields import Domain
from lossfn.numerics.arrays import check_axis, check_domain, check_number, prepare, to_array

UNSIGNED = dataclasses.replace(fields.BINARY, cure="labels -1/+1 need no conversion")


def to_signed(labels: Any) -> Any:
    """Convert labels 0 and 1 to -1 and +1, as floating-point numbers.

    Parameters
    ----------
    labels : array (...)
        Labels 0 and 1, of any real dtype; any other is refused.

    Returns
    -------
    array (...)
        In the dtype of floating-point labels, else the library's usual floating dtype.

    Examples
    --------
    >>> import lossfn
    >>> lossfn.to_signed([0, 1, 1])
    array([-1.,  1.,  1.])
    """
    inputs = prepare("to_signed", labels=labels)
    (array,) = inputs.arrays
    check_domain("to_signed", "labels", array, UNSIGNED, inputs.library)
    return inputs.finish(2 * array - 1)


def one_hot(labels: Any, classes: int, dtype: Any = None) -> Any:
    """Return for each class index a row of ``classes`` numbers: 1 at the index, 0 elsewhere.

    Parameters
    ----------
    labels : integer array (...)
        Indices from 0 to ``classes`` - 1; any other is refused.
    classes : int
        Number of classes, the length of the new last axis.
    dtype : dtype, optional
        Of the result; the library's usual floating dtype by default.

    Examples
    --------
    >>> from lossfn.numerics import one_hot
    >>> print(one_hot([2, 0], 3))
    [[0. 0. 1.]
     [1. 0. 0.]]
    """
    if isinstance(classes, bool) or not isinstance(classes, (int, np.integer)) or classes < 1:
        raise ValueError(f"one_hot: classes must be an integer >= 1; got {classes!r}")
    library = batches.library_of("one_hot", labels=labels)
    xp = compatible(library)
    array = to_array("one_hot", "labels", labels, library, {})
    if not xp.isdtype(array.dtype, ("bool", "integral")):
        raise TypeError(f"one_hot: labels must be integers, the indices of classes; got dtype {array.dtype}")
    index = Domain(f"a class index from 0 to {classes - 1}", members=tuple(range(classes)))
    if library == "torch" or xp.isdtype(array.dtype, "bool"):
        array = xp.astype(array, xp.int64 if library == "torch" else xp.int32)
    check_domain("one_hot", "labels", array, index, library)
    place = {"device": array.device} if library == "torch" else {}
    rows = xp.arange(classes, **place) == array[..., None]
    return xp.astype(rows, dtype if dtype is not None else xp.asarray(0.0).dtype)


def smooth_labels(target: Any, epsilon: float, axis: int | None = -1) -> Any:
    """Return targets mixed with the uniform distribution: (1 − epsilon)·target + epsilon/K.

    A loss that is minimised on smoothed labels no longer elicits the probabilities; ``lossfn.calibration.desmooth``
    brings them back.

    Parameters
    ----------
    target : array
        Distributions over K classes along ``axis``; with ``axis=None`` probabilities of class 1 of two, one for each
        element.
    epsilon : float
        The share that is replaced, from 0 to 1.
    axis : int or None
        The axis of the classes.

    References
    ----------
    .. [1] Szegedy et al. (2016), "Rethinking the Inception architecture for computer vision",
       doi:10.1109/CVPR.2016.308.

    Examples
    --------
    >>> from lossfn.numerics import one_hot, smooth_labels
    >>> print(smooth_labels(one_hot([1], 4), 0.2))
    [[0.05 0.85 0.05 0.05]]
    >>> print(smooth_labels([0, 1], 0.2, axis=None))
    [0.1 0.9]
    """
    check_number("smooth_labels", "epsilon", epsilon, Domain("a number in [0, 1]", 0.0, 1.0))
    inputs = prepare("smooth_labels", target=target)
    (array,) = inputs.arrays
    check_domain("smooth_labels", "target", array, fields.PROBABILITY, inputs.library)
    if axis is not None:
        check_axis("smooth_labels", array, axis)
    if axis is not None and not batches.is_traced(inputs.library, array):
        _check_sums(array, axis)
    classes = 2 if axis is None else array.shape[axis]
    return inputs.finish(array * (1 - epsilon) + epsilon / classes)


def _check_sums(array: Any, axis: int) -> None:
    sums = array.sum(axis)
    wrong = abs(sums - 1) > checks.SUM_TOLERANCE
    if wrong.any():
        total = float(sums[wrong].reshape(-1)[0])
        raise ValueError(
            f"smooth_labels: target must add up to 1 along axis {axis}; a row adds up to {total:g}. "
            "For class indices use one_hot first, for labels 0/1 axis=None"
        )
