"""Losses of the log-probabilities that softmax gives to the classes: one pointwise term for each class, summed."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from lossfn import checks
from lossfn.engine import rows
from lossfn.engine.definition import DEFINITIONS
from lossfn.engine.namespaces import ArrayNamespace
from lossfn.engine.row_kernels import RowKernels
from lossfn.engine.rows import RowEvaluator
from lossfn.fields import (
    EXTENDED_REAL,
    LOG_PROBABILITY,
    PROBABILITY,
    Domain,
    choice,
    half_open_fraction,
    nonnegative,
    positive,
)
from lossfn.pointwise import PointwiseLoss
from lossfn.reduce import sum_classes
from lossfn.rowwise import RowwiseLoss

INPUT_DOMAINS: dict[str, Domain] = {
    "logits": EXTENDED_REAL,
    "log_probabilities": LOG_PROBABILITY,
    "probabilities": dataclasses.replace(PROBABILITY, cure=LOG_PROBABILITY.cure),
}
INPUTS = tuple(INPUT_DOMAINS)


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
    others = (sum_classes(xp, smaller) + (ties - 1.0))[..., None]
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
        What scores are. Probabilities and their logarithms are used as they are; most losses take logits alone.
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
    #: What ``offset`` adds, in LaTeX.
    offset_formula: ClassVar[str] = ""
    accepted_inputs: ClassVar[tuple[str, ...]] = ("logits",)

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = type(self).__name__
        if self.inputs not in self.accepted_inputs:
            raise ValueError(f"{owner}: inputs must be {' or '.join(self.accepted_inputs)}; got {self.inputs!r}")
        if self.inputs != "logits" and (self.temperature != 1.0 or self.z_loss):
            raise ValueError(f"{owner}: temperature and z_loss act on logits; inputs={self.inputs!r} has none")

    @cached_property
    def term(self) -> PointwiseLoss:
        """What one class contributes: a loss of its log-probability and its share in the target."""
        raise NotImplementedError(f"{type(self).__name__} defines no term")

    @property
    def divisor(self) -> float:
        """What scores are divided by before softmax."""
        return self.temperature

    @property
    def gives_probability(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        """Whether the minimiser determines the probabilities: not that of a class without weight."""
        return self.class_weight is None or all(self.class_weight)

    def offset(self, classes: int) -> tuple[float, ...] | None:  # noqa: ARG002 (of some losses)
        """Return what is added to the scores of each class, or ``None``."""
        return None

    @property
    def shift_invariant(self) -> bool:  # type: ignore[override]  # depends on parameters here
        """Whether adding a number to all scores of a row changes nothing."""
        return self.inputs == "logits" and not self.z_loss

    @cached_property
    def _evaluator(self) -> RowEvaluator:
        kernels = RowKernels(self) if self.inputs == "logits" else None
        return RowEvaluator(type(self).__name__, self, self._parts, kernels, INPUT_DOMAINS[self.inputs])

    def optimal_constant(self, target: Any, *, weight: Any = None, classes: int | None = None) -> Any:
        """Return the row of scores (K,) that minimises the weighted loss of all targets; see ``RowwiseLoss``."""
        if self.inputs != "logits":
            of_logits = dataclasses.replace(self, inputs="logits")
            row = of_logits.optimal_constant(target, weight=weight, classes=classes)
            return row if self.inputs == "log_probabilities" else np.exp(row)
        row = super().optimal_constant(target, weight=weight, classes=classes)
        if np.ndim(target) == 1 and self.needs_target_class_only and not self.label_smoothing:
            # What never occurs is best given no probability at all.
            index = np.asarray(target)
            row[np.setdiff1d(np.arange(len(row)), index[self.counts(index, weight)])] = -np.inf
        return row

    def sample(self, rng: np.random.Generator, size: int, dtype: Any = np.float64) -> tuple[Any, Any]:
        """Draw scores and targets that the loss accepts, for tests and demonstrations."""
        scores, target = super().sample(rng, size)
        if self.inputs != "logits":
            scores = rng.dirichlet(np.ones(scores.shape[-1]), size)
        return (np.log(scores) if self.inputs == "log_probabilities" else scores).astype(dtype), target

    @np.errstate(all="ignore")
    def inverse_link(self, pred: Any) -> Any:
        """Return the probabilities that scores imply: those for which they minimise the expected loss.

        For class indices of probabilities π the minimiser satisfies π_j a_j + b_j = p_j Σ (π_k a_k + b_k), where b_j is
        the slope of a class that is absent and a_j + b_j that of the true one. This is solved for π: so smoothing,
        class weights, temperature and improper losses are corrected for.
        """
        owner = type(self).__name__
        if self.class_weight is not None and 0.0 in self.class_weight:
            unseen = self.class_weight.index(0.0)
            raise ValueError(f"{owner}: class {unseen} has the weight 0, so that no score tells its probability")
        if not self.gives_probability:
            return super().inverse_link(pred)
        batch = rows.prepare_scores(owner, pred)
        if self.class_weight is not None:
            checks.check_class_weights(owner, self.class_weight, batch.pred.shape[-1])
        ops, xp, scores = batch.ops, batch.xp, batch.pred
        row = self._row(ops, scores)
        absent = self.label_smoothing / scores.shape[-1]
        slope_absent = self._term("gradient", ops, row.log_probability, ops.number(absent))
        slope_true = self._term("gradient", ops, row.log_probability, ops.number(1 - self.label_smoothing + absent))
        change = slope_true - slope_absent
        probability = scores if self.inputs == "probabilities" else ops.exp(row.log_probability)
        if self.inputs == "probabilities":
            # A slope by the logarithm is p times that by p.
            change, slope_absent = change * scores, slope_absent * scores
        share, fixed = ops.xdivy(probability, change), ops.xdivy(slope_absent, change)
        level = (1.0 + sum_classes(xp, fixed)) / sum_classes(xp, share)
        implied = xp.clip(share * level[..., None] - fixed, 0.0, 1.0)
        if self.class_weight is not None:
            implied = implied / xp.asarray(self.class_weight, dtype=batch.dtype, device=batch.device)
        return batch.finish(implied / sum_classes(xp, implied, keepdims=True))

    # ---- formulas -----------------------------------------------------------------------------------------------

    @property
    def formula(self) -> str:
        """The loss of one row in LaTeX."""
        share = "s" if self.label_smoothing else "y"
        penalty = rf" + {self.z_loss:g} t^{{2}}" if self.z_loss else ""
        return rf"\sum_k \phi({self._letter}_k, {share}_k){penalty}{self._where(0)}"

    @property
    def gradient_formula(self) -> str:
        """The gradient of one row in LaTeX."""
        if self.inputs != "logits":
            return rf"\phi'_j{self._where(1)}"
        penalty = rf" + {2 * self.z_loss:g} t p_j" if self.z_loss else ""
        return rf"{self._factor(1)} \left(\phi'_j - p_j \sum_k \phi'_k{penalty}\right){self._where(1)}"

    @property
    def hessian_formula(self) -> str:
        """The Hessian of one row in LaTeX."""
        if self.inputs != "logits":
            return rf"\delta_{{ij}} \phi''_j{self._where(2)}"
        inner = r"\sum_k (\delta_{ik} - p_i)\, \phi''_k\, (\delta_{jk} - p_j) - p_i (\delta_{ij} - p_j) \sum_k \phi'_k"
        penalty = rf" + {2 * self.z_loss:g} p_i (p_j + t (\delta_{{ij}} - p_j))" if self.z_loss else ""
        return rf"{self._factor(2)} \left({inner}{penalty}\right){self._where(2)}"

    @property
    def _letter(self) -> str:
        return self.term.head_symbols[0]

    def _factor(self, order: int) -> str:
        """Return what each derivative by a score has for the divisor."""
        return "" if self.divisor == 1 else rf"\frac{{1}}{{{self.divisor**order:g}}}"

    def _where(self, order: int) -> str:
        """Return what the letters stand for, the derivatives of a term up to an order among them."""
        term = self.term
        written = (term.formula, term.gradient_formula, term.hessian_formula)[: order + 1]
        names = (rf"\phi({self._letter}, y)", r"\phi'", r"\phi''")
        means = [f"{name} = {formula.split(DEFINITIONS)[0]}" for name, formula in zip(names, written, strict=False)]
        if self.inputs == "logits":
            scores = ("z" if self.divisor == 1 else rf"z / {self.divisor:g}") + self.offset_formula
            means.append(rf"\ell = \log p = \log \operatorname{{softmax}}({scores})")
            if self.z_loss:
                means.append(rf"t = \operatorname{{logsumexp}}({scores})")
        if self.label_smoothing:
            means.append(rf"s = {1 - self.label_smoothing:g} y + {self.label_smoothing:g} / K")
        return "".join(DEFINITIONS + meaning for meaning in means)

    # ---- array code -----------------------------------------------------------------------------------------------

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""
        row = self._row(ops, scores)
        if self._is_hard(scores, target):
            own = ops.xp.take_along_axis(row.log_probability, target[..., None], axis=-1)[..., 0]
            value = self._term("value", ops, own, ops.number(1.0))
        else:
            shares = self._shares(ops, scores, target)
            value = sum_classes(ops.xp, self._term("value", ops, row.log_probability, shares))
        return value + self.z_loss * row.total * row.total if self.z_loss else value

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        row = self._row(ops, scores)
        slopes = self._along_classes("gradient", ops, row, scores, target)
        if self.inputs != "logits":
            return slopes
        gradient = _centred(ops, row, slopes)
        if self.z_loss:
            gradient = gradient + 2 * self.z_loss * row.total[..., None] * row.probability
        return gradient / self.divisor

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return the Hessian of each row times a vector: through (I - 1pᵀ), the derivative of log-softmax."""
        if self.inputs != "logits":
            return self.row_hessian_diagonal(ops, scores, target) * vector
        row = self._row(ops, scores)
        p = row.probability
        slope = sum_classes(ops.xp, self._along_classes("gradient", ops, row, scores, target), keepdims=True)
        curvature = self._along_classes("hessian", ops, row, scores, target)
        moved = p * vector
        total_moved = sum_classes(ops.xp, moved, keepdims=True)
        # vector - p·vector, and again without cancellation.
        apart = row.rest * vector - (total_moved - moved)
        product = _centred(ops, row, curvature * apart) - slope * p * apart
        if self.z_loss:
            product = product + 2 * self.z_loss * (p * total_moved + row.total[..., None] * p * apart)
        return product / self.divisor**2

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the diagonal of the Hessian of each row."""
        row = self._row(ops, scores)
        curvature = self._along_classes("hessian", ops, row, scores, target)
        if self.inputs != "logits":
            return curvature
        slopes = self._along_classes("gradient", ops, row, scores, target)
        p, rest = row.probability, row.rest
        others = _sum_of_others(ops.xp, curvature)
        diagonal = curvature * rest * rest + p * p * others - sum_classes(ops.xp, slopes, keepdims=True) * p * rest
        if self.z_loss:
            diagonal = diagonal + 2 * self.z_loss * (p * p + row.total[..., None] * p * rest)
        return diagonal / self.divisor**2

    def _row(self, ops: ArrayNamespace, scores: Any) -> Softmax:
        if self.inputs != "logits":
            return Softmax(scores + rows.nan_rows(ops, scores), None, None, None)
        if self.divisor != 1.0:
            scores = scores / self.divisor
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
    return row.rest * slopes - row.probability * _sum_of_others(ops.xp, slopes)


def _sum_of_others(xp: Any, values: Any) -> Any:
    """Return for each class the sum over the others, without the largest where it would cancel."""
    sizes = xp.abs(values)
    is_largest = sizes == xp.max(sizes, axis=-1, keepdims=True)
    smaller = sum_classes(xp, xp.where(is_largest, xp.zeros_like(values), values), keepdims=True)
    larger = sum_classes(xp, xp.where(is_largest, values, xp.zeros_like(values)), keepdims=True)
    return xp.where(is_largest, smaller + (larger - values), (smaller - values) + larger)
