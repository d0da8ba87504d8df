"""Losses whose pull fades again as residuals grow: outliers are ignored, and the loss is not convex.

Each is r²/2 near zero (Student's t, a likelihood, times a factor), so that tuning constants from the literature hold.
"""

from __future__ import annotations

import math
from typing import Any

from lossfn.equivalents import Equivalent
from lossfn.fields import positive
from lossfn.pointwise import PointwiseLoss


class Cauchy(PointwiseLoss):
    """scale²/2 · log(1 + (r/scale)²), also known as the Lorentzian loss; elicits an M-location.

    The likelihood of Cauchy noise, times scale²/2. The pull is largest at |r| = scale and then fades as 1/r. Not
    convex: there can be several local minima, so start from a robust fit.

    Parameters
    ----------
    scale : float
        Residual size of the largest pull, in units of the target: 2.385 times the noise scale keeps 95 % of the
        efficiency of the mean under Gaussian noise.

    References
    ----------
    .. [1] Holland and Welsch (1977), "Robust regression using iteratively reweighted least-squares",
       doi:10.1080/03610927708827533.

    See Also
    --------
    StudentT : the likelihood with any tail.
    GemanMcClure, Welsch, TukeyBiweight : whose pull fades faster.

    Examples
    --------
    >>> from lossfn import Cauchy
    >>> value, gradient = Cauchy(scale=2.0).value_and_gradient([2.0, -20.0], [0.0, 0.0], reduction="sum")
    >>> print(value.round(6), gradient.round(6))
    10.616535 [ 1.      -0.19802]
    """

    scale: float = positive(default=1.0, symbol="s", doc="residual size of the largest pull", in_target_units=True)

    elicits = "M-location"
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"scale": 0.3})
    equivalents = (
        Equivalent(
            "PyTorch", "-torch.distributions.Cauchy(pred, scale).log_prob(target)", factor="2 / scale**2", constant=True
        ),
        Equivalent(
            "SciPy",
            "-scipy.stats.cauchy.logpdf(target, pred, scale)",
            factor="2 / scale**2",
            constant=True,
        ),
        Equivalent(
            "SciPy",
            "scipy.optimize.least_squares(lambda x: pred - target, [0.0], loss='cauchy', f_scale=scale, "
            "max_nfev=1).cost / len(pred)",
        ),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return self.scale * self.scale / 2 * xp.log1psq((pred - target) / self.scale)

    @property
    def value_lipschitz(self) -> float:
        return self.scale / 2

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0


class GemanMcClure(PointwiseLoss):
    """r²/2 / (1 + (r/scale)²), which tends to scale²/2; elicits an M-location.

    Proposed by Geman and McClure (1987). The pull fades as 1/r³. Not convex: there can be several local minima, so
    start from a robust fit.

    Parameters
    ----------
    scale : float
        Residual size at which the loss is half its limit, in units of the target: 3.787 times the noise scale keeps
        95 % of the efficiency of the mean under Gaussian noise.

    References
    ----------
    .. [1] Barron (2019), "A general and adaptive robust loss function", doi:10.1109/CVPR.2019.00446.

    See Also
    --------
    Barron : with ``alpha=-2`` and half the scale it is this loss divided by the square of its own scale.

    Examples
    --------
    >>> from lossfn import GemanMcClure
    >>> print(GemanMcClure(scale=2.0).elementwise([2.0, 200.0], [0.0, 0.0]).round(6))
    [1.     1.9998]
    """

    scale: float = positive(
        default=1.0, symbol="s", doc="residual size at which the loss is half its limit", in_target_units=True
    )

    elicits = "M-location"
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"scale": 0.3})

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        share = xp.unit((pred - target) / self.scale)
        return self.scale * self.scale / 2 * share * share

    @property
    def value_lipschitz(self) -> float:
        return 9 / (16 * math.sqrt(3)) * self.scale

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0


class Welsch(PointwiseLoss):
    """scale²/2 · (1 − e^(−(r/scale)²)), also known as the Leclerc loss or correntropy; elicits an M-location.

    The pull fades as fast as a Gaussian density. As the scale shrinks, the minimiser tends to the mode. Not convex:
    there can be several local minima, so start from a robust fit.

    Parameters
    ----------
    scale : float
        Residual size at which the pull is 1/e of that of least squares, in units of the target: 2.985 times the noise
        scale keeps 95 % of the efficiency of the mean under Gaussian noise. Some authors write 2·scale² for scale².

    References
    ----------
    .. [1] Holland and Welsch (1977), "Robust regression using iteratively reweighted least-squares",
       doi:10.1080/03610927708827533.

    See Also
    --------
    TukeyBiweight : ignores residuals beyond its constant altogether.

    Examples
    --------
    >>> from lossfn import Welsch
    >>> Welsch(scale=1.0).gradient([0.5, -5.0], [0.0, 0.0], reduction="sum").round(6)
    array([ 0.3894, -0.    ])
    """

    scale: float = positive(
        default=1.0, symbol="s", doc="residual size at which the pull is 1/e of least squares", in_target_units=True
    )

    elicits = "M-location"
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"scale": 0.3})

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        scaled = (pred - target) / self.scale
        return -self.scale * self.scale / 2 * xp.expm1(-scaled * scaled)

    # The exponential wins over factors that are infinite.

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        scaled = residual / self.scale
        return xp.mulexp(residual, -scaled * scaled)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        scaled = (pred - target) / self.scale
        # Both arguments overflow together.
        return 2 * xp.mulexp(0.5 - scaled * scaled, -scaled * scaled)

    @property
    def value_lipschitz(self) -> float:
        return self.scale / math.sqrt(2 * math.e)

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0


class TukeyBiweight(PointwiseLoss):
    """c²/6 · (1 − (1 − (r/c)²)³) up to |r| = c and the constant c²/6 beyond; elicits an M-location.

    Residuals beyond c have no influence at all. Not convex, and flat beyond c: start from a robust fit.

    Parameters
    ----------
    c : float
        Residual size from which on residuals are ignored, in units of the target: 4.685 times the noise scale keeps
        95 % of the efficiency of the mean under Gaussian noise, 1.548 times it tolerates half of the data being wrong.

    References
    ----------
    .. [1] Beaton and Tukey (1974), "The fitting of power series, meaning polynomials, illustrated on band-spectroscopic
       data", doi:10.1080/00401706.1974.10489171.

    See Also
    --------
    Welsch : has no edge.

    Examples
    --------
    >>> from lossfn import TukeyBiweight
    >>> value, gradient = TukeyBiweight(c=3.0).value_and_gradient([1.0, -3.5], [0.0, 0.0], reduction="none")
    >>> print(value.round(6), gradient.round(6))
    [0.446502 1.5     ] [0.790123 0.      ]
    """

    c: float = positive(
        default=4.685, symbol="c", doc="residual size from which on residuals are ignored", in_target_units=True
    )

    elicits = "M-location"
    smoothness = 2
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"c": 0.3})

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        scaled = residual / self.c
        square, weight = scaled * scaled, (1 - scaled) * (1 + scaled)
        # Next to c the polynomial would be a difference of larger numbers.
        share = xp.where(square < 0.5, square * (3 + square * (square - 3)), 1 - weight * weight * weight)
        return self.c * self.c / 6 * xp.where(xp.abs(residual) <= self.c, share, 1)

    # Derivatives of the polynomial would cancel at c, where two of them vanish.

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        scaled = residual / self.c
        weight = (1 - scaled) * (1 + scaled)
        return xp.where(xp.abs(residual) <= self.c, residual * weight * weight, 0)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        scaled = residual / self.c
        curvature = (1 - scaled) * (1 + scaled) * (1 - 5 * scaled * scaled)
        return xp.where(xp.abs(residual) <= self.c, curvature, 0)

    @property
    def value_lipschitz(self) -> float:
        return 16 / (25 * math.sqrt(5)) * self.c

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0


class StudentT(PointwiseLoss):
    """(df + 1)/2 · log(1 + (r/scale)²/df): the negative log-likelihood of Student's t noise; elicits an M-location.

    Near zero it is (df + 1)/df · (r/scale)²/2; as df grows it tends to the Gaussian likelihood (r/scale)²/2. Terms that
    do not depend on the prediction are dropped, log(scale) among them: values for different ``df`` or ``scale`` cannot
    be compared, and neither parameter can be learned with this loss. Not convex: start from a robust fit.

    Parameters
    ----------
    df : float
        Degrees of freedom: 1 is Cauchy noise, 3 to 5 are usual.
    scale : float
        Scale of the noise, in units of the target.

    References
    ----------
    .. [1] Lange, Little and Taylor (1989), "Robust statistical modeling using the t distribution",
       doi:10.1080/01621459.1989.10478852.

    See Also
    --------
    Cauchy : ``df=1``, with a factor that makes it r²/2 near zero.

    Examples
    --------
    >>> from lossfn import StudentT
    >>> StudentT(df=4.0, scale=2.0).gradient([1.0, 4.0, -40.0], [0.0, 0.0, 0.0], reduction="sum").round(6)
    array([ 0.294118,  0.625   , -0.123762])
    """

    df: float = positive(default=4.0, symbol=r"\nu", doc="degrees of freedom")
    scale: float = positive(default=1.0, symbol="s", doc="scale of the noise", in_target_units=True)

    elicits = "M-location"
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"df": 1.5, "scale": 0.3})
    equivalents = (
        Equivalent("PyTorch", "-torch.distributions.StudentT(df, pred, scale).log_prob(target)", constant=True),
        Equivalent("SciPy", "-scipy.stats.t.logpdf(target, df, pred, scale)", constant=True),
        Equivalent("scoringrules", "scoringrules.logs_t(target, df, pred, scale)", constant=True),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return (self.df + 1) / 2 * xp.log1psq((pred - target) / (self.scale * xp.sqrt(self.df)))

    @property
    def value_lipschitz(self) -> float:
        return (self.df + 1) / (2 * self.scale * math.sqrt(self.df))

    @property
    def gradient_lipschitz(self) -> float:
        return (self.df + 1) / (self.df * self.scale**2)
