"""What a comparison looks like in a terminal: one table, two sentences, and where the files are."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from lossfn.terminal import WIDTH, Terminal, remembered_interrupts

from .features import read_features
from .formatting import count, shorten
from .problems import on_the_command_line
from .tables import Cell, score_table

if TYPE_CHECKING:
    from pathlib import Path

    from .reading import Columns
    from .result import Comparison

_STYLES = {"better": "green", "worse": "red"}


class Screen(Terminal):
    """What a comparison says, from the first line to the last."""

    def opening(self, source: str, columns: Columns) -> None:
        """Say what was read, before the work begins."""
        rows, features = columns.features.shape
        dropped = f", {count(columns.dropped, 'row')} left out" if columns.dropped else ""
        with on_the_command_line(columns.numbers):
            used = read_features(columns.features)[0].count
        shown = count(features, "feature") if used == features else f"{used} of {count(features, 'feature')}"
        self.print(f"{source}: {count(rows, 'row')}, {shown}{dropped}")

    @contextmanager
    def progress(self) -> Iterator[Callable[[int, int], None]]:
        """Give a function that moves a progress bar; there is no bar where nobody watches."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        bar = Progress(*parts, TimeRemainingColumn(), console=self.error, transient=True)
        with remembered_interrupts() as raise_again, bar if self.error.is_terminal else nullcontext():
            task = bar.add_task("Preparing", total=None)

            def move(done: int, total: int) -> None:
                raise_again()
                bar.update(task, completed=done, total=total, description="Training and scoring")

            yield move

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
            heading = Text(self.plain(f"{column.label} {column.arrow}\n")).append(functional, "dim not bold")
            table.add_column(heading, justify="right", overflow="fold")
        longest = 24 if self.out.width >= WIDTH else 12
        for row in content.rows:
            name = re.sub(r"(?=\()", "\n ", row.label) if len(row.label) > longest else row.label
            table.add_row(Text(name), *(self._cell(cell) for cell in row.cells))
        self.out.print()
        self.out.print(table)
        for number, footnote in enumerate(content.footnotes, start=1):
            self.print(f"[{number}] {footnote}", style="dim")
        default = result.loss(result.default).label
        # Bold type says it in a terminal; in a file a star must do.
        best = "Bold is the best" if self.out.is_terminal else "* is the best"
        self.print(
            f"{best} of its column, which rewards the property below its name; against {default}: "
            "▲ better ▼ worse · no clear difference",
            style="dim",
        )
        self.print(f"Trained with each loss: {result.model.label}", style="dim")
        for remark in result.remarks:
            self.print(f"Note: {remark}")
        self.out.print()
        self.print(result.recommendation)

    def _cell(self, cell: Cell) -> Text:
        note = f"[{cell.footnote}]" if cell.footnote else ""
        star = "*" if cell.best and not self.out.is_terminal else ""
        style = _STYLES.get(cell.verdict or "", "")
        return Text(self.plain(f"{star}{cell.text}{note} {cell.mark or ' '}"), f"{style} bold" if cell.best else style)

    def closing(self, report: Path | None, json: Path | None) -> None:
        """Say where the files are."""
        self.out.print()
        for name, path in (("Report", report), ("Numbers", json)):
            if path is not None:
                self.out.print(f"{name}: {path}", soft_wrap=True)
        if report is None:
            self.print("A report with pictures and intervals: add --out report.html", style="dim")
