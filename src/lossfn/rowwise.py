"""Losses of rows: K scores, and the index of a class or a distribution over the classes."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from lossfn import checks, constant, reduce
from lossfn.class_fields import class_index, class_weights
from lossfn.engine import rows, tensors
from lossfn.engine.batch import Batch
from lossfn.engine.namespaces import ArrayNamespace
from lossfn.engine.rows import Part, RowEvaluator
from lossfn.loss import Loss


class RowwiseLoss(Loss):
    """A loss of one row of K scores; classes are the last axis.

    Targets are class indices (integers, one axis less than ``pred``) or distributions (the shape of ``pred``); an index
    means the same as the distribution that is 1 there. Subclasses define the four ``row_`` functions, on arrays of any
    library, and declare as class attributes what tests verify.

    Parameters
    ----------
    class_weight : sequence of float, optional
        One weight for each class. A row counts as much as the weight of its class (for a distribution: the mean weight
        over it), in the sum and in the denominator alike.
    ignore_index : int, optional
        Rows with this index are masked.

    Attributes
    ----------
    elicits : str
        What the row that minimises the expected loss tells about the distribution of the target.
    convex : bool
        Whether it is convex in the scores.
    shift_invariant : bool
        Whether adding a number to all scores of a row changes nothing.
    one_score_a_class : bool
        Whether each score belongs to a class, the largest to the likeliest.
    lower_bound : float
        The infimum over scores and targets.
    gives_probability : bool
        Whether the minimiser determines the probabilities.
    accepts_distributions : bool
        Whether targets may be distributions.
    parts, score_parts, number_parts : tuple of str
        Names of the parts of the target, of those that are scores themselves, and of those that are real numbers.
    variants : tuple of dict
        Parameter settings that the tests cover.
    """

    class_weight: tuple[float, ...] | None = class_weights(default=None, doc="one weight for each class")
    ignore_index: int | None = class_index(default=None, doc="class index of rows that are masked")

    elicits: ClassVar[str] = ""
    convex: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    one_score_a_class: ClassVar[bool] = True
    lower_bound: ClassVar[float] = 0.0
    gives_probability: ClassVar[bool] = False
    variants: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    task: ClassVar[str] = "multiclass"
    #: Scores of a drawn row: enough for a class that is right, one that a picture varies and one that is neither.
    sampled_classes: ClassVar[int] = 3
    pictured_score: ClassVar[int] = 0
    Target: ClassVar[Any] = staticmethod(lambda *parts: parts[0] if len(parts) == 1 else parts)
    parts: ClassVar[tuple[str, ...]] = ("target",)
    score_parts: ClassVar[tuple[str, ...]] = ()
    number_parts: ClassVar[tuple[str, ...]] = ()
    accepts_distributions: ClassVar[bool] = True

    # ---- what a loss defines ------------------------------------------------------------------------------------

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row; ``target`` holds indices or distributions."""
        raise NotImplementedError(f"{type(self).__name__} defines no row_value")

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        raise NotImplementedError(f"{type(self).__name__} defines no row_gradient")

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return the Hessian of each row times a vector of the shape of ``scores``."""
        raise NotImplementedError(f"{type(self).__name__} defines no row_hessian_product")

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the diagonal of the Hessian of each row."""
        raise NotImplementedError(f"{type(self).__name__} defines no row_hessian_diagonal")

    def classes_of(self, width: int) -> int:
        """Return how many classes rows of ``width`` scores tell apart; refuse a width that cannot be meant."""
        return width

    def width_of(self, target: Any, classes: int | None = None) -> int:
        """Return how many scores a row needs for such targets; without ``classes`` the largest index tells."""
        parts = target if isinstance(target, tuple) else (target,)
        width = next((np.shape(part)[-1] for part in parts if np.ndim(part) > 1), None)
        if width is not None:
            return int(width)
        classes = self._number_of_classes(np.asarray(parts[0])) if classes is None else classes
        # Some losses tell more classes apart than they have scores.
        return classes - (self.classes_of(classes) - classes)

    def _number_of_classes(self, index: np.ndarray[Any, Any]) -> int:
        owner, name = type(self).__name__, self.parts[0]
        if index.dtype.kind not in "iu":
            raise TypeError(f"{owner}: {name} holds class indices, which must be integers; got {index.dtype}")
        counted = index[self.counts(index)]
        if not counted.size or counted.max() < 1:
            found = "class 0 alone" if counted.size else "no class"
            raise ValueError(f"{owner}: {name} holds {found}, which does not tell how many there are; say classes=")
        return int(counted.max()) + 1

    # ---- what follows -------------------------------------------------------------------------------------------

    def counts(self, index: np.ndarray[Any, Any], weight: Any = None) -> np.ndarray[Any, Any]:
        """Return which class indices count: those that are not ignored, in rows of positive weight."""
        kept = np.ones(index.shape, bool) if weight is None else np.asarray(weight) > 0
        return kept if self.ignore_index is None else kept & (index != self.ignore_index)

    @property
    def takes_vectors(self) -> bool:
        """Whether the prediction of one element is a vector, the last axis: its scores."""
        return True

    @property
    def target_parts(self) -> tuple[str, ...]:
        """What messages call the parts of the target; most losses have one."""
        return self.parts

    @property
    def _parts(self) -> tuple[Part, ...]:
        return tuple(
            Part(name, name in self.score_parts, self.accepts_distributions, name in self.number_parts)
            for name in self.parts
        )

    def sample(self, rng: np.random.Generator, size: int, dtype: Any = np.float64) -> tuple[Any, Any]:
        """Draw scores and targets that the loss accepts, for tests and demonstrations."""
        width = self.sampled_classes

        def numbers(*shape: int) -> Any:
            return (2.0 * rng.normal(size=shape)).astype(dtype)

        drawn = tuple(
            numbers(size, width)
            if part.is_scores
            else numbers(size)
            if part.is_number
            else rng.integers(0, self.classes_of(width), size)
            for part in self._parts
        )
        return numbers(size, width), self.Target(*drawn)

    @cached_property
    def _evaluator(self) -> RowEvaluator:
        return RowEvaluator(type(self).__name__, self, self._parts)

    def _has_kernel(self, kind: str) -> bool:
        return self._evaluator.has_kernel(kind)

    def _prepare(self, pred: Any, target: Any, weight: Any = None, mask: Any = None, kind: str = "value") -> Batch:
        owner, by_kernel = type(self).__name__, self._evaluator.has_kernel(kind)
        batch = rows.prepare(owner, pred, target, weight, mask, self._parts, self.classes_of, by_kernel=by_kernel)
        if self.ignore_index is not None:
            _ignore(owner, batch, self.ignore_index)
        if self.class_weight is not None:
            _weigh_classes(owner, batch, self.class_weight, self.classes_of(batch.pred.shape[-1]))
        return batch

    def hessian_diagonal(
        self,
        pred: Any,
        target: Any,
        *,
        weight: Any = None,
        mask: Any = None,
        reduction: str = "mean",
        denominator: Any = None,
    ) -> Any:
        """Return the diagonal of the Hessian of each row, (..., K), scaled as the gradient.

        Arguments are those of the call.

        Examples
        --------
        >>> import lossfn
        >>> print(lossfn.CrossEntropy().hessian_diagonal([[0.0, 1.0]], [0]).round(4))
        [[0.1966 0.1966]]
        """
        return self._derivatives("hessian_diagonal", pred, target, weight, mask, reduction, denominator)[0]

    def hessian_vector_product(
        self,
        pred: Any,
        target: Any,
        vector: Any,
        *,
        weight: Any = None,
        mask: Any = None,
        reduction: str = "mean",
        denominator: Any = None,
    ) -> Any:
        """Return the Hessian of each row times ``vector`` (..., K), scaled as the gradient; no block is formed.

        The other arguments are those of the call; a ``vector`` of another shape than ``pred`` is a ``ValueError``.

        Examples
        --------
        >>> import lossfn
        >>> print(lossfn.CrossEntropy().hessian_vector_product([[0.0, 1.0]], [0], [[1.0, 0.0]]).round(4))
        [[ 0.1966 -0.1966]]
        """
        options = {"weight": weight, "mask": mask, "reduction": reduction, "denominator": denominator}
        if tensors.is_being_compiled():
            return tensors.as_node(self, "hessian_vector_product", pred, target, vector, **options)
        owner = type(self).__name__
        checks.check_reduction(owner, reduction, denominator)
        batch = self._prepare(pred, target, weight, mask, "hessian_product")
        vector = batch.xp.asarray(vector, dtype=batch.dtype, device=batch.device)
        if vector.shape != batch.pred.shape:
            raise ValueError(f"{owner}: vector must have the shape of pred {batch.pred.shape}; got {vector.shape}")
        scale = reduce.reciprocal(batch.library, self._divisor(batch, reduction, denominator))
        return batch.finish(self._evaluator.derivatives("hessian_product", batch, scale, vector)[0])

    def gradient_and_hessian(
        self,
        pred: Any,
        target: Any,
        *,
        weight: Any = None,
        mask: Any = None,
        reduction: str = "mean",
        denominator: Any = None,
        curvature: str = "exact",
    ) -> tuple[Any, Any]:
        """Return gradient and diagonal curvature, both (..., K), scaled as the value.

        ``curvature="exact"`` is the diagonal of the Hessian. ``"diagonal_bound"`` is a positive diagonal that the
        Hessian never exceeds, so that a Newton step with it never increases the loss; losses without one refuse it
        with a ``ValueError``. The other arguments are those of the call.

        Examples
        --------
        >>> import lossfn
        >>> _, bound = lossfn.CrossEntropy().gradient_and_hessian([[0.0, 1.0]], [0], curvature="diagonal_bound")
        >>> print(bound)
        [[0.5 0.5]]
        """
        owner = type(self).__name__
        options = {"weight": weight, "mask": mask, "reduction": reduction, "denominator": denominator}
        if curvature == "exact":
            return self.gradient(pred, target, **options), self.hessian_diagonal(pred, target, **options)
        if curvature != "diagonal_bound":
            raise ValueError(f"{owner}: curvature must be one of exact, diagonal_bound; got {curvature!r}")
        bound = self.gradient_lipschitz
        if bound is None:
            raise ValueError(f"{owner}: no finite bound of the Hessian is known; use curvature='exact'")
        return self._gradient_and_bound(bound, pred, target, **options)

    @property
    def formula(self) -> str:
        """The loss of one row in LaTeX; empty where no formula says more than the words."""
        return ""

    @property
    def gradient_formula(self) -> str:
        """The gradient of one row in LaTeX."""
        return ""

    @property
    def hessian_formula(self) -> str:
        """The Hessian of one row in LaTeX."""
        return ""

    # ---- statistics ---------------------------------------------------------------------------------------------

    def optimal_constant(self, target: Any, *, weight: Any = None, classes: int | None = None) -> Any:
        """Return the row of scores (K,) that minimises the weighted loss of all targets.

        ``classes`` says how many there are, where targets are indices; without it, the largest index does. Classes that
        do not occur may have the score -inf. Of rows that differ by a number alone, the one whose exponentials sum to
        1 is returned. Losses without a best row raise ``NotImplementedError``.

        Examples
        --------
        >>> import lossfn
        >>> print(lossfn.CrossEntropy().optimal_constant([0, 1, 1, 1]).round(4))
        [-1.3863 -0.2877]
        """
        return constant.optimal_row(self, target, weight, classes)

    def inverse_link(self, pred: Any) -> Any:  # noqa: ARG002 (of losses that have one)
        """Return the probabilities that scores imply: those for which they minimise the expected loss."""
        raise ValueError(f"{type(self).__name__} estimates the most likely class, not probabilities")

    @property
    def hessian_is_partial(self) -> bool:
        """Whether the curvature has infinite spikes (at kinks of the value) that the Hessian leaves out."""
        return False

    @property
    def value_lipschitz(self) -> float | None:
        """The smallest bound of the Euclidean length of the gradient, ``None`` if none is known."""
        return None

    @property
    def gradient_lipschitz(self) -> float | None:
        """A bound of the largest eigenvalue of the Hessian, ``None`` if none is known."""
        return None

    @property
    def scale_parameters(self) -> tuple[str, ...]:
        """The parameters that are in units of the target: none."""
        return ()


def _ignore(owner: str, batch: Batch, index: int) -> None:
    if not rows.is_indexed(batch):
        raise ValueError(f"{owner}: ignore_index={index} needs class indices as target; use mask= with distributions")
    kept = batch.targets[0] != index
    if batch.mask is None:
        batch.mask = kept
        return
    mask = batch.mask if batch.mask.shape == kept.shape else reduce.apply_to_elements(batch.mask, batch.shape)
    batch.mask = mask & kept


def _weigh_classes(owner: str, batch: Batch, weights: tuple[float, ...], classes: int) -> None:
    """Multiply the weight of each row by the weight of its class, or the mean weight over its distribution."""
    checks.check_class_weights(owner, weights, classes)
    xp = batch.xp
    table = xp.asarray(weights, dtype=batch.dtype, device=batch.device)
    if rows.is_indexed(batch):
        # An index outside is refused later, unless its row is dropped.
        index = xp.clip(batch.targets[0], 0, classes - 1)
        of_rows = xp.reshape(xp.take(table, xp.reshape(index, (-1,)), axis=0), batch.shape)
    else:
        # Not a product of matrices, which autocast would compute in half precision.
        of_rows = reduce.sum_classes(xp, batch.targets[0] * table)
    weight = batch.element_weight()
    # A dropped target may be anything, even NaN.
    batch.weight = of_rows if weight is None else xp.where(weight != 0, weight * of_rows, xp.zeros_like(of_rows))
