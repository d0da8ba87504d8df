"""The primitives as float64 functions for Numba: ``from ...kernels import float64 as ops``, then ``ops.exp(x)``.

Every name in ``PRIMITIVES`` is an attribute of this module, and so is ``select``, another name of ``where``. The
functions are Numba intrinsics: compiled code calls them, the Python interpreter cannot. Arguments of any other
number type are converted to float64.
"""

from __future__ import annotations

from lossfn.engine.primitives.kernels.intrinsics import intrinsics
from lossfn.engine.primitives.kernels.scalar import FLOAT64

globals().update(intrinsics(FLOAT64))
