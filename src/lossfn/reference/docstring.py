"""The parts of a docstring in NumPy's style."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Docstring:
    """What the documentation of a loss says.

    Attributes
    ----------
    summary : str
        The first paragraph, in one line.
    paragraphs : tuple of str
        The others, up to the first section: when to use the loss and when it fails.
    parameters : dict
        What each parameter means.
    references : tuple of str
        Authors, title and DOI.
    related : tuple of (tuple of str, str)
        Names of related losses, and what they are.
    examples : str
        Lines of an interpreter's session.
    """

    summary: str
    paragraphs: tuple[str, ...]
    parameters: dict[str, str]
    references: tuple[str, ...]
    related: tuple[tuple[tuple[str, ...], str], ...]
    examples: str


def _sections(documented: type) -> tuple[str, dict[str, str]]:
    """Return what stands before the first section of a docstring, and the sections."""
    text = inspect.cleandoc(documented.__doc__ or documented.__name__)
    opening, *parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", text, flags=re.MULTILINE)
    return opening, dict(zip(parts[::2], (part.strip("\n") for part in parts[1::2]), strict=True))


def read_docstring(documented: type) -> Docstring:
    """Return the parts of the docstring of a class.

    Examples
    --------
    >>> import lossfn
    >>> from lossfn.reference.docstring import read_docstring
    >>> read_docstring(lossfn.Huber).parameters
    {'delta': 'Residual size at which the loss turns linear.'}
    """
    opening, sections = _sections(documented)
    # What a base class documents once holds for all of its losses.
    parameters: dict[str, str] = {}
    for base in reversed(documented.__mro__):
        parameters |= {
            name.partition(":")[0].strip(): _joined(meaning)
            for name, meaning in _entries(_sections(base)[1].get("Parameters", ""))
        }
    summary, *paragraphs = (_joined(paragraph) for paragraph in opening.strip().split("\n\n"))
    return Docstring(
        summary=summary,
        paragraphs=tuple(paragraphs),
        parameters=parameters,
        references=tuple(
            _joined(reference)
            for reference in re.split(r"^\.\. \[\d+\] ", sections.get("References", ""), flags=re.MULTILINE)[1:]
        ),
        related=tuple(
            (tuple(name.strip() for name in names.split(",")), _joined(f"{what} {more}"))
            for line, more in _entries(sections.get("See Also", ""))
            for names, _, what in [line.partition(" : ")]
        ),
        examples=sections.get("Examples", ""),
    )


def _entries(section: str) -> list[tuple[str, str]]:
    """Return unindented lines, each with the indented ones below it."""
    entries = re.findall(r"^(\S.*)((?:\n(?:[ \t].*|(?=\n|\Z)))*)", section, flags=re.MULTILINE)
    return [(head, inspect.cleandoc(body)) for head, body in entries]


def _joined(text: str) -> str:
    return " ".join(text.split())
