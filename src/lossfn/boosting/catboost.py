"""Losses as objectives, metrics and models of CatBoost."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

import numpy as np

from lossfn.loss import Loss

from .curvature import BoostedLoss, is_safe
from .engines import Array, Engine, import_engine, taken
from .objective import Metric, Objective, labels_for

catboost = import_engine("catboost")

# CatBoost tells objectives of several labels by these classes.
SeveralLabelsObjective: Any = catboost.MultiTargetCustomObjective
SeveralLabelsMetric: Any = catboost.MultiTargetCustomMetric


class CatBoostObjective(Objective):
    """A loss as ``loss_function`` of CatBoost, which maximises: it gets the negative of gradient and curvature.

    CatBoost applies no weights to an objective of one's own; this one does, once. It chooses the splits of a tree by
    gradients alone; curvature enters the values of leaves, and only where ``leaf_estimation_method`` is ``"Newton"``,
    the default of objectives of one's own. CatBoost does not know the best start: give the pool
    ``baseline=numpy.full(len(y), start)`` with ``start = objective.start(y, weight)``, and the trained model
    ``set_scale_and_bias(1.0, start)``; where outputs are several, ``objective.offset = metric.offset = start``.

    Losses of several heads, or of rows, need a column of labels for each output, all of them the same, because CatBoost
    counts outputs by labels. It asks for their derivatives row by row, which takes much longer than for one output;
    the estimators work around that.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss
        What to minimise; with labels as the loss declares them.
    curvature : {"exact", "majorizing", "diagonal_bound", "fitted", "engine"}, optional
        What stands for the second derivative, see ``Objective``.

    See Also
    --------
    CatBoostMetric : the same loss as a metric, which CatBoost asks for where the objective is one of one's own.
    BoostedRegressor, BoostedClassifier : estimators that do all this.

    Examples
    --------
    >>> import numpy as np, catboost
    >>> from lossfn import Huber
    >>> from lossfn.boosting import CatBoostMetric, CatBoostObjective
    >>> x, y = np.arange(40.0)[:, None], np.repeat([1.0, 5.0], 20)
    >>> loss = Huber(delta=1.0)
    >>> settings = {"iterations": 5, "verbose": False, "allow_writing_files": False, "thread_count": 1}
    >>> model = catboost.CatBoost(
    ...     {"loss_function": CatBoostObjective(loss), "eval_metric": CatBoostMetric(loss), **settings}
    ... )
    >>> start = CatBoostObjective(loss).start(y)
    >>> model = model.fit(catboost.Pool(x, y, baseline=np.full(len(y), start)))
    >>> model.set_scale_and_bias(1.0, start.tolist())
    >>> model.predict([[0.0], [39.0]]).round(1)
    array([2.9, 3.2])
    """

    engine = "CatBoost"

    #: CatBoost compiles the methods of an objective with Numba, unless it has this attribute. They call kernels.
    no_jit: ClassVar[bool] = True

    #: Added to scores: where training starts without a baseline of the pool, which several outputs cannot have.
    offset: Any = 0.0

    def __new__(cls, loss: BoostedLoss | None = None, *args: Any, **options: Any) -> Self:  # noqa: ARG004 (those of __init__)
        """Make an objective of several labels for losses that need them; without a loss, a copy of this class."""
        made: type[Any] = _SeveralLabelsObjective if cls is CatBoostObjective and _has_several_outputs(loss) else cls
        new: Self = super().__new__(made)
        return new

    def __init__(self, loss: BoostedLoss, curvature: str | None = None) -> None:
        super().__init__(loss, curvature)
        self.foreseen = _Foreseen()

    def calc_ders_range(self, scores: Any, target: Any, weight: Any) -> np.ndarray:
        """Return both derivatives (N, 2) of what CatBoost maximises, for a block of at most 1000 rows."""
        gradient, curvature = self.derivatives(scores + self.offset, target.astype(np.float64), weight)
        return np.stack([-gradient, -curvature], axis=-1)

    def calc_ders_multi(self, scores: Any, target: Any, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient (H,) and the Hessian (H, H) of what CatBoost maximises, for one row."""
        if weight == 0:
            return np.zeros_like(scores), np.zeros((len(scores), len(scores)))
        # Several labels are all the same.
        label = float(target[0])
        known = self.foreseen.rows.get((scores.tobytes(), label, weight))
        if known is not None:
            return known
        gradient, blocks = self._blocks(scores[None], np.array([label]), np.array([weight]))
        return gradient[0], blocks[0]

    def foresee(self, scores: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> None:
        """Keep what CatBoost will ask for row by row, all of it computed at once."""
        size = scores.itemsize * scores.shape[1]
        content = scores.tobytes()
        keys = [content[place : place + size] for place in range(0, len(content), size)]
        gradient, blocks = self._blocks(scores, labels, weight)
        table = zip(
            zip(keys, labels.tolist(), weight.tolist(), strict=True), zip(gradient, blocks, strict=True), strict=True
        )
        self.foreseen.rows = dict(table)

    def _blocks(self, scores: Any, labels: Any, weight: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return gradients (N, H) and Hessians (N, H, H) of what CatBoost maximises."""
        scores = scores + self.offset
        if self._takes_block:
            options = {"weight": weight, "reduction": "sum"}
            labels = labels_for(self.loss, labels)
            return -self.loss.gradient(scores, labels, **options), -self.loss.hessian(scores, labels, **options)
        gradient, curvature = self.derivatives(scores, labels, weight)
        return -gradient, -curvature[..., None] * np.eye(scores.shape[-1])

    @property
    def _takes_block(self) -> bool:
        """Whether leaves are solved with the whole Hessian of a row: CatBoost's own do, and it must be positive."""
        return self.curvature in ("exact", "engine") and is_safe(self.loss)


class _Foreseen:
    """Derivatives of rows, by their scores, label and weight: the same for all copies, and not pickled."""

    def __init__(self) -> None:
        self.rows: dict[tuple[bytes, float, float], tuple[np.ndarray, np.ndarray]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _Foreseen, ()


class _SeveralLabelsObjective(CatBoostObjective, SeveralLabelsObjective):  # type: ignore[misc]  # CatBoost ships no types
    """An objective with one column of labels for each output."""


class CatBoostMetric(Metric):
    """A loss as ``eval_metric`` of CatBoost.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss
        What to evaluate.

    See Also
    --------
    CatBoostObjective : the same loss as an objective.

    Examples
    --------
    >>> import numpy as np, catboost
    >>> from lossfn import AbsoluteError, SquaredError
    >>> from lossfn.boosting import CatBoostMetric, CatBoostObjective
    >>> x, y = np.arange(80.0)[:, None], np.repeat([1.0, 5.0], 40)
    >>> functions = {"loss_function": CatBoostObjective(SquaredError()), "eval_metric": CatBoostMetric(AbsoluteError())}
    >>> settings = {"iterations": 3, "learning_rate": 0.5, "l2_leaf_reg": 0.0, "random_strength": 0.0}
    >>> quiet = {"verbose": False, "allow_writing_files": False, "thread_count": 1}
    >>> model = catboost.CatBoost({**functions, **settings, "bootstrap_type": "No", **quiet}).fit(x, y)
    >>> print(np.round(model.evals_result_["learn"]["CatBoostMetric"], 4))
    [1.5   0.75  0.375]
    """

    no_jit: ClassVar[bool] = True
    offset: Any = 0.0

    #: Told the scores of all rows after each round, of several outputs: of these CatBoost asks for one row at a time.
    objective: CatBoostObjective | None = None

    def __new__(cls, loss: BoostedLoss | None = None) -> Self:
        """Make a metric of several labels for losses that need them; without a loss, a copy of this class."""
        made: type[Any] = _SeveralLabelsMetric if cls is CatBoostMetric and _has_several_outputs(loss) else cls
        new: Self = super().__new__(made)
        return new

    def is_max_optimal(self) -> bool:
        """Say that less is better."""
        return self.is_higher_better

    def evaluate(self, scores: Any, target: Any, weight: Any) -> tuple[float, float]:
        """Return the weighted sum of the loss and the sum of the weights, of some rows."""
        raw = np.stack(scores, axis=-1)
        labels = np.asarray(target[0] if len(scores) > 1 else target, dtype=np.float64)
        if self.objective is not None:
            self.objective.foresee(raw, labels, weight)
        table = raw + self.offset
        labels = labels_for(self.loss, labels)
        total = self.loss.total(table if table.shape[1] > 1 else table[:, 0], labels, weight=weight)
        return float(total.sum), float(total.weight)

    def get_final_error(self, error: float, weight: float) -> float:
        """Return the mean."""
        return error / weight if weight else 0.0


class _SeveralLabelsMetric(CatBoostMetric, SeveralLabelsMetric):  # type: ignore[misc]  # CatBoost ships no types
    """A metric of scores with one column of labels for each output."""


class CatBoostEngine(Engine):
    """How estimators train and ask CatBoost."""

    name = "CatBoost"
    objective = CatBoostObjective
    taken = taken(
        rounds="iterations num_boost_round num_trees",
        rate="eta",
        outputs="classes_count",
        validation="early_stopping_rounds od_type od_wait od_pval use_best_model eval_metric custom_metric",
        categories="cat_features text_features embedding_features",
        cure="catboost.CatBoost with CatBoostObjective and CatBoostMetric",
    )

    def train(
        self,
        objective: CatBoostObjective,
        features: Array,
        target: Array,
        weight: Array,
        start: Array,
        rounds: int,
        params: dict[str, Any],
        sets_leaves: bool = False,  # noqa: ARG002 (it sets none)
    ) -> Any:
        """Return the trained model, whose bias is the start."""
        self.check_settings(params)
        scores = np.tile(start, (len(target), 1)) if len(start) > 1 else np.full(len(target), start[0])
        if not _varies(features) or not objective.derivatives(scores, target, weight)[0].any():
            return _constant_model(features.shape[1], start)
        metric = CatBoostMetric(objective.loss)
        # A baseline of the pool would be rounded to float32, and cannot be given for several labels.
        objective, metric = copy.copy(objective), copy.copy(metric)
        objective.offset = metric.offset = start if len(start) > 1 else float(start[0])
        labels: Any = target
        settings: dict[str, Any] = {"metric_period": rounds}
        if len(start) > 1:
            settings = {"metric_period": 1}
            # As CatBoost keeps them.
            single = np.asarray(target, np.float32).astype(np.float64), np.asarray(weight, np.float32)
            objective.foresee(np.zeros((len(target), len(start))), *single)
            metric.objective = objective
            labels = np.tile(single[0][:, None], len(start))
        model = catboost.CatBoost(
            {
                "iterations": rounds,
                "loss_function": objective,
                "eval_metric": metric,
                "verbose": False,
                "allow_writing_files": False,
                "allow_const_label": bool(np.ptp(target) == 0),
                **settings,
                **params,
            }
        )
        try:
            model.fit(catboost.Pool(features, labels, weight=weight))
        except catboost.CatBoostError as error:
            if "Too few sampling units" not in str(error):
                raise
            raise ValueError(
                "CatBoost samples rows by their gradients and found too few, as where the loss is at its minimum in "
                f"all rows: use fewer n_estimators, or bootstrap_type='No', which samples none ({error})"
            ) from error
        model.set_scale_and_bias(1.0, start.tolist())
        objective.foreseen.rows.clear()
        return model

    def scores(self, model: Any, features: Array) -> Array:
        """Return raw scores, (N, H)."""
        scores = np.asarray(model.predict(features, prediction_type="RawFormulaVal"), dtype=np.float64)
        return scores.reshape(len(features), -1)

    def importances(self, model: Any, columns: int) -> Array:  # noqa: ARG002 (the model knows)
        """Return how far splits by each feature move predictions, because CatBoost keeps no gains."""
        # NaN where no split moves any.
        moved: Array = np.nan_to_num(model.get_feature_importance(type="PredictionValuesChange"))
        return moved


def _varies(features: Array) -> bool:
    """Whether any feature has two values, of which missing is one; CatBoost refuses others."""
    return any(
        not np.isnan(column).all() if np.isnan(column[0]) else (column != column[0]).any() for column in features.T
    )


def _constant_model(columns: int, start: Array) -> Any:
    """Return a model that predicts the start, for data on which CatBoost fails because nothing can be learnt."""
    features, labels = np.tile(np.arange(10.0)[:, None], columns), np.zeros((10, len(start)))
    settings = {"iterations": 1, "boost_from_average": False, "allow_const_label": True, "thread_count": 1}
    quiet = {"verbose": False, "allow_writing_files": False}
    loss = "MultiRMSE" if len(start) > 1 else "RMSE"
    model = catboost.CatBoost({"loss_function": loss, **settings, **quiet}).fit(features, labels)
    model.set_scale_and_bias(1.0, start.tolist())
    return model


def _has_several_outputs(loss: BoostedLoss | None) -> bool:
    return isinstance(loss, Loss) and loss.takes_vectors
