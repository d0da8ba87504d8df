"""The table of scores, in the form that the terminal and the report both print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .formatting import DASH, decimals_for, mark, number, percent

if TYPE_CHECKING:
    from .result import Comparison, ScoreInfo, VerdictName


@dataclass(frozen=True)
class Column:
    """One score, as a heading."""

    label: str
    arrow: str
    functional: str
    meaning: str


@dataclass(frozen=True)
class Cell:
    """One loss under one score."""

    text: str
    mark: str
    verdict: VerdictName | None
    best: bool
    footnote: int | None
    """Number of the footnote that says why there is a dash."""


@dataclass(frozen=True)
class Row:
    """One loss."""

    key: str
    label: str
    is_default: bool
    elicits: str
    cells: tuple[Cell, ...]
    gradient_share: str
    """Share of the gradient that the top 1 % of the rows carries."""


@dataclass(frozen=True)
class ScoreTable:
    """Losses in rows, scores in columns."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]


def score_table(result: Comparison) -> ScoreTable:
    """Return the table of mean scores with verdicts; every missing number has a footnote."""
    footnotes: list[str] = []
    columns = {info.key: _cells(result, info, footnotes) for info in result.scores}
    return ScoreTable(
        columns=tuple(
            Column(
                label=info.label,
                arrow="\N{DOWNWARDS ARROW}" if info.lower_is_better else "\N{UPWARDS ARROW}",
                functional=info.functional,
                meaning=info.meaning,
            )
            for info in result.scores
        ),
        rows=tuple(
            Row(
                key=loss.key,
                label=loss.label,
                is_default=loss.is_default,
                elicits=loss.elicits,
                cells=tuple(columns[info.key][loss.key] for info in result.scores),
                gradient_share=DASH if loss.gradient_share is None else percent(loss.gradient_share),
            )
            for loss in result.losses
        ),
        footnotes=tuple(footnotes),
    )


def _cells(result: Comparison, info: ScoreInfo, footnotes: list[str]) -> dict[str, Cell]:
    means = {loss.key: loss.scores[info.key].mean for loss in result.losses}
    given = [mean for mean in means.values() if mean is not None]
    best = (min if info.lower_is_better else max)(given, default=None)
    decimals = decimals_for(given)
    cells = {}
    for loss in result.losses:
        mean, reason = means[loss.key], loss.scores[info.key].reason
        verdict = result.verdict(loss.key, info.key)
        if mean is None and reason is not None and reason not in footnotes:
            footnotes.append(reason)
        text = number(mean, decimals)
        cells[loss.key] = Cell(
            text=text,
            mark=mark(verdict),
            verdict=None if verdict is None else verdict.verdict,
            # Losses that look alike at the digits shown are all the best.
            best=best is not None and mean is not None and text == number(best, decimals),
            footnote=footnotes.index(reason) + 1 if mean is None and reason is not None else None,
        )
    return cells
