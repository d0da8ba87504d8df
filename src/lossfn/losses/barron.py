"""The family that contains most robust losses: one parameter says how fast the pull of outliers fades."""

from __future__ import annotations

import math
from typing import Any

from lossfn.fields import at_most, positive
from lossfn.parameters import is_exactly
from lossfn.pointwise import PointwiseLoss

#: Where the general formula divides by zero, the loss is another function.
QUADRATIC, LOGARITHMIC, GAUSSIAN = LIMITS = (2.0, 0.0, -math.inf)


class Barron(PointwiseLoss):
    r"""b/alpha · ((1 + (r/scale)²/b)^(alpha/2) − 1) with b = 2 − alpha: from least squares to ignoring outliers.

    Elicits an M-location. With u = r/scale, alpha = 2 is u²/2, alpha = 1 is √(1 + u²) − 1 (``PseudoHuber``),
    alpha = 0 is log(1 + u²/2) (``Cauchy``), alpha = −2 is 2u²/(u² + 4) (``GemanMcClure``) and alpha = −∞ is
    1 − e^(−u²/2) (``Welsch``). All are u²/2 near zero: the square of the scale times this loss is r²/2 there, as
    the losses with names of their own are. Convex for alpha >= 1 only; below, start from a robust fit.

    Parameters
    ----------
    alpha : float
        At most 2; the smaller, the less an outlier pulls. ``-math.inf`` is allowed, and limits are exact.
    scale : float
        Residual size up to which the loss is about quadratic, in units of the target.

    References
    ----------
    .. [1] Barron (2019), "A general and adaptive robust loss function", doi:10.1109/CVPR.2019.00446.

    See Also
    --------
    PseudoHuber, Cauchy, GemanMcClure, Welsch

    Examples
    --------
    >>> import math
    >>> from lossfn import Barron
    >>> for alpha in (2, 1, 0, -2, -math.inf):
    ...     print(Barron(alpha=alpha, scale=1.0)([2.0], [0.0]).round(6))
    2.0
    1.236068
    1.098612
    1.0
    0.864665
    """

    alpha: float = at_most(
        2.0, default=1.0, symbol=r"\alpha", doc="the smaller, the less an outlier pulls", structural=LIMITS
    )
    scale: float = positive(
        default=1.0, symbol="s", doc="residual size up to which the loss is about quadratic", in_target_units=True
    )

    elicits = "M-location"
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = (
        {},
        {"alpha": 2.0},
        {"alpha": 0.0, "scale": 0.3},
        {"alpha": -math.inf},
        {"alpha": 1.5, "scale": 0.3},
        {"alpha": -2.5, "scale": 0.3},
    )

    @property
    def convex(self) -> bool:  # type: ignore[override]  # depends on a parameter here
        return self.alpha >= 1

    def _stretched(self, xp: Any, scaled: Any) -> tuple[Any, Any]:
        """Return √b and u/√b, in which the general formula is a power of √(1 + u²/b)."""
        root = xp.sqrt(2 - self.alpha)
        return root, scaled / root

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        scaled = (pred - target) / self.scale
        if is_exactly(self.alpha, QUADRATIC):
            return scaled * scaled / 2
        if is_exactly(self.alpha, LOGARITHMIC):
            return xp.log1psq(scaled / math.sqrt(2))
        if is_exactly(self.alpha, GAUSSIAN):
            return -xp.expm1(-scaled * scaled / 2)
        _, v = self._stretched(xp, scaled)
        exponent = self.alpha / 2 * xp.log1psq(v)
        is_small = xp.logical_or(self._is_near(xp, v), xp.abs(exponent) < 1)
        grown = xp.where(is_small, xp.expm1(exponent), xp.power(xp.sqrt1psq(v), self.alpha) - 1)
        return (2 - self.alpha) / self.alpha * grown

    def _is_near(self, xp: Any, v: Any) -> Any:
        """Return where a power of √(1 + v²) has more digits as an exponential.

        A power multiplies the rounding of its base by alpha, an exponential that of the logarithm by alpha times it.
        """
        return xp.log1psq(v) < 2

    def _power(self, xp: Any, v: Any, exponent: Any) -> Any:
        """Return √(1 + v²) to a power."""
        near = xp.exp(exponent / 2 * xp.log1psq(v))
        return xp.where(self._is_near(xp, v), near, xp.power(xp.sqrt1psq(v), exponent))

    # In the derivatives one power carries the magnitude, and all other factors are bounded.

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        scaled = (pred - target) / self.scale
        if is_exactly(self.alpha, QUADRATIC):
            return scaled / self.scale
        if is_exactly(self.alpha, GAUSSIAN):
            return xp.mulexp(scaled, -scaled * scaled / 2) / self.scale
        root, v = self._stretched(xp, scaled)
        return root * xp.unit(v) * self._power(xp, v, self.alpha - 1) / self.scale

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        scaled = (pred - target) / self.scale
        if is_exactly(self.alpha, QUADRATIC):
            return 1 / self.scale / self.scale
        if is_exactly(self.alpha, GAUSSIAN):
            # Both arguments overflow together.
            half = scaled * scaled / 2
            return 2 * xp.mulexp(0.5 - half, -half) / self.scale / self.scale
        _, v = self._stretched(xp, scaled)
        shape = xp.rh(v) * xp.rh(v) + (self.alpha - 1) * (xp.unit(v) * xp.unit(v))
        return shape * self._power(xp, v, self.alpha - 2) / self.scale / self.scale

    @property
    def value_lipschitz(self) -> float | None:
        if self.alpha > 1:
            return None
        if is_exactly(self.alpha, GAUSSIAN):
            return math.exp(-0.5) / self.scale
        # The pull is largest at u² = b/(1 - alpha): for alpha = 1 at infinity.
        shrunk = (1 - self.alpha) / 2 * math.log1p(1 / (1 - self.alpha)) if self.alpha < 1 else 0.0
        return math.exp(-shrunk) / self.scale

    @property
    def gradient_lipschitz(self) -> float:
        return 1 / self.scale**2
