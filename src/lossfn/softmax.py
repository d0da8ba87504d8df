"""Losses of the log-probabilities that softmax gives to the classes: one pointwise term for each class, summed."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from lossfn import reduce
from lossfn.engine import rows
from lossfn.engine.namespaces import ArrayNamespace
from lossfn.engine.row_kernels import RowKernels
from lossfn.engine.rows import RowEvaluator
from lossfn.fields import choice, half_open_fraction, nonnegative, positive
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

INPUTS = ("logits", "log_probabilities", "probabilities")


class Softmax(NamedTuple):
    """What the rows of scores say about their classes.

    ``rest`` is 1 - probability without cancellation, ``total`` the logarithm of the sum of exponentials.
    """

    log_probability: Any
    probability: Any
    rest: Any
    total: Any


def softmax_of(ops: ArrayNamespace, scores: Any) -> Softmax:
    """Return log-probabilities, probabilities, their complements and the log-sum-exp of each row.

    The largest score of a row has the exponential 1 and stays out of the sum of the others: so nothing cancels, neither
    in the logarithm of a probability next to 1 nor in its complement. A row that is -inf throughout gives NaN.
    """
    xp = ops.xp
    largest = xp.max(scores, axis=-1, keepdims=True)
    # Infinite scores, too, are 0 away from themselves.
    below = xp.where((scores == largest) & (largest > -np.inf), xp.zeros_like(scores), scores - largest)
    exponential = ops.exp(below)
    is_largest = exponential >= 1.0
    smaller = xp.where(is_largest, xp.zeros_like(scores), exponential)
    ties = xp.sum(xp.astype(is_largest, scores.dtype), axis=-1)
    others = (reduce.sum_classes(xp, smaller) + (ties - 1.0))[..., None]
    log_total = ops.log1p(others)
    rest = xp.where(is_largest, others, 1.0 + (others - exponential)) / (1.0 + others)
    return Softmax(below - log_total, exponential / (1.0 + others), rest, (largest + log_total)[..., 0])


class SoftmaxLoss(RowwiseLoss):
    """A loss of the log-probabilities that softmax gives to the classes: Σ over classes of one pointwise ``term``.

    ``term`` is a ``PointwiseLoss`` of a log-probability and of the share of the class in the target (1 and 0 for class
    indices). Gradient and Hessian of a row follow from its derivatives.

    Parameters
    ----------
    inputs : {"logits", "log_probabilities", "probabilities"}
        What scores are; the latter two are used as they are.
    label_smoothing : float
        Share of every target that is spread evenly over all classes.
    temperature : float
        Divides the logits.
    z_loss : float
        Factor on the square of the log-sum-exp of the (divided) logits, which keeps them near zero.

    Attributes
    ----------
    term : PointwiseLoss
        What one class contributes.
    needs_target_class_only : bool
        Whether classes with the share 0 contribute nothing: then class indices need no other log-probability.
    """

    inputs: str = choice(default="logits", options=INPUTS, doc="what scores are")
    label_smoothing: float = half_open_fraction(
        default=0.0, symbol=r"\varepsilon", doc="share of the target that is spread over all classes"
    )
    temperature: float = positive(default=1.0, symbol="T", doc="divides the logits")
    z_loss: float = nonnegative(default=0.0, symbol=r"\zeta", doc="factor on the squared log-sum-exp of the logits")

    needs_target_class_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inputs != "logits" and (self.temperature != 1.0 or self.z_loss):
            raise ValueError(
                f"{type(self).__name__}: temperature and z_loss act on logits; inputs={self.inputs!r} has none"
            )

    @cached_property
    def term(self) -> PointwiseLoss:
        """What one class contributes: a loss of its log-probability and its share in the target."""
        raise NotImplementedError(f"{type(self).__name__} defines no term")

    def offset(self, classes: int) -> tuple[float, ...] | None:  # noqa: ARG002 (of some losses)
        """Return what is added to the scores of each class, or ``None``."""
        return None

    @cached_property
    def _evaluator(self) -> RowEvaluator:
        kernels = RowKernels(self) if self.inputs == "logits" else None
        return RowEvaluator(type(self).__name__, self, self.parts, kernels)

    # ---- array code -----------------------------------------------------------------------------------------------

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""
        row = self._row(ops, scores)
        if self._is_hard(scores, target):
            own = ops.xp.take_along_axis(row.log_probability, target[..., None], axis=-1)[..., 0]
            value = self._term("value", ops, own, ops.number(1.0))
        else:
            shares = self._shares(ops, scores, target)
            value = _sum(ops, self._term("value", ops, row.log_probability, shares))
        return value + self.z_loss * row.total * row.total if self.z_loss else value

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        row = self._row(ops, scores)
        slopes = self._along_classes("gradient", ops, row, scores, target)
        match self.inputs:
            case "log_probabilities":
                return slopes
            case "probabilities":
                return ops.xdivy(slopes, scores)
        gradient = _centred(ops, row, slopes)
        if self.z_loss:
            gradient = gradient + 2 * self.z_loss * row.total[..., None] * row.probability
        return gradient / self.temperature

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return the Hessian of each row times a vector: through (I - 1pᵀ), the derivative of log-softmax."""
        if self.inputs != "logits":
            return self.row_hessian_diagonal(ops, scores, target) * vector
        row = self._row(ops, scores)
        p = row.probability
        slope = _sum(ops, self._along_classes("gradient", ops, row, scores, target))[..., None]
        curvature = self._along_classes("hessian", ops, row, scores, target)
        moved = p * vector
        total_moved = _sum(ops, moved)[..., None]
        # vector - p·vector, and again without cancellation.
        apart = row.rest * vector - (total_moved - moved)
        product = _centred(ops, row, curvature * apart) - slope * p * apart
        if self.z_loss:
            product = product + 2 * self.z_loss * (p * total_moved + row.total[..., None] * p * apart)
        return product / self.temperature**2

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the diagonal of the Hessian of each row."""
        row = self._row(ops, scores)
        slopes = self._along_classes("gradient", ops, row, scores, target)
        curvature = self._along_classes("hessian", ops, row, scores, target)
        match self.inputs:
            case "log_probabilities":
                return curvature
            case "probabilities":
                return ops.xdivy(curvature - slopes, scores) / scores
        p, rest = row.probability, row.rest
        others = _sum(ops, curvature)[..., None] - curvature
        diagonal = curvature * rest * rest + p * p * others - _sum(ops, slopes)[..., None] * p * rest
        if self.z_loss:
            diagonal = diagonal + 2 * self.z_loss * (p * p + row.total[..., None] * p * rest)
        return diagonal / self.temperature**2

    def _row(self, ops: ArrayNamespace, scores: Any) -> Softmax:
        match self.inputs:
            case "log_probabilities":
                return Softmax(scores, None, None, None)
            case "probabilities":
                return Softmax(ops.log(scores), None, None, None)
        if self.temperature != 1.0:
            scores = scores / self.temperature
        offset = self.offset(scores.shape[-1])
        if offset is not None:
            scores = scores + ops.xp.asarray(offset, dtype=scores.dtype, device=getattr(scores, "device", None))
        return softmax_of(ops, scores)

    def _is_hard(self, scores: Any, target: Any) -> bool:
        is_indexed = len(target.shape) < len(scores.shape)
        return is_indexed and self.needs_target_class_only and not self.label_smoothing

    def _shares(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        shares = target if len(target.shape) == len(scores.shape) else rows.one_hot(ops.xp, target, scores)
        if not self.label_smoothing:
            return shares
        return shares * (1 - self.label_smoothing) + self.label_smoothing / scores.shape[-1]

    def _along_classes(self, function: str, ops: ArrayNamespace, row: Softmax, scores: Any, target: Any) -> Any:
        """Return a derivative of the term for each class."""
        if not self._is_hard(scores, target):
            return self._term(function, ops, row.log_probability, self._shares(ops, scores, target))
        own = ops.xp.take_along_axis(row.log_probability, target[..., None], axis=-1)
        of_own = self._term(function, ops, own, ops.number(1.0))
        return ops.xp.where(rows.one_hot(ops.xp, target, scores) > 0, of_own, ops.number(0.0))

    def _term(self, function: str, ops: ArrayNamespace, log_probability: Any, share: Any) -> Any:
        evaluator = self.term._evaluator
        parameters = map(ops.number, evaluator.parameters)
        return evaluator.definition.evaluate(function, ops, log_probability, share, *parameters)[0]


def _centred(ops: ArrayNamespace, row: Softmax, slopes: Any) -> Any:
    """Return slopes - p·Σ slopes; a slope meets its own share of the sum as (1 - p), so that nothing cancels."""
    return row.rest * slopes - row.probability * (_sum(ops, slopes)[..., None] - slopes)


def _sum(ops: ArrayNamespace, values: Any) -> Any:
    return reduce.sum_classes(ops.xp, values)
