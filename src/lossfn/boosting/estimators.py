"""Boosted trees for regression and classification, as scikit-learn calls them."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Self

import numpy as np

from lossfn.extras import needs

with needs("lossfn.boosting's estimators", "sklearn"):
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from lossfn.loss import Loss
from lossfn.losses.regression import SquaredError
from lossfn.pointwise import PointwiseLoss
from lossfn.sklearn.classes import ClassLabels
from lossfn.sklearn.numbers import NumericTarget
from lossfn.sklearn.parameters import LossParameters

from .curvature import default_curvature
from .engines import Array, engine_of
from .inputs import check_precision, checked
from .objective import check_loss

_SQUARED_ERROR = SquaredError()

# What the loss says, by the names that engines have for it; some would take no notice.
OF_THE_LOSS = (
    *("objective", "objective_type", "app", "application", "loss_function"),
    *("base_score", "boost_from_average"),
)

# Engines apply these to their own objectives only, and leave them out without a word for any other.
CLASS_WEIGHTS = (
    *("scale_pos_weight", "is_unbalance", "unbalance", "unbalanced_sets"),
    *("class_weight", "class_weights", "auto_class_weights"),
)


class BoostedModel(LossParameters):
    """What both estimators share: parameters, training and raw scores."""

    model_: Any
    start_: Array

    def __init__(
        self,
        loss: Loss | None = None,
        *,
        engine: str = "lightgbm",
        curvature: str | None = None,
        refit_leaves: bool | None = None,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        random_state: int | None = None,
        **engine_params: Any,
    ) -> None:
        self.loss = loss
        self.engine = engine
        self.curvature = curvature
        self.refit_leaves = refit_leaves
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.engine_params = engine_params

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, those for the engine among them; with ``deep``, those of the loss too."""
        return {**super().get_params(deep=deep), **self.engine_params}

    def set_params(self, **params: Any) -> Self:
        """Set parameters: the estimator's, the loss's as ``loss__delta``, and the engine's by any other name."""
        own = set(super().get_params(deep=False))
        for name in list(params):
            if name not in own and not name.startswith("loss__"):
                self.engine_params = {**self.engine_params, name: params.pop(name)}
        return super().set_params(**params)

    def _check_params(self) -> None:
        name = type(self).__name__
        for parameter, kind in (("n_estimators", Integral), ("learning_rate", Real)):
            value = getattr(self, parameter)
            if not isinstance(value, kind) or isinstance(value, bool) or not 0 < float(value) < np.inf:
                expected = "an integer >= 1" if kind is Integral else "a finite number > 0"
                raise ValueError(f"{name}: {parameter} must be {expected}; got {value!r}")
        if self.refit_leaves not in (None, True, False):
            raise ValueError(f"{name}: refit_leaves must be True, False or None; got {self.refit_leaves!r}")
        for parameter in OF_THE_LOSS:
            if parameter in self.engine_params:
                raise ValueError(f"{name}: {parameter}= is refused, because it follows from loss=")
        for parameter in CLASS_WEIGHTS:
            if parameter in self.engine_params:
                raise ValueError(
                    f"{name}: {parameter}= is refused, because engines apply it to objectives of their own only: use "
                    "sample_weight, or a loss with weights such as BinaryCrossEntropy(pos_weight=3.0) or "
                    "CrossEntropy(class_weight=(1.0, 3.0))"
                )

    def _train(self, loss: Any, features: Array, target: Array, weight: Array, classes: int | None) -> None:
        """Train the engine's model from the best constant."""
        if not weight.any():
            raise ValueError(f"{type(self).__name__}: at least one sample needs a positive weight")
        engine = engine_of(type(self).__name__, self.engine)
        sets_leaves = engine.sets_leaves(loss, self.refit_leaves)
        curvature = default_curvature(loss, sets_leaves) if self.curvature is None else self.curvature
        objective = engine.objective(loss, curvature)
        self.start_ = objective.start(target, weight, classes=classes)
        objective.count_rows(self.start_, target, weight)
        params = {"learning_rate": self.learning_rate, **self.engine_params}
        if self.random_state is not None:
            params["random_state"] = self.random_state
        self.model_ = engine.train(
            objective, features, target, weight, self.start_, self.n_estimators, params, sets_leaves
        )
        # What a model was trained with: parameters may be set anew before it predicts.
        self.engine_, self.loss_ = self.engine, loss

    @property
    def feature_importances_(self) -> Array:
        """The share of each feature in the gain of all splits; with CatBoost, in how far they move predictions."""
        check_is_fitted(self)
        found = engine_of(type(self).__name__, self.engine_).importances(self.model_, self.n_features_in_)
        return found / (found.sum() or 1.0)

    def _scores(self, features: Any) -> Array:
        check_is_fitted(self)
        features = checked(self, self.engine_, features, reset=False)
        return engine_of(type(self).__name__, self.engine_).scores(self.model_, features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class BoostedRegressor(NumericTarget, BoostedModel):
    """Gradient boosted trees trained with any loss of a numeric target, by XGBoost, LightGBM or CatBoost.

    Training starts from the loss's best constant, which the model holds, and predictions are on the scale of the
    target. Sample weights are those of the loss.

    Parameters
    ----------
    loss : PointwiseLoss
        What to minimise. Its parameters are parameters of the estimator: ``loss__delta``.
    engine : {"lightgbm", "xgboost", "catboost"}
        Who builds the trees.
    curvature : {"exact", "majorizing", "diagonal_bound", "fitted", "engine"}, optional
        What stands for the second derivative, see ``lossfn.boosting.Objective``.
    refit_leaves : bool, optional
        Whether each leaf gets the exact optimum of its rows, shrunk by the learning rate, instead of a Newton step. By
        default LightGBM does so for losses with kinks, whose curvature says nothing about where the optimum is; the
        other engines cannot.
    n_estimators : int
        Rounds of boosting; each adds a tree for each head of the loss.
    learning_rate : float
        By which each tree is shrunk.
    random_state : int, optional
        Seed of the engine, for parameters that subsample.
    **engine_params
        Native parameters of the engine, such as ``max_depth`` or ``min_child_weight``. Curvatures are sums over the
        rows of a leaf, so that limits of them count rows times the curvature of a row.

    Attributes
    ----------
    loss_ : PointwiseLoss
        What was minimised.
    engine_ : str
        Who built the trees.
    model_ : object
        The engine's model.
    start_ : ndarray of shape (n_heads,)
        The best constant on the raw scale, from which training started.
    n_features_in_ : int
        Number of features.
    feature_importances_ : ndarray of shape (n_features_in_,)
        The share of each in the gain of all splits; with CatBoost, in how far they move predictions. Permutations of
        held-out rows (``sklearn.inspection.permutation_importance``) say more.

    See Also
    --------
    BoostedClassifier : two or more classes.
    lossfn.sklearn.LinearRegressor : linear models.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import Huber
    >>> from lossfn.boosting import BoostedRegressor
    >>> x = np.arange(40.0)[:, None]
    >>> y = np.where(x[:, 0] < 20, 1.0, 5.0)
    >>> y[3] = 1000.0
    >>> model = BoostedRegressor(Huber(delta=1.0), engine="xgboost", n_estimators=50, nthread=1).fit(x, y)
    >>> print(model.predict([[7.0], [30.0]]).round(1))
    [1. 5.]
    """

    _instead = "BoostedClassifier"

    def __init__(
        self,
        loss: PointwiseLoss = _SQUARED_ERROR,
        *,
        engine: str = "lightgbm",
        curvature: str | None = None,
        refit_leaves: bool | None = None,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        random_state: int | None = None,
        **engine_params: Any,
    ) -> None:
        super().__init__(
            loss,
            engine=engine,
            curvature=curvature,
            refit_leaves=refit_leaves,
            n_estimators=n_estimators,
            learning_rate=learning_rate,
            random_state=random_state,
            **engine_params,
        )

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to features (n, p), where NaN means missing, and targets (n,)."""
        loss = check_loss(type(self).__name__, self._checked(self.loss))
        self._check_task(loss)
        self._check_params()
        features, target = checked(self, self.engine, X, y, y_numeric=True, ensure_min_samples=2)
        weight = _check_sample_weight(sample_weight, features, dtype=np.float64, ensure_non_negative=True)
        target = target.astype(np.float64)
        check_precision(type(self).__name__, target)
        self._train(loss, features, target, weight, None)
        return self


class BoostedClassifier(ClassLabels, BoostedModel):
    """Gradient boosted trees trained with any loss of a binary target, or any loss of rows for two classes or more.

    Classes may have any labels. ``predict`` follows ``decision_function``: its sign, or the class of the largest score.
    ``predict_proba`` gives the probabilities that the loss's minimiser implies, corrected for focal weights,
    ``pos_weight`` or label smoothing.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss, optional
        What to minimise; without it, ``BinaryCrossEntropy()`` for two classes and ``CrossEntropy()`` for more. Its
        parameters are parameters of the estimator: ``loss__gamma``.
    engine : {"lightgbm", "xgboost", "catboost"}
        Who builds the trees.
    curvature : {"exact", "majorizing", "diagonal_bound", "fitted", "engine"}, optional
        What stands for the second derivative, see ``lossfn.boosting.Objective``.
    refit_leaves : bool, optional
        Whether each leaf gets the exact optimum of its rows, shrunk by the learning rate, instead of a Newton step. By
        default LightGBM does so for losses with kinks, whose curvature says nothing about where the optimum is; the
        other engines cannot.
    n_estimators : int
        Rounds of boosting; each adds a tree for each score of a row.
    learning_rate : float
        By which each tree is shrunk.
    random_state : int, optional
        Seed of the engine, for parameters that subsample.
    **engine_params
        Native parameters of the engine, such as ``max_depth`` or ``min_child_weight``. Curvatures are sums over the
        rows of a leaf, so that limits of them count rows times the curvature of a row.

    Attributes
    ----------
    loss_ : PointwiseLoss or RowwiseLoss
        What was minimised.
    engine_ : str
        Who built the trees.
    classes_ : ndarray of shape (n_classes,)
        The labels of rows of positive weight.
    model_ : object
        The engine's model.
    start_ : ndarray of shape (1,) or (n_classes,)
        The best constant on the raw scale, from which training started.
    n_features_in_ : int
        Number of features.
    feature_importances_ : ndarray of shape (n_features_in_,)
        The share of each in the gain of all splits; with CatBoost, in how far they move predictions. Permutations of
        held-out rows (``sklearn.inspection.permutation_importance``) say more.

    See Also
    --------
    BoostedRegressor : numeric targets.
    lossfn.sklearn.LinearClassifier : linear models.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import BinaryFocal
    >>> from lossfn.boosting import BoostedClassifier
    >>> x = np.arange(40.0)[:, None]
    >>> y = np.where(x[:, 0] < 20, "low", "high")
    >>> model = BoostedClassifier(BinaryFocal(gamma=2.0), engine="xgboost", n_estimators=20, nthread=1).fit(x, y)
    >>> print(model.predict([[7.0], [30.0]]))
    ['low' 'high']
    """

    _instead = "BoostedRegressor"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to features (n, p), where NaN means missing, and labels (n,)."""
        if self.loss is not None:
            self._check_task(check_loss(type(self).__name__, self._checked(self.loss)))
        self._check_params()
        features, labels = checked(self, self.engine, X, y)
        check_classification_targets(labels)
        weight = _check_sample_weight(sample_weight, features, dtype=np.float64, ensure_non_negative=True)
        kept = weight > 0
        loss, target = self._encode(labels[kept])
        self._train(loss, features[kept], target, weight[kept], len(self.classes_))
        return self
