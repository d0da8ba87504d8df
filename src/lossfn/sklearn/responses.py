"""What an estimator predicts, as predictions of a loss: numbers, probabilities or scores, on the scale of the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lossfn import checks, fields
from lossfn.objective import Array
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

RESPONSE_METHODS = ("predict", "predict_proba", "decision_function")

# Callers who hand over logits or labels can convert them, those of an estimator cannot.
PROBABILITY = dataclasses.replace(fields.PROBABILITY, cure="")

#: How far the probabilities or rates that converted predictions imply may be from the estimator's.
TOLERANCE = 1e-6
# Bisection: logits of the smallest probability are below 1000, but losses with heavy tails go further.
DOUBLINGS = 200
HALVINGS = 120


class Response(Protocol):
    """How a loss uses an estimator."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of an estimator that it can use, in the order of preference."""

    def predictions(self, estimator: Any, X: Any, y: Any) -> tuple[Any, Any]:
        """Return predictions and targets as the loss takes them."""


def response_of(loss: PointwiseLoss | RowwiseLoss, method: str | None) -> Response:
    """Return how a loss uses estimators; refuse one that cannot, or a method that is not for it."""
    name = type(loss).__name__
    if len(loss.target_parts) > 1:
        parts = " and ".join(part.removeprefix("target.") for part in loss.target_parts)
        raise ValueError(f"scorer: the targets of {name} are {parts}, and y is a single number or class a row")
    if isinstance(loss, RowwiseLoss) and not loss.one_score_a_class:
        raise ValueError(f"scorer: the scores of {name} are not those of classes; no estimator predicts them")
    possible: tuple[str, ...]
    if loss.task == "regression":
        assert isinstance(loss, PointwiseLoss)
        possible = ("predict_heads", "predict") if len(loss.heads) > 1 else ("predict",)
    elif not loss.gives_probability:
        possible = ("decision_function",)
    elif _lives_on_margins(loss):
        possible = ("decision_function", "predict_proba")
    else:
        possible = ("predict_proba",)
    if method is None:
        chosen = possible
    elif method in possible or (method == "decision_function" and loss.task != "regression" and _takes_scores(loss)):
        chosen = (method,)
    else:
        raise ValueError(f"scorer: {loss!r} uses {' or '.join(possible)}, not {method}")
    if isinstance(loss, RowwiseLoss):
        return OfRows(loss, chosen)
    return OfNumbers(loss, chosen) if loss.task == "regression" else OfTwoClasses(loss, chosen)


def _lives_on_margins(loss: PointwiseLoss | RowwiseLoss) -> bool:
    return isinstance(loss, PointwiseLoss) and loss.target == fields.SIGNED


def _takes_scores(loss: PointwiseLoss | RowwiseLoss) -> bool:
    if isinstance(loss, RowwiseLoss):
        return _inputs(loss) == "logits"
    return loss.prediction.takes_any_score


def _inputs(loss: RowwiseLoss) -> str:
    return str(getattr(loss, "inputs", "logits"))


@dataclass(frozen=True)
class OfNumbers:
    """Numbers, and distributions with several heads."""

    loss: PointwiseLoss
    methods: tuple[str, ...]

    def predictions(self, estimator: Any, X: Any, y: Any) -> tuple[Any, Any]:
        """Return predictions through the link, and the targets as they came."""
        method, respond = _method(estimator, self.methods, self.loss)
        natural = respond(X)
        heads = self.loss.heads
        natural = np.asarray(natural, dtype=np.float64)
        if len(heads) > 1 and natural.shape[-1:] != (len(heads),):
            raise ValueError(
                f"scorer: {self.loss!r} takes {len(heads)} predictions a row ({', '.join(heads)}); "
                f"{type(estimator).__name__}.{method} returned {natural.shape}"
            )
        return _linked(self.loss, natural, _through(self.loss.link, natural)), y


@dataclass(frozen=True)
class OfTwoClasses:
    """Two classes, of which the second of ``classes_`` is the positive one."""

    loss: PointwiseLoss
    methods: tuple[str, ...]

    def predictions(self, estimator: Any, X: Any, y: Any) -> tuple[Any, Any]:
        """Return predictions for the second class, and labels as the loss takes them."""
        classes = _classes(estimator, self.loss)
        if len(classes) != 2:
            raise ValueError(
                f"scorer: {self.loss!r} is a loss of two classes, and the estimator knows {len(classes)}: use a loss "
                "of rows such as CrossEntropy()"
            )
        (domain,) = fields.domains_of(self.loss.target)
        labels = np.array(domain.members or (domain.low, domain.high))
        target = labels[_codes(classes, y)]
        method, respond = _method(estimator, self.methods, self.loss)
        response = _shaped(estimator, method, respond(X), (len(target),) if method == "decision_function" else None)
        if method == "decision_function":
            return response, target
        return self._implying(_probabilities(estimator, response, (len(target), 2))), target

    def _implying(self, probabilities: Array) -> Array:
        """Return the predictions for which the loss implies probabilities (n, 2)."""
        first, second = probabilities.T
        with np.errstate(divide="ignore"):
            if not _takes_scores(self.loss):
                found = second if 0.5 in self.loss.prediction else np.log(second)
                return _linked(self.loss, second, found)
            # More precise than log(p / (1 - p)): what is left of a probability near 1 stands in the other column.
            logit: Array = np.log(second) - np.log(first)
        if _agrees(self.loss, logit, second):
            return logit
        return _implied_by_search(self.loss, second)


@dataclass(frozen=True)
class OfRows:
    """One score or probability for each class."""

    loss: RowwiseLoss
    methods: tuple[str, ...]

    def predictions(self, estimator: Any, X: Any, y: Any) -> tuple[Any, Any]:
        """Return a row for each class, and the indices of classes."""
        classes = _classes(estimator, self.loss)
        target = _codes(classes, y)
        shape = (len(target), len(classes))
        method, respond = _method(estimator, self.methods, self.loss)
        if method == "predict_proba":
            natural = _probabilities(estimator, respond(X), shape)
            return self._implying(natural), target
        scores = np.asarray(respond(X), dtype=np.float64)
        if scores.ndim == 1 and len(classes) == 2 and self.loss.shift_invariant:
            # A single score of two classes is the difference of theirs.
            return np.stack([np.zeros_like(scores), scores], axis=-1), target
        return _shaped(estimator, method, scores, shape), target

    def _implying(self, probabilities: Array) -> Array:
        """Return the rows for which the loss implies probabilities (n, K)."""
        if _inputs(self.loss) == "probabilities":
            return _linked(self.loss, probabilities, probabilities)
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithm = np.log(probabilities)
            if _agrees(self.loss, logarithm, probabilities):
                return logarithm
            # Weights and priors of classes move the scores of each class by a number of its own.
            shift = np.where(probabilities > 0, logarithm - np.log(self.loss.inverse_link(logarithm)), 0.0)
        return _linked(self.loss, probabilities, logarithm + shift)


def _method(estimator: Any, methods: tuple[str, ...], loss: Any) -> tuple[str, Callable[[Any], Any]]:
    """Return the first of the methods that an estimator has."""
    for method in methods:
        if hasattr(estimator, method):
            return method, getattr(estimator, method)
    advice = ""
    if methods == ("predict_proba",) and hasattr(estimator, "decision_function") and _takes_scores(loss):
        advice = "; response_method='decision_function' hands its scores to the loss as they are"
    raise AttributeError(
        f"scorer: {loss!r} needs {' or '.join(methods)}, which {type(estimator).__name__} does not have{advice}"
    )


def _classes(estimator: Any, loss: Any) -> Any:
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise ValueError(f"scorer: {loss!r} is a loss of classes, and {type(estimator).__name__} has no classes_")
    return np.asarray(classes)


def _codes(classes: Any, y: Any) -> Any:
    """Return the position of each label among the classes."""
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise ValueError(f"scorer: y must hold one label a row, (n,); got {labels.shape}")
    codes = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    unknown = labels[classes[codes] != labels]
    if unknown.size:
        raise ValueError(
            f"scorer: y holds {unknown.tolist()[0]!r}, which is none of the estimator's classes {classes.tolist()}"
        )
    return codes


def _shaped(estimator: Any, method: str, response: Any, shape: tuple[int, ...] | None) -> Array:
    found: Array = np.asarray(response, dtype=np.float64)
    if shape is not None and found.shape != shape:
        raise ValueError(f"scorer: {type(estimator).__name__}.{method} must return {shape}; got {found.shape}")
    return found


def _probabilities(estimator: Any, response: Any, shape: tuple[int, ...]) -> Array:
    found = _shaped(estimator, "predict_proba", response, shape)
    inside = (found >= 0) & (found <= 1)
    if not inside.all():
        checks.raise_outside("scorer", f"{type(estimator).__name__}.predict_proba", found, inside, PROBABILITY)
    return found


def _through(link: str | tuple[str, ...], natural: Array) -> Array:
    """Return predictions on the scale of the loss by its declared link."""
    if isinstance(link, tuple):
        heads = [_through(each, natural[..., position]) for position, each in enumerate(link)]
        return np.stack(heads, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        match link:
            case "log":
                linked: Array = np.log(natural)
            case "logit":
                linked = np.log(natural) - np.log1p(-natural)
            case _:
                linked = natural
    return linked


def _linked(loss: PointwiseLoss | RowwiseLoss, natural: Array, found: Array) -> Array:
    """Return what was found, after checking that the loss's own inverse leads back."""
    impossible = np.isnan(found) & ~np.isnan(natural)
    if impossible.any():
        link = str(loss.link) if isinstance(loss, PointwiseLoss) else ""
        scale = {"log": "a rate >= 0", "logit": "a share in [0, 1]"}.get(link, "possible")
        raise ValueError(
            f"scorer: the estimator predicted {natural[impossible][0]:g}, which is not {scale} for {loss!r}"
        )
    if not _agrees(loss, found, natural):
        advice = "; response_method='decision_function' hands scores to the loss as they are" * (
            loss.task != "regression"
        )
        raise ValueError(
            f"scorer: no formula is known for the predictions by which {loss!r} means what the estimator predicted"
            f"{advice}"
        )
    return found


def _agrees(loss: PointwiseLoss | RowwiseLoss, found: Array, natural: Array) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.allclose(loss.inverse_link(found), natural, rtol=TOLERANCE, atol=1e-9, equal_nan=True))


def _implied_by_search(loss: PointwiseLoss, probability: Array) -> Array:
    """Return the predictions for which a loss of two classes implies probabilities, by bisection of its inverse link.

    A certain class is predicted as the best constant of targets that are all of this class.
    """
    low, high = -np.ones_like(probability), np.ones_like(probability)
    with np.errstate(all="ignore"):
        for _ in range(DOUBLINGS):
            too_high, too_low = loss.inverse_link(low) > probability, loss.inverse_link(high) < probability
            if not (too_high.any() or too_low.any()):
                break
            low, high = np.where(too_high, 2 * low, low), np.where(too_low, 2 * high, high)
        for _ in range(HALVINGS):
            middle = low + (high - low) / 2
            is_below = loss.inverse_link(middle) < probability
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    (domain,) = fields.domains_of(loss.target)
    for certain, label in zip((0.0, 1.0), domain.members or (domain.low, domain.high), strict=True):
        if (probability == certain).any():
            high = np.where(probability == certain, loss.optimal_constant([label]), high)
    return high
