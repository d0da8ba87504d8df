"""The reference pages, one for each family, and those beside them: ``make docs`` writes them from the code.

GitHub shows them as they are: formulas stand in blocks of mathematics, figures are files beside the pages.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lossfn.reference import beyond, vocabulary
from lossfn.reference.dictionary import LIBRARIES, listed, name_there, strangers
from lossfn.reference.figure import as_svg, panels, pictured, setting
from lossfn.reference.sheet import Sheet, families
from lossfn.registry import catalogue

INDEX = "README.md"
NOTICE = "<!-- Written by `make docs` from the catalogue: change the losses, not this page. -->"
FROM_CODE = "<!-- Written by `make docs` from `src/lossfn/reference/{}.py`: change that, not this page. -->"

EXPLANATION = """\
*Largest slope* and *largest curvature* bound the sizes of gradient and Hessian, at the default parameters. An arrow in
a picture of the Hessian is an infinite spike at a kink, which the Hessian leaves out.

The *factor* of an equivalent in another library is what is computed there as a multiple of the loss here, both meant
as means over the rows. Every row of these tables is executed by the tests: functions on drawn data, settings of
XGBoost, LightGBM and CatBoost in trees whose leaves give away gradient and Hessian. Their factor is that of the
gradient; several of them replace the Hessian by something of their own, which is stated then. By the names of the
other libraries, the same is listed in the [dictionary](../dictionary.md)."""

DICTIONARY = """\
What other libraries call the losses of this one. Search this page for the name you know (`MSELoss` and `mse_loss` are
one name), or let `lossfn show torch.nn.HuberLoss` find it; the loss itself links to its formulas.

In the calls, `pred` is the prediction and `target` the target as they are here, predictions on the scale of the link
(logits, log rates), and other names are parameters of the loss. What is computed there is the *factor* times the mean
of the loss here. Every row is executed by the tests, on drawn data of the domain: functions are called; of what
trains, gradient and Hessian are read off single steps or leaves. Last done with PyTorch 2.13, Keras 3.15, optax 0.2.8,
scikit-learn 1.9, SciPy 1.17, torchmetrics 1.9, scoringrules 0.10, XGBoost 3.2, LightGBM 4.7 and CatBoost 1.2.10."""


def pages() -> dict[str, str]:
    """Return the text of every page about losses by its name."""
    grouped = families(catalogue())
    return {INDEX: _index(grouped), **{f"{family}.md": _page(sheets) for family, sheets in grouped.items()}}


def figures() -> Iterator[tuple[str, str]]:
    """Yield the name of every figure and its SVG."""
    for entry in catalogue():
        yield f"figures/{entry.name}.svg", as_svg(panels(pictured(entry.variants)))


def dictionary() -> str:
    """Return the page that lists the names of other libraries."""
    parts = [NOTICE, "# Dictionary", DICTIONARY]
    for library, names in listed():
        parts += [f"## {library}", LIBRARIES[library]]
        parts.append(_table(["there", "here", "factor", "call", "for"], (_entry(*pair) for pair in names)))
    unknown = ", ".join(_from_above(type(loss).__name__) for loss in strangers())
    parts += ["## No known equivalent", f"In none of these libraries was found: {unknown}."]
    return _text(parts)


def others() -> dict[str, str]:
    """Return the text of every page beside those about losses by its name."""
    return {
        "dictionary.md": dictionary(),
        "own_loss.md": _text([FROM_CODE.format("vocabulary"), vocabulary.page().strip()]),
        "beyond_losses.md": _text([FROM_CODE.format("beyond"), beyond.page().strip()]),
    }


def write(folder: Path) -> None:
    """Write all pages and the figures of losses, and remove what those about losses no longer contain."""
    losses = folder / "losses"
    (losses / "figures").mkdir(parents=True, exist_ok=True)
    contents = {**pages(), **dict(figures())}
    for old in (*losses.glob("*.md"), *losses.glob("figures/*.svg")):
        if old.relative_to(losses).as_posix() not in contents:
            old.unlink()
    for name, text in contents.items():
        (losses / name).write_text(text, encoding="utf-8")
    for name, text in others().items():
        (folder / name).write_text(text, encoding="utf-8")


# ---- text ---------------------------------------------------------------------------------------------------------


def _index(grouped: dict[str, list[Sheet]]) -> str:
    parts = [
        NOTICE,
        "# The losses",
        "Each family has a page with formulas, properties, pictures and the same losses in other libraries.",
        EXPLANATION,
    ]
    for family, sheets in grouped.items():
        parts.append(f"## [{_title(family)}]({family}.md)")
        parts.append(_table(["loss", "estimates", "task", "what it is"], map(_line, sheets)))
    return _text(parts)


def _line(sheet: Sheet) -> list[str]:
    return [f"[`{sheet.class_name}`]({_place(sheet)})", sheet.loss.elicits, sheet.loss.task, _prose(sheet.brief)]


def _page(sheets: list[Sheet]) -> str:
    first = sheets[0]
    module = sys.modules[type(first.loss).__module__]
    parts = [
        NOTICE,
        f"# {_title(first.family)}",
        (module.__doc__ or "").strip(),
        f"All families: [the losses]({INDEX}).",
    ]
    for sheet in sheets:
        parts += _loss(sheet)
    return _text(parts)


def _loss(sheet: Sheet) -> Iterator[str]:
    documentation = sheet.documentation
    yield f"## {sheet.class_name}"
    yield _prose(documentation.summary)
    for paragraph in documentation.paragraphs:
        yield _prose(paragraph)
    yield f"![Value, gradient and Hessian of {sheet.class_name}](figures/{sheet.name}.svg)"
    yield from _formulas(sheet)
    yield _table(["property", ""], ([name, text] for name, text in sheet.properties.items()))
    if sheet.parameters:
        rows = (
            [f"`{each.name}`", _inline(each.symbol), f"`{each.default!r}`", each.values, _prose(each.meaning)]
            for each in sheet.parameters
        )
        yield _table(["parameter", "symbol", "default", "values", "meaning"], rows)
    if sheet.loss.equivalents:
        yield _table(["elsewhere", "", "factor", "for"], map(_equivalent, sheet.loss.equivalents))
    if documentation.related:
        related = (
            f"{', '.join(map(_link, names))}{f': {_prose(what)}' * bool(what)}" for names, what in documentation.related
        )
        yield "See also: " + "; ".join(text.rstrip(".") for text in related) + "."
    if documentation.references:
        yield "\n".join(f"* {_reference(reference)}" for reference in documentation.references)


def _formulas(sheet: Sheet) -> Iterator[str]:
    names = {"loss": "L", "gradient": r"\nabla L", "Hessian": r"\nabla^2 L"}
    for name, latex in sheet.formulas.items():
        yield _display(f"{names[name]} = {latex}")
    if sheet.definitions:
        yield _display(",\\qquad ".join(sheet.definitions))
    for loss in _other_definitions(sheet.loss):
        yield f"With `{setting(loss)}`:"
        yield _display(f"{names['loss']} = {Sheet(loss).formulas['loss']}")


def _other_definitions(loss: Any) -> list[Any]:
    """Return a setting for each formula that differs from the one of the defaults."""
    shown, others = {loss.formula}, []
    for variant in loss.variants:
        other = type(loss)(**variant)
        if other.formula not in shown:
            shown.add(other.formula)
            others.append(other)
    return others


def _entry(loss: Any, there: Any) -> list[str]:
    _, call, factor, settings = _equivalent(there)
    return [f"`{name_there(there)}`", _from_above(type(loss).__name__), factor, call, settings]


def _from_above(name: str) -> str:
    return f"[`{name}`](losses/{_places()[name]})"


def _equivalent(there: Any) -> list[str]:
    call = "; ".join([f"`{there.call}`", *map(_prose, there.remarks)])
    return [there.library, call, f"`{there.factor}`", f"`{there.when}`" if there.when else "all settings"]


def _title(family: str) -> str:
    return family.replace("_", " ").capitalize()


def _place(sheet: Sheet) -> str:
    return f"{sheet.family}.md#{sheet.class_name.lower()}"


@cache
def _places() -> dict[str, str]:
    sheets = [Sheet(entry.loss) for entry in catalogue()]
    return {sheet.class_name: _place(sheet) for sheet in sheets}


def _link(name: str) -> str:
    return f"[`{name}`]({_places()[name]})" if name in _places() else f"`{name}`"


def _reference(text: str) -> str:
    return re.sub(r"doi:(\S+?)(?=[.,;]?(?:\s|$))", r"[doi:\1](https://doi.org/\1)", text)


def _prose(text: str) -> str:
    """Return reStructuredText as Markdown: code in single backticks, and no characters that Markdown would take."""
    parts = re.split(r"``(.+?)``", text)
    return "".join(
        f"`{part}`" if position % 2 else re.sub(r"([*_<>|])", r"\\\1", part) for position, part in enumerate(parts)
    )


def _inline(latex: str) -> str:
    return f"$`{_mathjax(latex)}`$" if latex else ""


def _display(latex: str) -> str:
    return f"```math\n{_mathjax(latex)}\n```"


def _mathjax(latex: str) -> str:
    # GitHub refuses \operatorname.
    return latex.replace(r"\operatorname", r"\mathrm")


def _table(headings: list[str], rows: Iterable[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *([cell.replace("\n", " ") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
