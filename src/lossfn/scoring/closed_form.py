"""The continuous ranked probability score of predicted distributions, in their usual parameters.

The scores of :mod:`lossfn.losses.crps` as functions: no link, no reduction, one number for each element in units of the
target. Lower is better, and each is strictly proper among distributions with a mean. Parameters and targets broadcast;
arrays may be of NumPy, PyTorch or JAX unless a function says otherwise. A scale of zero is a certain forecast, scored
by its absolute error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossfn import checks
from lossfn.engine import batch as batches
from lossfn.engine.namespaces import array_namespace, compatible
from lossfn.fields import NONNEGATIVE, REAL, Domain
from lossfn.losses.crps import CRPSLaplace, CRPSLogistic, CRPSNormal, CRPSStudentT, student_t_score
from lossfn.losses.crps_positive import CRPSLogNormal
from lossfn.pointwise import PointwiseLoss

DEGREES = Domain(
    "a finite number > 1",
    low=1.0,
    open_low=True,
    cure="up to one degree of freedom there is no mean, and infinitely many are crps_normal",
)


def crps_normal(mean: Any, scale: Any, target: Any) -> Any:
    """Return the score of a normal distribution; ``scale`` is its standard deviation.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
       doi:10.1198/016214506000001437.

    Examples
    --------
    >>> from lossfn.scoring import crps_normal
    >>> print(crps_normal([0.0, 0.0], 1.0, [0.0, 2.0]).round(6))
    [0.233695 1.452792]
    """
    return _score("crps_normal", CRPSNormal(), mean, scale, target)


def crps_laplace(location: Any, scale: Any, target: Any) -> Any:
    """Return the score of a Laplace distribution; ``scale`` is its mean absolute deviation.

    Examples
    --------
    >>> from lossfn.scoring import crps_laplace
    >>> print(crps_laplace(0.0, 1.0, [0.0, 2.0]).round(6))
    [0.25     1.385335]
    """
    return _score("crps_laplace", CRPSLaplace(), location, scale, target)


def crps_logistic(location: Any, scale: Any, target: Any) -> Any:
    """Return the score of a logistic distribution, whose standard deviation is π/√3 times ``scale``.

    Examples
    --------
    >>> from lossfn.scoring import crps_logistic
    >>> print(crps_logistic(0.0, 1.0, [0.0, 2.0]).round(6))
    [0.386294 1.253856]
    """
    return _score("crps_logistic", CRPSLogistic(), location, scale, target)


def crps_student_t(df: Any, location: Any, scale: Any, target: Any) -> Any:
    """Return the score of Student's t distribution with more than one degree of freedom.

    Arrays of ``df`` are for NumPy.

    References
    ----------
    .. [1] Jordan, Krüger and Lerch (2019), "Evaluating probabilistic forecasts with scoringRules",
       doi:10.18637/jss.v090.i12.

    Examples
    --------
    >>> from lossfn.scoring import crps_student_t
    >>> print(crps_student_t(5.0, 0.0, 1.0, [0.0, 2.0]).round(6))
    [0.257025 1.397036]
    """
    owner = "crps_student_t"
    if isinstance(df, (int, float, np.integer, np.floating)):
        _check(owner, "df", np.asarray([df], np.float64), DEGREES)
        return _score(owner, CRPSStudentT(df=float(df)), location, scale, target)
    df, location, scale, target = _arrays(owner, df=df, location=location, scale=scale, target=target)
    for name, values, domain in (("df", df, DEGREES), ("scale", scale, NONNEGATIVE), ("target", target, REAL)):
        _check(owner, name, values, domain)
    with np.errstate(all="ignore"):
        return student_t_score(array_namespace("numpy", target.dtype, None), df, (location, np.log(scale)), target)


def crps_lognormal(location: Any, scale: Any, target: Any) -> Any:
    """Return the score of a log-normal distribution, whose logarithm has this mean and standard deviation.

    For NumPy arrays. In units of the target, which may be any number; the predicted distribution lies above zero.

    References
    ----------
    .. [1] Baran and Lerch (2015), "Log-normal distribution based ensemble model output statistics models for
       probabilistic wind-speed forecasting", doi:10.1002/qj.2521.

    Examples
    --------
    >>> from lossfn.scoring import crps_lognormal
    >>> print(crps_lognormal(0.0, 1.0, [1.0, 4.0]).round(6))
    [0.267405 1.983407]
    """
    owner = "crps_lognormal"
    location, scale, target = _arrays(owner, location=location, scale=scale, target=target)
    _check(owner, "target", target, REAL)
    # From zero down, each unit of the target adds as much.
    positive = np.maximum(target, np.finfo(target.dtype).smallest_normal)
    return (_score(owner, CRPSLogNormal(), location, scale, positive) + np.maximum(-target, 0.0))[()]


def crps_mixture_normal(weights: Any, means: Any, scales: Any, target: Any) -> Any:
    """Return the score of a mixture of normal distributions, whose components are the last axis.

    For NumPy arrays. ``weights`` are shares >= 0 that sum to 1; ``target`` has no axis for components. The work grows
    with the square of the number of components.

    References
    ----------
    .. [1] Grimit, Gneiting, Berrocal and Johnson (2006), "The continuous ranked probability score for circular
       variables and its application to mesoscale forecast ensemble verification", doi:10.1256/qj.05.235.

    Examples
    --------
    >>> from lossfn.scoring import crps_mixture_normal
    >>> print(crps_mixture_normal([0.3, 0.7], [0.0, 1.0], [1.0, 2.0], 0.5).round(6))
    0.40524
    """
    owner = "crps_mixture_normal"
    weights, means, scales, target = _arrays(owner, weights=weights, means=means, scales=scales, target=target)
    weights, means, scales = np.broadcast_arrays(weights, means, scales)
    _check(owner, "weights", weights, NONNEGATIVE)
    _check(owner, "scales", scales, NONNEGATIVE)
    total = weights.sum(axis=-1)
    if not np.allclose(total, 1.0, rtol=1e-6):
        raise ValueError(f"{owner}: weights must sum to 1 over the last axis; got a sum of {total.ravel()[0]!s}")
    to_target = _mean_distance(means, scales, target[..., None])
    spreads = np.hypot(scales[..., :, None], scales[..., None, :])
    between = _mean_distance(means[..., :, None], spreads, means[..., None, :])
    inner = np.einsum("...i,...j,...ij->...", weights, weights, between)
    return (weights * to_target).sum(axis=-1) - inner / 2


def _mean_distance(mean: Any, scale: Any, point: Any) -> Any:
    """Return the expected distance of a normal variable from a point: the score without what its own spread takes."""
    return crps_normal(mean, scale, point) + scale / math.sqrt(math.pi)


def _score(owner: str, loss: PointwiseLoss, location: Any, scale: Any, target: Any) -> Any:
    """Return the loss of each element, for a scale instead of its logarithm."""
    library = batches.library_of(owner, location=location, scale=scale, target=target)
    xp = compatible(library)
    if library == "numpy":
        location, scale, target = _arrays(owner, location=location, scale=scale, target=target)
        _check(owner, "scale", scale, NONNEGATIVE)
    else:
        (like, *_) = [array for array in (location, scale, target) if hasattr(array, "dtype")]
        location, scale, target = (
            xp.asarray(value, dtype=like.dtype) if isinstance(value, (int, float)) else value
            for value in (location, scale, target)
        )
    location, scale, target = xp.broadcast_arrays(location, scale, target)
    with np.errstate(divide="ignore"):
        return loss.elementwise(xp.stack([location, xp.log(scale)], axis=-1), target)


def _arrays(owner: str, **given: Any) -> list[Any]:
    """Return float arrays of NumPy in their common dtype."""
    if batches.library_of(owner, **given) != "numpy":
        raise TypeError(f"{owner} computes with NumPy arrays; convert PyTorch and JAX arrays by numpy.asarray")
    arrays = [batches.as_numpy(owner, name, value) for name, value in given.items()]
    return [np.asarray(array, np.result_type(np.float32, *arrays)) for array in arrays]


def _check(owner: str, name: str, values: Any, domain: Domain) -> None:
    inside = domain.condition(np, values)
    if not np.all(inside):
        checks.raise_outside(owner, name, values, inside, domain)
