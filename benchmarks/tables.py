"""Markdown: tables, numbers, and the machine on which they were measured."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

DOCUMENTS = Path(__file__).parents[1] / "docs"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return an aligned table whose first columns are flush left and the others flush right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if position < left else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width if position < left else "-" * (width - 1) + ":") for position, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def number(value: float) -> str:
    """Return a number in a few characters."""
    if math.isinf(value):
        return "∞"
    if value >= 1000:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.0f}" if value >= 100 or value == 0 else f"{value:.1f}"


def machine(*libraries: str) -> str:
    """Return processor, system and versions in one sentence."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in libraries]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = f"Python {platform.python_version()}"
    return f"{_processor()}, {cores} cores, {platform.system()}; {', '.join([python, *versions])}."


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or platform.machine()
    found: dict[str, str] = {}
    for line in information.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    # The length of vectors decides about losses with exponentials.
    flags = found.get("flags", "").split()
    vectors = " with AVX-512" if "avx512f" in flags else " with AVX2" if "avx2" in flags else ""
    return found.get("model name", platform.machine()) + vectors


def write(name: str, text: str) -> None:
    """Write a document into ``docs``, at once or not at all."""
    DOCUMENTS.mkdir(exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=DOCUMENTS, prefix=f".{name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(DOCUMENTS / name)


def replace_beginning(name: str, text: str) -> None:
    """Put a text in the place of a document's beginning; sections that the text does not have stay behind it."""
    path = DOCUMENTS / name
    sections = path.read_text(encoding="utf-8").split("\n## ")[1:] if path.exists() else []
    others = [section for section in sections if f"\n## {section.splitlines()[0]}\n" not in text]
    write(name, "\n\n## ".join([text.strip(), *map(str.strip, others)]) + "\n")


def replace_section(name: str, title: str, text: str) -> None:
    """Put a section that begins with its title in the place of the older one, or at the end of a document."""
    document = (DOCUMENTS / name).read_text(encoding="utf-8")
    before, found, rest = document.partition(f"{title}\n")
    _, following, after = rest.partition("\n## ") if found else ("", "", "")
    write(name, f"{before.rstrip()}\n\n{text.strip()}\n{following}{after}")


def report(title: str, words: str, rows: str, *, quick: bool) -> None:
    """Print a section and, unless it was measured in a hurry, put it into ``docs/benchmarks.md``."""
    text = f"{title}\n\n{words}\n\n{rows}\n"
    sys.stdout.write(text)
    if not quick:
        replace_section("benchmarks.md", title, text)


def short(loss: object) -> str:
    """Return ``repr`` without parameters that have their default."""
    changed = [
        f"{field.name}={getattr(loss, field.name)!r}"
        for field in dataclasses.fields(loss)  # type: ignore[arg-type]
        if getattr(loss, field.name) != field.default
    ]
    return f"{type(loss).__name__}({', '.join(changed)})" if changed else type(loss).__name__
