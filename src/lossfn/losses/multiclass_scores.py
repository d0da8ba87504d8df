"""Scores of K classes that are proper and bounded, through the probabilities that softmax gives to them."""

from __future__ import annotations

from functools import cached_property

from lossfn.equivalents import Equivalent
from lossfn.losses import class_terms
from lossfn.pointwise import PointwiseLoss
from lossfn.softmax import INPUTS, SoftmaxLoss


class MulticlassBrier(SoftmaxLoss):
    """Squared distance between probabilities and target: Σ (p − q)²; strictly proper, bounded by 2.

    Twice the Brier score of two classes that counts only one of them. In the logits it is not convex.

    References
    ----------
    .. [1] Brier (1950), "Verification of forecasts expressed in terms of probability",
       doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples
    --------
    >>> from lossfn import MulticlassBrier
    >>> print(MulticlassBrier(inputs="probabilities")([[0.7, 0.2, 0.1]], [0]).round(6))
    0.14
    """

    elicits = "probabilities"
    needs_target_class_only = False
    accepted_inputs = INPUTS
    variants = ({}, {"inputs": "log_probabilities"}, {"inputs": "probabilities"})
    equivalents = (
        Equivalent(
            "PyTorch",
            "torch.nn.functional.mse_loss(torch.softmax(pred, -1), torch.eye(pred.shape[-1])[target], "
            "reduction='sum') / len(pred)",
            when="inputs == 'logits'",
        ),
        Equivalent(
            "scikit-learn",
            "sklearn.metrics.brier_score_loss(target, pred, scale_by_half=False)",
            when="inputs == 'probabilities'",
        ),
    )

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return self.inputs == "probabilities"

    @cached_property
    def term(self) -> PointwiseLoss:
        return class_terms.SquareTermOfProbability() if self.inputs == "probabilities" else class_terms.SquareTerm()


class SphericalScore(SoftmaxLoss):
    """Minus the probability of the true class over the length of the vector of probabilities; strictly proper.

    Between −1 and 0, less is better. In the logits it is not convex.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
       doi:10.1198/016214506000001437.

    Examples
    --------
    >>> from lossfn import SphericalScore
    >>> print(SphericalScore()([[0.0, 0.0]], [1]).round(6))
    -0.707107
    """

    elicits = "probabilities"
    lower_bound = -1.0

    @property
    def divisor(self) -> float:
        """Half the temperature: p/‖p‖ is the root of what softmax makes of twice the scores."""
        return self.temperature / 2

    @cached_property
    def term(self) -> PointwiseLoss:
        return class_terms.SphericalTerm()
