"""The error that bad data raise, and how rows are named in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class DataError(ValueError):
    """The data cannot be compared on; the message says in one line what is wrong, and where."""


def first_rows(bad: npt.NDArray[np.bool_], count: int = 5) -> str:
    """Return the first places where `bad` holds, as the end of a sentence; rows count from 0."""
    places = np.flatnonzero(bad)
    shown = ", ".join(str(place) for place in places[:count])
    return (
        f" (row {shown}, counting from 0)"
        if len(places) == 1
        else (f" (rows {shown}{', ...' if len(places) > count else ''}, counting from 0)")
    )
