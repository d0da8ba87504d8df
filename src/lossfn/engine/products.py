"""Matrix products that are added to what is there, without an array for the product."""

from __future__ import annotations

from ctypes import CFUNCTYPE, POINTER, c_char_p, c_double, c_float, c_int, c_void_p
from functools import cache
from typing import Any

import numpy as np


def add_product(total: Any, left: Any, right: Any) -> None:
    """Add leftᵀ·right to ``total`` in place; ``left`` may be some columns of a matrix, ``total`` some rows.

    NumPy would write the product into an array of its own, and read that and ``total`` once more. The interpreter lock
    is released meanwhile.
    """
    if total.size == 0:
        return
    right = np.ascontiguousarray(right)
    multiply, number = _multiplication(total.dtype)
    one, (rows, width), columns = number(1.0), map(c_int, right.shape), c_int(left.shape[1])
    step = c_int(left.strides[0] // left.itemsize)
    # BLAS counts along columns first: it sees transposes, and computes rightᵀ·left.
    first, second, third = (array.ctypes.data for array in (right, left, total))
    multiply(b"N", b"T", width, columns, rows, one, first, width, second, step, one, third, width)


@cache
def _multiplication(dtype: np.dtype[Any]) -> tuple[Any, type[c_float] | type[c_double]]:
    """Return BLAS's general product of matrices, as SciPy exports it for compiled code, and its kind of numbers."""
    from numba.extending import get_cython_function_address

    name, number = ("sgemm", c_float) if dtype == np.float32 else ("dgemm", c_double)
    size, factor = POINTER(c_int), POINTER(number)
    matrix = c_void_p, size
    signature = CFUNCTYPE(None, c_char_p, c_char_p, size, size, size, factor, *matrix, *matrix, factor, *matrix)
    return signature(get_cython_function_address("scipy.linalg.cython_blas", name)), number
