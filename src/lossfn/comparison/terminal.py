"""What a comparison looks like in a terminal: one table, two sentences, and where the files are."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .formatting import count, shorten
from .tables import Cell, score_table

if TYPE_CHECKING:
    from pathlib import Path

    from .reading import Columns
    from .result import Comparison

# Where output goes to a file, it is as wide as this.
WIDTH = 100

# What a terminal without Unicode gets instead.
_ASCII = str.maketrans({"▲": "+", "▼": "-", "·": "=", "↓": "v", "↑": "^", "−": "-", "–": "-", "’": "'", "…": "~"})  # noqa: RUF001
_STYLES = {"better": "green", "worse": "red"}


class Screen:
    """Standard output for results, standard error for progress."""

    def __init__(self) -> None:
        self._out = Console(highlight=False, markup=False, emoji=False)
        if not self._out.is_terminal:
            self._out.width = WIDTH
        self._error = Console(stderr=True, highlight=False)

    def _plain(self, text: str) -> str:
        return text if self._out.encoding.startswith("utf") else text.translate(_ASCII)

    def _print(self, text: str = "", *, style: str = "") -> None:
        self._out.print(self._plain(text), style=style or None)

    def opening(self, source: str, columns: Columns) -> None:
        """Say what was read, before the work begins."""
        rows, features = columns.features.shape
        dropped = f", {count(columns.dropped, 'row')} left out" if columns.dropped else ""
        self._print(f"{source}: {count(rows, 'row')}, {count(features, 'feature')}{dropped}")

    @contextmanager
    def progress(self) -> Iterator[Callable[[int, int], None]]:
        """Give a function that moves a progress bar; there is no bar where nobody watches."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        watched = self._error.is_terminal
        with Progress(*parts, TimeRemainingColumn(), console=self._error, transient=True, disable=not watched) as bar:
            task = bar.add_task("Preparing", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total, description="Training and scoring")

    def show(self, result: Comparison) -> None:
        """Print the table of scores, how to read it, and the recommendation."""
        content = score_table(result)
        table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
        functionals = [textwrap.wrap(column.functional, 12) for column in content.columns]
        height = max(map(len, functionals))
        table.add_column(Text(shorten(result.target_name, 24) + "\n" * height), no_wrap=True)
        for column, lines in zip(content.columns, functionals, strict=True):
            # Headings stand on the bottom line of their row, so that short ones are filled up.
            functional = "\n".join([*lines, *[""] * (height - len(lines))])
            heading = Text(self._plain(f"{column.label} {column.arrow}\n")).append(functional, "dim not bold")
            table.add_column(heading, justify="right", overflow="fold")
        longest = 24 if self._out.width >= WIDTH else 12
        for row in content.rows:
            name = re.sub(r"(?=\()", "\n ", row.label) if len(row.label) > longest else row.label
            table.add_row(Text(name), *(self._cell(cell) for cell in row.cells))
        self._out.print()
        self._out.print(table)
        for number, footnote in enumerate(content.footnotes, start=1):
            self._print(f"[{number}] {footnote}", style="dim")
        default = result.loss(result.default).label
        # Bold type says it in a terminal; in a file a star must do.
        best = "Bold is the best" if self._out.is_terminal else "* is the best"
        self._print(
            f"{best} of its column, which rewards the property below its name; against {default}: "
            "▲ better ▼ worse · no clear difference",
            style="dim",
        )
        self._out.print()
        self._print(result.recommendation)

    def _cell(self, cell: Cell) -> Text:
        note = f"[{cell.footnote}]" if cell.footnote else ""
        star = "*" if cell.best and not self._out.is_terminal else ""
        style = _STYLES.get(cell.verdict or "", "")
        return Text(self._plain(f"{star}{cell.text}{note} {cell.mark or ' '}"), f"{style} bold" if cell.best else style)

    def closing(self, report: Path | None, json: Path | None) -> None:
        """Say where the files are."""
        self._out.print()
        for name, path in (("Report", report), ("Numbers", json)):
            if path is not None:
                self._out.print(f"{name}: {path}", soft_wrap=True)
        if report is None:
            self._print("A report with pictures and intervals: add --out report.html", style="dim")

    def catalogue(self) -> None:
        """Print every loss with what it is for."""
        from lossfn.catalogue import catalogue

        table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="bold")
        for heading in ("loss", "task", "estimates", "what it is"):
            table.add_column(heading)
        for entry in catalogue():
            loss = entry.loss
            table.add_row(entry.name, loss.task, loss.elicits, Text(self._plain(_summary(loss))))
        self._out.print(table)

    def loss(self, loss: Any) -> None:
        """Print one loss: what it is, its parameters, its formula and derivatives as LaTeX."""
        from lossfn.fields import parameters_of

        self._print(repr(loss), style="bold")
        self._print(_summary(loss))
        self._out.print()
        rows = {"task": loss.task, "estimates": loss.elicits, "convex": "yes" if loss.convex else "no"}
        for name, parameter in parameters_of(type(loss)).items():
            rows[name] = f"{getattr(loss, name)!r}: {parameter.doc}"
        rows |= {"loss": loss.formula, "gradient": loss.gradient_formula, "Hessian": loss.hessian_formula}
        table = Table(box=None, pad_edge=False, padding=(0, 2), show_header=False)
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, text in rows.items():
            table.add_row(name, Text(self._plain(text)))
        self._out.print(table)


def _summary(loss: Any) -> str:
    """Return the first sentence of a loss's documentation, without its markup."""
    first: str = (inspect.getdoc(type(loss)) or "").split("\n\n")[0]
    return " ".join(first.replace("``", "").split())
