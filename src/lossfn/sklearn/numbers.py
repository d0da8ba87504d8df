"""Predictions of numbers and of distributions with several heads, on the scale of the target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from lossfn.fields import domains_of
from lossfn.pointwise import PointwiseLoss

from .parameters import LossParameters

Array = NDArray[np.float64]


class NumericTarget(RegressorMixin, LossParameters):  # type: ignore[misc]  # scikit-learn ships no types
    """A regressor with a parameter ``loss`` whose scores are one number for each head."""

    _tasks = ("regression",)

    loss: PointwiseLoss
    loss_: PointwiseLoss

    def predict(self, X: Any) -> Array:
        """Return predictions on the scale of the target: rates where the link is logarithmic.

        Of several heads it returns the first, for a Gaussian likelihood the mean.
        """
        natural = self._natural(X)
        return natural if natural.ndim == 1 else natural[:, 0]

    @available_if(lambda self: len(self._trained_loss.heads) > 1)  # type: ignore[untyped-decorator]  # scikit-learn ships no types
    def predict_heads(self, X: Any) -> Array:
        """Return all heads on their natural scale (n, n_heads): quantiles, or mean and log-variance."""
        return self._natural(X)

    def _natural(self, features: Any) -> Array:
        scores = self._scores(features)
        natural: Array = self.loss_.inverse_link(scores if scores.shape[1] > 1 else scores[:, 0])
        return natural

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if isinstance(self.loss, PointwiseLoss):
            tags.target_tags.positive_only = all(domain.low >= 0 for domain in domains_of(self.loss.target))
            # The score is R², which rewards predictions of the mean only.
            tags.regressor_tags.poor_score = self.loss.elicits != "mean"
        return tags
