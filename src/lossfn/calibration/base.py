"""What calibrators share: they are classifiers whose features are the scores of another classifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from lossfn import checks
from lossfn.engine.batch import to_numpy

Array = NDArray[np.float64]


class Calibrator(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn ships no types
    """A classifier fitted to scores of held-out rows: ``fit(scores, y)``, ``predict_proba(scores)``."""

    classes_: NDArray[Any]

    @abstractmethod
    def predict_proba(self, scores: Any) -> Array:
        """Return calibrated probabilities (N, K), columns in the order of ``classes_``."""

    def predict(self, scores: Any) -> NDArray[Any]:
        """Return the most probable class of each row."""
        probability = self.predict_proba(scores)
        labels: NDArray[Any] = self.classes_[probability.argmax(axis=1)]
        return labels

    def _rows(self, scores: Any, y: Any, sample_weight: Any) -> tuple[Array, NDArray[np.intp], Array]:
        """Return checked scores, codes of the labels and weights, without rows of weight 0; set ``classes_``."""
        name = type(self).__name__
        values = self._read(scores)
        labels = to_numpy(name, "y", y)
        if labels.shape != values.shape[:1]:
            raise ValueError(
                f"{name}: y must have shape {values.shape[:1]}, one label for each row; got {labels.shape}"
            )
        check_classification_targets(labels)
        weight = np.ones(len(labels))
        if sample_weight is not None:
            weight = to_numpy(name, "sample_weight", sample_weight).astype(np.float64)
            if weight.shape != labels.shape:
                raise ValueError(f"{name}: sample_weight must have shape {labels.shape}; got {weight.shape}")
            checks.check_weights(name, weight)
        kept = weight > 0
        values = values.copy()
        # Harmless for every calibrator: what a weight of 0 drops is not checked.
        values[~kept] = 0.5
        self._check_values(values)
        values, labels, weight = values[kept], labels[kept], weight[kept]
        if not len(labels):
            raise ValueError(f"{name}: no rows of positive weight")
        self.classes_ = self._classes(labels, values)
        codes = np.searchsorted(self.classes_, labels)
        return values, codes, weight / weight.sum()

    def _classes(self, labels: NDArray[Any], scores: Array) -> NDArray[Any]:
        found = np.unique(labels)
        count = scores.shape[1] if scores.ndim == 2 else 2
        if len(found) == count:
            return found
        if scores.ndim == 1:
            raise ValueError(f"{type(self).__name__}: y must hold two classes; got {len(found)}: {found[:5]}")
        # A rare class may be missing among the held-out rows; indices say which.
        if found.dtype.kind in "iu" and found[0] >= 0 and found[-1] < count:
            return np.arange(count)
        raise ValueError(
            f"{type(self).__name__}: scores have {count} columns, and y has {len(found)} classes. Where classes are "
            f"missing in y, it must hold indices of columns, integers from 0 to {count - 1}"
        )

    def _scores(self, scores: Any) -> Array:
        """Return checked scores."""
        values = self._read(scores)
        self._check_values(values)
        return values

    def _read(self, scores: Any) -> Array:
        """Return scores as float64: (N,), also from (N, 1), or (N, K) where several classes are possible."""
        name = type(self).__name__
        values = to_numpy(name, "scores", scores)
        if values.dtype.kind not in "fiu":
            raise TypeError(f"{name}: scores must be real numbers; got dtype {values.dtype}")
        values = values.astype(np.float64)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        return values

    @abstractmethod
    def _check_values(self, values: Array) -> None:
        """Refuse shapes and values that this calibrator cannot take."""

    def _check_fitted(self) -> None:
        check_is_fitted(self, "classes_")


def two_columns(positive: Array) -> Array:
    """Return probabilities of both classes from those of class 1."""
    return np.column_stack([1 - positive, positive])
