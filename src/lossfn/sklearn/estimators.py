"""Linear regression and classification, as scikit-learn calls them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from lossfn.losses.regression import SquaredError
from lossfn.objective import Array, RowsTerm
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

from .base import LinearModel
from .classes import ClassLabels
from .coordinates import Coordinates
from .newton import SEVERAL_KINKS, minimize_smooth, minimize_uncertified
from .numbers import NumericTarget

# Losses are immutable, so that estimators may share a default.
_SQUARED_ERROR = SquaredError()


class LinearRegressor(NumericTarget, LinearModel):
    r"""Linear regression with any pointwise loss of a numeric target.

    Minimises

    .. math:: \frac{\sum_i w_i\, \ell(x_i^\top b + b_0,\, y_i)}{\sum_i w_i} + \frac{l_2}{2} \lVert b \rVert^2

    where :math:`\ell` is the loss and w are the sample weights; the intercept carries no penalty. A loss with
    several heads gets one linear map for each.

    Smooth losses are minimised by Newton's method, or by L-BFGS where there are more than 1000 coefficients. Convex
    losses with kinks (absolute error, pinball) are minimised exactly too, by an augmented Lagrangian method. Losses on
    the scale of the target that are not convex (Cauchy, Tukey's biweight) start from the best constant or from the fit
    of least absolute errors, whichever is lower, and end in a local minimum.

    Parameters
    ----------
    loss : PointwiseLoss
        What to minimise. Its parameters are parameters of the estimator: ``loss__delta``.
    l2 : float
        Strength of the penalty. Because the loss is averaged, it does not depend on the number of rows:
        scikit-learn's ``SVR`` has ``C = 1 / (n * l2)``; ``Ridge`` has ``alpha = n * l2 / 2`` for ``SquaredError`` and
        ``n * l2`` for ``HalfSquaredError``. With sample weights, n is their sum.
    fit_intercept : bool
        Whether to add a constant. It starts at the loss's best constant.
    max_iter : int
        Most steps of the solver.
    tol : float
        Relative accuracy of the objective.

    Attributes
    ----------
    loss_ : PointwiseLoss
        What was minimised.
    coef_ : ndarray of shape (n_features,) or (n_heads, n_features)
        Coefficients.
    intercept_ : float or ndarray of shape (n_heads,)
        Constant, on the link scale of the loss.
    objective_ : float
        The value of the objective that was reached.
    n_iter_ : int
        Steps that the solver took.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    LinearClassifier : two or more classes.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import AbsoluteError
    >>> from lossfn.sklearn import LinearRegressor
    >>> x = np.arange(5.0)[:, None]
    >>> y = np.array([1.0, 3.0, 5.0, 7.0, 100.0])
    >>> model = LinearRegressor(loss=AbsoluteError()).fit(x, y)
    >>> print(model.coef_.round(6), round(model.intercept_, 6), round(model.objective_, 6))
    [2.] 1.0 18.2
    """

    _instead = "LinearClassifier"

    def __init__(
        self,
        loss: PointwiseLoss = _SQUARED_ERROR,
        *,
        l2: float = 0.0,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-8,
    ) -> None:
        super().__init__(loss, l2=l2, fit_intercept=fit_intercept, max_iter=max_iter, tol=tol)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to features (n, p) and targets (n,). A weight of 2 equals a repeated row, 0 a deleted one."""
        loss = self.loss
        self._check_loss(self._checked(loss))
        self._check_params()
        features, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        weight = _check_sample_weight(sample_weight, features, dtype=np.float64, ensure_non_negative=True)
        coef, intercept = self._minimize(loss, features, target.astype(np.float64), weight)
        # What was fitted: the parameter may be set anew before the model predicts.
        self.loss_ = loss
        is_single = len(coef) == 1
        self.coef_ = coef[0] if is_single else coef
        self.intercept_ = float(intercept[0]) if is_single else intercept
        return self


class LinearClassifier(ClassLabels, LinearModel):
    r"""Linear classification with any loss of a binary target, or any loss of rows for two classes or more.

    Minimises

    .. math:: \frac{\sum_i w_i\, \ell(x_i^\top b + b_0,\, y_i)}{\sum_i w_i} + \frac{l_2}{2} \lVert b \rVert^2

    where :math:`\ell` is the loss and w are the sample weights; the intercept carries no penalty. Classes may
    have any labels: a binary loss sees them as the two numbers it declares, {0, 1} or {-1, +1}. A loss of rows, such as
    ``CrossEntropy``, gets one linear map for each class.

    Parameters
    ----------
    loss : PointwiseLoss or RowwiseLoss, optional
        What to minimise; without it, ``BinaryCrossEntropy()`` for two classes and ``CrossEntropy()`` for more. Its
        parameters are parameters of the estimator: ``loss__gamma``.
    l2 : float
        Strength of the penalty. Because the loss is averaged, it does not depend on the number of rows:
        scikit-learn's ``SVC`` and ``LogisticRegression`` have ``C = 1 / (n * l2)``. With sample weights, n is their
        sum. Without a penalty, classes that a hyperplane separates have no finite logistic fit: a
        ``ConvergenceWarning`` says so.
    fit_intercept : bool
        Whether to add a constant. It starts at the best constant of a binary loss, for rows where all scores are equal.
    max_iter : int
        Most steps of the solver.
    tol : float
        Relative accuracy of the objective.

    Attributes
    ----------
    loss_ : PointwiseLoss or RowwiseLoss
        What was minimised.
    classes_ : ndarray of shape (n_classes,)
        The labels of rows of positive weight.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients; one row a class for losses of rows. Where only differences between scores matter, they add up to
        0 over the classes, and so do the intercepts.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Constant.
    objective_ : float
        The value of the objective that was reached.
    n_iter_ : int
        Steps that the solver took.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    LinearRegressor : numeric targets.

    Notes
    -----
    ``predict`` follows ``decision_function``: its sign, or the class of the largest score, the decision that the loss
    asks for. ``predict_proba`` gives the probabilities that the loss's minimiser implies, corrected for focal weights,
    ``pos_weight`` or label smoothing. A loss that treats the classes differently therefore predicts the second class
    from another probability than ½: with ``pos_weight=5``, from 1/6.

    Losses of rows that are not convex end in a local minimum. Those with kinks (``WestonWatkins``) end near the minimum
    only, and a ``ConvergenceWarning`` says so.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn import BinaryFocal, MulticlassBrier
    >>> from lossfn.sklearn import LinearClassifier
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> y = np.array(["no", "yes", "no", "yes"])
    >>> model = LinearClassifier(loss=BinaryFocal(gamma=2.0), l2=0.01).fit(x, y)
    >>> print(model.predict([[0.0], [3.0]]), model.predict_proba([[1.5]]).round(3))
    ['no' 'yes'] [[0.5 0.5]]

    Three classes:

    >>> y = np.array(["low", "middle", "middle", "high"])
    >>> model = LinearClassifier(loss=MulticlassBrier(), l2=0.01).fit(x, y)
    >>> print(model.predict([[0.0], [1.5], [3.0]]), model.coef_.shape)
    ['low' 'middle' 'high'] (3, 1)
    """

    _instead = "LinearRegressor"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to features (n, p) and labels (n,). A weight of 2 equals a repeated row, 0 a deleted one."""
        if self.loss is not None:
            self._check_loss(self._checked(self.loss))
        self._check_params()
        features, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        weight = _check_sample_weight(sample_weight, features, dtype=np.float64, ensure_non_negative=True)
        kept = weight > 0
        if not kept.all():
            features, labels, weight = features[kept], labels[kept], weight[kept]
        loss, target = self._encode(labels)
        if isinstance(loss, RowwiseLoss):
            coef, intercept = self._minimize_rows(loss, features, target, weight)
        else:
            coef, intercept = self._minimize(loss, features, target, weight)
        self.coef_, self.intercept_ = coef, intercept
        return self

    def _minimize_rows(
        self, loss: RowwiseLoss, features: Array, codes: np.ndarray[Any, Any], weight: Array
    ) -> tuple[Array, Array]:
        """Fit one linear map for each class and return coefficients (K, p) and intercepts (K,)."""
        coordinates = Coordinates.of(features, weight, float(self.l2), self.fit_intercept)
        objective = coordinates.objective(RowsTerm(loss, codes, weight))
        # Bounded losses are flat around their own best constant, where a rare class has hardly any probability left.
        start = coordinates.start(np.zeros(len(self.classes_)))
        if loss.hessian_is_partial:
            solution = minimize_uncertified(objective, start, self.tol, self.max_iter, SEVERAL_KINKS)
        else:
            solution = minimize_smooth(objective, start, self.tol, self.max_iter)
        if loss.shift_invariant:
            parameters = solution.parameters - solution.parameters.mean(axis=0)
            solution = solution._replace(parameters=parameters)
        return self._record(loss, coordinates, solution)
