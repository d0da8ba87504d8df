"""Losses of the margin that cost nothing on rows which are right by enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossfn.equivalents import Equivalent
from lossfn.fields import positive
from lossfn.losses.margin import MarginLoss


class Hinge(MarginLoss):
    """Zero beyond the margin, linear inside it; elicits the more likely class, not its probability.

    Labels are −1 and +1. The gradient at the margin itself is 0; the Hessian is 0 and leaves out the spike there. It is
    no likelihood, and not robust: a mislabelled row far on the wrong side costs as much as it is far.

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
    Ramp : bounded, so robust to wrong labels.

    Examples
    --------
    >>> from lossfn import Hinge
    >>> value, gradient = Hinge().value_and_gradient([2.0, 0.5, 0.5], [1, 1, -1], reduction="sum")
    >>> print(value, gradient)
    2.0 [ 0. -1.  1.]
    """

    margin: float = positive(default=1.0, symbol=r"\mu", doc="margin from which on a row costs nothing")

    elicits = "class"
    convex = True
    smoothness = 0
    gives_probability = False
    variants = ({}, {"margin": 0.3})
    equivalents = (
        Equivalent(
            "PyTorch", "torch.nn.functional.margin_ranking_loss(pred, torch.zeros_like(pred), target, margin=margin)"
        ),
        Equivalent("Keras", "keras.losses.hinge(target, pred)", when="margin == 1"),
        Equivalent("optax", "optax.losses.hinge_loss(pred, target)", when="margin == 1"),
        Equivalent("scikit-learn", "sklearn.metrics.hinge_loss(target, pred)", when="margin == 1"),
        Equivalent("scikit-learn SGD", "loss='hinge'", when="margin == 1"),
        Equivalent(
            "XGBoost",
            "objective='binary:hinge'",
            when="margin == 1",
            note="takes labels 0 and 1",
            labels="(target + 1) / 2",
            curvature="numpy.where(pred * target < 1, 1, numpy.finfo('float32').tiny)",
        ),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = pred * target
        return xp.where(margin < self.margin, self.margin - margin, 0)

    @property
    def value_lipschitz(self) -> float:
        return 1.0

    def minimiser(self, probability: Any) -> Any:
        return self.margin * np.sign(2 * probability - 1)

    def psi(self, theta: float) -> float:
        return self.margin * theta


class Perceptron(MarginLoss):
    """Linear on the wrong side, zero on the right one; elicits nothing: the score 0 is always best.

    Its stochastic gradient steps are Rosenblatt's perceptron rule, which separates separable data. Where classes
    overlap, the zero score costs nothing and says nothing: the loss is not classification-calibrated, because it has a
    kink at 0. Use it on separable data only. The gradient at 0 is 0.

    References
    ----------
    .. [1] Rosenblatt (1958), "The perceptron: a probabilistic model for information storage and organization in the
       brain", doi:10.1037/h0042519.

    See Also
    --------
    Hinge : asks for a margin, and so decides right where classes overlap.

    Examples
    --------
    >>> from lossfn import Perceptron
    >>> value, gradient = Perceptron().value_and_gradient([2.0, -0.5], [1, 1], reduction="sum")
    >>> print(value, gradient)
    0.5 [ 0. -1.]
    """

    elicits = "nothing"
    convex = True
    smoothness = 0
    gives_probability = False
    classification_calibrated = False
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.margin_ranking_loss(pred, torch.zeros_like(pred), target)"),
        Equivalent("optax", "optax.losses.perceptron_loss(pred, target)"),
        Equivalent("scikit-learn SGD", "loss='perceptron'"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = pred * target
        return xp.where(margin < 0, -margin, 0)

    @property
    def value_lipschitz(self) -> float:
        return 1.0

    def minimiser(self, probability: Any) -> Any:
        return 0.0 * probability

    def psi(self, theta: float) -> float:
        return 0.0 * theta


class SquaredHinge(MarginLoss):
    """Zero from margin 1 on, quadratic before; elicits the probability, (1 + prediction) / 2 between −1 and 1.

    No likelihood. Large errors count quadratically, so it is less robust to wrong labels than ``Hinge``.

    References
    ----------
    .. [1] Lee and Mangasarian (2001), "SSVM: a smooth support vector machine for classification",
       doi:10.1023/A:1011215321374.

    See Also
    --------
    SquaredMargin : quadratic on both sides.
    ModifiedHuber : linear far on the wrong side.

    Examples
    --------
    >>> from lossfn import SquaredHinge
    >>> value, gradient = SquaredHinge().value_and_gradient([2.0, 0.5], [1, -1], reduction="sum")
    >>> print(value, gradient)
    2.25 [0. 3.]
    """

    elicits = "probability"
    convex = True
    smoothness = 1
    equivalents = (
        Equivalent("Keras", "keras.losses.squared_hinge(target, pred)"),
        Equivalent("scikit-learn SGD", "loss='squared_hinge'"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = pred * target
        gap = 1 - margin
        return xp.where(margin < 1, gap * gap, 0)

    @property
    def gradient_lipschitz(self) -> float:
        return 2.0

    def minimiser(self, probability: Any) -> Any:
        return 2 * probability - 1

    def psi(self, theta: float) -> float:
        return theta * theta


class SmoothedHinge(MarginLoss):
    """The hinge with its corner rounded over a width: zero from margin 1 on, quadratic, then linear with slope −1.

    Elicits the probability, as far as the rounding reaches: with a width below 1, scores between −(1 − width) and
    1 − width all stand for ½. No likelihood.

    Parameters
    ----------
    width : float
        Length of the quadratic piece, which ends at margin 1.

    References
    ----------
    .. [1] Shalev-Shwartz and Zhang (2013), "Stochastic dual coordinate ascent methods for regularized loss
       minimization", doi:10.48550/arXiv.1209.1873.

    See Also
    --------
    Hinge : the limit for a width of 0.
    ModifiedHuber : four times this loss with width 2.

    Examples
    --------
    >>> from lossfn import SmoothedHinge
    >>> value, gradient = SmoothedHinge(width=0.5).value_and_gradient([0.75, -1.0], [1, 1], reduction="sum")
    >>> print(value, gradient)
    1.8125 [-0.5 -1. ]
    """

    width: float = positive(default=1.0, symbol="w", doc="length of the quadratic piece before margin 1")

    elicits = "probability"
    convex = True
    smoothness = 1
    variants = ({}, {"width": 0.3}, {"width": 2.0})

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = pred * target
        gap = 1 - margin
        rounded = gap * (gap / self.width) / 2
        return xp.where(margin < 1 - self.width, gap - self.width / 2, xp.where(margin < 1, rounded, 0))

    @property
    def value_lipschitz(self) -> float:
        return 1.0

    @property
    def gradient_lipschitz(self) -> float:
        return 1 / self.width

    def minimiser(self, probability: Any) -> Any:
        theta = 2 * probability - 1
        if abs(theta) <= self.width - 1:
            return theta
        odds = min(probability, 1 - probability) / max(probability, 1 - probability)
        return np.sign(theta) * (1 - self.width * odds)

    def psi(self, theta: float) -> float:
        # Beyond a width of 1, scores of both signs are in the quadratic piece.
        shared = max(self.width - 1, 0.0)
        if theta < shared:
            return theta * theta / (2 * self.width)
        return theta * (theta + (1 - self.width)) / (1 + theta) + shared * shared / (2 * self.width)


class ModifiedHuber(MarginLoss):
    """The squared hinge, continued linearly below margin −1; elicits the probability, (1 + prediction) / 2.

    No likelihood. Rows far on the wrong side count linearly, with slope −4.

    References
    ----------
    .. [1] Zhang (2004), "Solving large scale linear prediction problems using stochastic gradient descent algorithms",
       doi:10.1145/1015330.1015332.

    See Also
    --------
    SmoothedHinge : a quarter of this loss for ``width=2``.

    Examples
    --------
    >>> from lossfn import ModifiedHuber
    >>> value, gradient = ModifiedHuber().value_and_gradient([0.5, -3.0], [1, 1], reduction="sum")
    >>> print(value, gradient)
    12.25 [-1. -4.]
    """

    elicits = "probability"
    convex = True
    smoothness = 1
    equivalents = (Equivalent("scikit-learn SGD", "loss='modified_huber'"),)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = pred * target
        gap = 1 - margin
        return xp.where(margin < -1, -4 * margin, xp.where(margin < 1, gap * gap, 0))

    @property
    def value_lipschitz(self) -> float:
        return 4.0

    @property
    def gradient_lipschitz(self) -> float:
        return 2.0

    def minimiser(self, probability: Any) -> Any:
        return 2 * probability - 1

    def psi(self, theta: float) -> float:
        return theta * theta
