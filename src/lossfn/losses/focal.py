"""Losses of two classes that put less weight on rows which are already right."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from lossfn import fields
from lossfn.equivalents import Equivalent
from lossfn.fields import half_open_fraction, nonnegative, open_fraction
from lossfn.losses.binary import LABELS
from lossfn.losses.links import batch_of_predictions
from lossfn.parameters import is_exactly
from lossfn.pointwise import PointwiseLoss

# Powers that are products: up to that which is usual for negatives.
WHOLE_GAMMAS = (0.0, 1.0, 2.0, 3.0, 4.0)


def focus(xp: Any, gamma: Any, logit: Any) -> Any:
    """Return (1 − p)^gamma for the probability p of the true label, given as its logit."""
    if is_exactly(gamma, *WHOLE_GAMMAS):
        return xp.power(xp.sigmoid(-logit), gamma)
    # The same power, without powers gamma - 1 of a vanishing sigmoid in its derivatives.
    return xp.exp(gamma * xp.log_sigmoid(-logit))


def focal_term(xp: Any, gamma: Any, logit: Any) -> Any:
    """Return (1 − p)^gamma · (−log p) for the probability p of the true label, given as its logit."""
    return xp.xmul(focus(xp, gamma, logit), xp.softplus(-logit))


def largest_derivatives(loss: PointwiseLoss) -> tuple[float, float]:
    """Return the largest first and second derivative over logits and labels.

    There is no closed form: they lie at moderate logits and are found numerically.
    """
    from scipy.optimize import minimize_scalar

    # So few points need no kernel.
    grid = np.linspace(-40.0, 40.0, 401)

    def largest(derivative: Any, label: float) -> float:
        sizes = np.abs(derivative(grid, np.full_like(grid, label), reduction="sum"))
        start = float(grid[np.argmax(sizes)])
        found = minimize_scalar(
            lambda z: -abs(derivative(np.array([z]), np.array([label]), reduction="sum")[0]),
            bounds=(start - 0.2, start + 0.2),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return max(-float(found.fun), float(sizes.max()))

    first, second = (max(largest(kind, label) for label in (0.0, 1.0)) for kind in (loss.gradient, loss.hessian))
    return first, second


class BinaryFocal(PointwiseLoss):
    """Cross-entropy times (1 − p_t)^gamma: rows that are already right count less.

    p_t is the probability that the prediction, a logit, gives to the true label. The loss is not proper: its minimiser
    is shrunk towards ½, and ``inverse_link`` corrects for it. Not convex for gamma > 0. With ``gamma=0`` and no
    ``alpha`` it equals ``BinaryCrossEntropy`` to the last bit.

    Parameters
    ----------
    gamma : float
        How fast easy rows lose weight.
    alpha : float, optional
        Weights class 1 by alpha and class 0 by 1 − alpha; ``None`` weights neither.

    References
    ----------
    .. [1] Lin et al. (2017), "Focal loss for dense object detection", doi:10.1109/ICCV.2017.324.
    .. [2] Charoenphakdee et al. (2021), "On focal loss for class-posterior probability estimation",
       doi:10.1109/CVPR46437.2021.00516.

    See Also
    --------
    BinaryCrossEntropy
    AsymmetricFocal : one focus for each class, and a margin.

    Examples
    --------
    >>> from lossfn import BinaryFocal
    >>> loss = BinaryFocal(gamma=2.0, alpha=0.25)
    >>> print(loss.gradient([0.7, 0.7], [1, 0], reduction="sum").round(6))
    [-0.023964  0.468895]
    """

    gamma: float = nonnegative(
        default=2.0, symbol=r"\gamma", doc="how fast easy rows lose weight", structural=WHOLE_GAMMAS
    )
    alpha: float | None = open_fraction(default=None, symbol=r"\alpha", doc="weight of class 1", optional=True)

    target = fields.BINARY
    elicits = "probability"
    lower_bound = 0.0
    variants = ({}, {"gamma": 0.0}, {"gamma": 1.0}, {"gamma": 0.5, "alpha": 0.25}, {"gamma": 3.5})
    head_symbols = ("z",)
    equivalents = (
        Equivalent(
            "Keras",
            "keras.losses.binary_focal_crossentropy(target, pred, gamma=gamma, from_logits=True)",
            when="alpha is None",
            note="probabilities are clipped to [1e-7, 1 - 1e-7]",
        ),
        Equivalent(
            "Keras",
            "keras.losses.binary_focal_crossentropy(target, pred, True, alpha, gamma, from_logits=True)",
            when="alpha is not None",
            note="probabilities are clipped to [1e-7, 1 - 1e-7]",
        ),
        Equivalent(
            "optax", "optax.losses.sigmoid_focal_loss(pred, target, alpha=alpha, gamma=gamma)", when="alpha is not None"
        ),
        Equivalent("optax", "optax.losses.sigmoid_focal_loss(pred, target, gamma=gamma)", when="alpha is None"),
        Equivalent(
            "CatBoost",
            "loss_function=f'Focal:focal_alpha={alpha};focal_gamma={gamma}'",
            when="alpha is not None",
            rows=LABELS,
        ),
    )

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return self.gamma == 0

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return self._of_class(xp, target) * focal_term(xp, self.gamma, (2 * target - 1) * pred)

    # Derived, the derivatives would have a term for each factor of the power: large arrays would take a seventh longer,
    # and more digits would cancel where the curvature changes its sign.
    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        logit = (2 * target - 1) * pred
        slope = self.gamma * xp.xmul(xp.sigmoid(logit), xp.softplus(-logit)) + xp.sigmoid(-logit)
        return (1 - 2 * target) * self._of_class(xp, target) * focus(xp, self.gamma, logit) * slope

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        logit = (2 * target - 1) * pred
        right, wrong = xp.sigmoid(logit), xp.sigmoid(-logit)
        of_focus = self.gamma * xp.softplus(-logit) * (self.gamma * right - wrong)
        # Without a focus the bits of cross-entropy.
        is_plain = is_exactly(self.gamma, 0)
        curvature = xp.dsigmoid(logit) if is_plain else xp.xmul(right, of_focus + (2 * self.gamma + 1) * wrong)
        return self._of_class(xp, target) * focus(xp, self.gamma, logit) * curvature

    def _of_class(self, xp: Any, target: Any) -> Any:
        return 1.0 if self.alpha is None else xp.where(target > 0, self.alpha, 1 - self.alpha)

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        return largest_derivatives(self)

    @property
    def value_lipschitz(self) -> float:
        return self._bounds[0]

    @property
    def gradient_lipschitz(self) -> float:
        return self._bounds[1]


class AsymmetricFocal(PointwiseLoss):
    """Focal loss with a focus for each class and a margin on the negatives: for many labels of which few are positive.

    A positive costs (1 − p)^gamma_pos · (−log p). A negative costs q^gamma_neg · (−log(1 − q)), q = max(p − margin, 0):
    nothing once its probability is below the margin. Predictions are logits, values exact without clipping. A matrix
    (N, K) of independent labels is the multi-label case. With equal gammas and no margin it equals ``BinaryFocal``.

    Neither proper nor convex: predictions are far too high for rare labels. ``inverse_link`` gives the probability that
    a logit implies, which increases with the logit. It is 0 for all logits below the margin; with a margin and
    ``gamma_pos=0`` it ends below 1, because above that probability the best logit is +∞.

    Parameters
    ----------
    gamma_pos : float
        How fast easy positives lose weight.
    gamma_neg : float
        How fast easy negatives lose weight.
    margin : float
        Probability below which a negative costs nothing.

    References
    ----------
    .. [1] Ben-Baruch et al. (2021), "Asymmetric loss for multi-label classification",
       doi:10.1109/ICCV48922.2021.00015.

    See Also
    --------
    BinaryFocal : one focus for both classes.

    Examples
    --------
    >>> from lossfn import AsymmetricFocal
    >>> loss = AsymmetricFocal(gamma_pos=0.0, gamma_neg=4.0, margin=0.05)
    >>> print(loss.elementwise([[2.0, -1.0, -3.0]], [[1, 0, 0]]).round(6))
    [[0.126928 0.000568 0.      ]]
    """

    gamma_pos: float = nonnegative(
        default=0.0, symbol=r"\gamma_+", doc="how fast easy positives lose weight", structural=WHOLE_GAMMAS
    )
    gamma_neg: float = nonnegative(
        default=4.0, symbol=r"\gamma_-", doc="how fast easy negatives lose weight", structural=WHOLE_GAMMAS
    )
    margin: float = half_open_fraction(
        default=0.05, symbol=r"\mu", doc="probability below which a negative costs nothing", structural=(0.0,)
    )

    target = fields.BINARY
    elicits = "probability"
    lower_bound = 0.0
    variants = (
        {},
        {"gamma_pos": 1.0, "margin": 0.0},
        {"gamma_pos": 0.5, "gamma_neg": 2.5, "margin": 0.2},
    )
    head_symbols = ("z",)

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on parameters here
        return self.gamma_pos == self.gamma_neg == self.margin == 0

    @property
    def smoothness(self) -> float:  # type: ignore[override]  # depends on parameters here
        # A negative costs as much as the power gamma_neg + 1 of the distance to the margin.
        return math.ceil(self.gamma_neg) if self.margin else math.inf

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.where(target > 0, focal_term(xp, self.gamma_pos, pred), self._of_negative(xp, pred))

    def _of_negative(self, xp: Any, pred: Any) -> Any:
        if is_exactly(self.margin, 0):
            return focal_term(xp, self.gamma_neg, -pred)
        shifted = xp.sigmoid(pred) - self.margin
        # Each logarithm where its argument is precise.
        log_rest = xp.where(shifted < 0.5, xp.log1p(-shifted), xp.log(xp.sigmoid(-pred) + self.margin))
        return xp.where(shifted > 0, -xp.power(shifted, self.gamma_neg) * log_rest, 0)

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        return largest_derivatives(self)

    @property
    def value_lipschitz(self) -> float:
        return self._bounds[0]

    @property
    def gradient_lipschitz(self) -> float | None:
        # Below 1 the curvature is infinite at the margin.
        return None if self.margin and self.gamma_neg < 1 else self._bounds[1]

    def inverse_link(self, pred: Any) -> Any:
        batch = batch_of_predictions(type(self).__name__, pred)
        # With a margin the slopes at both labels vanish for large logits; their ratio is settled before they underflow.
        largest = -0.9 * math.log(batch.ops.tiny)
        return batch.finish(super().inverse_link(batch.xp.where(batch.pred > largest, largest, batch.pred)))
