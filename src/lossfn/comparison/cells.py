"""The cells of a column that are no numbers though others are, and what is wrong with the way they are written."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .problems import first_rows

# Numbers as people write them, and how to write them instead.
_WRITTEN = {
    r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?": "write numbers without thousands separators",
    r"[-+]?\d+(\.\d*)?\s*%": "write percentages without the sign",
    r"[-+]?\d+,\d*": "write numbers with decimal points",
}

# Squares of larger numbers overflow, those of smaller ones vanish.
LARGEST, SMALLEST = 1e100, 1e-100


def not_numbers(column: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Return which cells hold something that is no number."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad: npt.NDArray[np.bool_] = np.isnan(numbers) & column.notna().to_numpy(dtype=bool)
    return bad


def share_of_numbers(column: pd.Series[Any], bad: npt.NDArray[np.bool_]) -> float:
    """Return the share of the cells present that are numbers, however they are written."""
    odd = sum(advice(cell) == "" for cell in column[bad])
    return 1 - odd / max(1, int(column.notna().sum()))


def advice(cell: Any) -> str:
    """Return how to write the number in a cell; nothing where there is none."""
    text = str(cell).strip()
    return next((how for pattern, how in _WRITTEN.items() if re.fullmatch(pattern, text)), "")


def described(column: pd.Series[Any], bad: npt.NDArray[np.bool_]) -> str:
    """Return how many cells are no numbers, which, and what the first of them holds."""
    count = f"{bad.sum()} of {len(column)} cells {'is no number' if bad.sum() == 1 else 'are no numbers'}"
    return f"{count}: {first_of(column, bad)}"


def first_of(column: pd.Series[Any], bad: npt.NDArray[np.bool_]) -> str:
    """Return what the first of some cells holds, and where they are."""
    return f"{str(column[bad].iloc[0])!r}{first_rows(column.index.to_numpy()[bad])}"
