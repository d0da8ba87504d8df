"""The catalogue, and one loss, in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from lossfn.reference.formula import plain_formula
from lossfn.reference.sheet import ParameterSheet, Sheet
from lossfn.terminal import Terminal

INDENT = 2


class Reference(Terminal):
    """What is known about the losses, for readers at a terminal."""

    def catalogue(self, families: dict[str, list[Sheet]]) -> None:
        """Print a line for each loss."""
        rows = {
            family: [(sheet.name, sheet.loss.task, sheet.loss.elicits, sheet.brief) for sheet in sheets]
            for family, sheets in families.items()
        }
        everything = [row for family in rows.values() for row in family]
        widths = [max(len(row[column]) for row in everything) for column in range(3)]
        for family, lines in rows.items():
            self.out.print(Text(family, "bold"))
            table = _table(3)
            # Names are what is typed: they stay whole.
            for column, width, most in zip(table.columns, widths, (40, 24, 24), strict=False):
                column.width = min(width, most)
            # What is estimated is long for some: it continues below, because --elicits takes all of it.
            table.columns[2].no_wrap = False
            self._fill(table, lines)
        self.print("lossfn show NAME prints all about one of them.", style="dim")

    def loss(self, sheet: Sheet) -> None:
        """Print everything about one loss."""
        documentation = sheet.documentation
        self.print(repr(sheet.loss), style="bold")
        self.print(documentation.summary.replace("``", ""))
        self._section("Formulas", self._formulas(sheet))
        self._section("Properties", sheet.properties.items())
        self._section("Parameters", ((each.name, self._parameter(each)) for each in sheet.parameters))
        self._section("Elsewhere", _equivalents(sheet) or [("no known equivalent",)])
        if sheet.equivalents:
            note = "The factor is what is computed there as a multiple of this loss; where it trains, of its gradient."
            self._fill(_table(0), [(note,)])
        self._section("When to use it", ((paragraph,) for paragraph in documentation.paragraphs))
        self._section("See also", ((", ".join(names), what) for names, what in documentation.related))
        self._section("References", ((reference,) for reference in documentation.references))

    def _section(self, title: str, rows: Iterable[tuple[str, ...]]) -> None:
        rows = list(rows)
        if not rows:
            return
        self.out.print()
        self.out.print(Text(title, "bold"))
        self._fill(_table(len(rows[0]) - 1), rows)

    def _fill(self, table: Table, rows: Iterable[tuple[str, ...]]) -> None:
        for row in rows:
            table.add_row(*(Text(self.plain(cell.replace("``", ""))) for cell in row))
        self.out.print(table)

    def _formulas(self, sheet: Sheet) -> list[tuple[str, str]]:
        formulas = [*sheet.formulas.items(), *(("where", definition) for definition in sheet.definitions)]
        room = self.out.width - max(len(name) for name, _ in formulas) - 3 * INDENT
        return [(name, plain_formula(latex, room) if self.knows_unicode else latex) for name, latex in formulas]

    def _parameter(self, parameter: ParameterSheet) -> str:
        symbol = f", {plain_formula(parameter.symbol)} in formulas" if parameter.symbol and self.knows_unicode else ""
        default = f" (default {parameter.default!r})" if parameter.value != parameter.default else ""
        return f"{parameter.value!r}{default}: {parameter.values}{symbol}. {parameter.meaning}"


def _table(names: int) -> Table:
    """Return a table without lines, whose first columns are names that stay whole."""
    table = Table(box=None, pad_edge=True, padding=(0, 0, 0, INDENT), show_header=False)
    for _ in range(names):
        table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _equivalents(sheet: Sheet) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for there in sheet.equivalents:
        factor = f"× {there.factor_for(sheet.loss):.4g}"
        rows.append((there.library, factor, "; ".join([there.call, *there.remarks])))
    return rows
