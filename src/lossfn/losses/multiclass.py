"""Losses of K classes through the probabilities that softmax gives to them."""

from __future__ import annotations

import math
from functools import cached_property

from lossfn.class_fields import class_weights
from lossfn.equivalents import Equivalent
from lossfn.fields import nonnegative, positive_fraction, real
from lossfn.losses import class_terms
from lossfn.pointwise import PointwiseLoss
from lossfn.softmax import INPUTS, SoftmaxLoss

PLAIN = "inputs == 'logits' and label_smoothing == 0 and temperature == 1 and z_loss == 0"


class CrossEntropy(SoftmaxLoss):
    """Negative log-likelihood of a class, or of a distribution over classes; elicits the probabilities.

    Class indices, one-hot rows and distributions mean the same. With ``temperature`` 1, no smoothing and no ``z_loss``
    it is strictly proper. ``inverse_link`` corrects for smoothing, class weights and temperature.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
       doi:10.1198/016214506000001437.

    See Also
    --------
    SoftmaxFocal : puts less weight on rows that are already right.
    BinaryCrossEntropy : two classes and one logit, or many labels that do not exclude each other.

    Examples
    --------
    >>> from lossfn import CrossEntropy
    >>> value, gradient = CrossEntropy().value_and_gradient([[2.0, 1.0, 0.0]], [0])
    >>> print(value.round(6), gradient.round(4))
    0.407606 [[-0.3348  0.2447  0.09  ]]
    """

    elicits = "probabilities"
    accepted_inputs = INPUTS
    variants = (
        {},
        {"label_smoothing": 0.1},
        {"temperature": 2.5},
        {"z_loss": 0.01},
        {"inputs": "log_probabilities"},
        {"inputs": "probabilities"},
    )

    equivalents = (
        Equivalent(
            "PyTorch",
            "torch.nn.functional.cross_entropy(pred / temperature, target, label_smoothing=label_smoothing)",
            when="inputs == 'logits' and z_loss == 0",
            note="with weight= the mean is the same for class indices without smoothing, not for others",
        ),
        Equivalent("PyTorch", "torch.nn.functional.nll_loss(pred, target)", when="inputs == 'log_probabilities'"),
        Equivalent("Keras", "keras.losses.sparse_categorical_crossentropy(target, pred, from_logits=True)", when=PLAIN),
        Equivalent(
            "Keras",
            "keras.losses.categorical_crossentropy(numpy.eye(pred.shape[-1])[target], pred, from_logits=True, "
            "label_smoothing=label_smoothing)",
            when="inputs == 'logits' and temperature == 1 and z_loss == 0",
        ),
        Equivalent(
            "Keras",
            "keras.losses.sparse_categorical_crossentropy(target, pred)",
            when="inputs == 'probabilities'",
            note="probabilities are clipped to [1e-7, 1 - 1e-7]",
        ),
        Equivalent("optax", "optax.softmax_cross_entropy_with_integer_labels(pred, target)", when=PLAIN),
        Equivalent(
            "optax", "optax.losses.softmax_cross_entropy(pred, jax.nn.one_hot(target, pred.shape[-1]))", when=PLAIN
        ),
        Equivalent("scikit-learn", "sklearn.metrics.log_loss(target, pred)", when="inputs == 'probabilities'"),
        Equivalent(
            "torchmetrics",
            "torch.log(torchmetrics.functional.text.perplexity(pred[None], target[None]))",
            when=PLAIN,
            note="rounds to float32",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.log_score(1, numpy.take_along_axis(pred, target[:, None], -1)[:, 0])",
            when="inputs == 'probabilities'",
        ),
        Equivalent("XGBoost", "objective='multi:softprob'", when=PLAIN, curvature="2 * hessian"),
        Equivalent(
            "LightGBM",
            "objective='multiclass'",
            when=PLAIN,
            curvature="numpy.shape(pred)[1] / (numpy.shape(pred)[1] - 1) * hessian",
        ),
        Equivalent(
            "CatBoost", "loss_function='MultiClass'", when=PLAIN, note="its Newton steps take the whole Hessian"
        ),
    )

    @cached_property
    def term(self) -> PointwiseLoss:
        return class_terms.LogTermOfProbability() if self.inputs == "probabilities" else class_terms.LogTerm()

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        # The square of the log-sum-exp curves downwards where that is negative.
        return not self.z_loss

    @property
    def value_lipschitz(self) -> float | None:
        return math.sqrt(2.0) / self.temperature if self.inputs == "logits" and not self.z_loss else None

    @property
    def gradient_lipschitz(self) -> float | None:
        return 0.5 / self.temperature**2 if self.inputs == "logits" and not self.z_loss else None


class SoftmaxFocal(SoftmaxLoss):
    """Cross-entropy times (1 − p)^gamma of the true class: rows that are already right count less.

    Not proper: the minimiser is less certain than the probabilities; ``inverse_link`` corrects for it. Not convex for
    gamma > 0. With ``gamma=0`` it equals ``CrossEntropy`` to the last bit.

    Parameters
    ----------
    gamma : float
        How fast easy rows lose weight.

    References
    ----------
    .. [1] Lin et al. (2017), "Focal loss for dense object detection", doi:10.1109/ICCV.2017.324.

    See Also
    --------
    BinaryFocal : two classes and one logit.

    Examples
    --------
    >>> from lossfn import SoftmaxFocal
    >>> print(SoftmaxFocal(gamma=2.0)([[2.0, 1.0, 0.0]], [0]).round(6))
    0.045678
    """

    gamma: float = nonnegative(default=2.0, symbol=r"\gamma", doc="how fast easy rows lose weight")

    elicits = "a less certain form of the probabilities"
    variants = ({}, {"gamma": 0.5}, {"gamma": 1.0}, {"gamma": 3.7, "label_smoothing": 0.1})
    equivalents = (
        Equivalent(
            "Keras",
            "keras.losses.categorical_focal_crossentropy(numpy.eye(pred.shape[-1])[target], pred, 1.0, gamma, "
            "from_logits=True)",
            when="label_smoothing == 0",
            note="probabilities are clipped to [1e-7, 1 - 1e-7]",
        ),
    )

    @cached_property
    def term(self) -> PointwiseLoss:
        return class_terms.FocalTerm(gamma=self.gamma)


class PolyCrossEntropy(SoftmaxLoss):
    """Cross-entropy and epsilon (1 − p) of the true class: the first polynomial coefficient changed.

    Parameters
    ----------
    epsilon : float
        What is added to the coefficient 1 of 1 − p in the expansion of −log p; at least −1, which removes it.

    References
    ----------
    .. [1] Leng et al. (2022), "PolyLoss: a polynomial expansion perspective of classification loss functions",
       doi:10.48550/arXiv.2204.12511.

    Examples
    --------
    >>> from lossfn import PolyCrossEntropy
    >>> print(PolyCrossEntropy(epsilon=1.0)([[0.0, 0.0]], [1]).round(6))
    1.193147
    """

    epsilon: float = real(default=1.0, symbol=r"\epsilon", doc="factor on 1 - p, at least -1")

    elicits = "a distorted form of the probabilities"
    variants = ({}, {"epsilon": -1.0})
    equivalents = (
        Equivalent(
            "optax",
            "optax.losses.poly_loss_cross_entropy(pred, jax.nn.one_hot(target, pred.shape[-1]), epsilon=epsilon)",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epsilon < -1:
            raise ValueError(f"{type(self).__name__}: epsilon must be at least -1; got {self.epsilon}")

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        # With s for the probability of the true class, the Hessian times 1 − s is at least
        # s (1 − epsilon (1 − 2s)) times a square along every direction.
        return self.epsilon <= 1 and not self.z_loss

    @cached_property
    def term(self) -> PointwiseLoss:
        return class_terms.PolyTerm(epsilon=self.epsilon)


class GeneralizedCrossEntropy(SoftmaxLoss):
    """(1 − p^q) / q of the true class: bounded by 1/q, so that wrong labels cannot dominate.

    Between the cross-entropy (q → 0) and 1 − p (q = 1, which estimates the most likely class only). Not proper, not
    convex.

    Parameters
    ----------
    q : float
        The exponent, 0 < q ≤ 1.

    References
    ----------
    .. [1] Zhang and Sabuncu (2018), "Generalized cross entropy loss for training deep neural networks with noisy
       labels", doi:10.48550/arXiv.1805.07836.

    Examples
    --------
    >>> from lossfn import GeneralizedCrossEntropy
    >>> print(GeneralizedCrossEntropy(q=0.7)([[0.0, 0.0]], [1]).round(6))
    0.549183
    """

    q: float = positive_fraction(default=0.7, symbol="q", doc="exponent")

    elicits = "a sharper form of the probabilities"
    variants = ({}, {"q": 1.0}, {"q": 0.1})
    equivalents = (
        Equivalent(
            "Keras",
            "keras.losses.categorical_generalized_cross_entropy(target, scipy.special.softmax(pred, -1), q)",
            note="takes probabilities",
        ),
    )

    @property
    def gives_probability(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return super().gives_probability and self.q < 1

    @cached_property
    def term(self) -> PointwiseLoss:
        return class_terms.PowerTerm(q=self.q)


class SymmetricCrossEntropy(SoftmaxLoss):
    """alpha times the cross-entropy, beta times that with prediction and target exchanged: robust to wrong labels.

    In the exchanged one the logarithm of a share 0 is ``log_zero``.

    Parameters
    ----------
    alpha : float
        Factor on the cross-entropy.
    beta : float
        Factor on the exchanged one.
    log_zero : float
        What stands for log 0, below 0.

    References
    ----------
    .. [1] Wang et al. (2019), "Symmetric cross entropy for robust learning with noisy labels",
       doi:10.1109/ICCV.2019.00041.

    Examples
    --------
    >>> from lossfn import SymmetricCrossEntropy
    >>> print(SymmetricCrossEntropy()([[0.0, 0.0]], [1]).round(6))
    2.069315
    """

    alpha: float = nonnegative(default=0.1, symbol=r"\alpha", doc="factor on the cross-entropy")
    beta: float = nonnegative(default=1.0, symbol=r"\beta", doc="factor on the reverse cross-entropy")
    log_zero: float = real(default=-4.0, symbol="A", doc="what stands for log 0")

    elicits = "a distorted form of the probabilities"
    variants = ({}, {"alpha": 1.0, "beta": 0.5})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.log_zero >= 0:
            raise ValueError(f"{type(self).__name__}: log_zero must be < 0; got {self.log_zero}")

    @cached_property
    def term(self) -> PointwiseLoss:
        return class_terms.SymmetricTerm(alpha=self.alpha, beta=self.beta, log_zero=self.log_zero)


class ConfidencePenalty(SoftmaxLoss):
    """Cross-entropy minus lam times the entropy of the prediction: certainty costs.

    Not proper: predictions are less certain than the probabilities. No temperature has the same effect.

    Parameters
    ----------
    lam : float
        Factor on the entropy.

    References
    ----------
    .. [1] Pereyra et al. (2017), "Regularizing neural networks by penalizing confident output distributions",
       doi:10.48550/arXiv.1701.06548.

    Examples
    --------
    >>> from lossfn import ConfidencePenalty
    >>> print(ConfidencePenalty(lam=1.0)([[0.0, 0.0]], [1]).round(6))
    0.0
    """

    lam: float = nonnegative(default=0.1, symbol=r"\lambda", doc="factor on the entropy")

    elicits = "a less certain form of the probabilities"
    lower_bound = -math.inf
    needs_target_class_only = False
    variants = ({}, {"lam": 1.0})

    @cached_property
    def term(self) -> PointwiseLoss:
        return class_terms.EntropyTerm(lam=self.lam)


class LogitAdjusted(SoftmaxLoss):
    """Cross-entropy of scores + tau log prior: the scores themselves then rank classes as if all were equally frequent.

    Parameters
    ----------
    prior : sequence of float
        How frequent each class is: shares or counts, all > 0.
    tau : float
        Strength; 1 makes the largest score the class of the smallest balanced error.

    References
    ----------
    .. [1] Menon et al. (2021), "Long-tail learning via logit adjustment", doi:10.48550/arXiv.2007.07314.

    Examples
    --------
    >>> from lossfn import LogitAdjusted
    >>> print(LogitAdjusted(prior=(0.9, 0.1))([[0.0, 0.0]], [1]).round(6))
    2.302585
    """

    prior: tuple[float, ...] = class_weights(default=(0.5, 0.5), symbol=r"\pi", doc="how frequent each class is")
    tau: float = real(default=1.0, symbol=r"\tau", doc="strength")

    elicits = "probabilities over prior^tau"
    offset_formula = r" + \tau \log \pi"
    variants = ({"prior": (0.5, 0.3, 0.2)}, {"prior": (5.0, 3.0, 2.0), "tau": 0.5})
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.cross_entropy(pred + tau * torch.log(torch.tensor(prior)), target)"),
    )

    @property
    def sampled_classes(self) -> int:  # type: ignore[override]  # depends on a parameter here
        return len(self.prior)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior is None or not all(self.prior):
            raise ValueError(f"{type(self).__name__}: prior must hold numbers > 0; got {self.prior}")

    @cached_property
    def term(self) -> PointwiseLoss:
        return class_terms.LogTerm()

    def offset(self, classes: int) -> tuple[float, ...]:
        if len(self.prior) != classes:
            raise ValueError(
                f"{type(self).__name__}: prior has {len(self.prior)} entries, but pred has {classes} classes"
            )
        return tuple(self.tau * math.log(share / sum(self.prior)) for share in self.prior)

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return not self.z_loss

    @property
    def value_lipschitz(self) -> float | None:
        # Gradients are those of cross-entropy: what is added to the scores is constant.
        return math.sqrt(2.0) / self.temperature if not self.z_loss else None

    @property
    def gradient_lipschitz(self) -> float | None:
        return 0.5 / self.temperature**2 if not self.z_loss else None
