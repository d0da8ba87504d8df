"""Scores of an ensemble: members drawn from the forecast distribution, of one number or of several."""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np

from lossfn import checks, fields
from lossfn.numerics.arrays import check_number
from lossfn.scoring.cases import (
    Array,
    Reduction,
    as_arrays,
    check_shape,
    in_blocks,
    prepare,
    prepare_vectors,
)

ESTIMATORS = ("fair", "empirical")
BETA = fields.Domain("a number strictly between 0 and 2", 0.0, 2.0, open_low=True, open_high=True)


def crps_ensemble(ensemble: Any, target: Any, *, estimator: str = "fair", **options: Unpack[Reduction]) -> Any:
    """Return the continuous ranked probability score of an ensemble, in O(M log M) for M members.

    Mean |xᵢ − y| − ½ mean |xᵢ − xⱼ|: the integral of the squared difference between the distribution function of the
    forecast and the step at the target. In the units of the target, lower is better; for one member it is the absolute
    error.

    Parameters
    ----------
    ensemble : array (..., M)
        Members along the last axis, in any order. Infinite members give the limit, NaN gives NaN.
    target : array (...)
        What happened.
    estimator : {"fair", "empirical"}
        ``"fair"`` averages |xᵢ − xⱼ| over pairs of different members: unbiased for the score of the distribution from
        which they were drawn, hence comparable between ensembles of different size, and proper in that sense; it needs
        two members. ``"empirical"`` averages over all pairs: exactly the score of the M points, a proper score of them
        as the forecast, which rewards ensembles that are too narrow.
    **options
        ``weight``, ``mask``, ``reduction`` and ``denominator``, as in every loss; ``reduction="none"`` gives the score
        of each case.

    Returns
    -------
    scalar or array (...)
        In the dtype of the ensemble; sums are taken in float64.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
       doi:10.1198/016214506000001437.
    .. [2] Ferro (2014), "Fair scores for ensemble forecasts", doi:10.1002/qj.2270.

    See Also
    --------
    crps_quantiles : the same from quantiles.
    energy_score : the same for vectors.

    Examples
    --------
    >>> from lossfn.scoring import crps_ensemble
    >>> ensemble = [[0.0, 1.0, 2.0, 5.0], [1.0, 1.0, 1.0, 1.0]]
    >>> print(crps_ensemble(ensemble, [1.0, 3.0], reduction="none").round(4))
    [0.1667 2.    ]
    >>> print(crps_ensemble(ensemble, [1.0, 3.0], reduction="none", estimator="empirical").round(4))
    [0.5 2. ]
    """
    owner = "crps_ensemble"
    members, truth = as_arrays(owner, ensemble=ensemble, target=target)
    cases = prepare(owner, "ensemble", members, truth.shape, options)
    expected = (*truth.shape, *members.shape[-1:])
    check_shape(owner, "ensemble", members.shape, expected, "the shape of target and a last axis of members")
    cases.check("target", truth, np.isfinite(truth), fields.REAL)
    count = _count_members(owner, expected[-1:], estimator)
    position = np.arange(count)
    # What the k-th smallest member counts, above and below the target: no term is negative, so that nothing cancels.
    if estimator == "fair":
        below, above = 2 * position / (count * (count - 1)), 2 * position[::-1] / (count * (count - 1))
    else:
        below, above = (2 * position + 1) / count**2, (2 * position[::-1] + 1) / count**2
    rows, truth = members.reshape(-1, count).astype(_sortable(members), copy=False), truth.reshape(-1).astype(float)

    def score(block: slice) -> Array:
        distance = np.sort(rows[block], axis=1).astype(float, copy=False)
        distance -= truth[block, None]
        scores = _weighted_sizes(distance, below, above)
        odd = ~np.isfinite(scores)
        if odd.any():
            # An infinite member that counts nothing adds nothing; halves of finite numbers have a finite difference.
            distance = np.sort(rows[block][odd], axis=1) / 2.0 - truth[block][odd, None] / 2
            distance[np.isinf(distance) & (np.where(distance > 0, above, below) == 0)] = 0
            scores[odd] = 2 * _weighted_sizes(distance, below, above)
        return scores

    return cases.finish(in_blocks(score, cases.batch.shape, count))


def _weighted_sizes(distance: Array, below: Array, above: Array) -> Array:
    part = np.maximum(distance, 0)
    total: Array = np.einsum("nm,m->n", part, above)
    total -= np.einsum("nm,m->n", np.minimum(distance, 0, out=part), below)
    return total


def _sortable(members: Array) -> Any:
    # Sorting float32 is twice as fast; half precision would be slower.
    return np.float32 if members.dtype == np.float32 else np.float64


def _count_members(owner: str, shape: tuple[int, ...], estimator: str) -> int:
    if estimator not in ESTIMATORS:
        raise ValueError(f"{owner}: estimator must be one of {', '.join(ESTIMATORS)}; got {estimator!r}")
    count = shape[0] if shape else 0
    least = 2 if estimator == "fair" else 1
    if count < least:
        cure = "; estimator='empirical' takes one" if count else ""
        raise ValueError(f"{owner}: estimator={estimator!r} needs at least {least} members; got {count}{cure}")
    return count


def energy_score(
    ensemble: Any, target: Any, *, beta: float = 1.0, estimator: str = "fair", **options: Unpack[Reduction]
) -> Any:
    """Return the energy score of an ensemble of vectors: mean ‖xᵢ − y‖^β − ½ mean ‖xᵢ − xⱼ‖^β.

    The continuous ranked probability score for several dimensions, which it is for one. It judges the whole joint
    distribution but sees wrong means far better than wrong correlations: look at ``variogram_score`` too. In the units
    of the target to the power β, so bring the components to one scale first; lower is better. Takes O(M²·D).

    Parameters
    ----------
    ensemble : array (..., M, D)
        M members of D components. NaN gives NaN; infinite members give +∞, and NaN with ``"fair"``, whose limit
        depends on the way there.
    target : array (..., D)
        What happened.
    beta : float
        Power of the distances, in (0, 2): then the score is strictly proper for distributions with that moment.
    estimator : {"fair", "empirical"}
        As in ``crps_ensemble``.
    **options
        ``weight``, ``mask``, ``reduction`` and ``denominator``, as in every loss.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation", section 4.3,
       doi:10.1198/016214506000001437.

    See Also
    --------
    crps_ensemble, variogram_score

    Examples
    --------
    >>> from lossfn.scoring import energy_score
    >>> print(energy_score([[3.0, 4.0], [0.0, 0.0]], [0.0, 0.0], estimator="empirical"))
    1.25
    """
    owner = "energy_score"
    check_number(owner, "beta", beta, BETA)
    cases, members, truth = prepare_vectors(owner, ensemble, target, options)
    count, size = members.shape[1:]
    _count_members(owner, (count,), estimator)
    pairs = count * (count - 1) if estimator == "fair" else count * count

    def score(block: slice) -> Array:
        distance = members[block] - truth[block, None]
        # By a power of two, so that no square overflows; the score scales with it.
        largest = np.abs(distance).max(axis=(1, 2), initial=0.0)
        scale = np.ldexp(1.0, np.where(np.isfinite(largest), np.frexp(largest)[1], 0))
        distance /= scale[:, None, None]
        lengths = _lengths(distance, beta).sum(axis=1) / count
        spread = sum(_lengths(distance[:, lag:] - distance[:, :-lag], beta).sum(axis=1) for lag in range(1, count))
        scores = lengths - spread / pairs
        if estimator == "empirical":
            scores[np.isinf(largest)] = math.inf
        result: Array = scores * scale**beta
        return result

    return cases.finish(in_blocks(score, cases.batch.shape, count * size))


def _lengths(vectors: Array, power: float) -> Array:
    lengths: Array = np.sqrt(np.einsum("nmd,nmd->nm", vectors, vectors))
    return lengths if power == 1 else lengths**power


def variogram_score(
    ensemble: Any, target: Any, *, p: float = 0.5, pair_weight: Any = None, **options: Unpack[Reduction]
) -> Any:
    """Return the variogram score of an ensemble: Σᵢⱼ wᵢⱼ (|yᵢ − yⱼ|^p − mean |xᵢ − xⱼ|^p)² over pairs of components.

    Sees wrong correlations that the energy score hardly sees, but not a bias that all components share: it is proper
    and not strictly proper. In the units of the target to the power 2p; lower is better. Takes O(M·D²).

    Parameters
    ----------
    ensemble : array (..., M, D)
        M members of D components.
    target : array (..., D)
        What happened.
    p : float
        Power of the differences, > 0; a low one is less sensitive to outliers.
    pair_weight : array (D, D), optional
        Weight ≥ 0 of each pair, such as the reciprocal of a distance; 1 if not given. Both orders of a pair count, as
        in the paper.
    **options
        ``weight``, ``mask``, ``reduction`` and ``denominator``, as in every loss.

    References
    ----------
    .. [1] Scheuerer and Hamill (2015), "Variogram-based proper scoring rules for probabilistic forecasts of
       multivariate quantities", doi:10.1175/MWR-D-14-00269.1.

    See Also
    --------
    energy_score

    Examples
    --------
    >>> from lossfn.scoring import variogram_score
    >>> print(variogram_score([[0.0, 1.0], [0.0, 4.0]], [0.0, 9.0]))
    4.5
    """
    owner = "variogram_score"
    check_number(owner, "p", p, fields.POSITIVE)
    cases, members, truth = prepare_vectors(owner, ensemble, target, options)
    count, size = members.shape[1:]
    if not count:
        raise ValueError(f"{owner}: at least one member is needed; got ensemble of shape {np.shape(ensemble)}")
    weights = np.ones((size, size)) if pair_weight is None else np.asarray(pair_weight, float)
    check_shape(owner, "pair_weight", weights.shape, (size, size), "a row and a column for each component")
    checks.check_weights(owner, weights)

    def score(block: slice) -> Array:
        total = np.zeros(len(truth[block]))
        for lag in range(1, size):
            observed = _variogram(truth[block], lag, p)
            forecast = _variogram(members[block], lag, p).mean(axis=1)
            both_orders = weights.diagonal(lag) + weights.diagonal(-lag)
            total += (observed - forecast) ** 2 @ both_orders
        return total

    return cases.finish(in_blocks(score, cases.batch.shape, count * size))


def _variogram(values: Array, lag: int, p: float) -> Array:
    differences: Array = np.abs(values[..., lag:] - values[..., :-lag]) ** p
    return differences
