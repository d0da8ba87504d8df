"""The columns of features: which are numbers, which are categories, which are of no use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from .cells import LARGEST, SMALLEST, advice, described, not_numbers, share_of_numbers
from .problems import DataError, first_rows

# A column with more categories than this keeps the most frequent ones and pools the rest.
MAX_CATEGORIES = 30

# Where at least this share of many different cells are numbers, the others are no categories but mistakes.
NEARLY_ALL = 0.95


@dataclass(frozen=True, eq=False)
class Features:
    """A data frame whose numeric columns are floats with NaN and whose categories are strings with NaN."""

    frame: pd.DataFrame
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of columns."""
        return len(self.numeric) + len(self.categorical)


def read_features(frame: pd.DataFrame) -> tuple[Features, tuple[str, ...]]:
    """Sort the columns into numbers and categories; return them with notes on everything that was done."""
    frame = frame.copy(deep=False)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"two feature columns are called {twice!r}")
    numeric: dict[str, pd.Series[Any]] = {}
    categorical: dict[str, pd.Series[Any]] = {}
    left_out: dict[str, list[str]] = {}
    notes: list[str] = []
    for name in frame.columns:
        # An array that holds words anywhere holds its numbers as objects.
        column = frame[name].convert_dtypes() if types.is_object_dtype(frame[name]) else frame[name]
        if useless := _useless(column):
            left_out.setdefault(useless, []).append(name)
        elif types.is_numeric_dtype(column) and not types.is_bool_dtype(column):
            numeric[name] = _numbers(column, name)
        else:
            categorical[name] = _words(column)
            notes += _stray_cells(column, name)
    if not numeric and not categorical:
        raise DataError(f"no usable feature column: {_listed(left_out) or 'there is none at all'}")
    if left_out:
        notes.insert(0, f"Left out as features: {_listed(left_out)}.")
    notes += _notes_on_missing(numeric, "the median of the training part")
    notes += _notes_on_missing(categorical, "the most frequent category of the training part")
    notes += [
        f"Column {name!r} has {count} categories; the {MAX_CATEGORIES - 1} most frequent ones of the training part "
        "are kept and the others pooled."
        for name, column in categorical.items()
        if (count := column.nunique()) > MAX_CATEGORIES
    ]
    sorted_frame = pd.DataFrame({**numeric, **categorical}, index=frame.index)
    return Features(sorted_frame, tuple(numeric), tuple(categorical)), tuple(notes)


def _useless(column: pd.Series[Any]) -> str | None:
    """Return why a linear model can learn nothing from a column, or None."""
    if column.isna().all():
        return "empty"
    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column):
        return "a date or time"
    if types.is_complex_dtype(column):
        return "complex"
    if column.nunique(dropna=False) == 1:
        return "constant"
    return None


def _numbers(column: pd.Series[Any], name: str) -> pd.Series[Any]:
    values = column.to_numpy(dtype=float, na_value=np.nan)
    infinite = np.isinf(values)
    if infinite.any():
        places = column.index.to_numpy()[infinite]
        raise DataError(f"feature {name!r} is infinite in {infinite.sum()} of {len(values)} rows{first_rows(places)}")
    largest = np.nanmax(np.abs(values))
    if largest > LARGEST or 0 < largest < SMALLEST:
        raise DataError(
            f"feature {name!r} has values up to {largest:.3g}, whose squares no float holds; measure it in a unit in "
            f"which they are between {SMALLEST:g} and {LARGEST:g}"
        )
    return pd.Series(values, index=column.index)


def _stray_cells(column: pd.Series[Any], name: str) -> list[str]:
    """Return a note on a column of categories most of which are numbers; refuse it where nearly all of them are.

    Categories of that many numbers would say nothing of rows that were not trained on.
    """
    if isinstance(column.dtype, pd.CategoricalDtype) or types.is_bool_dtype(column):
        return []
    bad = not_numbers(column)
    numbers = share_of_numbers(column, bad)
    if not bad.any() or numbers <= 0.5:
        return []
    how = advice(column[bad].iloc[0]) or "leave such cells empty, and they are filled like missing ones"
    if numbers >= NEARLY_ALL and column.nunique() > MAX_CATEGORIES:
        raise DataError(f"feature {name!r} is nearly a column of numbers, but {described(column, bad)}; {how}")
    return [f"Column {name!r} was taken as categories, since {described(column, bad)}; {how}."]


def _words(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return categories as strings (a column may mix numbers and words), missing ones as NaN."""
    words = column.astype(object).map(str, na_action="ignore")
    return words.where(column.notna(), np.nan).astype(object)


def _notes_on_missing(columns: dict[str, pd.Series[Any]], filling: str) -> list[str]:
    counts = {name: int(column.isna().sum()) for name, column in columns.items()}
    holes = [f"{name!r} ({count})" for name, count in counts.items() if count]
    return [f"Missing values in {_and(holes)} were filled with {filling}."] if holes else []


def _listed(left_out: dict[str, list[str]]) -> str:
    return "; ".join(f"{_and([repr(name) for name in names])} ({reason})" for reason, names in left_out.items())


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
