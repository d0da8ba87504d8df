"""Miscalibration, discrimination and uncertainty of any proper score, without bins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossfn import fields
from lossfn.calibration.inputs import read
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

if TYPE_CHECKING:
    from lossfn.calibration.display import DecompositionDisplay

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Decomposition:
    """A mean score = miscalibration − discrimination + uncertainty.

    Attributes
    ----------
    score : float
        The mean score of the predictions.
    miscalibration : float
        How much recalibrating would gain: 0 for calibrated predictions, never negative.
    discrimination : float
        How much the recalibrated predictions gain over a constant: 0 if predictions tell nothing, never negative.
    uncertainty : float
        The score of the best constant, a property of the targets alone.
    probability, recalibrated : ndarray
        The distinct predictions in rising order, and how often each comes true by isotonic regression: the curve that
        ``plot`` draws.
    weight, effective_counts : ndarray
        Σ w at each distinct prediction (without weights the number of rows), and (Σ w)² / Σ w².
    loss : PointwiseLoss
        The score.

    References
    ----------
    .. [1] Dimitriadis, Gneiting and Jordan (2021), "Stable reliability diagrams for probabilistic classifiers",
       doi:10.1073/pnas.2016191118.

    Examples
    --------
    >>> import lossfn
    >>> from lossfn.calibration import decompose
    >>> found = decompose(lossfn.SquaredError(), [0.2, 0.2, 0.9, 0.9], [0, 0, 1, 0])
    >>> print(round(found.score, 4), found.probability, found.recalibrated)
    0.225 [0.2 0.9] [0.  0.5]
    """

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float
    probability: Array = field(repr=False)
    recalibrated: Array = field(repr=False)
    weight: Array = field(repr=False)
    effective_counts: Array = field(repr=False)
    loss: PointwiseLoss

    def plot(self, ax: Any = None, *, name: str | None = None, level: float | None = 0.9) -> DecompositionDisplay:
        """Draw the recalibrated against the predicted probabilities: the CORP reliability diagram.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; a new figure by default.
        name : str, optional
            What the legend calls the predictions.
        level : float or None
            Level of the consistency band: where the curve of calibrated predictions would lie, pointwise, by 200 draws
            of labels. ``None`` draws none.

        Returns
        -------
        DecompositionDisplay
            With ``ax_``, ``histogram_ax_`` and ``figure_``.
        """
        from lossfn.calibration.display import DecompositionDisplay

        return DecompositionDisplay(self, name=name, level=level).plot(ax)


def decompose(loss: PointwiseLoss, probability: Any, target: Any, *, weight: Any = None) -> Decomposition:
    """Split a mean proper score of an event into miscalibration, discrimination and uncertainty, without bins.

    Predictions are recalibrated by isotonic regression, the best map that keeps their order, for all proper scores at
    once. The score lost by not doing so is the miscalibration. Rows of K probabilities have no order: decompose one
    class against the rest, ``decompose(SquaredError(), p[:, k], target == k)``. The squared errors of all classes sum
    to ``MulticlassBrier``, and so do their parts.

    Parameters
    ----------
    loss : PointwiseLoss
        A proper score of probabilities: ``BinaryCrossEntropy(inputs="probabilities")``, or ``SquaredError()``, which
        gives the Brier score. Scores that are not proper are refused.
    probability : array
        Probabilities of class 1.
    target : array
        Labels 0/1, of the same shape.
    weight : array, optional
        Of the same shape.

    See Also
    --------
    reliability : with bins, and intervals for each.

    Examples
    --------
    >>> import lossfn
    >>> from lossfn.calibration import decompose
    >>> found = decompose(lossfn.SquaredError(), [0.2, 0.2, 0.9, 0.9], [0, 0, 1, 0])
    >>> print(f"{found.miscalibration:.4f} {found.discrimination:.4f} {found.uncertainty:.4f}")
    0.1000 0.0625 0.1875
    """
    _check_is_proper(loss)
    rows = read("decompose", "positive", probability, target, weight)
    (p,), (y,), w = rows.events(0, len(rows))
    if not len(p):
        raise ValueError("decompose: the mean score of no rows is undefined")
    p, y = p.astype(np.float64), y.astype(np.float64)
    curve = Curve.fit(p, y, w)
    recalibrated = curve.values[curve.place]
    constant = np.full_like(p, np.average(y, weights=w))
    score, best, of_constant = (float(loss(each, y, weight=w)) for each in (p, recalibrated, constant))
    return Decomposition(
        score=score,
        miscalibration=score - best,
        discrimination=of_constant - best,
        uncertainty=of_constant,
        probability=curve.points,
        recalibrated=curve.values,
        weight=curve.weight,
        effective_counts=curve.effective_counts,
        loss=loss,
    )


@dataclass(frozen=True)
class Curve:
    """The non-decreasing function of a score that is closest to targets, at the distinct scores."""

    points: Array
    values: Array
    weight: Array
    effective_counts: Array
    place: NDArray[np.intp]
    """Of each row, among the points."""

    @classmethod
    def fit(cls, score: Array, target: Array, weight: Array | None) -> Curve:
        """Fit by pooling adjacent violators; rows of one score are pooled first."""
        from scipy.optimize import isotonic_regression

        points, place = np.unique(score, return_inverse=True)
        if weight is None:
            weight = np.ones(len(score))
        total, squares, hits = (
            np.bincount(place, each).astype(np.float64, copy=False) for each in (weight, weight**2, weight * target)
        )
        values = isotonic_regression(hits / total, weights=total).x
        # Means of means may leave [0, 1] by a rounding error.
        return cls(points, np.clip(values, 0.0, 1.0), total, total**2 / squares, place)


def _check_is_proper(loss: Any) -> None:
    owner = "decompose"
    if isinstance(loss, RowwiseLoss):
        raise TypeError(
            f"{owner}: a score of one probability is needed, because rows of probabilities have no order. "
            f"Decompose one class against the rest: decompose(SquaredError(), p[:, k], target == k); got {loss!r}"
        )
    if not isinstance(loss, PointwiseLoss):
        raise TypeError(
            f"{owner}: loss must be a proper score of probabilities, such as SquaredError() or "
            f"BinaryCrossEntropy(inputs='probabilities'); got {loss!r}"
        )
    cure = "use inputs='probabilities'" if hasattr(loss, "inputs") else "use SquaredError() for the Brier score"
    takes_probabilities = 0.0 in loss.prediction and 1.0 in loss.prediction and loss.link == "identity"
    is_of_probabilities = loss.prediction is fields.PROBABILITY or loss.task == "regression"
    if len(loss.heads) > 1 or not takes_probabilities or not is_of_probabilities:
        raise ValueError(f"{owner}: {loss!r} is not a score of probabilities; {cure}")
    # A proper score is minimised by the probability itself: its slope there vanishes on average.
    p = np.array([0.1, 0.3, 0.5, 0.8])
    if_zero, if_one = (loss.gradient(p, np.full_like(p, label), reduction="sum") for label in (0.0, 1.0))
    if np.abs(p * if_one + (1 - p) * if_zero).max() > 1e-9 * np.abs(if_zero).max():
        raise ValueError(
            f"{owner}: {loss!r} is not a proper score: its expected value is not minimised by the true probability, "
            f"so nothing it says is about calibration; {cure}"
        )
