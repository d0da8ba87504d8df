"""Losses in Keras 3, as objects that ``compile`` takes. No mathematics stands here."""

from __future__ import annotations

import re
from typing import Any, Self

from lossfn import checks
from lossfn.extras import needs

try:
    with needs("lossfn.keras", "keras"):
        import keras
except ModuleNotFoundError as error:
    if error.name not in ("tensorflow", "torch", "jax"):
        raise
    raise ImportError(
        f"lossfn.keras: Keras is there, but its backend {error.name} is not; set the environment variable "
        "KERAS_BACKEND to torch or jax, whichever is installed, before keras is imported"
    ) from error

from keras import ops

# Keras keeps masks beside arrays that take no attributes, and has no public name for finding them.
from keras.src.backend import get_keras_mask

from lossfn.loss import Loss
from lossfn.registry import parse_loss, snake_case

#: Backends whose arrays a loss knows. On the last, models predict and evaluate, but do not train.
BACKENDS = ("torch", "jax", "numpy")

#: What a reduction of Keras is called in the contract of a loss, where rows are the elements.
REDUCTIONS = {
    "sum_over_batch_size": "mean_over_batch",
    "mean": "mean_over_batch",
    "mean_with_sample_weight": "mean",
    "sum": "sum",
    "none": "none",
    None: "none",
}


def as_loss(
    loss: Loss, *, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: str | None = None
) -> KerasLoss:
    """Return a loss as a ``keras.losses.Loss``, for ``model.compile(loss=...)`` on the torch and the JAX backend.

    Derivatives are the derived ones, not those of the backend's automatic differentiation of the formula.

    Keras takes the target first, and models often have one output more than targets have axes: targets (N,) meet
    outputs (N, 1), and targets (N, 1) meet class indices. This one axis of length 1 is added or dropped; nothing else
    is broadcast. Predictions are on the scale of the loss, so a last layer has no activation: ``BinaryCrossEntropy``
    takes logits, ``Poisson`` log-rates, ``GaussianNLL`` an output of two units, ``CrossEntropy`` one unit a class. A
    target of several numbers, such as ``Binomial``'s successes and trials, is one array with them in the last axis.

    Parameters
    ----------
    loss : Loss
        Any loss.
    reduction : {"sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None}
        Keras's names. The default, and ``"mean"``, divide Σ w·ℓ by the number of elements that a mask keeps, whatever
        their weights, so that the losses of batches average to that of the epoch; ``"mean_with_sample_weight"``
        divides by Σ w, which is what the loss itself calls its mean, and where class weights of the loss count as well.
        ``"none"`` returns weighted elements.
    name : str, optional
        The name in Keras's logs; without it, that of the loss.
    dtype : str, optional
        What the loss computes in; without it ``keras.config.floatx()``, so that the loss of a model in mixed precision
        is computed in single precision.

    Returns
    -------
    KerasLoss
        Saved with a model and loaded with it, once ``lossfn.keras`` is imported. Of a loss of one's own, loading needs
        ``custom_objects={"MyLoss": MyLoss}``.

    Examples
    --------
    >>> import numpy as np
    >>> import lossfn
    >>> from lossfn.keras import as_loss
    >>> loss = as_loss(lossfn.Huber(delta=1.0))
    >>> target, output = np.array([0.0, 0.0]), np.array([[1.0], [3.0]])
    >>> print(float(loss(target, output)), float(loss(target, output, sample_weight=np.array([3.0, 1.0]))))
    1.5 2.0
    >>> loss.get_config()
    {'loss': 'Huber(delta=1.0)', 'name': 'huber', 'reduction': 'sum_over_batch_size', 'dtype': 'float32'}
    """
    return KerasLoss(loss, reduction=reduction, name=name, dtype=dtype)


@keras.saving.register_keras_serializable(package="lossfn")
class KerasLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras ships no types
    """A loss as Keras calls it; ``lossfn.keras.as_loss`` makes it."""

    def __init__(
        self,
        loss: Loss,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        backend = keras.config.backend()
        if backend not in BACKENDS:
            raise NotImplementedError(
                f"lossfn.keras: losses are differentiated on Keras's torch and jax backends, and this is {backend}; "
                "set the environment variable KERAS_BACKEND to torch or jax before keras is imported"
            )
        if not isinstance(loss, Loss):
            checks.raise_no_loss("as_loss", loss)
        if reduction not in REDUCTIONS:
            raise ValueError(f"as_loss: reduction must be one of {', '.join(map(str, REDUCTIONS))}; got {reduction!r}")
        super().__init__(name=name or snake_case(type(loss).__name__), reduction=reduction, dtype=dtype)
        self.loss = loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss of a batch, differentiable on the backend."""
        mask = get_keras_mask(y_pred)
        pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        scores = tuple(pred.shape)
        # The shape of elements, without the axis of heads or classes.
        shape = scores[:-1] if self.loss.takes_vectors else scores
        parts = [_fitted(part, shape, scores) for part in self._parts(y_true, shape)]
        options = {
            "weight": _of_elements("sample_weight", sample_weight, shape, self.dtype),
            "mask": _of_elements("mask", mask, shape, "bool"),
        }
        arrays = [pred, *parts]
        if all(tuple(part.shape) in (shape, scores) for part in parts):
            # Every element is a row, so that means divide by their number. What does not fit, the loss itself refuses.
            arrays = [ops.reshape(array, (-1, *array.shape[len(shape) :])) for array in arrays]
            options = {key: None if item is None else ops.reshape(item, (-1,)) for key, item in options.items()}
        target = arrays[1] if len(parts) == 1 else tuple(arrays[1:])
        value = self.loss(arrays[0], target, reduction=REDUCTIONS[self.reduction], **options)
        if REDUCTIONS[self.reduction] != "none":
            return value
        # As Keras does: the axis that only the output has would broadcast against weights (N,).
        return ops.reshape(value, shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the losses of the elements."""
        return type(self)(self.loss, reduction="none", dtype=self.dtype)(y_true, y_pred)

    def _parts(self, y_true: Any, shape: tuple[int, ...]) -> list[Any]:
        """Return the parts of the target: most losses have one."""
        count = len(self.loss.target_parts)
        if count == 1:
            return [y_true]
        if isinstance(y_true, tuple):
            return list(y_true)
        packed = ops.convert_to_tensor(y_true)
        if tuple(packed.shape) not in ((*shape, count), (*shape[:-1], count)):
            names = ", ".join(self.loss.target_parts)
            raise ValueError(
                f"{type(self.loss).__name__}: Keras hands over one array as target, which must hold the numbers "
                f"{names} in its last axis, {(*shape, count)}; got {tuple(packed.shape)}. Parts of other shapes need "
                "a training loop of one's own"
            )
        return [packed[..., position] for position in range(count)]

    def get_config(self) -> dict[str, Any]:
        """Return what ``from_config`` needs; the loss as text."""
        return {"loss": repr(self.loss), "name": self.name, "reduction": self.reduction, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the loss that a configuration describes."""
        text = config["loss"]
        named = {name: keras.saving.get_registered_object(name) for name in re.findall(r"\w+(?=\()", text)}
        own = {name: found for name, found in named.items() if found is not None}
        try:
            loss = parse_loss(text, own=own)
        except ValueError as error:
            raise ValueError(
                f"lossfn.keras: {error}. A loss of one's own is named when a model is loaded: "
                "custom_objects={'MyLoss': MyLoss}"
            ) from None
        return cls(loss, **{key: value for key, value in config.items() if key != "loss"})


def _fitted(part: Any, shape: tuple[int, ...], scores: tuple[int, ...]) -> Any:
    """Return a part of the target, with the last axis of length 1 that Keras adds or leaves out."""
    part = ops.convert_to_tensor(part)
    found = tuple(part.shape)
    if found not in (shape, scores) and (found == (*shape, 1) or (*found, 1) == shape):
        return ops.reshape(part, shape)
    return part


def _of_elements(name: str, array: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """Return one number for each element, or ``None``: those of rows, or of leading axes, apply to all elements."""
    if array is None:
        return None
    array = ops.cast(ops.convert_to_tensor(array), dtype)
    found = tuple(array.shape)
    while len(found) > 1 and found != shape[: len(found)] and found[-1] == 1:
        found = found[:-1]
    if found != shape[: len(found)]:
        allowed = " or ".join(str(shape[:axes]) for axes in range(1, len(shape) + 1))
        raise ValueError(f"as_loss: {name} must have the shape {allowed}; got {tuple(array.shape)}")
    return ops.broadcast_to(ops.reshape(array, found + (1,) * (len(shape) - len(found))), shape)
