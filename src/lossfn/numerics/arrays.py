"""Bring what a caller passed to one library and one dtype, and the result back to the caller's."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossfn import checks
from lossfn.engine import batch as batches
from lossfn.engine.libraries import compatible
from lossfn.fields import Domain
from lossfn.parameters import valid_number


@dataclass(frozen=True)
class Inputs:
    """Arrays of one library, in the dtype of the computation."""

    library: str
    arrays: tuple[Any, ...]
    result_dtype: Any

    @property
    def xp(self) -> Any:
        """The array-API namespace of the library."""
        return compatible(self.library)

    def silently(self) -> AbstractContextManager[Any]:
        """Return a context without NumPy's warnings of the infinities that are right answers."""
        return np.errstate(all="ignore") if self.library == "numpy" else nullcontext()

    def finish(self, result: Any) -> Any:
        """Return a result in the caller's dtype; NumPy's arrays without axes as scalars."""
        result = self.xp.astype(result, self.result_dtype, copy=False)
        return result[()] if self.library == "numpy" else result


def prepare(owner: str, **given: Any) -> Inputs:
    """Return the arguments as real arrays of one dtype; plain numbers take the dtype of the arrays beside them."""
    library = batches.library_of(owner, **given)
    xp = compatible(library)
    # JAX's tracers have no device, and NumPy needs none.
    place = {"device": batches.device_of(library, *given.values())} if library == "torch" else {}
    arrays = {name: to_array(owner, name, value, library, place) for name, value in given.items()}
    typed = [array for name, array in arrays.items() if not isinstance(given[name], (bool, int, float))]
    result_dtype = xp.result_type(*(typed or arrays.values()))
    if not xp.isdtype(result_dtype, "real floating"):
        if not xp.isdtype(result_dtype, ("bool", "integral")):
            raise TypeError(f"{owner}: real numbers are needed; got dtype {result_dtype}")
        result_dtype = xp.asarray(0.0).dtype
    name = batches.dtype_name(result_dtype)
    dtype = getattr(xp, batches.COMPUTE.get(name, name))
    return Inputs(library, tuple(xp.astype(array, dtype, copy=False) for array in arrays.values()), result_dtype)


def to_array(owner: str, name: str, value: Any, library: str, place: dict[str, Any]) -> Any:
    """Convert lists, numbers and columns of data frames to arrays of a library; refuse masked and sparse arrays."""
    if library != "numpy" and hasattr(value, "shape") and batches.library_of(owner, **{name: value}) == library:
        return value
    array = batches.as_numpy(owner, name, value)
    return array if library == "numpy" else compatible(library).asarray(np.array(array), **place)


def check_number(owner: str, name: str, value: Any, domain: Domain) -> None:
    """Refuse a parameter that is not a number of a domain."""
    valid_number(domain, owner, name, value)


def check_axis(owner: str, array: Any, axis: Any) -> None:
    """Refuse an axis that an array does not have."""
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"{owner}: axis must be an integer; got {axis!r}")
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"{owner}: there is no axis {axis} in an array of shape {tuple(array.shape)}")


def axes_of(owner: str, array: Any, axis: Any) -> tuple[int, ...]:
    """Return the axes that are meant, none of them twice; ``None`` means all."""
    if axis is None:
        return tuple(range(array.ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if not all(isinstance(each, (int, np.integer)) and not isinstance(each, bool) for each in axes):
        raise TypeError(f"{owner}: axis must be an integer, a tuple of integers or None; got {axis!r}")
    for each in axes:
        check_axis(owner, array, each)
    found = tuple(each % array.ndim for each in axes)
    if len(set(found)) < len(found):
        raise ValueError(f"{owner}: axis names one axis twice; got {axis!r}")
    return found


def check_domain(owner: str, name: str, array: Any, domain: Domain, library: str) -> None:
    """Refuse values outside a domain where values can be looked at: not in traced code, not on accelerators."""
    if batches.is_traced(library, array):
        return
    with batches.eagerly(library):
        values = np.asarray(array.detach() if library == "torch" else array)
    inside = domain.condition(np, values)
    if not inside.all():
        checks.raise_outside(owner, name, values, inside, domain)
