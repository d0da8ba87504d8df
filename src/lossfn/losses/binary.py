"""Losses of two classes, labels 0 and 1, that estimate a probability."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from lossfn import constant, fields
from lossfn.equivalents import Equivalent
from lossfn.fields import choice, half_open_fraction, nonnegative, open_fraction, positive
from lossfn.pointwise import PointwiseLoss

INPUT_DOMAINS = {
    "logits": fields.EXTENDED_REAL,
    "log_probabilities": fields.LOG_PROBABILITY,
    "probabilities": fields.PROBABILITY,
}

# Powers that are products.
WHOLE_GAMMAS = (0.0, 1.0, 2.0, 3.0)


class BinaryCrossEntropy(PointwiseLoss):
    """Negative log-likelihood of a label 0 or 1 (or of a probability of 1); elicits the probability of class 1.

    Values are exact: no clipping, so a certain and wrong prediction costs +∞. A matrix (N, K) of independent labels is
    the multi-label case.

    Parameters
    ----------
    inputs : {"logits", "log_probabilities", "probabilities"}
        What predictions are. Logits lose nothing to rounding; probabilities near 1 do.
    pos_weight : float
        Factor on the positive term. The minimiser is then w·π / (w·π + 1 − π) and no longer the probability π;
        ``inverse_link`` corrects for it.
    label_smoothing : float
        Mix the label with ½: t·(1 − ε) + ε/2. Shrinks the minimiser towards ½; ``inverse_link`` corrects for it.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
       doi:10.1198/016214506000001437.

    See Also
    --------
    BinaryFocal : puts less weight on rows that are already right.

    Examples
    --------
    >>> from lossfn import BinaryCrossEntropy
    >>> value, gradient = BinaryCrossEntropy().value_and_gradient([0.0, 100.0], [1, 0])
    >>> print(value.round(4), gradient)
    50.3466 [-0.25  0.5 ]
    """

    inputs: str = choice(default="logits", options=tuple(INPUT_DOMAINS), doc="what predictions are")
    pos_weight: float = positive(default=1.0, symbol="w", doc="factor on the positive term", structural=(1.0,))
    label_smoothing: float = half_open_fraction(
        default=0.0, symbol=r"\varepsilon", doc="share of the label that is replaced by 1/2", structural=(0.0,)
    )

    target = fields.PROBABILITY
    elicits = "probability"
    convex = True
    lower_bound = 0.0
    variants = (
        {},
        {"pos_weight": 3.0},
        {"label_smoothing": 0.1},
        {"pos_weight": 0.5, "label_smoothing": 0.2},
        {"inputs": "log_probabilities"},
        {"inputs": "probabilities"},
    )
    head_symbols = ("z",)
    equivalents = (
        Equivalent(
            "PyTorch",
            "torch.nn.functional.binary_cross_entropy_with_logits(pred, target, pos_weight=torch.tensor(pos_weight))",
            when="inputs == 'logits' and label_smoothing == 0",
        ),
        Equivalent(
            "PyTorch",
            "torch.nn.functional.binary_cross_entropy(pred, target)",
            when="inputs == 'probabilities' and pos_weight == 1 and label_smoothing == 0",
            note="the logarithm stops at -100",
        ),
        Equivalent(
            "Keras",
            "keras.losses.binary_crossentropy(target, pred, from_logits=True, label_smoothing=label_smoothing)",
            when="inputs == 'logits' and pos_weight == 1",
        ),
        Equivalent(
            "Keras",
            "keras.losses.binary_crossentropy(target, pred, label_smoothing=label_smoothing)",
            when="inputs == 'probabilities' and pos_weight == 1",
            note="probabilities are clipped to [1e-7, 1 - 1e-7]",
        ),
        Equivalent(
            "optax",
            "optax.losses.sigmoid_binary_cross_entropy(pred, target)",
            when="inputs == 'logits' and pos_weight == 1 and label_smoothing == 0",
        ),
        Equivalent(
            "scikit-learn",
            "sklearn.metrics.log_loss(target > 0.5, pred)",
            when="inputs == 'probabilities' and pos_weight == 1 and label_smoothing == 0",
            note="labels only; probabilities are clipped by the resolution of their type",
        ),
        Equivalent(
            "XGBoost",
            "objective='binary:logistic', scale_pos_weight=pos_weight",
            when="inputs == 'logits' and label_smoothing == 0",
        ),
        Equivalent(
            "LightGBM",
            "objective='binary', scale_pos_weight=pos_weight",
            when="inputs == 'logits' and label_smoothing == 0",
            note="labels only; for probabilities objective='cross_entropy'",
        ),
        Equivalent(
            "CatBoost",
            "loss_function='Logloss', scale_pos_weight=pos_weight",
            when="inputs == 'logits' and label_smoothing == 0",
            note="labels only; for probabilities loss_function='CrossEntropy'",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "prediction", INPUT_DOMAINS[self.inputs])
        if self.inputs != "logits":
            object.__setattr__(self, "head_symbols", ("p" if self.inputs == "probabilities" else r"\ell",))

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        # One term for each label: softplus(z) - t z would be 0 for every z > 33. Both labels are smoothed: the
        # difference of 1 and a smoothed label would lose digits.
        one, zero = (share * (1 - self.label_smoothing) + self.label_smoothing / 2 for share in (target, 1 - target))
        match self.inputs:
            case "logits":
                return self.pos_weight * xp.xmul(one, xp.softplus(-pred)) + xp.xmul(zero, xp.softplus(pred))
            case "log_probabilities":
                return -self.pos_weight * xp.xmul(one, pred) - xp.xmul(zero, xp.log1mexp(pred))
            case _:
                return -self.pos_weight * xp.xlogy(one, pred) - xp.xlog1py(zero, -pred)

    @property
    def value_lipschitz(self) -> float | None:
        return max(self.pos_weight, 1.0) * (1 - self.label_smoothing / 2) if self.inputs == "logits" else None

    @property
    def gradient_lipschitz(self) -> float | None:
        if self.inputs != "logits":
            return None
        smoothing = self.label_smoothing / 2
        return max(self.pos_weight * share + 1 - share for share in (smoothing, 1 - smoothing)) / 4

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        share = constant.weighted_mean(target, weight) * (1 - self.label_smoothing) + self.label_smoothing / 2
        positive_share = self.pos_weight * share
        with np.errstate(divide="ignore"):
            match self.inputs:
                case "logits":
                    return np.log(positive_share) - np.log1p(-share)
                case "log_probabilities":
                    return np.log(positive_share / (positive_share + 1 - share))
                case _:
                    return positive_share / (positive_share + 1 - share)


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
        ),
    )

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return self.gamma == 0

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = (2 * target - 1) * pred
        if isinstance(self.gamma, float) and self.gamma in WHOLE_GAMMAS:
            focus = xp.power(xp.sigmoid(-margin), self.gamma)
        else:
            # The same power, without powers gamma - 1 of a vanishing sigmoid in its derivatives.
            focus = xp.exp(self.gamma * xp.log_sigmoid(-margin))
        loss = xp.xmul(focus, xp.softplus(-margin))
        if self.alpha is None:
            return loss
        return xp.where(target > 0, self.alpha, 1 - self.alpha) * loss

    @cached_property
    def _largest_weight(self) -> float:
        return 1.0 if self.alpha is None else max(self.alpha, 1 - self.alpha)

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        # No closed form: the extrema of first and second derivative lie at moderate logits and are found numerically.
        from scipy.optimize import minimize_scalar

        plain = BinaryFocal(gamma=self.gamma)

        def largest(derivative: Any) -> float:
            grid = np.linspace(-40.0, 40.0, 3201)
            start = float(grid[np.argmax(np.abs(derivative(grid)))])
            found = minimize_scalar(
                lambda z: -abs(derivative(np.array([z]))[0]),
                bounds=(start - 0.05, start + 0.05),
                method="bounded",
                options={"xatol": 1e-9},
            )
            return max(-float(found.fun), float(np.abs(derivative(grid)).max()))

        first = largest(lambda z: plain.gradient(z, np.ones_like(z), reduction="sum"))
        second = largest(lambda z: plain.hessian(z, np.ones_like(z), reduction="sum"))
        return first, second

    @property
    def value_lipschitz(self) -> float:
        return self._largest_weight * self._bounds[0]

    @property
    def gradient_lipschitz(self) -> float:
        return self._largest_weight * self._bounds[1]
