"""Losses of the margin that are bounded, hence robust to wrong labels and not convex."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossfn.equivalents import Equivalent
from lossfn.losses.links import sigmoid
from lossfn.losses.margin import MarginLoss, half_log_odds


class ZeroOne(MarginLoss):
    """Counts wrong decisions: 0 for a positive margin, 1 otherwise; elicits the more likely class.

    A prediction of 0 decides for no class and counts as wrong. Gradient and Hessian are 0 and leave out the jump, so
    nothing can be trained with it: it is what the other margin losses stand in for.

    References
    ----------
    .. [1] Bartlett, Jordan and McAuliffe (2006), "Convexity, classification, and risk bounds",
       doi:10.1198/016214505000000907.

    See Also
    --------
    Ramp : bounded by 1 as well, with a slope between margins 0 and 1.

    Examples
    --------
    >>> from lossfn import ZeroOne
    >>> print(ZeroOne()([2.0, 0.5, -0.1, 0.0], [1, -1, -1, 1]))
    0.5
    """

    elicits = "class"
    smoothness = -1
    gives_probability = False
    equivalents = (Equivalent("scikit-learn", "sklearn.metrics.zero_one_loss(target, numpy.where(pred > 0, 1, -1))"),)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.where(pred * target > 0, 0, 1)

    def minimiser(self, probability: Any) -> Any:
        """Return the more likely label, +1 for a tie: any score of its sign is as good."""
        return np.where(probability >= 0.5, 1.0, -1.0)[()]

    def psi(self, theta: float) -> float:
        return theta


class Ramp(MarginLoss):
    """The hinge, cut off at 1: linear between margins 0 and 1, constant outside; elicits the more likely class.

    A wrong label costs 1 at most, so it is robust to them; not convex, so training depends on where it starts. The
    gradient at both corners is 0; the Hessian is 0 and leaves out the spikes there. No likelihood.

    References
    ----------
    .. [1] Collobert, Sinz, Weston and Bottou (2006), "Trading convexity for scalability",
       doi:10.1145/1143844.1143870.

    See Also
    --------
    Hinge : convex, but not bounded.

    Examples
    --------
    >>> from lossfn import Ramp
    >>> value, gradient = Ramp().value_and_gradient([0.25, -5.0, 2.0], [1, 1, 1], reduction="sum")
    >>> print(value, gradient)
    1.75 [-1.  0.  0.]
    """

    elicits = "class"
    smoothness = 0
    gives_probability = False

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        margin = pred * target
        return xp.where(margin < 1, xp.where(margin > 0, 1 - margin, 1), 0)

    @property
    def value_lipschitz(self) -> float:
        return 1.0

    def minimiser(self, probability: Any) -> Any:
        """Return the more likely label, +1 for a tie: any score beyond it is as good."""
        return np.where(probability >= 0.5, 1.0, -1.0)[()]

    def psi(self, theta: float) -> float:
        return theta


class SavageMargin(MarginLoss):
    """The squared probability of the wrong class, where predictions are half the log-odds; elicits the probability.

    The Brier score of sigmoid(2·prediction), a proper score: bounded by 1, so robust to wrong labels, but not convex.
    It is the loss of SavageBoost (Masnadi-Shirazi and Vasconcelos, 2008), and no likelihood. Far on the wrong side the
    gradient vanishes, and training can stay there.

    References
    ----------
    .. [1] Brier (1950), "Verification of forecasts expressed in terms of probability",
       doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    See Also
    --------
    SquaredErrorOnSigmoid : the same for labels 0 and 1 and predictions that are the log-odds.

    Examples
    --------
    >>> from lossfn import SavageMargin
    >>> value, gradient = SavageMargin().value_and_gradient([0.0, -50.0], [1, 1], reduction="sum")
    >>> print(value, gradient.round(4))
    1.25 [-0.5 -0. ]
    """

    elicits = "probability"

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        wrong = xp.sigmoid(-2 * (pred * target))
        return wrong * wrong

    @property
    def value_lipschitz(self) -> float:
        # 4 s² (1 − s), at s = 2/3.
        return 16 / 27

    @property
    def gradient_lipschitz(self) -> float:
        # 8 s² (1 − s) (2 − 3 s), where its derivative 12 s² − 15 s + 4 vanishes.
        s = (15 - math.sqrt(33)) / 24
        return 8 * s * s * (1 - s) * (2 - 3 * s)

    def minimiser(self, probability: Any) -> Any:
        return half_log_odds(probability)

    def inverse_link(self, pred: Any) -> Any:
        # Known, and defined where both slopes have vanished.
        return sigmoid(type(self).__name__, pred, slope=2.0)

    def psi(self, theta: float) -> float:
        return theta * theta / 4


class SigmoidMargin(MarginLoss):
    """The probability of the wrong class, sigmoid(−margin): a smooth count of wrong decisions; elicits the class.

    Bounded by 1, so robust to wrong labels; not convex. Its expected value is least at ±∞, so scores grow without
    limit and mean no probability. It is the loss of DOOM II (Mason, Baxter, Bartlett and Frean, 2000), and no
    likelihood.

    References
    ----------
    .. [1] Bartlett, Jordan and McAuliffe (2006), "Convexity, classification, and risk bounds",
       doi:10.1198/016214505000000907.

    See Also
    --------
    SavageMargin : its square at twice the margin, which estimates the probability.

    Examples
    --------
    >>> from lossfn import SigmoidMargin
    >>> value, gradient = SigmoidMargin().value_and_gradient([0.0, -50.0], [1, 1], reduction="sum")
    >>> print(value, gradient.round(4))
    1.5 [-0.25 -0.  ]
    """

    elicits = "class"
    gives_probability = False

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return xp.sigmoid(-(pred * target))

    @property
    def value_lipschitz(self) -> float:
        return 0.25

    @property
    def gradient_lipschitz(self) -> float:
        # s (1 − s) |1 − 2 s|, at s = ½ ± 1/√12.
        return 1 / (6 * math.sqrt(3))

    def minimiser(self, probability: Any) -> Any:
        """Return ±∞ with the sign of the more likely class; at a tie every score is as good, and 0 is their middle."""
        return np.where(probability == 0.5, 0.0, np.where(probability > 0.5, np.inf, -np.inf))[()]

    def psi(self, theta: float) -> float:
        return theta / 2
