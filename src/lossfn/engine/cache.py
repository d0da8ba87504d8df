"""A user-owned folder for generated source and compiled kernels."""

from __future__ import annotations

import os
import stat
from functools import cache
from typing import TYPE_CHECKING

# Slow modules are imported where they are used: importing lossfn needs none of them.
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@cache
def folder() -> Path | None:
    """Return the cache folder, created private, or ``None`` where nothing may be written.

    ``LOSSFN_CACHE_DIR`` names it; otherwise it stands in the user's cache folder. A folder that belongs to somebody
    else or that others may write to is not used: its content is executed.
    """
    from pathlib import Path

    named = os.environ.get("LOSSFN_CACHE_DIR")
    base = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lossfn"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = base.stat()
    except (OSError, RuntimeError):
        return None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return None
    return base if os.access(base, os.W_OK) else None


def read(name: str) -> str | None:
    """Return the text of a cached file, or ``None``."""
    base = folder()
    if base is None:
        return None
    try:
        return (base / name).read_text(encoding="utf-8")
    except OSError:
        return None


def write(name: str, text: str) -> Path | None:
    """Write a cached file atomically; return its path, or ``None`` where the cache cannot be written."""
    base = folder()
    if base is None:
        return None
    import tempfile
    from pathlib import Path

    path = base / name
    try:
        # An equal file stays as it is: Numba's own cache looks at the time of writing.
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return path
        handle, temporary = tempfile.mkstemp(dir=base, prefix=name, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError:
        return None
    return path


def digest(*texts: str) -> str:
    """Return a short hash of texts."""
    import hashlib

    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]


#: What turns a recorded loss into the source of its functions.
DERIVING = ("definition.py", "derivation.py", "printer.py", "primitives", "symbolic.py", "trace.py")


@cache
def derivation_version() -> str:
    """Return a hash of the engine's source that decides how a definition is written."""
    from pathlib import Path

    places = [Path(__file__).parent / name for name in DERIVING]
    return digest(*_sources(path for place in places for path in ([place] if place.suffix else place.rglob("*.py"))))


@cache
def engine_version() -> str:
    """Return a hash of everything that turns a definition into numbers: the engine's source and the libraries."""
    from importlib.metadata import version
    from pathlib import Path

    libraries = [f"{name}={version(name)}" for name in ("numba", "llvmlite", "numpy")]
    return digest(*_sources(Path(__file__).parent.rglob("*.py")), *libraries)


def _sources(paths: Iterable[Path]) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(paths)]
