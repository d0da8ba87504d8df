"""Losses as objectives, metrics and models of XGBoost."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np

from lossfn.reduce import Total

from .engines import Array, Engine, import_engine, taken
from .objective import Metric, Objective, in_order, labels_for

# XGBoost's limits and penalties in units of gradients, curvatures or gains, and their defaults.
COMPARED = {
    ("reg_lambda", "lambda"): 1.0,
    ("reg_alpha", "alpha"): 0.0,
    ("min_child_weight",): 1.0,
    ("gamma", "min_split_loss"): 0.0,
}
# A mean gain of a row below the first is enlarged: XGBoost's own limit, 1e-6, would be more than a thousandth of it.
# Enlarged are numbers down to the second: single precision holds their sums over any number of rows.
SMALL_GAIN, SMALLEST_GAIN = 1e-3, 1e-24


class XGBoostObjective(Objective):
    """A loss as ``obj`` of ``xgboost.train`` and ``xgboost.dask.train``, or ``objective`` of scikit-learn's interface.

    XGBoost applies no weights to an objective of one's own; this one does, once. XGBoost does not know the best start
    either: give it ``base_score=objective.start(y, weight)``, and ``num_target`` where there are several outputs, which
    stand for heads or classes (before XGBoost 3.1 a ``base_margin``, because ``base_score`` is one number there).

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss
        What to minimise; with labels as the loss declares them.
    curvature : {"exact", "majorizing", "diagonal_bound", "fitted", "engine"}, optional
        What stands for the second derivative, see ``Objective``.

    See Also
    --------
    XGBoostMetric : the same loss as a metric.
    BoostedRegressor, BoostedClassifier : estimators that do all this.

    Examples
    --------
    >>> import numpy as np, xgboost
    >>> from lossfn import Huber
    >>> from lossfn.boosting import XGBoostMetric, XGBoostObjective
    >>> x, y = np.arange(40.0)[:, None], np.repeat([1.0, 5.0], 20)
    >>> objective = XGBoostObjective(Huber(delta=1.0))
    >>> params = {"base_score": objective.start(y).item(), "learning_rate": 1.0, "nthread": 1}
    >>> data = xgboost.DMatrix(x, label=y)
    >>> model = xgboost.train(params, data, 5, obj=objective)
    >>> XGBoostMetric(Huber(delta=1.0))(model.predict(data), data)[0]
    'mean_huber'
    """

    engine = "XGBoost"

    def __call__(self, scores: Any, data: Any, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and curvature, for (scores, DMatrix) or, as scikit-learn's interface, (labels, scores)."""
        return self.derivatives(*in_order(scores, data, sample_weight))

    def _over_workers(self, numbers: Any) -> Any:
        return _sum_over_workers(numbers)


class XGBoostMetric(Metric):
    """A loss as ``custom_metric`` of ``xgboost.train``, or ``eval_metric`` of scikit-learn's interface.

    Weights count. The metric takes raw scores, which XGBoost hands over where the objective is one of one's own too.
    Where several workers train one model, it is the mean over the rows of all of them. For early stopping,
    ``maximize=metric.maximize`` says that less is better.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss
        What to evaluate.

    See Also
    --------
    XGBoostObjective : the same loss as an objective.

    Examples
    --------
    >>> import numpy as np, xgboost
    >>> from lossfn import AbsoluteError, SquaredError
    >>> from lossfn.boosting import XGBoostMetric, XGBoostObjective
    >>> data = xgboost.DMatrix(np.arange(80.0)[:, None], label=np.repeat([1.0, 5.0], 40))
    >>> objective, metric = XGBoostObjective(SquaredError()), XGBoostMetric(AbsoluteError())
    >>> settings = {"base_score": 0.0, "learning_rate": 0.5, "reg_lambda": 0.0, "nthread": 1}
    >>> settings["disable_default_eval_metric"] = True
    >>> reported = {"evals": [(data, "train")], "custom_metric": metric, "evals_result": {}, "verbose_eval": False}
    >>> model = xgboost.train(settings, data, 3, obj=objective, **reported)
    >>> print(np.round(reported["evals_result"]["train"][metric.name], 4))
    [1.5   0.75  0.375]
    """

    maximize: ClassVar[bool] = Metric.is_higher_better

    def __init__(self, loss: Any) -> None:
        super().__init__(loss)
        # By which scikit-learn's interface names it.
        self.__name__ = self.name

    def __call__(self, scores: Any, data: Any, sample_weight: Any = None) -> Any:
        """Return (name, value) for (scores, DMatrix), or the value alone for (labels, scores)."""
        scores, target, weight = in_order(scores, data, sample_weight)
        value = self.value(scores, target, weight)
        return (self.name, value) if hasattr(data, "get_label") else value

    def value(self, scores: Any, target: Any, weight: Any = None) -> float:
        """Return the weighted mean of the loss at raw scores, over the rows of all workers."""
        total = self.loss.total(scores, labels_for(self.loss, target), weight=weight)
        # XGBoost averages what workers return, whatever their weights: so all return the mean of the whole.
        whole = _sum_over_workers(np.array([total.sum, total.weight], np.float64))
        return float(Total(*whole).mean())


def _sum_over_workers(numbers: Any) -> Any:
    collective = import_engine("xgboost").collective
    return collective.allreduce(numbers, collective.Op.SUM)


class XGBoostEngine(Engine):
    """How estimators train and ask XGBoost."""

    name = "XGBoost"
    objective = XGBoostObjective
    taken = taken(
        rounds="num_boost_round",
        rate="eta",
        outputs="num_class num_target",
        validation="early_stopping_rounds eval_metric",
        categories="enable_categorical feature_types",
        cure="xgboost.train with XGBoostObjective and XGBoostMetric",
    )

    def train(
        self,
        objective: XGBoostObjective,
        features: Array,
        target: Array,
        weight: Array,
        start: Array,
        rounds: int,
        params: dict[str, Any],
        sets_leaves: bool = False,  # noqa: ARG002 (it sets none)
    ) -> Any:
        """Return the trained booster, whose ``base_score`` is the start."""
        self.check_settings(params)
        xgboost = import_engine("xgboost")
        threads = params.get("nthread", params.get("n_jobs"))
        data = xgboost.DMatrix(features, label=target, weight=weight, nthread=threads)
        factor = _gain_factor(objective, target, weight, start, params)
        if factor > 1:
            # Leaves are what they were: gradients, curvatures and all that these are compared with change together.
            objective, params = objective.scaled(factor), {**params, **_scaled(params, factor)}
        settings = {"disable_default_eval_metric": True, **params}
        if len(start) == 1:
            return xgboost.train({**settings, "base_score": start.item()}, data, rounds, obj=objective)
        settings |= {"num_target": len(start)}
        if _version(xgboost) >= (3, 1):
            return xgboost.train({**settings, "base_score": start.tolist()}, data, rounds, obj=objective)
        settings |= {"base_score": 0.0}
        return xgboost.train(settings, data, rounds, obj=objective, xgb_model=_constant(settings, data, start))

    def scores(self, model: Any, features: Array) -> Array:
        """Return raw scores, (N, H)."""
        # In place it is quicker, but not for linear models.
        data = import_engine("xgboost").DMatrix(features)
        scores: Array = model.predict(data, output_margin=True).astype(np.float64)
        return scores.reshape(len(features), -1)

    def importances(self, model: Any, columns: int) -> Array:
        """Return the gain of all splits by each feature."""
        if "gblinear" in model.save_config():
            raise AttributeError(
                "XGBoost's linear models make no splits that could gain; their coefficients are "
                "model_.get_score(importance_type='weight')"
            )
        gains = model.get_score(importance_type="total_gain")
        return np.array([gains.get(f"f{column}", 0.0) for column in range(columns)])


def _gain_factor(objective: XGBoostObjective, target: Array, weight: Array, start: Array, params: Any) -> float:
    """Return a power of 2 by which gains at the start become those of targets of size 1, where they are far smaller.

    XGBoost makes no split whose gain is at most 1e-6. Gains, sums of squared gradients over curvatures, are in units
    of the loss over those of the curvature: of targets in small units, their squares.
    """
    if objective.curvature == "engine" or params.get("booster") == "gblinear":
        return 1.0
    scores = np.tile(start, (len(target), 1)) if len(start) > 1 else np.full(len(target), start[0])
    gradient, curvature = (each.astype(np.float64) for each in objective.derivatives(scores, target, weight))
    gains = np.divide(gradient**2, curvature, out=np.zeros_like(gradient), where=curvature > 0)
    mean = np.min(gains.sum(axis=0) / weight.sum())
    return float(2.0 ** np.ceil(-np.log2(max(mean, SMALLEST_GAIN)))) if 0 < mean < SMALL_GAIN else 1.0


def _scaled(params: dict[str, Any], factor: float) -> dict[str, float]:
    """Return the parameters that XGBoost compares with sums of gradients, of curvatures or with gains, times a factor.

    So the limits are those that were asked for, or XGBoost's defaults.
    """
    found = {}
    for names, default in COMPARED.items():
        given = {name: params[name] for name in names if params.get(name) is not None} or {names[0]: default}
        found.update({name: factor * float(value) for name, value in given.items()})
    return found


def _version(xgboost: Any) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", xgboost.__version__)[:2]))


def _constant(settings: dict[str, Any], data: Any, start: Array) -> Any:
    """Return a model of one tree without splits for each output, where ``base_score`` is one number for all."""

    def towards_start(scores: Any, _: Any) -> tuple[np.ndarray, np.ndarray]:
        return scores - start.astype(scores.dtype), np.ones_like(scores)

    unshrunk = {"learning_rate": 1.0, "reg_lambda": 0.0, "nthread": settings.get("nthread", 0)}
    kept = ("num_target", "base_score", "booster", "disable_default_eval_metric")
    same = {name: settings[name] for name in kept if name in settings}
    xgboost = import_engine("xgboost")
    trained = xgboost.train({**unshrunk, **same}, data, 1, obj=towards_start)
    # Its trees alone: a booster hands its settings on to those that continue it, and these would not be penalised.
    return xgboost.Booster(model_file=trained.save_raw())
