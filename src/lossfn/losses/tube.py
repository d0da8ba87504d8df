"""Losses of a residual that forgive small errors: those of support vector regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossfn import constant
from lossfn.equivalents import Equivalent
from lossfn.fields import nonnegative
from lossfn.pointwise import PointwiseLoss


class EpsilonInsensitive(PointwiseLoss):
    """Absolute residual beyond a tube of half-width epsilon, 0 inside: the loss of support vector regression.

    Elicits the middle of those tubes that leave as many targets above as below: the median where the distribution is
    symmetric. With ``epsilon=0`` it is the absolute error. The gradient is 0 inside the tube and on its edge; the
    Hessian is 0 and leaves out the spikes there.

    Parameters
    ----------
    epsilon : float
        Half-width of the tube, in units of the target.

    References
    ----------
    .. [1] Vapnik (1995), "The nature of statistical learning theory", doi:10.1007/978-1-4757-2440-0.
    .. [2] Smola and Schölkopf (2004), "A tutorial on support vector regression",
       doi:10.1023/B:STCO.0000035301.49549.88.

    See Also
    --------
    SquaredEpsilonInsensitive : quadratic beyond the tube.
    AbsoluteError : without a tube.

    Examples
    --------
    >>> from lossfn import EpsilonInsensitive
    >>> value, gradient = EpsilonInsensitive(epsilon=0.5).value_and_gradient([0.3, -2.0], [0.0, 0.0], reduction="sum")
    >>> print(value, gradient)
    1.5 [ 0. -1.]
    """

    epsilon: float = nonnegative(
        default=0.1,
        symbol=r"\varepsilon",
        doc="half-width of the tube in which errors cost nothing",
        in_target_units=True,
    )

    elicits = "M-location"
    convex = True
    smoothness = 0
    lower_bound = 0.0
    variants = ({}, {"epsilon": 0.0}, {"epsilon": 2.0})
    equivalents = (Equivalent("scikit-learn SGD", "loss='epsilon_insensitive', epsilon=epsilon"),)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        size = xp.abs(pred - target)
        return xp.where(size > self.epsilon, size - self.epsilon, 0)

    @property
    def value_lipschitz(self) -> float:
        return 1.0

    def closed_form_constant(self, target: Any, weight: Any) -> Any:
        # The slope is half that of the absolute errors from both edges of the tube.
        edges = np.concatenate([target - self.epsilon, target + self.epsilon])
        return constant.weighted_quantile(edges, np.tile(weight, 2), 0.5)


class SquaredEpsilonInsensitive(PointwiseLoss):
    """Square of what a residual exceeds epsilon by, 0 inside that tube; elicits an M-location.

    Without a factor ½: with ``epsilon=0`` it is the squared error. Residuals that are smaller than the precision of the
    target cost nothing, but large ones pull as hard as in least squares.

    Parameters
    ----------
    epsilon : float
        Half-width of the tube, in units of the target.

    References
    ----------
    .. [1] Smola and Schölkopf (2004), "A tutorial on support vector regression",
       doi:10.1023/B:STCO.0000035301.49549.88.

    See Also
    --------
    EpsilonInsensitive : linear beyond the tube.

    Examples
    --------
    >>> from lossfn import SquaredEpsilonInsensitive
    >>> SquaredEpsilonInsensitive(epsilon=0.5).gradient([0.3, -2.0], [0.0, 0.0], reduction="sum")
    array([ 0., -3.])
    """

    epsilon: float = nonnegative(
        default=0.1,
        symbol=r"\varepsilon",
        doc="half-width of the tube in which errors cost nothing",
        in_target_units=True,
    )

    elicits = "M-location"
    convex = True
    smoothness = 1
    lower_bound = 0.0
    variants = ({}, {"epsilon": 2.0})
    equivalents = (Equivalent("scikit-learn SGD", "loss='squared_epsilon_insensitive', epsilon=epsilon"),)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        # Each side on its own, because a residual beyond the tube keeps its sign.
        excess = xp.where(residual < 0, residual + self.epsilon, residual - self.epsilon)
        return xp.where(xp.abs(residual) >= self.epsilon, excess * excess, 0)

    @property
    def gradient_lipschitz(self) -> float:
        return 2.0
