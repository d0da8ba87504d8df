"""Optional libraries, and which extra to install where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: What libraries are called where not as they are imported.
NAMES = {"torch": "PyTorch", "jax": "JAX", "keras": "Keras 3", "sklearn": "scikit-learn"}

#: What the extra ``cli`` installs, as modules.
OF_CLI = ("typer", "rich", "jinja2", "latex2mathml", "matplotlib", "pandas", "pyarrow", "sklearn")


@contextmanager
def needs(owner: str, extra: str) -> Iterator[None]:
    """Say which extra to install where a library of it that is imported within is not there.

    All extras but ``cli`` are called like the library that they install, as it is imported. Errors inside a library
    that is there pass: installing it again would not help.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in (OF_CLI if extra == "cli" else (extra,)):
            raise
        name = NAMES.get(library, library)
        raise ImportError(f"{owner} needs {name}, an optional extra: pip install 'lossfn[{extra}]'") from error
