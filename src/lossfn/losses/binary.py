"""Losses of two classes, labels 0 and 1, that estimate a probability."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from lossfn import constant, fields
from lossfn.equivalents import Equivalent
from lossfn.fields import choice, half_open_fraction, nonnegative, positive
from lossfn.losses.links import sigmoid
from lossfn.parameters import is_exactly
from lossfn.pointwise import PointwiseLoss

INPUT_DOMAINS = {
    "logits": fields.EXTENDED_REAL,
    "log_probabilities": fields.LOG_PROBABILITY,
    "probabilities": fields.PROBABILITY,
}

# For equivalents in other libraries.
PLAIN = "inputs == 'logits' and pos_weight == 1 and label_smoothing == 0"
LABELS = "numpy.isin(target, (0, 1))"


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
            "PyTorch",
            "torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(pos_weight))(pred, target)",
            when="inputs == 'logits' and label_smoothing == 0",
        ),
        Equivalent(
            "PyTorch", "torch.nn.functional.multilabel_soft_margin_loss(pred[:, None], target[:, None])", when=PLAIN
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
            when=PLAIN,
        ),
        Equivalent(
            "scikit-learn",
            "sklearn.metrics.log_loss(target > 0.5, pred)",
            when="inputs == 'probabilities' and pos_weight == 1 and label_smoothing == 0",
            rows=LABELS,
            note="probabilities are clipped by the resolution of their type",
        ),
        Equivalent("XGBoost", "objective='binary:logistic'", when=PLAIN, note="takes probabilities, too"),
        Equivalent(
            "XGBoost",
            "objective='binary:logistic', scale_pos_weight=pos_weight",
            when="inputs == 'logits' and label_smoothing == 0 and pos_weight != 1",
            rows=LABELS,
        ),
        Equivalent("XGBoost", "objective='reg:logistic'", when=PLAIN),
        Equivalent(
            "LightGBM",
            "objective='binary', scale_pos_weight=pos_weight",
            when="inputs == 'logits' and label_smoothing == 0",
            rows=LABELS,
        ),
        Equivalent("LightGBM", "objective='cross_entropy'", when=PLAIN, note="takes probabilities, too"),
        Equivalent(
            "CatBoost",
            "loss_function='Logloss', scale_pos_weight=pos_weight",
            when="inputs == 'logits' and label_smoothing == 0",
            rows=LABELS,
        ),
        Equivalent("CatBoost", "loss_function='CrossEntropy'", when=PLAIN, note="takes probabilities, too"),
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


class SquaredErrorOnSigmoid(PointwiseLoss):
    """(sigmoid(prediction) − label)², the Brier score of a logit; elicits the probability of class 1.

    A proper score, but neither a likelihood nor convex in the logit: where a row is wrong and the sigmoid saturated,
    the gradient vanishes, and training can stay there. Bounded by 1, so robust to wrong labels. A matrix (N, K) of
    independent labels is the multi-label case.

    References
    ----------
    .. [1] Brier (1950), "Verification of forecasts expressed in terms of probability",
       doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    See Also
    --------
    BinaryCrossEntropy : convex, with a gradient that does not vanish on wrong rows.

    Examples
    --------
    >>> from lossfn import SquaredErrorOnSigmoid
    >>> value, gradient = SquaredErrorOnSigmoid().value_and_gradient([0.0, -50.0], [1, 1], reduction="sum")
    >>> print(value, gradient.round(4))
    1.25 [-0.25 -0.  ]
    """

    target = fields.PROBABILITY
    elicits = "probability"
    lower_bound = 0.0
    head_symbols = ("z",)
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.mse_loss(torch.sigmoid(pred), target)"),
        Equivalent("Keras", "keras.losses.mean_squared_error(target, 1 / (1 + numpy.exp(-pred)))"),
        Equivalent(
            "scikit-learn", "sklearn.metrics.brier_score_loss(target > 0.5, scipy.special.expit(pred))", rows=LABELS
        ),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        # Both labels: sigmoid(z) - 1 would be 0 for every z > 37.
        error = (1 - target) * xp.sigmoid(pred) - target * xp.sigmoid(-pred)
        return error * error

    @property
    def value_lipschitz(self) -> float:
        # 2 s² (1 − s), at s = 2/3.
        return 8 / 27

    @property
    def gradient_lipschitz(self) -> float:
        # 2 s² (1 − s) (2 − 3 s), where its derivative 12 s² − 15 s + 4 vanishes.
        s = (15 - math.sqrt(33)) / 24
        return 2 * s * s * (1 - s) * (2 - 3 * s)

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        share = constant.weighted_mean(target, weight)
        with np.errstate(divide="ignore"):
            return np.log(share) - np.log1p(-share)

    def inverse_link(self, pred: Any) -> Any:
        # Known, and defined where both slopes have vanished.
        return sigmoid(type(self).__name__, pred)


class BinaryConfidencePenalty(PointwiseLoss):
    """Cross-entropy minus ``lam`` times the entropy of the predicted probability, so that confidence costs.

    Elicits the probability of class 1 through a map that shrinks predictions towards ½: ``inverse_link`` corrects for
    it, and gives 0 or 1 for logits more confident than the minimiser for a certain class. With ``lam=0`` it equals
    ``BinaryCrossEntropy`` to the last bit; otherwise it is neither convex nor proper, and goes below 0. Not the same as
    a temperature or as label smoothing. A matrix (N, K) of independent labels is the multi-label case.

    Parameters
    ----------
    lam : float
        Weight of the entropy, in nats. It is subtracted; adding it would sharpen predictions.

    References
    ----------
    .. [1] Pereyra, Tucker, Chorowski, Kaiser and Hinton (2017), "Regularizing neural networks by penalizing confident
       output distributions", doi:10.48550/arXiv.1701.06548.

    See Also
    --------
    BinaryCrossEntropy : with ``label_smoothing``, the other way to penalise confidence.

    Examples
    --------
    >>> from lossfn import BinaryConfidencePenalty
    >>> loss = BinaryConfidencePenalty(lam=0.3)
    >>> best = loss.optimal_constant([0, 1], weight=[0.3, 0.7])
    >>> print(best.round(4), loss.inverse_link([best]).round(4))
    0.6466 [0.7]
    """

    lam: float = nonnegative(default=0.1, symbol=r"\lambda", doc="weight of the entropy", structural=(0.0,))

    target = fields.PROBABILITY
    elicits = "probability"
    variants = ({}, {"lam": 0.5})
    head_symbols = ("z",)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        cross_entropy = xp.xmul(target, xp.softplus(-pred)) + xp.xmul(1 - target, xp.softplus(pred))
        if is_exactly(self.lam, 0):
            return cross_entropy
        return cross_entropy - self.lam * xp.binary_entropy(pred)

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return self.lam == 0

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        """The least value and the steepest slope, both for a certain label."""
        from scipy.optimize import brentq

        if self.lam == 0:
            return 0.0, 1.0

        def probability(z: float) -> float:
            return 1 / (1 + math.exp(-z))

        # The slope vanishes at lam·z·p = 1, where lam·z·(1 - p) is e^-z.
        least = brentq(lambda z: self.lam * z * probability(z) - 1, 1 / self.lam, 2 / self.lam)
        value = (1 - self.lam) * math.log1p(math.exp(-least)) - math.exp(-least)
        # The curvature vanishes at z·tanh(z/2) = 1 + 1/lam.
        goal = 1 + 1 / self.lam
        steepest = brentq(lambda z: z * math.tanh(z / 2) - goal, goal, goal + 2)
        p = probability(steepest)
        return value, p + self.lam * steepest * p * (1 - p)

    @property
    def lower_bound(self) -> float:  # type: ignore[override]  # depends on a parameter here
        return self._bounds[0]

    @property
    def value_lipschitz(self) -> float:
        return self._bounds[1]

    @property
    def gradient_lipschitz(self) -> float:
        return (1 + self.lam) / 4
