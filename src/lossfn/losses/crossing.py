"""Quantiles of several levels that cross: how often, and how to put them in order."""

from __future__ import annotations

from typing import Any

from lossfn.engine.batch import namespace_of


def crossing_rate(quantiles: Any) -> float:
    """Return the share of rows in which some quantile lies below that of a lower level.

    Parameters
    ----------
    quantiles : array (..., H)
        Quantiles of ascending levels on the last axis, of any array library. NaN crosses nothing.

    See Also
    --------
    rearrange : the cure after fitting.
    MultiQuantile : with ``crossing="impossible"`` nothing crosses.

    Examples
    --------
    >>> from lossfn import crossing_rate
    >>> crossing_rate([[1.0, 2.0, 3.0], [1.0, 0.5, 3.0]])
    0.5
    """
    xp, quantiles = _levels("crossing_rate", quantiles)
    crosses = xp.any(quantiles[..., 1:] < quantiles[..., :-1], axis=-1)
    return float(xp.mean(xp.astype(crosses, xp.float32)))


def rearrange(quantiles: Any) -> Any:
    """Return quantiles that do not cross: each row sorted, which never increases the sum of its pinball losses.

    Parameters
    ----------
    quantiles : array (..., H)
        Quantiles of ascending levels on the last axis, of any array library.

    References
    ----------
    .. [1] Chernozhukov, Fernandez-Val and Galichon (2010), "Quantile and probability curves without crossing",
       doi:10.3982/ECTA7880.

    See Also
    --------
    crossing_rate : whether it is needed.

    Examples
    --------
    >>> from lossfn import rearrange
    >>> rearrange([[1.0, 0.5, 3.0]])
    array([[0.5, 1. , 3. ]])
    """
    xp, quantiles = _levels("rearrange", quantiles)
    return xp.sort(quantiles, axis=-1)


def _levels(owner: str, quantiles: Any) -> tuple[Any, Any]:
    xp, quantiles = namespace_of(owner, quantiles)
    if quantiles.ndim == 0 or quantiles.shape[-1] < 2 or 0 in quantiles.shape:
        raise ValueError(
            f"{owner}: quantiles must have a last axis of two or more levels, and rows; got {tuple(quantiles.shape)}"
        )
    return xp, quantiles
