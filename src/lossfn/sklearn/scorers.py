"""Losses as scikit-learn's metrics and scorers, for ``cross_val_score``, ``GridSearchCV`` and the like."""

from __future__ import annotations

from typing import Any

from sklearn.metrics._scorer import _BaseScorer

from lossfn import checks
from lossfn.loss import Loss
from lossfn.pointwise import PointwiseLoss
from lossfn.registry import snake_case
from lossfn.rowwise import RowwiseLoss

from .responses import RESPONSE_METHODS, Response, response_of


class Metric:
    """The mean of a loss as a function in scikit-learn's order; ``lossfn.sklearn.metric`` makes it."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.__name__ = f"{snake_case(type(loss).__name__)}_loss"

    def __call__(self, y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
        """Return the weighted mean loss."""
        return float(self.loss(y_pred, y_true, weight=sample_weight))

    def __repr__(self) -> str:
        return f"metric({self.loss!r})"


def metric(loss: Loss) -> Metric:
    """Return ``function(y_true, y_pred, *, sample_weight=None)``, the weighted mean of a loss.

    Scikit-learn's metrics take the truth first, losses the prediction first. Nothing else differs: predictions are on
    the scale of the loss (``Poisson`` takes log-rates, ``BinaryCrossEntropy`` logits), targets in its encoding, and
    smaller is better. ``scorer`` converts what an estimator predicts.

    Parameters
    ----------
    loss : Loss
        Any loss.

    Examples
    --------
    >>> import lossfn
    >>> from lossfn.sklearn import metric
    >>> huber = metric(lossfn.Huber(delta=1.0))
    >>> huber.__name__, huber([0.0, 0.0], [1.0, 3.0], sample_weight=[3, 1])
    ('huber_loss', 1.0)
    """
    return Metric(_checked("metric", loss))


class Scorer(_BaseScorer):  # type: ignore[misc]  # scikit-learn ships no types
    """Minus the mean of a loss, of an estimator's predictions; ``lossfn.sklearn.scorer`` makes it."""

    def __init__(self, loss: PointwiseLoss | RowwiseLoss, response: Response) -> None:
        super().__init__(Metric(loss), -1, {}, list(response.methods))
        self.loss = loss
        self._response = response

    def _score(
        self,
        method_caller: Any,  # noqa: ARG002 (of scikit-learn: a cache of responses that it has selected from)
        estimator: Any,
        X: Any,
        y_true: Any,
        sample_weight: Any = None,
    ) -> float:
        pred, target = self._response.predictions(estimator, X, y_true)
        return -float(self.loss(pred, target, weight=sample_weight))

    def __repr__(self) -> str:
        return f"scorer({self.loss!r})"


def scorer(loss: Loss, *, response_method: str | None = None) -> Scorer:
    """Return a scorer ``(estimator, X, y, sample_weight=None)``: minus the mean loss, so that greater is better.

    What the estimator predicts is brought to the scale of the loss:

    * A loss of numbers takes ``predict``, through the link that the loss declares: of rates, ``Poisson`` takes the
      logarithm. One with several heads takes ``predict_heads``, as the estimators of this library have it, or a
      ``predict`` with one column for each head.
    * A loss of two classes or of rows that estimates probabilities takes ``predict_proba``, converted to the prediction
      for which the loss implies these probabilities (the inverse of ``inverse_link``): the logit for
      ``BinaryCrossEntropy``, logarithms for ``CrossEntropy``. So the score of a loss that corrects for weights or for
      focusing rewards true probabilities, and that of an estimator trained with the loss is its own training loss.
    * A loss of the margin, and one of rows that implies no probabilities (``Hinge``, ``CrammerSinger``), takes
      ``decision_function`` as it is.

    Labels may be any; they are encoded as the loss takes them, in the order of ``classes_``. Whatever cannot be
    converted is refused.

    Parameters
    ----------
    loss : Loss
        A loss whose target is one number or one class a row.
    response_method : {"predict", "predict_proba", "decision_function"}, optional
        Take this response instead. ``"decision_function"`` hands scores to the loss as they are.

    See Also
    --------
    metric : of predictions that are there already.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.metrics import log_loss
    >>> from sklearn.model_selection import cross_val_score
    >>> import lossfn
    >>> from lossfn.sklearn import scorer
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(100, 2))
    >>> y = np.where(x[:, 0] + rng.normal(size=100) > 0, "yes", "no")
    >>> model = LogisticRegression().fit(x, y)
    >>> minus_loss = scorer(lossfn.BinaryCrossEntropy())
    >>> print(round(minus_loss(model, x, y), 6), round(log_loss(y, model.predict_proba(x)), 6))
    -0.534657 0.534657
    >>> cross_val_score(LogisticRegression(), x, y, scoring=scorer(lossfn.Hinge()), cv=2).shape
    (2,)
    """
    checked = _checked("scorer", loss)
    if response_method is not None and response_method not in RESPONSE_METHODS:
        raise ValueError(
            f"scorer: response_method must be one of {', '.join(RESPONSE_METHODS)}; got {response_method!r}"
        )
    return Scorer(checked, response_of(checked, response_method))


def _checked(owner: str, loss: Any) -> PointwiseLoss | RowwiseLoss:
    if not isinstance(loss, PointwiseLoss | RowwiseLoss):
        checks.raise_no_loss(owner, loss)
    return loss
