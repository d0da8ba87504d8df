"""Features as estimators take them: numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from .engines import ENCODE


def checked(estimator: Any, X: Any, *y: Any, **options: Any) -> Any:
    """Return features, and the target where one is given, as scikit-learn checks them; NaN means missing."""
    try:
        return validate_data(estimator, X, *y, dtype=np.float32, ensure_all_finite="allow-nan", **options)
    except ValueError as error:
        column = _column_of_words(X)
        if column is None:
            raise
        raise ValueError(
            f"{type(estimator).__name__}: features must be numbers, but column {column!r} holds others ({error}): "
            f"{ENCODE}"
        ) from error


def _column_of_words(X: Any) -> Any:
    """Return the name of the first column of a data frame that cannot be read as numbers."""
    for name in getattr(X, "columns", ()):
        try:
            np.asarray(X[name], dtype=np.float64)
        except (TypeError, ValueError):
            return name
    return None
