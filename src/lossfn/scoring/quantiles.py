"""Scores of forecasts that are a few quantiles, or a median with prediction intervals."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from lossfn import fields
from lossfn.losses.quantile import Pinball
from lossfn.scoring.cases import Array, Reduction, as_arrays, check_shape, prepare


def crps_quantiles(quantiles: Any, levels: Any, target: Any, **options: Unpack[Reduction]) -> Any:
    """Return the continuous ranked probability score as far as quantiles tell: twice the mean pinball loss.

    The score is twice the integral of the pinball loss over all levels; the mean over levels that are spread evenly,
    such as (k − ½)/K, tends to it. The factor 2 makes the median alone score |q − y|. Strictly proper for the quantiles
    that it is given; in the units of the target; lower is better. Quantiles that cross are scored as they stand.

    Parameters
    ----------
    quantiles : array (..., K)
        Forecast quantiles along the last axis; infinite ones give the limit, NaN gives NaN.
    levels : array (K,)
        Their levels, strictly between 0 and 1, each counting alike.
    target : array (...)
        What happened.
    **options
        ``weight``, ``mask``, ``reduction`` and ``denominator``, as in every loss.

    References
    ----------
    .. [1] Laio and Tamea (2007), "Verification tools for probabilistic forecasts of continuous hydrological variables",
       doi:10.5194/hess-11-1267-2007.

    See Also
    --------
    lossfn.Pinball : the loss of one level.
    weighted_interval_score : the same for a median and intervals.

    Examples
    --------
    >>> from lossfn.scoring import crps_quantiles
    >>> print(round(crps_quantiles([1.0, 2.0, 4.0], [0.25, 0.5, 0.75], 3.0), 4))
    0.8333
    """
    owner = "crps_quantiles"
    forecast, truth = as_arrays(owner, quantiles=quantiles, target=target)
    cases = prepare(owner, "quantiles", forecast, truth.shape, options)
    each = _levels(owner, levels)
    expected = (*truth.shape, each.size)
    check_shape(owner, "quantiles", forecast.shape, expected, "the shape of target and a last axis of levels")
    cases.check("target", truth, np.isfinite(truth), fields.REAL)
    total = np.zeros(truth.shape)
    for position, level in enumerate(each):
        total += Pinball(tau=level)(forecast[..., position], truth, mask=cases.keep, reduction="none")
    return cases.finish(2 * total / each.size)


def weighted_interval_score(median: Any, intervals: Any, levels: Any, target: Any, **options: Unpack[Reduction]) -> Any:
    """Return the weighted interval score of a median and central prediction intervals.

    (½·|m − y| + Σₖ (αₖ/2)·ISₖ) / (K + ½), where αₖ = 1 − levelₖ and the interval score ISₖ is the width of the interval
    plus 2/αₖ times the distance of a target outside it. With these weights it is ``crps_quantiles`` of the 2K + 1
    quantiles αₖ/2, ½ and 1 − αₖ/2, and is computed so. Proper; in the units of the target; lower is better.

    Parameters
    ----------
    median : array (...)
        Forecast medians.
    intervals : array (..., K, 2)
        Lower and upper ends of K prediction intervals.
    levels : array (K,)
        The probability that each interval is meant to contain, such as 0.5 and 0.9.
    target : array (...)
        What happened.
    **options
        ``weight``, ``mask``, ``reduction`` and ``denominator``, as in every loss.

    References
    ----------
    .. [1] Bracher, Ray, Gneiting and Reich (2021), "Evaluating epidemic forecasts in an interval format",
       doi:10.1371/journal.pcbi.1008618.

    See Also
    --------
    crps_quantiles

    Examples
    --------
    >>> from lossfn.scoring import weighted_interval_score
    >>> print(round(weighted_interval_score(10.0, [[8.0, 12.0], [5.0, 15.0]], [0.5, 0.9], 13.0), 4))
    1.6
    """
    owner = "weighted_interval_score"
    middle, ends, truth = as_arrays(owner, median=median, intervals=intervals, target=target)
    each = _levels(owner, levels)
    check_shape(owner, "median", middle.shape, truth.shape, "the shape of target")
    expected = (*truth.shape, each.size, 2)
    check_shape(
        owner, "intervals", ends.shape, expected, "the shape of target, an axis of levels and lower and upper ends"
    )
    cases = prepare(owner, "median", middle, truth.shape, options)
    cases.check("intervals", ends, ~(ends[..., :1] > ends[..., 1:]) & np.ones(2, bool), ORDERED)
    quantiles = np.concatenate([middle[..., None], ends[..., 0], ends[..., 1]], axis=-1)
    outside = 1 - each
    return crps_quantiles(
        quantiles.astype(middle.dtype), np.concatenate([[0.5], outside / 2, 1 - outside / 2]), truth, **options
    )


ORDERED = fields.Domain("in order", cure="the lower end of an interval comes first")


def _levels(owner: str, levels: Any) -> Array:
    each = np.atleast_1d(np.asarray(levels, float))
    inside = (each > 0) & (each < 1)
    if each.ndim != 1 or not each.size or not inside.all():
        raise ValueError(f"{owner}: levels must be a list of numbers strictly between 0 and 1; got {levels!r}")
    return each
