"""Predicted probabilities against observed frequencies, bin by bin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossfn import fields
from lossfn.calibration.bins import BinSums, Edges, add_up, check_bins, equal_mass, equal_width
from lossfn.calibration.exact import UNIT, ratio, to_float
from lossfn.calibration.inputs import Rows, read
from lossfn.numerics.arrays import check_number

if TYPE_CHECKING:
    from lossfn.calibration.display import ReliabilityDisplay

STRATEGIES = ("width", "mass")


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often events came true, by predicted probability.

    Arrays have one entry for each bin, ``(bins,)``, or one row for each class, ``(K, bins)``, if ``kind`` is
    ``"class_wise"``. Bins without rows have count 0 and NaN elsewhere.

    Attributes
    ----------
    edges : ndarray of shape (bins + 1,) or (K, bins + 1)
        A bin holds probabilities from its edge up to, but without, the next; the last one holds 1 too.
    counts : ndarray of int
        Rows in each bin; they add up to the number of rows of positive weight.
    weight : ndarray
        Σ w in each bin; without weights, the counts.
    mean_probability, frequency : ndarray
        What was predicted on average, and how often it came true (both weighted).
    effective_counts : ndarray
        How many rows the intervals count: (Σ w)² / Σ w², right for weights that correct for sampling. Rows that stand
        for several belong in the data several times.
    low, high : ndarray
        Wilson's interval of the frequency at ``level``.
    level : float
        Confidence level of the intervals.
    kind, strategy : str
        As given.

    References
    ----------
    .. [1] Wilson (1927), "Probable inference, the law of succession, and statistical inference",
       doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> from lossfn.calibration import reliability
    >>> result = reliability([0.1, 0.3, 0.9, 1.0], [0, 1, 1, 1], bins=2)
    >>> print(result.edges, result.counts, result.gap.round(2), round(result.expected_error(), 4))
    [0.  0.5 1. ] [2 2] [-0.3  -0.05] 0.175
    """

    edges: Edges
    counts: NDArray[np.int64]
    weight: NDArray[np.float64]
    mean_probability: NDArray[np.float64]
    frequency: NDArray[np.float64]
    effective_counts: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    level: float
    kind: str
    strategy: str

    @property
    def gap(self) -> NDArray[np.float64]:
        """Mean probability minus frequency: positive where predictions are too high, for top labels over-confident."""
        return self.mean_probability - self.frequency

    def expected_error(self, *, debiased: bool = False) -> float:
        """Return the expected calibration error; see ``expected_calibration_error``."""
        gap, filled = np.abs(self.gap), self.counts > 0
        if debiased:
            deviation = np.sqrt(self.frequency * (1 - self.frequency) / self.effective_counts)
            gap = gap - (_mean_size_of_normal(gap, deviation) - gap)
        self._check_filled()
        share = self.weight / self.weight.sum(axis=-1, keepdims=True)
        return float(np.where(filled, share * gap, 0.0).sum(axis=-1).mean())

    def maximum_error(self) -> float:
        """Return the largest gap of a bin that has rows."""
        self._check_filled()
        return float(np.nanmax(np.abs(self.gap)))

    def plot(self, ax: Any = None, *, name: str | None = None) -> ReliabilityDisplay:
        """Draw the reliability diagram with its intervals, and below it how often each bin was predicted.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; a new figure by default.
        name : str, optional
            What the legend calls the predictions.

        Returns
        -------
        ReliabilityDisplay
            With ``ax_``, ``histogram_ax_`` and ``figure_``.
        """
        from lossfn.calibration.display import ReliabilityDisplay

        self._check_filled()
        return ReliabilityDisplay(self, name=name).plot(ax)

    def _check_filled(self) -> None:
        if not self.counts.any():
            raise ValueError("reliability: without rows of positive weight there is no error and no picture")


def reliability(
    probability: Any,
    target: Any,
    bins: int = 15,
    strategy: str = "width",
    kind: str = "positive",
    weight: Any = None,
    level: float = 0.95,
) -> Reliability:
    """Compare predicted probabilities with observed frequencies in bins.

    Every row is counted, those at 0 and at 1 too. Sums are exact, so that neither the order of the rows nor the number
    of threads changes a bit of the result.

    Parameters
    ----------
    probability : array
        Of class 1, ``(N,)``; for the kinds of several classes ``(N, K)``.
    target : array
        Labels 0/1, ``(N,)``; for the kinds of several classes class indices.
    bins : int
        Number of bins.
    strategy : {"width", "mass"}
        Bins of one width, or of about as many rows each. Equal probabilities share a bin; ties leave bins empty.
    kind : {"positive", "top_label", "class_wise"}
        The event whose probability is looked at: class 1; that the most probable class is right; each class in turn.
    weight : array of shape (N,), optional
        Rows of weight 0 are left out.
    level : float
        Confidence level of the intervals of the frequencies.

    Returns
    -------
    Reliability
        With counts, means, frequencies and intervals, and a ``plot`` method.

    See Also
    --------
    decompose : miscalibration without bins.
    ReliabilityState : the same from data that arrive in chunks.

    Examples
    --------
    >>> from lossfn.calibration import reliability
    >>> result = reliability([0.1, 0.3, 0.9, 1.0], [0, 1, 1, 1], bins=2)
    >>> print(result.counts, result.mean_probability, result.frequency)
    [2 2] [0.2  0.95] [0.5 1. ]
    """
    owner = "reliability"
    check_bins(owner, bins)
    check_number(owner, "level", level, fields.OPEN_FRACTION)
    if strategy not in STRATEGIES:
        raise ValueError(f"{owner}: strategy must be one of {', '.join(STRATEGIES)}; got {strategy!r}")
    rows = read(owner, kind, probability, target, weight)
    edges = [equal_width(bins)] * rows.groups if strategy == "width" else _edges_of_mass(rows, bins)
    return summarize(add_up(rows, edges), edges, level, kind, strategy)


def _edges_of_mass(rows: Rows, bins: int) -> list[Edges]:
    events, _, weight = rows.events(0, len(rows))
    return [equal_mass(p, weight, bins) for p in events]


def summarize(sums: BinSums, edges: list[Edges], level: float, kind: str, strategy: str) -> Reliability:
    """Return the reliability that sums over bins stand for."""
    shape = (len(edges), len(edges[0]) - 1) if kind == "class_wise" else (len(edges[0]) - 1,)

    def quotient(above: list[int], below: list[int]) -> NDArray[np.float64]:
        return np.array([ratio(a, b) for a, b in zip(above, below, strict=True)]).reshape(shape)

    frequency = quotient(sums.hits, sums.weight)
    # The square of a sum is in squared units.
    effective = quotient([w * w for w in sums.weight], [square << -UNIT for square in sums.squared_weight])
    low, high = wilson(frequency, effective, level)
    return Reliability(
        edges=np.stack(edges) if kind == "class_wise" else edges[0],
        counts=np.array(sums.counts, dtype=np.int64).reshape(shape),
        weight=np.array([to_float(w) for w in sums.weight]).reshape(shape),
        mean_probability=quotient(sums.probability, sums.weight),
        frequency=frequency,
        effective_counts=effective,
        low=low,
        high=high,
        level=level,
        kind=kind,
        strategy=strategy,
    )


def wilson(
    frequency: NDArray[np.float64], counts: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of Wilson's interval for frequencies; NaN where there are no rows."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = z * z / counts
        middle = (frequency + share / 2) / (1 + share)
        half = np.sqrt(share * (frequency * (1 - frequency) + share / 4)) / (1 + share)
        # At 0 and 1 the interval ends there exactly; the difference would leave rounding errors.
        low = np.where(frequency == 0, 0.0, middle - half)
        high = np.where(frequency == 1, 1.0, middle + half)
    return low, high


def expected_calibration_error(
    probability: Any,
    target: Any,
    bins: int = 15,
    strategy: str = "width",
    kind: str = "positive",
    weight: Any = None,
    *,
    debiased: bool = False,
) -> float:
    """Return the expected calibration error (ECE): the mean gap between probability and frequency over bins.

    The plain estimate is too high, the more so the fewer rows a bin has: a perfectly calibrated forecaster has about
    0.1 with 100 rows in 10 bins. ``debiased=True`` subtracts the increase that redrawing the labels of each bin would
    cause (Kumar et al. 2019, in closed form). That removes two fifths of the bias of a calibrated forecaster, and
    nearly all of it where bins are clearly off; the result may be negative. Zero does not prove calibration: gaps of
    both signs cancel inside a bin. ``decompose`` needs no bins.

    Parameters
    ----------
    probability, target, bins, strategy, kind, weight
        As in ``reliability``. With ``kind="class_wise"`` the mean over the classes is returned.
    debiased : bool
        Whether to subtract the estimated bias.

    References
    ----------
    .. [1] Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian binning",
       doi:10.1609/aaai.v29i1.9602.
    .. [2] Kumar, Liang and Ma (2019), "Verified uncertainty calibration", https://arxiv.org/abs/1909.10155.

    Examples
    --------
    >>> from lossfn.calibration import expected_calibration_error
    >>> print(round(expected_calibration_error([0.7] * 100, [1] * 50 + [0] * 50), 12))
    0.2
    """
    result = reliability(probability, target, bins, strategy, kind, weight)
    return result.expected_error(debiased=debiased)


def maximum_calibration_error(
    probability: Any,
    target: Any,
    bins: int = 15,
    strategy: str = "width",
    kind: str = "positive",
    weight: Any = None,
) -> float:
    """Return the maximum calibration error (MCE): the largest gap of a bin that has rows.

    Bins of few rows have large gaps by chance: use few bins, or ``strategy="mass"``.

    Parameters
    ----------
    probability, target, bins, strategy, kind, weight
        As in ``reliability``.

    Examples
    --------
    >>> from lossfn.calibration import maximum_calibration_error
    >>> print(round(maximum_calibration_error([0.7, 0.7, 0.1], [1, 0, 0]), 12))
    0.2
    """
    return reliability(probability, target, bins, strategy, kind, weight).maximum_error()


def _mean_size_of_normal(mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return E|X| of normal X."""
    from scipy.special import erf

    scale = np.where(deviation > 0, deviation, 1.0) * math.sqrt(2)
    folded = scale / math.sqrt(math.pi) * np.exp(-((mean / scale) ** 2)) + mean * erf(mean / scale)
    return np.where(deviation > 0, folded, np.abs(mean))
