"""Labels of classes, encoded as losses take them, and decisions and probabilities from scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target

from lossfn.fields import domains_of
from lossfn.losses.binary import BinaryCrossEntropy
from lossfn.losses.multiclass import CrossEntropy
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss

from .parameters import LossParameters

Array = NDArray[np.float64]


class ClassLabels(ClassifierMixin, LossParameters):  # type: ignore[misc]  # scikit-learn ships no types
    """A classifier with a parameter ``loss`` whose scores are one number for two classes, or one for each class."""

    _tasks = ("binary", "multiclass")

    loss_: PointwiseLoss | RowwiseLoss
    classes_: np.ndarray[Any, Any]

    def _encode(self, labels: Any) -> tuple[PointwiseLoss | RowwiseLoss, np.ndarray[Any, Any]]:
        """Keep the classes, and return the loss for them with the labels as it takes them."""
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of 2 classes with positive weight, but the data contains only "
                f"one class: {self.classes_.tolist()}"
            )
        default = BinaryCrossEntropy() if len(self.classes_) == 2 else CrossEntropy()
        loss = self.loss_ = self._checked(default if self.loss is None else self.loss)
        if isinstance(loss, RowwiseLoss):
            return loss, codes
        if len(self.classes_) > 2:
            kind = type_of_target(labels, input_name="y", raise_unknown=True)
            # The first sentence is the one that scikit-learn asks for.
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}. {loss!r} is a loss of two "
                f"classes, and there are {len(self.classes_)}: use a loss of rows such as CrossEntropy(), or leave out "
                "loss="
            )
        (domain,) = domains_of(loss.target)
        negative, positive = domain.members or (domain.low, domain.high)
        return loss, np.where(codes == 1, positive, negative)

    def decision_function(self, X: Any) -> Array:
        """Return scores: of two classes (n,), where a positive one means the second class; of more (n, n_classes)."""
        scores = self._scores(X)
        if len(self.classes_) > 2:
            return scores
        return scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0]

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the class that ``decision_function`` says."""
        scores = self.decision_function(X)
        codes = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: np.ndarray[Any, Any] = self.classes_[codes]
        return labels

    @available_if(lambda self: self._trained_loss is None or self._trained_loss.gives_probability)  # type: ignore[untyped-decorator]  # scikit-learn ships no types
    def predict_proba(self, X: Any) -> Array:
        """Return probabilities of the classes (n, n_classes), for losses whose minimiser implies them."""
        scores = self._scores(X)
        if isinstance(self.loss_, RowwiseLoss):
            probabilities: Array = self.loss_.inverse_link(scores)
            return probabilities
        second = self.loss_.inverse_link(scores[:, 0])
        return np.column_stack([1.0 - second, second])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = not isinstance(self.loss, PointwiseLoss)
        return tags
