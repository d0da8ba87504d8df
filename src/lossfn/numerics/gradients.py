"""Clipping of gradients: arrays, or lists, tuples and dictionaries of them, nested as they come."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from lossfn.engine import batch as batches
from lossfn.engine.libraries import compatible, has_float64
from lossfn.engine.primitives import PRIMITIVES
from lossfn.fields import Domain
from lossfn.numerics.arrays import check_number, to_array

LIMIT = Domain("a number >= 0", low=0.0, closed_at_infinity=True)


def leaves(gradients: Any) -> Iterator[Any]:
    """Yield the arrays of nested lists, tuples and dictionaries; ``None``, a parameter without gradient, is none."""
    if isinstance(gradients, dict):
        gradients = gradients.values()
    elif not isinstance(gradients, (list, tuple)):
        if gradients is not None:
            yield gradients
        return
    for item in gradients:
        yield from leaves(item)


def transform(function: Callable[[Any], Any], gradients: Any) -> Any:
    """Apply a function to each array, and keep the nesting."""
    if gradients is None:
        return None
    if isinstance(gradients, dict):
        return type(gradients)((key, transform(function, item)) for key, item in gradients.items())
    if isinstance(gradients, (list, tuple)):
        items = [transform(function, item) for item in gradients]
        # A named tuple takes its items one by one.
        return type(gradients)(*items) if hasattr(gradients, "_fields") else type(gradients)(items)
    return function(gradients)


def library_of(owner: str, gradients: Any) -> str:
    """Return the library of all arrays."""
    return batches.library_of(owner, **{f"array {index}": array for index, array in enumerate(leaves(gradients))})


def clip_by_value(gradients: Any, limit: float) -> Any:
    """Return gradients with each entry clipped to ±``limit``.

    This changes the direction of the step; ``clip_by_global_norm`` does not. Infinite entries become ±``limit``; NaN
    stays NaN.

    Parameters
    ----------
    gradients : array, or nested lists, tuples and dictionaries of arrays
        ``None`` entries stay ``None``.
    limit : float
        The largest size that an entry may keep.

    Examples
    --------
    >>> from lossfn.numerics import clip_by_value
    >>> clip_by_value({"weight": [[-3.0, 0.5]], "bias": None}, 1.0)["bias"] is None
    True
    >>> import numpy as np
    >>> print(clip_by_value(np.array([-3.0, 0.5]), 1.0))
    [-1.   0.5]
    """
    check_number("clip_by_value", "limit", limit, LIMIT)
    library = library_of("clip_by_value", gradients)
    xp = compatible(library)

    def clip(array: Any) -> Any:
        array = to_array("clip_by_value", "gradients", array, library, {})
        return xp.where(array > limit, limit, xp.where(array < -limit, -limit, array))

    return transform(clip, gradients)


def clip_by_global_norm(gradients: Any, max_norm: float) -> tuple[Any, Any]:
    """Return gradients scaled so that their common Euclidean norm is at most ``max_norm``, and the norm before.

    Gradients within the limit are returned unchanged, to the last bit; a zero gradient stays zero. The norm is computed
    without overflow and in float64 where there is float64. If an entry is infinite or NaN, the direction of the step is
    unknown: the norm is infinite or NaN, and every entry becomes NaN, so that nobody takes the step for a good one.

    Parameters
    ----------
    gradients : array, or nested lists, tuples and dictionaries of arrays
        ``None`` entries stay ``None`` and count as zero.
    max_norm : float
        The largest norm; ``math.inf`` only measures.

    Returns
    -------
    clipped : like ``gradients``
        In their own dtypes.
    norm : scalar
        The Euclidean norm of all entries together, before clipping.

    References
    ----------
    .. [1] Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks",
       https://proceedings.mlr.press/v28/pascanu13.html.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn.numerics import clip_by_global_norm
    >>> clipped, norm = clip_by_global_norm([np.array([3.0]), np.array([4.0])], 1.0)
    >>> print(clipped, norm)
    [array([0.6]), array([0.8])] 5.0
    """
    check_number("clip_by_global_norm", "max_norm", max_norm, LIMIT)
    library = library_of("clip_by_global_norm", gradients)
    norm = global_norm(library, gradients)
    xp = compatible(library)
    exceeds = norm > max_norm
    factor = xp.where(exceeds, max_norm / xp.where(exceeds, norm, 1.0), 1.0)
    factor = xp.where(xp.abs(norm) < math.inf, factor, math.nan)

    def scale(array: Any) -> Any:
        array = to_array("clip_by_global_norm", "gradients", array, library, {})
        return xp.astype(array * factor, array.dtype, copy=False)

    return transform(scale, gradients), norm


def global_norm(library: str, gradients: Any) -> Any:
    """Return the Euclidean norm of all entries; its own gradient at zero is 0, not NaN."""
    xp = compatible(library)
    arrays = [to_array("clip_by_global_norm", "gradients", array, library, {}) for array in leaves(gradients)]
    for array in arrays:
        if not xp.isdtype(array.dtype, "real floating"):
            raise TypeError(f"clip_by_global_norm: gradients must be floating; got dtype {array.dtype}")
    arrays = [array for array in arrays if math.prod(array.shape)]
    if not arrays:
        return xp.asarray(0.0)[()]
    device = getattr(arrays[0], "device", None)
    wide = xp.float64 if has_float64(library, device) else xp.float32
    entries = [xp.astype(array, wide, copy=False) for array in arrays]
    sizes = [xp.max(xp.abs(PRIMITIVES["stop_gradient"].array(xp, array))) for array in entries]
    largest = sizes[0]
    for size in sizes[1:]:
        largest = xp.where((size > largest) | (size != size), size, largest)
    # Relative to the largest entry no square overflows or vanishes.
    unit = xp.where((largest > 0) & (largest < math.inf), largest, 1.0)
    total = sum(xp.sum((array / unit) ** 2) for array in entries)
    is_zero = total == 0
    return unit * xp.where(is_zero, 0.0, xp.sqrt(xp.where(is_zero, 1.0, total)))
