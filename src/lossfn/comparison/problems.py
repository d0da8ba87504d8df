"""The error that bad data raise, and how rows are named in it."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

# The number in a file of each row that was passed, where the rows come from one.
_IN_FILE: ContextVar[npt.NDArray[np.intp] | None] = ContextVar("in_file", default=None)

# How rows of a file are counted.
HEADER = "row 1 follows the header"


class DataError(ValueError):
    """The data cannot be compared on; the message says in one line what is wrong, and where."""


@contextmanager
def on_the_command_line(rows: npt.NDArray[np.intp]) -> Iterator[None]:
    """Let messages speak of a file and of options; `rows` are the numbers in the file of the rows passed."""
    token = _IN_FILE.set(rows)
    try:
        yield
    finally:
        _IN_FILE.reset(token)


def first_rows(places: npt.NDArray[np.intp], count: int = 5) -> str:
    """Return the first of some rows, given as they count from 0, as the end of a sentence."""
    in_file = _IN_FILE.get()
    numbers, counting = (places, ", counting from 0") if in_file is None else (in_file[places], f"; {HEADER}")
    shown = ", ".join(str(number) for number in numbers[:count]) + (", ..." if len(places) > count else "")
    return f" (row{'' if len(places) == 1 else 's'} {shown}{counting})"


def setting(name: str, value: str) -> str:
    """Return how to set a parameter where the reader is: as an option, or as an argument."""
    return f"{name}={value!r}" if _IN_FILE.get() is None else f"--{name} {value}"


def whole(name: str, value: Any) -> int:
    """Return a parameter that is a number of things."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise DataError(f"{name} must be a whole number >= 0, not {value!r}")
    return number
