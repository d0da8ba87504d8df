"""The score of a forecast of mean and covariance alone."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from lossfn import fields
from lossfn.scoring.cases import Array, Cases, Reduction, as_arrays, check_shape, prepare, prepare_vectors

#: What rounding may do to a matrix that was meant to be symmetric, relative to its largest entry.
ASYMMETRY = 1e-5
SYMMETRIC = fields.Domain("its mirror image", cure="a covariance is symmetric: use (covariance + its transpose) / 2")


def dawid_sebastiani(mean: Any, covariance: Any, target: Any, **options: Unpack[Reduction]) -> Any:
    """Return log det Σ + (y − μ)ᵀ Σ⁻¹ (y − μ): the score of a mean vector and a covariance matrix.

    Twice the Gaussian negative log-likelihood without its constant D·log 2π, but a proper score of any distribution
    with these moments: it is strictly proper for mean and covariance and sees nothing else. Lower is better, negative
    values are ordinary; a change of units adds a constant. Use ``dawid_sebastiani_ensemble`` for samples.

    Parameters
    ----------
    mean : array (..., D)
        Forecast means.
    covariance : array (..., D, D)
        Forecast covariances, symmetric and positive definite; for one dimension (..., 1, 1).
    target : array (..., D)
        What happened.
    **options
        ``weight``, ``mask``, ``reduction`` and ``denominator``, as in every loss.

    References
    ----------
    .. [1] Dawid and Sebastiani (1999), "Coherent dispersion criteria for optimal experimental design",
       doi:10.1214/aos/1018031101.

    See Also
    --------
    lossfn.GaussianNLL : for one dimension, differentiable.

    Examples
    --------
    >>> from lossfn.scoring import dawid_sebastiani
    >>> print(round(dawid_sebastiani([0.0, 0.0], [[4.0, 0.0], [0.0, 1.0]], [2.0, 1.0]), 4))
    3.3863
    """
    owner = "dawid_sebastiani"
    centre, matrix, truth = as_arrays(owner, mean=mean, covariance=covariance, target=target)
    if truth.ndim < 1:
        raise ValueError(f"{owner}: target must have shape (..., D); got {truth.shape}")
    cases = prepare(owner, "mean", centre, truth.shape[:-1], options)
    check_shape(owner, "mean", centre.shape, truth.shape, "the shape of target")
    expected = (*truth.shape, *truth.shape[-1:])
    check_shape(owner, "covariance", matrix.shape, expected, "a matrix for each target")
    cases.check("target", truth, np.isfinite(truth), fields.REAL)
    matrix = matrix.astype(float)
    with np.errstate(invalid="ignore"):
        asymmetry = np.abs(matrix - matrix.swapaxes(-1, -2))
        largest = np.abs(matrix).max(axis=(-1, -2), keepdims=True, initial=0.0)
    # NaN is no asymmetry: it goes through.
    cases.check("covariance", matrix, ~(asymmetry > ASYMMETRY * largest), SYMMETRIC)
    return _score(cases, centre.astype(float), matrix, truth.astype(float))


def dawid_sebastiani_ensemble(ensemble: Any, target: Any, **options: Unpack[Reduction]) -> Any:
    """Return the Dawid-Sebastiani score of the mean and covariance of an ensemble.

    The covariance divides by M − 1. It must be invertible, which takes more members than components; with few more,
    its inverse is too large and the score far too high.

    Parameters
    ----------
    ensemble : array (..., M, D)
        M > D members of D components.
    target : array (..., D)
        What happened.
    **options
        ``weight``, ``mask``, ``reduction`` and ``denominator``, as in every loss.

    References
    ----------
    .. [1] Dawid and Sebastiani (1999), "Coherent dispersion criteria for optimal experimental design",
       doi:10.1214/aos/1018031101.

    See Also
    --------
    dawid_sebastiani, energy_score

    Examples
    --------
    >>> from lossfn.scoring import dawid_sebastiani_ensemble
    >>> print(round(dawid_sebastiani_ensemble([[0.0], [2.0], [4.0]], [3.0]), 4))
    1.6363
    """
    owner = "dawid_sebastiani_ensemble"
    cases, members, truth = prepare_vectors(owner, ensemble, target, options)
    count, size = members.shape[1:]
    if count <= size:
        raise ValueError(f"{owner}: more members than components are needed; got {count} members of {size} components")
    with np.errstate(all="ignore"):
        mean = members.mean(axis=1)
        deviation = members - mean[:, None]
        covariance = np.einsum("nmi,nmj->nij", deviation, deviation) / (count - 1)
    shape = (*cases.batch.shape, size)
    return _score(cases, mean.reshape(shape), covariance.reshape(*shape, size), truth.reshape(shape))


def _score(cases: Cases, mean: Array, covariance: Array, target: Array) -> Any:
    known = np.isfinite(covariance).all(axis=(-2, -1))
    covariance = np.where((cases.keep & known)[..., None, None], covariance, np.eye(covariance.shape[-1]))
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        lowest = np.linalg.eigvalsh(covariance)[..., 0]
        cases.check("smallest eigenvalue of covariance", lowest, lowest > 0, fields.POSITIVE)
        raise
    with np.errstate(all="ignore"):
        standardised = np.linalg.solve(factor, (target - mean)[..., None])[..., 0]
        determinant = 2 * np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
        scores = determinant + (standardised**2).sum(axis=-1)
    return cases.finish(np.where(known, scores, np.nan))
