"""Losses of K classes through margins between scores: they estimate the most likely class, not its probability."""

from __future__ import annotations

import math
from typing import Any

from lossfn.engine import rows
from lossfn.engine.namespaces import ArrayNamespace
from lossfn.equivalents import Equivalent
from lossfn.fields import positive
from lossfn.reduce import sum_classes
from lossfn.rowwise import RowwiseLoss


class MulticlassMarginLoss(RowwiseLoss):
    """A piecewise linear loss of score differences to the true class.

    Targets are class indices. The Hessian is 0 and leaves out the spikes at kinks.
    """

    accepts_distributions = False
    convex = True

    margin: float = positive(default=1.0, symbol=r"\Delta", doc="required lead of the true class")

    @property
    def hessian_is_partial(self) -> bool:
        return True

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return 0, and NaN for rows with NaN."""
        return ops.xp.zeros_like(scores) + rows.nan_rows(ops, scores)

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return 0, and NaN for rows with NaN."""
        return ops.xp.zeros_like(scores) + rows.nan_rows(ops, scores)


def _excess(ops: ArrayNamespace, scores: Any, target: Any, margin: float) -> tuple[Any, Any]:
    """Return which classes are true, and by how much the margin to the others is missed (-inf for the true class)."""
    own = ops.xp.take_along_axis(scores, target[..., None], axis=-1)
    is_true = rows.one_hot(ops.xp, target, scores) > 0
    return is_true, ops.xp.where(is_true, ops.number(-float("inf")), scores - own + margin)


class WestonWatkins(MulticlassMarginLoss):
    """Σ over the other classes of max(0, margin + their score − that of the true class).

    Parameters
    ----------
    margin : float
        By how much the true class must lead to cost nothing. At the margin itself the gradient is 0.

    References
    ----------
    .. [1] Hsu and Lin (2002), "A comparison of methods for multiclass support vector machines",
       doi:10.1109/72.991427.

    See Also
    --------
    CrammerSinger : only the strongest other class counts.

    Examples
    --------
    >>> from lossfn import WestonWatkins
    >>> value, gradient = WestonWatkins().value_and_gradient([[1.0, 0.5, 2.0]], [0])
    >>> print(value, gradient)
    2.5 [[-2.  1.  1.]]
    """

    elicits = "class"
    equivalents = (
        Equivalent(
            "PyTorch",
            "torch.nn.functional.multi_margin_loss(pred, target, margin=margin) * pred.shape[-1]",
            note="divides the sum over classes by their number",
        ),
    )

    @property
    def formula(self) -> str:
        return r"\sum_{j \ne y} \max\left(0, \Delta + z_{j} - z_{y}\right)"

    @property
    def gradient_formula(self) -> str:
        return (
            r"\begin{cases} 1\{z_{y} < \Delta + z_{j}\} & \text{if } j \ne y \\ "
            r"- \sum_{k \ne y} 1\{z_{y} < \Delta + z_{k}\} & \text{otherwise} \end{cases}"
        )

    @property
    def hessian_formula(self) -> str:
        return "0"

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""
        _, excess = _excess(ops, scores, target, self.margin)
        return sum_classes(ops.xp, ops.xp.where(excess <= 0, ops.number(0.0), excess))

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        is_true, excess = _excess(ops, scores, target, self.margin)
        pushed = ops.xp.astype(excess > 0, scores.dtype) + rows.nan_rows(ops, scores)
        return ops.xp.where(
            is_true, -sum_classes(ops.xp, ops.xp.where(is_true, ops.number(0.0), pushed), keepdims=True), pushed
        )


class CrammerSinger(MulticlassMarginLoss):
    """max(0, margin + the largest other score − that of the true class).

    Parameters
    ----------
    margin : float
        By how much the true class must lead to cost nothing. At the margin itself the gradient is 0; equally strong
        others share it.

    References
    ----------
    .. [1] Hsu and Lin (2002), "A comparison of methods for multiclass support vector machines",
       doi:10.1109/72.991427.

    See Also
    --------
    WestonWatkins : every other class inside the margin counts.

    Examples
    --------
    >>> from lossfn import CrammerSinger
    >>> value, gradient = CrammerSinger().value_and_gradient([[1.0, 0.5, 2.0]], [0])
    >>> print(value, gradient)
    2.0 [[-1.  0.  1.]]
    """

    elicits = "class"
    equivalents = (
        Equivalent("optax", "optax.losses.multiclass_hinge_loss(pred, target)", when="margin == 1"),
        Equivalent("scikit-learn", "sklearn.metrics.hinge_loss(target, pred)", when="margin == 1"),
    )

    @property
    def formula(self) -> str:
        return r"\max\left(0, \Delta + \max_{j \ne y} z_{j} - z_{y}\right)"

    @property
    def gradient_formula(self) -> str:
        return (
            r"1\{z_{y} < \Delta + m\} \begin{cases} \frac{1\{z_{j} = m\}}{n} & \text{if } j \ne y \\ "
            r"-1 & \text{otherwise} \end{cases}"
            r",\qquad m = \max_{k \ne y} z_{k},\qquad n = \sum_{k \ne y} 1\{z_{k} = m\}"
        )

    @property
    def hessian_formula(self) -> str:
        return "0"

    @property
    def value_lipschitz(self) -> float | None:
        # −1 for the true class, and 1 for another or shared by several.
        return math.sqrt(2.0)

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""
        _, excess = _excess(ops, scores, target, self.margin)
        largest = ops.xp.max(excess, axis=-1)
        return ops.xp.where(largest <= 0, ops.number(0.0), largest) + rows.nan_rows(ops, scores)[..., 0]

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        is_true, excess = _excess(ops, scores, target, self.margin)
        largest = ops.xp.max(excess, axis=-1, keepdims=True)
        strongest = ops.xp.astype((excess == largest) & (largest > 0), scores.dtype)
        ties = sum_classes(ops.xp, strongest, keepdims=True)
        shared = strongest / ops.xp.where(ties > 0, ties, ops.number(1.0))
        gradient = ops.xp.where(is_true, -ops.xp.astype(ties > 0, scores.dtype), shared)
        return gradient + rows.nan_rows(ops, scores)
