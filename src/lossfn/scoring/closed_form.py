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
from lossfn.engine.namespaces import array_namespace
from lossfn.fields import NONNEGATIVE, REAL, Domain
from lossfn.losses.crps import CRPSLaplace, CRPSLogistic, CRPSNormal, CRPSStudentT, student_t_score
from lossfn.losses.crps_positive import CRPSLogNormal
from lossfn.numerics.arrays import check_domain, prepare
from lossfn.pointwise import PointwiseLoss

DEGREES = Domain(
    "a finite number > 1",
    low=1.0,
    open_low=True,
    cure="up to one degree of freedom there is no mean, and infinitely many are crps_normal",
)
SUM = Domain("1", cure="divide the weights of each mixture by their sum")


def crps_normal(mean: Any, scale: Any, target: Any) -> Any:
    """Return the score of a normal distribution.

    Parameters
    ----------
    mean : array (...)
        Its mean. NaN gives NaN.
    scale : array (...)
        Its standard deviation, >= 0.
    target : array (...)
        What happened.

    Returns
    -------
    array (...)
        One score for each element of what the arguments broadcast to.

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
    """Return the score of a Laplace distribution.

    Parameters
    ----------
    location : array (...)
        Its median. NaN gives NaN.
    scale : array (...)
        Its mean absolute deviation from the median, >= 0.
    target : array (...)
        What happened.

    Returns
    -------
    array (...)
        One score for each element of what the arguments broadcast to.

    References
    ----------
    .. [1] Jordan, Krüger and Lerch (2019), "Evaluating probabilistic forecasts with scoringRules",
       doi:10.18637/jss.v090.i12.

    Examples
    --------
    >>> from lossfn.scoring import crps_laplace
    >>> print(crps_laplace(0.0, 1.0, [0.0, 2.0]).round(6))
    [0.25     1.385335]
    """
    return _score("crps_laplace", CRPSLaplace(), location, scale, target)


def crps_logistic(location: Any, scale: Any, target: Any) -> Any:
    """Return the score of a logistic distribution.

    Parameters
    ----------
    location : array (...)
        Its median. NaN gives NaN.
    scale : array (...)
        √3/π times its standard deviation, >= 0.
    target : array (...)
        What happened.

    Returns
    -------
    array (...)
        One score for each element of what the arguments broadcast to.

    References
    ----------
    .. [1] Taillardat, Mestre, Zamo and Naveau (2016), "Calibrated ensemble forecasts using quantile regression forests
       and ensemble model output statistics", doi:10.1175/MWR-D-15-0260.1.

    Examples
    --------
    >>> from lossfn.scoring import crps_logistic
    >>> print(crps_logistic(0.0, 1.0, [0.0, 2.0]).round(6))
    [0.386294 1.253856]
    """
    return _score("crps_logistic", CRPSLogistic(), location, scale, target)


def crps_student_t(df: Any, location: Any, scale: Any, target: Any) -> Any:
    """Return the score of Student's t distribution with more than one degree of freedom.

    Parameters
    ----------
    df : float or array (...)
        Degrees of freedom, > 1; with an array the others are NumPy arrays too.
    location : array (...)
        The median. NaN gives NaN.
    scale : array (...)
        What a standard t variable is multiplied by, >= 0.
    target : array (...)
        What happened.

    Returns
    -------
    array (...)
        One score for each element of what the arguments broadcast to.

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
        check_domain(owner, "df", np.asarray([df], np.float64), DEGREES, "numpy")
        return _score(owner, CRPSStudentT(df=float(df)), location, scale, target)
    df, location, scale, target = _arrays(owner, df=df, location=location, scale=scale, target=target)
    for name, values, domain in (("df", df, DEGREES), ("scale", scale, NONNEGATIVE), ("target", target, REAL)):
        check_domain(owner, name, values, domain, "numpy")
    with np.errstate(all="ignore"):
        return student_t_score(array_namespace("numpy", target.dtype, None), df, (location, np.log(scale)), target)


def crps_lognormal(location: Any, scale: Any, target: Any) -> Any:
    """Return the score of a log-normal distribution, which lies above zero. For NumPy arrays.

    Parameters
    ----------
    location : array (...)
        The mean of its logarithm. NaN gives NaN.
    scale : array (...)
        The standard deviation of its logarithm, >= 0.
    target : array (...)
        What happened: any number, in whose units the score is.

    Returns
    -------
    array (...)
        One score for each element of what the arguments broadcast to.

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
    check_domain(owner, "target", target, REAL, "numpy")
    # From zero down, each unit of the target adds as much.
    positive = np.maximum(target, np.finfo(target.dtype).smallest_normal)
    return (_score(owner, CRPSLogNormal(), location, scale, positive) + np.maximum(-target, 0.0))[()]


def crps_mixture_normal(weights: Any, means: Any, scales: Any, target: Any) -> Any:
    """Return the score of a mixture of K normal distributions, in O(K²). For NumPy arrays.

    Parameters
    ----------
    weights : array (..., K)
        Shares of the components, >= 0, which sum to 1 over the last axis.
    means : array (..., K)
        Their means.
    scales : array (..., K)
        Their standard deviations, >= 0.
    target : array (...)
        What happened.

    Returns
    -------
    array (...)
        One score for each mixture and target.

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
    check_domain(owner, "weights", weights, NONNEGATIVE, "numpy")
    check_domain(owner, "means", means, REAL, "numpy")
    check_domain(owner, "scales", scales, NONNEGATIVE, "numpy")
    check_domain(owner, "target", target, REAL, "numpy")
    weights, means, scales = np.broadcast_arrays(weights, means, scales)
    total = weights.sum(axis=-1)
    inside = np.abs(total - 1) <= checks.SUM_TOLERANCE
    if not inside.all():
        checks.raise_outside(owner, "sum of weights", total, inside, SUM)
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
    inputs = prepare(owner, location=location, scale=scale, target=target)
    location, scale, target = inputs.arrays
    check_domain(owner, "scale", scale, NONNEGATIVE, inputs.library)
    check_domain(owner, "target", target, REAL, inputs.library)
    xp = inputs.xp
    location, scale, target = xp.broadcast_arrays(location, scale, target)
    with inputs.silently():
        return inputs.finish(loss.elementwise(xp.stack([location, xp.log(scale)], axis=-1), target))


def _arrays(owner: str, **given: Any) -> list[Any]:
    """Return float arrays of NumPy in their common dtype."""
    if batches.library_of(owner, **given) != "numpy":
        raise TypeError(f"{owner} computes with NumPy arrays; convert PyTorch and JAX arrays by numpy.asarray")
    arrays = [batches.as_numpy(owner, name, value) for name, value in given.items()]
    return [np.asarray(array, np.result_type(np.float32, *arrays)) for array in arrays]
