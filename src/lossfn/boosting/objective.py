"""What every engine asks of a loss: gradient and curvature of each row, a start value, the number of outputs."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

import numpy as np

from lossfn import checks
from lossfn.equivalents import Equivalent
from lossfn.loss import Loss
from lossfn.objective import refused_scores
from lossfn.pointwise import PointwiseLoss
from lossfn.registry import snake_case
from lossfn.rowwise import RowwiseLoss

from .curvature import (
    CURVATURES,
    BoostedLoss,
    as_in_engine,
    default_curvature,
    gradient_and_curvature,
    has_decreasing_weight,
    is_majorized_at_kinks,
)

# The best constant is infinite where a rate or probability is 0 or 1, or two quantiles are one. Boosting starts at this
# logarithm or logit then: from infinity no gradient leads back.
FARTHEST_START = 10.0
# What is left of the slopes, as a share of those at equal scores, where a start is flat.
FLAT = 1e-3


class Objective:
    """A loss as boosting engines train with it; subclasses pack it for one engine.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss
        What to minimise. Engines add the curvatures of the rows of a leaf, so that limits such as
        ``min_child_weight`` are in units of rows: the loss is summed, never averaged.
    curvature : {"exact", "majorizing", "diagonal_bound", "fitted", "engine"}, optional
        What stands for the second derivative, always weighted as the gradient. ``"exact"`` is its diagonal, as it is
        for convex losses with a continuous curvature; for others it is raised to the fitted one where it is less,
        because zero and negative curvature stall trees or throw them far off. ``"majorizing"`` and
        ``"diagonal_bound"`` are those of the loss. ``"fitted"`` is one number for all rows: the curvature of the
        parabola whose slopes are as large as the data's, at their losses. ``"engine"`` is what the installed
        engine's own objective uses, for losses that it has. By default it is majorizing for robust losses of a
        residual and for sums of losses of one residual each that have kinks, else exact.

    Examples
    --------
    >>> from lossfn import Huber
    >>> from lossfn.boosting import Objective
    >>> objective = Objective(Huber(delta=1.0))
    >>> objective
    Objective(Huber(delta=1.0), curvature='majorizing')
    >>> gradient, curvature = objective.derivatives([0.0, 0.0], [0.5, -4.0], weight=[1.0, 2.0])
    >>> print(gradient, curvature, objective.start([1.0, 2.0, 90.0]))
    [-0.5  2. ] [1.  0.5] [2.]
    """

    #: The name of the engine, as in ``lossfn.equivalents``.
    engine: ClassVar[str]

    def __init__(self, loss: BoostedLoss, curvature: str | None = None) -> None:
        self.loss = check_loss(type(self).__name__, loss)
        self.curvature = default_curvature(loss) if curvature is None else curvature
        self._equivalent = self._look_up() if curvature == "engine" else None
        self._check_curvature()
        self.unit: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.loss!r}, curvature={self.curvature!r})"

    # ---- what engines ask ---------------------------------------------------------------------------------------

    def derivatives(self, scores: Any, target: Any, weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return weighted gradient and curvature, in the shape of ``scores``: (N,), or (N, H) of several outputs."""
        gradient, curvature = self._derivatives(scores, labels_for(self.loss, target), weight)
        if self.unit is None:
            return gradient, curvature
        return (gradient / self.unit).astype(gradient.dtype), (curvature / self.unit).astype(gradient.dtype)

    def count_rows(self, start: Any, target: Any, weight: Any = None) -> None:
        """Measure curvature in rows from now on, for losses whose scores are in units of the target.

        Gradients and curvatures of each output are divided by its mean curvature at the start. This changes no step,
        but makes limits and penalties of the engine, such as ``min_child_weight`` and ``lambda``, independent of the
        units of the target: otherwise they stop all training of an absolute error in cents. For other losses, where a
        curvature is a share of a row or a count, nothing changes, nor where it is the engine's own.
        """
        loss = self.loss
        is_in_units = isinstance(loss, PointwiseLoss) and loss.task == "regression" and loss.link == "identity"
        if self.curvature == "engine" or not is_in_units:
            return
        rows = len(target)
        scores = np.tile(start, (rows, 1)) if len(start) > 1 else np.full(rows, start[0])
        _, curvature = self._derivatives(scores, target, weight)
        mean = curvature.sum(axis=0) / (rows if weight is None else np.sum(weight))
        self.unit = np.where(mean > 0, mean, 1.0)

    def scaled(self, factor: float) -> Self:
        """Return an objective that hands the engine so many times the gradient and the curvature of this one."""
        new = copy.copy(self)
        new.unit = (1.0 if self.unit is None else self.unit) / factor
        return new

    def _derivatives(self, scores: Any, target: Any, weight: Any) -> tuple[np.ndarray, np.ndarray]:
        if self._equivalent is None:
            return gradient_and_curvature(self.loss, self.curvature, scores, target, weight, self._over_workers)
        return as_in_engine(self.loss, self._equivalent, scores, target, weight)

    def _over_workers(self, numbers: Any) -> Any:
        """Return the sums of numbers over all processes that train one model; engines that have several override it."""
        return numbers

    def start(self, target: Any, weight: Any = None, *, classes: int | None = None) -> np.ndarray:
        """Return the raw scores to start from, (H,): the best constant, or ±10 where that is infinite.

        Around their own best constant bounded losses of classes may be flat: then 0, from where gradients lead on.
        ``classes`` says how many there are, for losses of rows; without it, the largest label does.
        """
        target = labels_for(self.loss, target)
        if isinstance(self.loss, RowwiseLoss):
            best = self.loss.optimal_constant(target, weight=weight, classes=classes)
        else:
            best = np.atleast_1d(self.loss.optimal_constant(target, weight=weight))
        start: np.ndarray = np.nan_to_num(best, nan=0.0, posinf=FARTHEST_START, neginf=-FARTHEST_START)
        is_smooth = isinstance(self.loss, RowwiseLoss) or self.loss.smoothness > 0
        counted = target if weight is None else target[np.asarray(weight) > 0]
        if self.loss.task == "regression" or not is_smooth or (counted == counted[:1]).all():
            return start
        equal = np.zeros_like(start)
        return equal if self._steepest(start, counted) < FLAT * self._steepest(equal, counted) else start

    def _steepest(self, constant: np.ndarray, target: Any) -> float:
        """Return the largest slope of a row where all have the same scores."""
        scores = np.tile(constant, (len(target), 1)) if self.loss.takes_vectors else np.full(len(target), constant[0])
        return float(np.abs(self.loss.gradient(scores, target, reduction="sum")).max(initial=0.0))

    # ---- checks -------------------------------------------------------------------------------------------------

    def _look_up(self) -> Equivalent:
        """Return the engine's own objective for this loss."""
        for equivalent in self.loss.equivalents:
            if equivalent.library == self.engine and equivalent.holds_for(self.loss):
                return equivalent
        raise ValueError(
            f"{type(self).__name__}: {self.engine} has no objective of its own for {self.loss!r}, whose curvature "
            "could be taken: leave out curvature= or choose another one"
        )

    def _check_curvature(self) -> None:
        owner, loss = type(self).__name__, self.loss
        if self.curvature not in CURVATURES:
            raise ValueError(f"{owner}: curvature must be one of {', '.join(CURVATURES)}; got {self.curvature!r}")
        if self.curvature == "majorizing" and is_majorized_at_kinks(loss):
            return
        if self.curvature == "majorizing" and loss.hessian_is_partial:
            raise ValueError(
                f"{owner}: the majorizing curvature of {loss!r} is infinite at its kinks; use curvature='fitted'"
            )
        if self.curvature in ("majorizing", "diagonal_bound"):
            asked = "majorizing" if isinstance(loss, PointwiseLoss) else self.curvature
            has_bound = loss.gradient_lipschitz is not None and len(outputs_of(loss)) <= 1
            if not has_bound and not has_decreasing_weight(loss):
                raise ValueError(
                    f"{owner}: {loss!r} has no {asked} curvature: its second derivative has no finite bound; use "
                    "curvature='exact'"
                )


class Metric:
    """The weighted mean of a loss as an engine reports it while it trains; less is better.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss
        What to evaluate, on raw scores: engines hand these to metrics where the objective is one of one's own.

    Examples
    --------
    >>> from lossfn import Huber
    >>> from lossfn.boosting import Metric
    >>> metric = Metric(Huber(delta=1.0))
    >>> metric.name, metric.value([0.0, 0.0], [1.0, 3.0], weight=[3.0, 1.0])
    ('mean_huber', 1.0)
    """

    #: Declared here because engines guess it from the name where they are let.
    is_higher_better: ClassVar[bool] = False

    def __init__(self, loss: BoostedLoss) -> None:
        self.loss = check_loss(type(self).__name__, loss)
        # XGBoost maximises metrics whose names begin like one of its own, such as "map".
        self.name = f"mean_{snake_case(type(loss).__name__)}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.loss!r})"

    def value(self, scores: Any, target: Any, weight: Any = None) -> float:
        """Return the weighted mean of the loss at raw scores."""
        return float(self.loss(scores, labels_for(self.loss, target), weight=weight))


def labels_for(loss: BoostedLoss, target: Any) -> Any:
    """Return targets as a loss takes them: engines keep the indices of classes as floating-point numbers."""
    target = np.asarray(target)
    if not isinstance(loss, RowwiseLoss) or target.dtype.kind in "iu":
        return target
    indices = target.astype(np.int64)
    outside = np.flatnonzero(indices != target)
    if outside.size:
        place = outside[0]
        raise ValueError(f"{type(loss).__name__}: target[{place}] = {target[place]} is not the index of a class")
    return indices


def in_order(first: Any, second: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Return scores, target and weight: engines hand over (scores, data), their scikit-learn interfaces the reverse."""
    if not hasattr(second, "get_label"):
        return second, first, weight
    weight = second.get_weight()
    return first, second.get_label(), None if weight is None or not weight.size else weight


def outputs_of(loss: BoostedLoss) -> tuple[str, ...]:
    """Return the names of the outputs that a loss has whatever the data: none for losses of rows."""
    return () if isinstance(loss, RowwiseLoss) else loss.heads


def check_loss(owner: str, loss: Any) -> BoostedLoss:
    """Return a loss that trees can train, or say why they cannot."""
    if not isinstance(loss, PointwiseLoss | RowwiseLoss):
        what = "a loss such as Huber(delta=1.0)" if isinstance(loss, Loss | type) else "a loss of lossfn"
        checks.raise_no_loss(owner, loss, what)
    if len(loss.target_parts) > 1 or (isinstance(loss, RowwiseLoss) and loss.task != "multiclass"):
        raise ValueError(f"{owner} cannot train {loss!r}: its target is not a single number a row")
    domain = refused_scores(loss)
    if domain:
        raise ValueError(f"{owner}: raw scores of trees can be any number, but {loss!r} takes {domain}")
    if isinstance(loss, PointwiseLoss) and loss.smoothness < 0:
        raise ValueError(f"{owner} cannot train {loss!r}: it is constant between its jumps, so that no gradient leads")
    return loss
