"""Losses as objectives, metrics and models of LightGBM."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np

from .curvature import BoostedLoss
from .engines import Array, Engine, import_engine, taken
from .leaves import optimal_shifts
from .objective import Metric, Objective, in_order, labels_for

# The names under which LightGBM takes a setting that decides what trees are.
KINDS_OF_TREES = ("boosting", "boosting_type", "boost")
LINEAR_TREES = ("linear_tree", "linear_trees")
CATEGORICAL = ("categorical_feature", "categorical_features", "categorical_column", "cat_feature", "cat_column")
MONOTONE = ("monotone_constraints", "monotone_constraint", "monotonic_cst", "mc")
# Those of the number of threads. Predicting takes all cores unless told otherwise, and so does training after it.
THREADS = ("num_threads", "num_thread", "nthread", "nthreads", "n_jobs")
# Settings of estimators, which a misspelt one may have meant.
OWN = ("loss", "engine", "curvature", "refit_leaves")


class LightGBMObjective(Objective):
    """A loss as ``objective`` of ``lightgbm.train`` or of LightGBM's scikit-learn interface.

    LightGBM applies no weights to an objective of one's own; this one does, once. LightGBM does not know the best start
    either: give it to the ``Dataset`` as ``init_score`` and, because models do not keep that, to ``add_to_scores``
    after training. Several heads or classes need ``num_class``.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss
        What to minimise; with labels as the loss declares them.
    curvature : {"exact", "majorizing", "diagonal_bound", "fitted", "engine"}, optional
        What stands for the second derivative, see ``Objective``.

    See Also
    --------
    LightGBMMetric : the same loss as a metric.
    BoostedRegressor, BoostedClassifier : estimators that do all this, and give the leaves of losses with kinks their
        exact optimum.

    Examples
    --------
    >>> import numpy as np, lightgbm
    >>> from lossfn import Huber
    >>> from lossfn.boosting import LightGBMMetric, LightGBMObjective
    >>> from lossfn.boosting.lightgbm import add_to_scores
    >>> x, y = np.arange(80.0)[:, None], np.repeat([1.0, 5.0], 40)
    >>> objective = LightGBMObjective(Huber(delta=1.0))
    >>> start = objective.start(y)
    >>> data = lightgbm.Dataset(x, label=y, init_score=np.full(80, start[0]))
    >>> model = lightgbm.train({"objective": objective, "learning_rate": 0.5, "verbosity": -1}, data, 20)
    >>> add_to_scores(model, start)
    >>> print(model.predict([[0.0], [79.0]]).round(4))
    [1. 5.]
    """

    engine = "LightGBM"

    def __call__(self, scores: Any, data: Any, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and curvature, for (scores, Dataset) or, as scikit-learn's interface, (labels, scores)."""
        return self.derivatives(*in_order(scores, data, sample_weight))


class LightGBMMetric(Metric):
    """A loss as ``feval`` of ``lightgbm.train``, or ``eval_metric`` of LightGBM's scikit-learn interface.

    Weights count. The metric takes raw scores, which LightGBM hands over where the objective is one of one's own too.
    It says itself that less is better.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss
        What to evaluate.

    See Also
    --------
    LightGBMObjective : the same loss as an objective.

    Examples
    --------
    >>> import numpy as np, lightgbm
    >>> from lossfn import AbsoluteError, SquaredError
    >>> from lossfn.boosting import LightGBMMetric, LightGBMObjective
    >>> data = lightgbm.Dataset(np.arange(80.0)[:, None], label=np.repeat([1.0, 5.0], 40))
    >>> settings = {"objective": LightGBMObjective(SquaredError()), "learning_rate": 0.5, "verbosity": -1}
    >>> metric, history = LightGBMMetric(AbsoluteError()), {}
    >>> record = lightgbm.record_evaluation(history)
    >>> model = lightgbm.train(settings, data, 3, valid_sets=[data], feval=metric, callbacks=[record])
    >>> print(np.round(history["training"][metric.name], 4))
    [1.5   0.75  0.375]
    """

    def __call__(self, scores: Any, data: Any, sample_weight: Any = None) -> tuple[str, float, bool]:
        """Return (name, value, is_higher_better), for (scores, Dataset) or (labels, scores)."""
        return self.name, self.value(*in_order(scores, data, sample_weight)), self.is_higher_better


def add_to_scores(booster: Any, start: Any) -> None:
    """Add a number, or one for each output, to all raw scores of a model: in the leaves of its first trees.

    The start of training becomes a part of the model, which LightGBM's ``init_score`` is not: of its predictions, its
    text, and of copies.
    """
    start = np.atleast_1d(start)
    trees = _trees(booster, 0)
    if len(start) != len(trees):
        raise ValueError(f"the model has {len(trees)} outputs, and there are {len(start)} numbers to add")
    for tree, added in zip(trees, start, strict=True):
        for leaf in range(tree["num_leaves"]):
            output = booster.get_leaf_output(tree["tree_index"], leaf)
            booster.set_leaf_output(tree["tree_index"], leaf, output + added)


def _trees(booster: Any, iteration: int) -> list[dict[str, Any]]:
    """Return what LightGBM says of the trees of one iteration, one for each output."""
    trees: list[dict[str, Any]] = booster.dump_model(num_iteration=1, start_iteration=iteration)["tree_info"]
    return trees


class LightGBMEngine(Engine):
    """How estimators train and ask LightGBM."""

    name = "LightGBM"
    objective = LightGBMObjective
    is_single = False
    taken = taken(
        rounds="num_iterations num_iteration num_boost_round num_round num_rounds nrounds num_tree num_trees "
        "n_iter max_iter",
        rate="eta shrinkage_rate",
        outputs="num_class num_classes",
        validation="early_stopping_round early_stopping_rounds early_stopping n_iter_no_change "
        "metric metrics metric_types",
        cure="lightgbm.train with LightGBMObjective and LightGBMMetric",
    )

    def sets_leaves(self, loss: BoostedLoss, refit_leaves: bool | None) -> bool:
        """Return what is asked for; by default, leaves are set at kinks."""
        return loss.hessian_is_partial if refit_leaves is None else refit_leaves

    def check_settings(self, params: dict[str, Any]) -> None:
        """Refuse settings that another one decides, and those that LightGBM would leave out without a word."""
        super().check_settings(params)
        known = _known_settings()
        for name in params:
            if known and name not in known:
                near = difflib.get_close_matches(name, sorted({*known, *OWN} - self.taken.keys()), n=3)
                cure = f": did you mean {' or '.join(near)}?" if near else "; its documentation lists those that it has"
                raise ValueError(f"LightGBM has no parameter {name!r}{cure}")

    def train(
        self,
        objective: LightGBMObjective,
        features: Array,
        target: Array,
        weight: Array,
        start: Array,
        rounds: int,
        params: dict[str, Any],
        sets_leaves: bool = False,
    ) -> Any:
        """Return the trained booster, whose first trees hold the start."""
        self.check_settings(params)
        _check_trees(params, sets_leaves)
        lightgbm = import_engine("lightgbm")
        settings = {"verbosity": -1, **params, "objective": "none", "num_class": len(start)}
        # As a parameter LightGBM takes them too, but warns that it did not.
        names = [name for name in CATEGORICAL if name in settings]
        categorical = [_columns(settings.pop(name)) for name in names] or ["auto"]
        data = lightgbm.Dataset(features, label=target, params=settings, categorical_feature=categorical[0]).construct()
        if not any(data.feature_num_bin(column) > 1 for column in range(features.shape[1])):
            return _constant_model(settings, features.shape[1], start)
        booster = lightgbm.Booster(settings, data)
        labels, offset = labels_for(objective.loss, target), start if len(start) > 1 else start[0]
        # The engine's own scores never learn of leaves that were set: these here do.
        scores = np.zeros((len(target), len(start)) if len(start) > 1 else len(target)) + offset

        def derivatives(raw: Array, _: Any) -> tuple[np.ndarray, np.ndarray]:
            return objective.derivatives(scores if sets_leaves else raw + offset, labels, weight)

        for _ in range(rounds):
            before = booster.current_iteration()
            booster.update(fobj=derivatives)
            if sets_leaves and booster.current_iteration() > before:
                _refit(booster, before, settings, objective.loss, features, scores, labels, weight)
        add_to_scores(booster, start)
        return booster.free_dataset()

    def scores(self, model: Any, features: Array) -> Array:
        """Return raw scores, (N, H)."""
        scores: Array = model.predict(features, raw_score=True, **_threads(model.params)).reshape(len(features), -1)
        return scores

    def importances(self, model: Any, columns: int) -> Array:  # noqa: ARG002 (the model knows)
        """Return the gain of all splits by each feature."""
        gains: Array = model.feature_importance("gain")
        return gains


def _columns(places: Any) -> Any:
    """Return the places of columns, which LightGBM's parameters may give as a text too."""
    return [int(place) for place in places.split(",")] if isinstance(places, str) and places != "auto" else places


def _known_settings() -> set[str]:
    """Return all names of LightGBM's parameters, or nothing where this version does not tell."""
    aliases = getattr(import_engine("lightgbm").basic, "_ConfigAliases", None)
    table: dict[str, list[str]] = getattr(aliases, "_get_all_param_aliases", dict)()
    return {name for names in table.values() for name in names}


def _constant_model(settings: dict[str, Any], columns: int, start: Array) -> Any:
    """Return a model that predicts the start, for data that LightGBM refuses: features that it finds no split in."""
    lightgbm = import_engine("lightgbm")
    features = np.tile(np.arange(100.0)[:, None], columns)
    booster = lightgbm.Booster(settings, lightgbm.Dataset(features, label=features[:, 0], params=settings))
    booster.update(fobj=lambda raw, _: (np.zeros_like(raw), np.ones_like(raw)))
    add_to_scores(booster, start)
    return booster.free_dataset()


def _refit(
    booster: Any,
    iteration: int,
    settings: dict[str, Any],
    loss: Any,
    features: Array,
    scores: Array,
    target: Any,
    weight: Array,
) -> None:
    """Give the leaves of one iteration's trees their optimum, shrunk as the trees are, and add it to ``scores``.

    Trees of several heads or classes are set one after the other, each given those before.
    """
    leaves = booster.predict(features, pred_leaf=True, start_iteration=iteration, num_iteration=1, **_threads(settings))
    leaves = leaves.reshape(len(features), -1)
    for head, leaf in enumerate(leaves.T):
        # Every leaf has rows; a tree that found no split, a single leaf, says nothing.
        count = leaf.max() + 1
        if count == 1:
            continue
        shifts = optimal_shifts(loss, scores, target, weight, leaf, count, head)
        outputs = settings["learning_rate"] * shifts
        for number, output in enumerate(outputs):
            booster.set_leaf_output(iteration * leaves.shape[1] + head, number, output)
        of_head = scores if scores.ndim == 1 else scores[:, head]
        of_head += outputs[leaf]


def _threads(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the setting of the number of threads, where there is one."""
    return {name: settings[name] for name in THREADS if name in settings}


def _check_trees(params: dict[str, Any], refit: bool) -> None:
    """Refuse trees whose leaves are not what LightGBM lets be set."""
    if any(params.get(name) for name in LINEAR_TREES):
        raise ValueError(
            "LightGBM's linear_tree is refused: its leaves are linear models, in which no start value can be kept"
        )
    kind = next((params[name] for name in KINDS_OF_TREES if name in params), "gbdt")
    if refit and kind not in ("gbdt", "gbrt", "goss"):
        raise ValueError(
            f"leaves cannot be refitted with LightGBM's boosting={kind!r}, which changes the trees before; choose "
            "refit_leaves=False or boosting='gbdt'"
        )
    constraints = next((params[name] for name in MONOTONE if name in params), None)
    if refit and _is_some(constraints):
        raise ValueError(
            f"leaves that are set to the optimum of their rows cannot keep LightGBM's monotone_constraints, got "
            f"{constraints!r}: choose refit_leaves=False, which takes steps by curvature instead"
        )


def _is_some(constraints: Any) -> bool:
    """Whether constraints, a sequence or a text as LightGBM reads it, constrain any feature."""
    if constraints is None:
        return False
    numbers = constraints.split(",") if isinstance(constraints, str) else np.atleast_1d(constraints)
    return any(float(number) != 0 for number in numbers if str(number).strip())
