"""The report: one HTML file that needs nothing but itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from latex2mathml.converter import convert
from markupsafe import Markup, escape

from .drawing import stroke
from .formatting import MINUS, count, significant
from .pictures import draw
from .tables import score_table

if TYPE_CHECKING:
    from .result import Comparison, LossResult


def render_html(result: Comparison, *, source: str = "", command: str = "") -> str:
    """Return the report on a comparison.

    Parameters
    ----------
    result : Comparison
        What to report.
    source : str
        Where the data come from, such as the name of a file; shown in the title.
    command : str
        The command line or the Python code that gives the same numbers again.
    """
    environment = Environment(
        loader=PackageLoader("lossfn.comparison"),
        # Names of columns and classes come from strangers' files.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"typographic": _typographic, "breakable": _breakable}
    losses = [_loss(loss, index) for index, loss in enumerate(result.losses)]
    return environment.get_template("report.html").render(
        result=result,
        source=source,
        command=command,
        default=result.loss(result.default),
        facts=_facts(result, source),
        table=score_table(result),
        drawn=draw(result),
        losses=losses,
        any_parameters=any(loss["parameters"] for loss in losses),
    )


def _typographic(text: str) -> str:
    """Give negative numbers a true minus sign and names a true apostrophe, and keep ``p = 0.01`` on one line."""
    text = re.sub(r"(?<![\w)])-(?=[\d.])", MINUS, text)
    text = re.sub(r"(?<=\w)'(?=s\b)", "\N{RIGHT SINGLE QUOTATION MARK}", text)
    return re.sub(r"\bp ([<=]) (?=\d)", "p\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", text)


def _breakable(label: str) -> Markup:
    """Allow a name such as ``BinaryCrossEntropy(balanced)`` to break between its words."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[a-z])(?=[A-Z(])", label))


def _facts(result: Comparison, source: str) -> list[str]:
    facts = [
        source,
        count(result.rows, "row"),
        count(result.features, "feature"),
        result.model.label,
        f"{result.folds} folds, {result.repeats} {'time' if result.repeats == 1 else 'times'}",
    ]
    if result.groups is not None:
        facts.append(count(result.groups, "group"))
    if result.weighted:
        facts.append("weighted rows")
    return [fact for fact in facts if fact]


def _loss(loss: LossResult, index: int) -> dict[str, Any]:
    style = stroke(index)
    return {
        "label": loss.label,
        "elicits": loss.elicits,
        "formula": _formula(loss.formula) if loss.formula else "",
        "setting": significant(loss.setting),
        "parameters": [(name, significant(value)) for name, value in loss.parameters.items()],
        "stroke": style,
        # Matplotlib counts dashes in widths of the line, SVG in pixels.
        "dashes": " ".join(f"{dash * style.width:g}" for dash in style.dashes) or "none",
    }


def _formula(latex: str) -> Markup:
    """Return MathML, which browsers draw without help, with the definitions that follow a formula below it."""
    formula, *definitions = latex.split(r",\qquad ")
    parts = [_mathml(formula), *(Markup("<div>where {}</div>").format(_mathml(part)) for part in definitions)]
    return Markup("").join(parts)


def _mathml(latex: str) -> Markup:
    """Translate LaTeX, or show it as it is where that fails."""
    try:
        mathml = convert(latex.replace(r"\log\cosh", r"\log\,\cosh"))
    except Exception:  # the converter raises whatever its parser stumbles over
        return Markup("<code>{}</code>").format(latex)
    mathml = re.sub(r'\sxmlns="[^"]*"', "", mathml)
    return Markup(mathml.replace("<math", f'<math aria-label="{escape(latex)}"', 1))
