"""Features and targets as estimators take them: numbers, of which some engines keep single precision only."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from .engines import ENCODE, Array, engine_of

LARGEST = float(np.finfo(np.float32).max)
# Rounding that moves numbers by a larger part of their range is coarser than the bins of engines.
BLUR = 1e-3


def checked(estimator: Any, engine: Any, X: Any, *y: Any, reset: bool = True, **options: Any) -> Any:
    """Return features as an engine keeps them, and the target where one is given; NaN means missing.

    Without ``reset``, features are those of rows to predict.
    """
    owner, engine = type(estimator).__name__, engine_of(type(estimator).__name__, engine)
    try:
        found = validate_data(
            estimator,
            X,
            *y,
            reset=reset,
            # A table in single precision is left as it is.
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            **options,
        )
    except ValueError as error:
        column = _column_of_words(X)
        if column is None:
            raise
        raise ValueError(
            f"{owner}: features must be numbers, but column {column!r} holds others ({error}): {ENCODE}"
        ) from error
    features, *target = found if y else (found,)
    if engine.is_single and features.dtype != np.float32:
        single = _in_single_precision(owner, engine.name, features)
        if reset:
            names = getattr(estimator, "feature_names_in_", range(features.shape[1]))
            _warn_of_rounding(owner, engine.name, features, single, names)
        features = single
    return (features, *target) if y else features


def _column_of_words(X: Any) -> Any:
    """Return the name of the first column of a data frame that cannot be read as numbers."""
    for name in getattr(X, "columns", ()):
        try:
            np.asarray(X[name], dtype=np.float64)
        except (TypeError, ValueError):
            return name
    return None


def _in_single_precision(owner: str, engine: str, features: Array) -> Any:
    with np.errstate(over="ignore"):
        single = features.astype(np.float32)
    if np.isinf(single).any():
        raise ValueError(
            f"{owner}: {engine} keeps features in float32; one of X is larger than {LARGEST:.2g}: use a larger unit"
        )
    return single


def _warn_of_rounding(owner: str, engine: str, features: Array, single: Any, names: Any) -> None:
    """Warn of columns that single precision blurs; all values are compared only where the ends of a column say so."""
    low, high = np.fmin.reduce(features), np.fmax.reduce(features)
    span, blurred = high - low, []
    for column in np.flatnonzero(np.spacing(np.maximum(-low, high).astype(np.float32)) / 2 > BLUR * span):
        moved = np.fmax.reduce(np.abs(single[:, column] - features[:, column]))
        if moved > BLUR * span[column] > 0:
            blurred.append((names[column], moved, span[column]))
    if not blurred:
        return
    name, moved, spanned = blurred[0]
    more = f" (and {len(blurred) - 1} more columns alike)" if len(blurred) > 1 else ""
    warnings.warn(
        f"{owner}: {engine} keeps features in float32, which moves column {name!r} by up to {moved:.2g}, although it "
        f"spans only {spanned:.2g}{more}: subtract a constant from it, such as its mean, or choose engine='lightgbm', "
        "which keeps float64",
        stacklevel=4,
    )


def check_precision(owner: str, target: Array) -> None:
    """Refuse targets that single precision, in which engines keep them, cannot hold, and warn where it blurs them."""
    largest = np.abs(target).max()
    if largest > LARGEST:
        raise ValueError(f"{owner}: engines keep targets in float32; y reaches {largest:.3g}: use a larger unit")
    blur = np.abs(target.astype(np.float32) - target).max()
    if blur > BLUR * np.ptp(target) > 0:
        warnings.warn(
            f"{owner}: engines keep targets in float32, which moves these by up to {blur:.2g}, although they span only "
            f"{np.ptp(target):.2g}: subtract a constant from y, and add it to predictions",
            stacklevel=3,
        )
