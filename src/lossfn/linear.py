"""Cross-entropy of a linear map, whose logits never exist together: the call, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from math import prod
from numbers import Integral
from typing import Any, ParamSpec, TypeVar

from lossfn import checks
from lossfn.engine import batch as batches
from lossfn.engine.libraries import compatible
from lossfn.engine.paths import adapter
from lossfn.linear_rows import LinearGradient, LinearRows
from lossfn.losses.multiclass import CrossEntropy

OWNER = "linear_cross_entropy"

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

#: Rows of a chunk: enough that matrix products are limited by arithmetic, not by memory,
ROWS = 768
#: and where classes are few, as many rows as make so many logits.
LOGITS = 2**20


def _in_own_words(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make errors speak of this function and its logits, not of the loss that it uses and its predictions."""

    @wraps(function)
    def called(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        try:
            return function(*arguments, **options)
        except (TypeError, ValueError) as error:
            owner, _, rest = str(error).partition(": ")
            if owner != CrossEntropy.__name__:
                raise
            raise type(error)(f"{OWNER}: " + re.sub(r"\bpred\b", "logits", rest)) from None

    return called


@_in_own_words
def linear_cross_entropy(
    features: Any,
    projection: Any,
    target: Any,
    *,
    bias: Any = None,
    weight: Any = None,
    mask: Any = None,
    reduction: str = "mean",
    denominator: Any = None,
    label_smoothing: float = 0.0,
    class_weight: tuple[float, ...] | None = None,
    ignore_index: int | None = None,
    temperature: float = 1.0,
    z_loss: float = 0.0,
    chunk: int | None = None,
) -> Any:
    """Return ``CrossEntropy(...)(features @ projection.T + bias, target)`` without making all these logits at once.

    For many classes, as the words of a language model: beyond its results it needs memory for ``chunk`` rows of
    logits. PyTorch tensors are differentiable by features, projection and bias, once; so gradients need no more
    memory, as they are computed chunk by chunk together with the value. (With ``reduction="none"`` the derivatives
    depend on what follows, so backwards computes the logits again.) Where few classes make the logits small,
    ``CrossEntropy`` on the logits does the same and is differentiable twice.

    On a few processors each computes a part of the chunk, and products of matrices take one thread meanwhile, also
    those of other threads of the program.

    Parameters
    ----------
    features : array (..., d)
        What the linear map takes; of the dtype of ``projection`` and ``bias``. Rows whose weight is 0, whose mask is
        false or whose index is ignored cost nothing.
    projection : array (K, d)
        One row for each class, as in ``torch.nn.Linear``.
    target : array
        Class indices (...), or distributions (..., K).
    bias : array (K,), optional
        Added to the logits.
    weight, mask, reduction, denominator
        As in every loss; no derivatives by the weight.
    label_smoothing, class_weight, ignore_index, temperature, z_loss
        As in ``CrossEntropy``.
    chunk : int, optional
        Rows whose logits exist at a time; the default is 768, or more where classes are few.

    Returns
    -------
    scalar or array
        In the library and dtype of ``features``.

    References
    ----------
    .. [1] Wijmans et al. (2024), "Cut your losses in large-vocabulary language models",
       doi:10.48550/arXiv.2411.09009.

    See Also
    --------
    linear_cross_entropy_value_and_gradient : derivatives without PyTorch.
    CrossEntropy : the loss of given logits.

    Examples
    --------
    >>> import lossfn
    >>> features, projection = [[1.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    >>> print(lossfn.linear_cross_entropy(features, projection, [0, 1]).round(6))
    0.323575
    """
    loss = CrossEntropy(
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        ignore_index=ignore_index,
        temperature=temperature,
        z_loss=z_loss,
    )
    rows = _prepare(loss, (features, projection, bias), target, weight, mask, reduction, denominator, chunk)
    if rows.caller_library == "numpy":
        return rows.value()
    return adapter("torch").linear(rows, features, projection, bias)


@_in_own_words
def linear_cross_entropy_value_and_gradient(
    features: Any,
    projection: Any,
    target: Any,
    *,
    bias: Any = None,
    weight: Any = None,
    mask: Any = None,
    reduction: str = "mean",
    denominator: Any = None,
    label_smoothing: float = 0.0,
    class_weight: tuple[float, ...] | None = None,
    ignore_index: int | None = None,
    temperature: float = 1.0,
    z_loss: float = 0.0,
    chunk: int | None = None,
) -> tuple[Any, LinearGradient]:
    """Return ``linear_cross_entropy`` and its derivatives by features, projection and bias, in one pass.

    Parameters are those of ``linear_cross_entropy``. With ``reduction="none"`` the value is unreduced and the
    derivatives are those of the sum, as in every ``value_and_gradient``.

    Returns
    -------
    value : scalar or array
        The loss.
    gradient : LinearGradient
        The named tuple (features, projection, bias), in the shapes of the arguments; without bias its last is ``None``.

    Examples
    --------
    >>> import lossfn
    >>> features, projection = [[1.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    >>> value, gradient = lossfn.linear_cross_entropy_value_and_gradient(features, projection, [0, 1])
    >>> print(gradient.features.round(4))
    [[-0.2124  0.1224]
     [ 0.     -0.1065]]
    """
    loss = CrossEntropy(
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        ignore_index=ignore_index,
        temperature=temperature,
        z_loss=z_loss,
    )
    rows = _prepare(loss, (features, projection, bias), target, weight, mask, reduction, denominator, chunk)
    if rows.caller_library == "numpy":
        return rows.value_and_gradient((True, True, bias is not None))
    value, gradient = adapter("torch").linear_value_and_gradient(rows, features, projection, bias)
    return value, LinearGradient(*gradient)


def _prepare(
    loss: CrossEntropy,
    linear: tuple[Any, Any, Any],
    target: Any,
    weight: Any,
    mask: Any,
    reduction: str,
    denominator: Any,
    chunk: int | None,
) -> LinearRows:
    """Return the rows of a call, checked."""
    checks.check_reduction(OWNER, reduction, denominator)
    arrays = {
        **dict(zip(("features", "projection", "bias"), linear, strict=True)),
        "target": target,
        "weight": weight,
        "mask": mask,
    }
    caller_library = batches.library_of(OWNER, **arrays)
    if caller_library == "jax":
        raise TypeError(
            f"{OWNER}: NumPy arrays or PyTorch tensors are needed; got JAX arrays. "
            "Use CrossEntropy on the logits of some rows inside jax.lax.map and jax.checkpoint"
        )
    if caller_library == "torch":
        arrays = adapter("torch").linear_arrays(arrays)
    library = batches.library_of(OWNER, **arrays)
    xp = compatible(library)
    device = batches.device_of(library, arrays["features"])
    features, projection = (
        xp.asarray(batches.as_array(OWNER, name, arrays[name], xp, device)) for name in ("features", "projection")
    )
    bias = arrays["bias"]
    if bias is not None:
        bias = xp.asarray(batches.as_array(OWNER, "bias", bias, xp, device))
    _check_map(features, projection, bias)
    result_dtype = features.dtype
    dtype, _ = batches.dtypes_of(OWNER, library, features)
    if library == "numpy":
        # Where no hardware multiplies matrices in half precision, that is single precision, too.
        features, projection = features.astype(dtype, copy=False), projection.astype(dtype, copy=False)
        bias = None if bias is None else bias.astype(dtype, copy=False)
    shape, classes = tuple(features.shape), projection.shape[0]
    # One number stands for all logits.
    logits = xp.broadcast_to(xp.zeros((), dtype=dtype, device=device), (*shape[:-1], classes))
    batch = loss._prepare(logits, arrays["target"], arrays["weight"], arrays["mask"])
    batch.result_dtype = result_dtype
    divisor = loss._divisor(batch, reduction, denominator)
    size = _chunk_of(classes, chunk)
    return LinearRows(
        loss,
        batch,
        features.reshape(prod(shape[:-1]), shape[-1]),
        projection,
        bias,
        shape,
        reduction,
        divisor,
        size,
        caller_library,
    )


def _check_map(features: Any, projection: Any, bias: Any) -> None:
    shapes = [tuple(array.shape) for array in (features, projection)]
    if len(shapes[0]) == 0 or len(shapes[1]) != 2 or shapes[0][-1] != shapes[1][1]:
        message = (
            f"{OWNER}: features must be (..., d) and projection (classes, d); "
            f"got features {shapes[0]} and projection {shapes[1]}"
        )
        if len(shapes[1]) == 2 and shapes[0][-1:] == shapes[1][:1]:
            raise ValueError(f"{message}. Use projection.T")
        raise ValueError(message)
    if bias is not None and tuple(bias.shape) != shapes[1][:1]:
        raise ValueError(f"{OWNER}: bias must have one number for each class {shapes[1][:1]}; got {tuple(bias.shape)}")
    dtype = batches.dtype_name(features.dtype)
    if dtype not in batches.COMPUTE:
        raise TypeError(f"{OWNER}: features must be {' or '.join(batches.COMPUTE)}; got {dtype}. Convert them")
    for name, array in (("projection", projection), ("bias", bias)):
        if array is not None and array.dtype != features.dtype:
            raise TypeError(
                f"{OWNER}: features and {name} must have the same dtype; "
                f"got {dtype} and {batches.dtype_name(array.dtype)}. Convert one of them"
            )


def _chunk_of(classes: int, chunk: Any) -> int:
    if chunk is None:
        return max(ROWS, LOGITS // classes)
    if isinstance(chunk, bool) or not isinstance(chunk, Integral):
        raise TypeError(f"{OWNER}: chunk must be a number of rows, an integer >= 1; got {chunk!r}")
    if chunk < 1:
        raise ValueError(f"{OWNER}: chunk must be a number of rows, an integer >= 1; got {chunk}")
    return int(chunk)
