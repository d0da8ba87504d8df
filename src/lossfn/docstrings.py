"""Docstrings of losses tell all parameters, those inherited from base classes too: ``help`` shows one class alone."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
_ENTRY = re.compile(r"^([^\s:][^:\n]*?) :.*(?:\n(?:[ \t].*|(?=\n)))*", re.MULTILINE)


def inherit_parameters(cls: type, names: list[str]) -> None:
    """Add to the docstring of a class what its bases say of those parameters that it does not document itself."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    known = set(_entries(text))
    added = []
    for base in cls.__mro__[1:]:
        for name, entry in _entries(inspect.cleandoc(base.__dict__.get("__doc__") or "")).items():
            if name in names and name not in known:
                known.add(name)
                added.append(entry.rstrip())
    if not text or not added:
        return
    opening, *rest = _SECTION.split(text)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    own = [sections.pop("Parameters").rstrip()] if "Parameters" in sections else []
    parts = [opening.rstrip(), _titled("Parameters", "\n".join(own + added))]
    parts += [_titled(title, body.rstrip()) for title, body in sections.items()]
    cls.__doc__ = "\n\n".join(parts) + "\n"


def _titled(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}"


def _entries(text: str) -> dict[str, str]:
    """Return the entries of the section about parameters by their names."""
    _, *rest = _SECTION.split(text)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    return {found[1]: found[0] for found in _ENTRY.finditer(sections.get("Parameters", ""))}
