"""The lists of losses that ``make docs`` rewrites: the index of the package, and the table of the README."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

from lossfn.losses.index import FAMILIES, losses_of

WIDTH = 120


def index(text: str) -> str:
    """Return the index of the package with the losses that there are; its other names stay."""
    start = text.index("from .")
    end = re.compile(r"^(?!from|[ )])", re.MULTILINE).search(text, start)
    assert end is not None
    statements = {
        module: set(re.findall(r"(\w+) as ", names))
        for module, names in re.findall(r"^from (\.\S*) import ([^(\n]+|\([^)]*\))$", text[start : end.start()], re.M)
    }
    for family in FAMILIES:
        module = import_module(f"lossfn.losses.{family}")
        names = statements.setdefault(f".losses.{family}", set())
        names &= set(vars(module))
        names |= {loss.__name__ for loss in losses_of(family)}
    lines = "\n".join(_statement(module, names) for module, names in sorted(statements.items()))
    return f"{text[:start]}{lines}\n\n{text[end.start() :].lstrip()}"


def _statement(module: str, names: set[str]) -> str:
    entries = [f"{name} as {name}" for name in sorted(names, key=lambda name: (name[0].islower(), name))]
    line = f"from {module} import {', '.join(entries)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {entry}," for entry in entries), ")"])


def table(text: str) -> str:
    """Return the README with all losses in its table; the words for each family stay, new ones are to be written."""
    head = "| family | losses |\n|---|---|\n"
    before, _, rest = text.partition(head)
    old, _, after = rest.partition("\n\n")
    words = {
        family: cell for cell, family in re.findall(r"^\| (\[.*\]\(docs/losses/(\w+)\.md\)) \|", old, re.MULTILINE)
    }
    rows = [
        f"| {words.get(family, f'[{family}](docs/losses/{family}.md)')} | "
        f"{', '.join(f'`{loss.__name__}`' for loss in losses_of(family))} |"
        for family in FAMILIES
    ]
    return before + head + "\n".join(rows) + "\n\n" + after


def write(project: Path) -> None:
    """Rewrite both, where the project's files lie."""
    for path, rewritten in ((project / "src/lossfn/__init__.pyi", index), (project / "README.md", table)):
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
