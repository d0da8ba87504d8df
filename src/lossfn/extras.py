"""Optional libraries, and which extra to install where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: What libraries are called where not as they are imported; extras are called as they are imported.
NAMES = {"torch": "PyTorch", "jax": "JAX", "keras": "Keras 3", "sklearn": "scikit-learn"}


@contextmanager
def needs(owner: str, library: str, extra: str = "") -> Iterator[None]:
    """Say which extra to install where a library that is imported within is not there.

    Extras are called as the library unless another one, ``extra``, brings it.

    Errors inside a library that is there pass: installing it again would not help.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        name, extra = NAMES.get(library, library), extra or library
        raise ImportError(f"{owner} needs {name}, an optional extra: pip install 'lossfn[{extra}]'") from error
