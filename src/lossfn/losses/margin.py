"""Losses of two classes, labels -1 and +1, through the margin: prediction times label."""

from __future__ import annotations

from typing import Any

from lossfn import fields
from lossfn.equivalents import Equivalent
from lossfn.fields import positive
from lossfn.pointwise import PointwiseLoss


class Hinge(PointwiseLoss):
    """Zero beyond the margin, linear inside it; elicits the more likely class, not its probability.

    Labels are −1 and +1. The gradient at the margin itself is 0; the Hessian is 0 and leaves out the spike there.

    Parameters
    ----------
    margin : float
        The product of label and prediction from which on a row costs nothing.

    References
    ----------
    .. [1] Cortes and Vapnik (1995), "Support-vector networks", doi:10.1007/BF00994018.

    See Also
    --------
    BinaryCrossEntropy : estimates the probability.

    Examples
    --------
    >>> from lossfn import Hinge
    >>> value, gradient = Hinge().value_and_gradient([2.0, 0.5, 0.5], [1, 1, -1], reduction="sum")
    >>> print(value, gradient)
    2.0 [ 0. -1.  1.]
    """

    margin: float = positive(default=1.0, symbol=r"\mu", doc="margin from which on a row costs nothing")

    target = fields.SIGNED
    elicits = "class"
    convex = True
    smoothness = 0
    gives_probability = False
    lower_bound = 0.0
    variants = ({}, {"margin": 0.3})
    equivalents = (
        Equivalent("Keras", "keras.losses.hinge(target, pred)", when="margin == 1"),
        Equivalent("optax", "optax.losses.hinge_loss(pred, target)", when="margin == 1"),
        Equivalent("scikit-learn", "sklearn.metrics.hinge_loss(target, pred)", when="margin == 1"),
        Equivalent("XGBoost", "objective='binary:hinge'", when="margin == 1", note="labels 0 and 1"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = pred * target
        return xp.where(margin < self.margin, self.margin - margin, 0)

    @property
    def value_lipschitz(self) -> float:
        return 1.0
