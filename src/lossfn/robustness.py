"""Choosing the scale parameter of a robust loss: the scale of the noise, times what a given efficiency needs."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

import numpy as np

from lossfn import checks, constant, fields
from lossfn.engine import batch as batches
from lossfn.numerics.arrays import check_number
from lossfn.pointwise import PointwiseLoss

#: The standard deviation of a Gaussian over its median absolute deviation: 1.4826.
MAD_TO_SIGMA = 1 / statistics.NormalDist().inv_cdf(0.75)

# Beyond, the Gaussian density is below 1e-31. Panels shrink towards zero, where small scale parameters act.
_END = 12.0
_PANELS = np.concatenate([[0.0], np.geomspace(1e-9, 0.5, 30), np.linspace(0.75, _END, 46)])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def robust_scale(residuals: Any, *, weight: Any = None) -> float:
    """Return 1.4826 times the median absolute deviation from the median: the standard deviation of Gaussian noise.

    Up to half of the residuals may be arbitrarily wrong. Where more than half of them are equal the result is 0: then
    the noise has no scale that a loss could use.

    Parameters
    ----------
    residuals : array
        Residuals of a preliminary fit; any shape, any location.
    weight : array, optional
        One weight per residual; what has none is not used.

    References
    ----------
    .. [1] Rousseeuw and Croux (1993), "Alternatives to the median absolute deviation",
       doi:10.1080/01621459.1993.10476408.

    See Also
    --------
    efficient_tuning : by what to multiply it.

    Examples
    --------
    >>> import lossfn
    >>> residuals = [-1.1, -0.4, 0.2, 0.3, 0.9, 80.0]
    >>> scale = lossfn.robust_scale(residuals)
    >>> print(round(scale, 4))
    0.9637
    >>> loss = lossfn.Huber(delta=lossfn.efficient_tuning(lossfn.Huber) * scale)
    """
    owner = "robust_scale"
    values = np.asarray(batches.as_numpy(owner, "residuals", residuals), dtype=np.float64)
    counts = np.ones_like(values) if weight is None else np.asarray(weight, dtype=np.float64)
    if values.shape != counts.shape:
        raise ValueError(f"{owner}: weight must have the shape of residuals, {values.shape}; got {counts.shape}")
    checks.check_weights(owner, counts)
    kept = counts > 0
    values, counts = values[kept], counts[kept]
    if not values.size:
        raise ValueError(f"{owner}: at least one residual of positive weight is needed")
    if np.isnan(values).any():
        raise ValueError(f"{owner}: {int(np.isnan(values).sum())} of {values.size} residuals are NaN: drop them first")
    deviation = np.abs(values - constant.weighted_quantile(values, counts, 0.5))
    return float(MAD_TO_SIGMA * constant.weighted_quantile(deviation, counts, 0.5))


def gaussian_efficiency(loss: PointwiseLoss) -> float:
    """Return the asymptotic efficiency, relative to the mean, of the location that a loss estimates in N(0, 1) noise.

    A loss keeps 0.95 of the efficiency if it needs 1/0.95 times as many observations as the mean for the same variance.
    With ψ the derivative by the residual it is (E dψ)² / E ψ² [1]_, and E dψ = E Zψ also where ψ has kinks or jumps.

    Parameters
    ----------
    loss : PointwiseLoss
        An even function of the residual, with parameters in units of the noise's standard deviation.

    References
    ----------
    .. [1] Huber (1964), "Robust estimation of a location parameter", doi:10.1214/aoms/1177703732.

    See Also
    --------
    efficient_tuning : the parameter that has a given efficiency.

    Examples
    --------
    >>> import lossfn
    >>> print(round(lossfn.gaussian_efficiency(lossfn.Huber(delta=1.345)), 4))
    0.95
    >>> print(round(lossfn.gaussian_efficiency(lossfn.AbsoluteError()), 4))  # 2 / π
    0.6366
    """
    owner = "gaussian_efficiency"
    _check_loss(owner, loss)
    parameters = [getattr(loss, name) for name in loss.scale_parameters]
    edges = np.unique([*_PANELS, *(size for size in parameters if size < _END)])
    half = np.diff(edges)[:, None] / 2
    residual = (edges[:-1, None] + half + half * _NODES).ravel()
    share = (half * _WEIGHTS).ravel() * np.exp(-residual * residual / 2) / np.sqrt(2 * np.pi)
    zero = np.zeros_like(residual)
    pull = loss.gradient(residual, zero, reduction="sum")
    if not np.allclose(pull, -loss.gradient(-residual, zero, reduction="sum"), rtol=1e-9, atol=0):
        raise ValueError(f"{owner}: {loss!r} is not an even function of the residual")
    if not pull.any():
        # Flat wherever the noise lies: it estimates nothing.
        return 0.0
    pull = pull / np.abs(pull).max()
    # Both halves of the line count the same.
    return float(2 * (share @ (residual * pull)) ** 2 / (share @ (pull * pull)))


def efficient_tuning(loss: PointwiseLoss | type[PointwiseLoss], efficiency: float = 0.95) -> float:
    """Return the scale parameter, in standard deviations, with which a loss has a given Gaussian efficiency.

    It is computed from the loss's own gradient. Multiply it by the scale of the noise.

    Parameters
    ----------
    loss : PointwiseLoss or subclass
        A loss with one parameter in units of the target. Of an object, the other parameters are kept.
    efficiency : float
        Strictly between 0 and 1.

    See Also
    --------
    robust_scale : the scale of the noise.
    gaussian_efficiency : the efficiency of a loss as it is.

    Examples
    --------
    >>> import lossfn
    >>> for loss in (lossfn.Huber, lossfn.TukeyBiweight, lossfn.Cauchy, lossfn.Welsch, lossfn.Fair):
    ...     print(loss.__name__, round(lossfn.efficient_tuning(loss), 3))
    Huber 1.345
    TukeyBiweight 4.685
    Cauchy 2.385
    Welsch 2.985
    Fair 1.4
    """
    owner = "efficient_tuning"
    check_number(owner, "efficiency", efficiency, fields.OPEN_FRACTION)
    start = loss() if isinstance(loss, type) else loss
    _check_loss(owner, start)
    names = start.scale_parameters
    if len(names) != 1:
        listed = ", ".join(names) or "none"
        raise ValueError(f"{owner}: {start!r} must have one parameter in units of the target; it has {listed}")
    from scipy.optimize import brentq

    def excess(logarithm: float) -> float:
        tuned = dataclasses.replace(start, **{names[0]: float(np.exp(logarithm))})
        return gaussian_efficiency(tuned) - efficiency

    # Efficiency need not be monotone in the parameter: look for the first place where it passes the goal.
    grid = np.linspace(np.log(0.01), np.log(100.0), 60)
    found = [excess(point) for point in grid]
    crossings = np.flatnonzero(np.diff(np.sign(found)))
    if not crossings.size:
        low, high = min(found) + efficiency, max(found) + efficiency
        raise ValueError(
            f"{owner}: no {names[0]} gives {start!r} an efficiency of {efficiency}; it reaches {low:.4f} to {high:.4f}"
        )
    first = int(crossings[0])
    return float(np.exp(brentq(excess, grid[first], grid[first + 1], xtol=1e-12)))


def _check_loss(owner: str, loss: Any) -> None:
    """Refuse what is not a function of the difference between a number and its prediction."""
    is_of_residual = isinstance(loss, PointwiseLoss) and loss.of_residual
    if not (is_of_residual and 0.0 in loss.target and loss.prediction == fields.EXTENDED_REAL):
        raise ValueError(f"{owner}: {loss!r} is not a loss of a residual, such as Huber(delta=1.0)")
