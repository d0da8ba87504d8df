"""Learning from a label and from the scores of another model."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from lossfn.engine.namespaces import ArrayNamespace
from lossfn.equivalents import Equivalent
from lossfn.fields import positive, positive_fraction
from lossfn.losses.multiclass import CrossEntropy
from lossfn.reduce import sum_classes
from lossfn.rowwise import RowwiseLoss
from lossfn.softmax import softmax_of


class LabelAndTeacher(NamedTuple):
    """The target of ``Distillation``: class indices or distributions, and the scores of the teacher."""

    label: Any
    teacher: Any


class Distillation(RowwiseLoss):
    """alpha T² KL(teacher ‖ student), both softened by the temperature T, and (1 − alpha) times the cross-entropy.

    The target is the pair (label, teacher's logits). The factor T² keeps the size of the gradient; it is always there.
    The divergence is 0 where the student agrees, and never negative.

    Parameters
    ----------
    temperature : float
        Softens both distributions; the cross-entropy with the label is not softened.
    alpha : float
        Share of the teacher, 0 < alpha ≤ 1.

    References
    ----------
    .. [1] Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network",
       doi:10.48550/arXiv.1503.02531.

    See Also
    --------
    CrossEntropy : the label alone; it accepts a teacher's probabilities as target, too.

    Examples
    --------
    >>> from lossfn import Distillation
    >>> loss = Distillation(temperature=2.0, alpha=0.5)
    >>> print(loss([[1.0, 0.0]], loss.Target([0], [[1.0, 0.0]])).round(6))
    0.156631
    """

    temperature: float = positive(default=2.0, symbol="T", doc="softens both distributions")
    alpha: float = positive_fraction(default=0.5, symbol=r"\alpha", doc="share of the teacher")

    Target: ClassVar[type[LabelAndTeacher]] = LabelAndTeacher
    parts = ("target.label", "target.teacher")
    score_parts = ("target.teacher",)
    elicits = "a mixture of teacher and probabilities"
    convex = True
    variants = ({}, {"temperature": 1.0, "alpha": 1.0}, {"temperature": 4.0, "alpha": 0.9})
    equivalents = (
        Equivalent(
            "PyTorch",
            "alpha * temperature**2 * torch.nn.functional.kl_div(torch.log_softmax(pred / temperature, -1), "
            "torch.softmax(target.teacher / temperature, -1), reduction='batchmean') + (1 - alpha) * "
            "torch.nn.functional.cross_entropy(pred, target.label)",
        ),
    )

    @property
    def formula(self) -> str:
        return (
            r"\alpha T^{2} \operatorname{KL}\left(\operatorname{softmax}(t / T), \operatorname{softmax}(z / T)\right)"
            r" - (1 - \alpha) \log p_{y}"
        )

    @property
    def gradient_formula(self) -> str:
        return (
            r"\alpha T (s_{j} - q_{j}) + (1 - \alpha) (p_{j} - y_{j})"
            r",\qquad p = \operatorname{softmax}(z),\qquad s = \operatorname{softmax}(z / T)"
            r",\qquad q = \operatorname{softmax}(t / T)"
        )

    @property
    def hessian_formula(self) -> str:
        return (
            r"\alpha (\delta_{ij} s_{i} - s_{i} s_{j}) + (1 - \alpha) (\delta_{ij} p_{i} - p_{i} p_{j})"
            r",\qquad p = \operatorname{softmax}(z),\qquad s = \operatorname{softmax}(z / T)"
        )

    @cached_property
    def _soft(self) -> CrossEntropy:
        return CrossEntropy(temperature=self.temperature)

    @cached_property
    def _hard(self) -> CrossEntropy:
        return CrossEntropy()

    def _mixed(self, of_teacher: Any, of_label: Any) -> Any:
        teacher = self.alpha * self.temperature**2 * of_teacher
        return teacher if self.alpha == 1 else teacher + (1 - self.alpha) * of_label

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""
        student = softmax_of(ops, scores / self.temperature)
        known = softmax_of(ops, target.teacher / self.temperature)
        difference = student.log_probability - known.log_probability
        # q (e^d - 1 - d), which sums to the divergence because probabilities sum to 1, is never negative.
        excess = ops.xp.where(known.probability == 0, student.probability, known.probability * ops.expm1mx(difference))
        return self._mixed(sum_classes(ops.xp, excess), self._hard.row_value(ops, scores, target.label))

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        shares = softmax_of(ops, target.teacher / self.temperature).probability
        of_teacher = self._soft.row_gradient(ops, scores, shares)
        return self._mixed(of_teacher, self._hard.row_gradient(ops, scores, target.label))

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return the Hessian of each row times a vector."""
        shares = softmax_of(ops, target.teacher / self.temperature).probability
        of_teacher = self._soft.row_hessian_product(ops, scores, shares, vector)
        return self._mixed(of_teacher, self._hard.row_hessian_product(ops, scores, target.label, vector))

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the diagonal of the Hessian of each row."""
        shares = softmax_of(ops, target.teacher / self.temperature).probability
        of_teacher = self._soft.row_hessian_diagonal(ops, scores, shares)
        return self._mixed(of_teacher, self._hard.row_hessian_diagonal(ops, scores, target.label))

    @property
    def value_lipschitz(self) -> float | None:
        # Each part is a difference of probabilities; both are largest where label and teacher agree against the scores.
        return math.sqrt(2.0) * (self.alpha * self.temperature + 1 - self.alpha)

    @property
    def gradient_lipschitz(self) -> float | None:
        return 0.5
