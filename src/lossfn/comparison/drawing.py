"""How pictures are drawn: quiet axes, and SVG that takes colours and fonts from the page around it."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Matplotlib writes fixed colours, a page has a light and a dark face. So each part is drawn in a colour that stands
# for a CSS variable and is exchanged for it afterwards.
_VARIABLES = ("ink", "muted", "line", "bars", "better", "worse", "paper")
_SERIES = 9
COLOURS = {name: f"#0000{index + 1:02x}" for index, name in enumerate(_VARIABLES)}
COLOURS |= {f"series-{index}": f"#0001{index:02x}" for index in range(_SERIES)}

# Colours and dashes together tell 33 losses apart, and dashes alone tell neighbours apart where colours cannot be seen.
_DASHES = ((), (5, 1.6), (1.4, 1.4), (6, 1.5, 1.4, 1.5))

# In points. One point is one pixel on a phone of 360 pixels; wider pages scale a picture up.
WIDTH = 352
FONT_SIZE = 10.5


@dataclass(frozen=True)
class Picture:
    """One picture for the page."""

    svg: str
    """Inline SVG that uses the page's CSS variables."""
    title: str
    caption: str
    """One sentence that tells how to read it."""


@dataclass(frozen=True)
class Stroke:
    """How one loss is drawn, everywhere."""

    colour: str
    dashes: tuple[float, ...]
    width: float

    @property
    def line(self) -> dict[str, Any]:
        """Arguments for ``Axes.plot``."""
        style = {"linestyle": (0, self.dashes)} if self.dashes else {}
        return {"color": COLOURS[self.colour], "linewidth": self.width, "solid_capstyle": "butt", **style}


def stroke(index: int) -> Stroke:
    """Return the stroke of the loss at `index`; the default loss comes first, in a strong solid line."""
    if index == 0:
        return Stroke("series-0", (), 2.4)
    cycle, place = divmod(index - 1, _SERIES - 1)
    return Stroke(f"series-{place + 1}", _DASHES[(place + cycle + 1) % len(_DASHES)], 1.8)


@contextmanager
def canvas(height: float, width: float = WIDTH, foot: float | None = None) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure with one quiet pair of axes, sizes in points; styles hold inside the context only.

    With a `foot`, the axes leave that height below themselves and nothing at the sides, so that axes of several
    pictures line up; without one, they make room for their labels.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    settings: dict[Any, Any] = {
        "font.size": FONT_SIZE,
        "font.family": "DejaVu Sans",
        "svg.fonttype": "none",
        # Equal input gives equal bytes.
        "svg.hashsalt": "lossfn",
        # A column called "$x$" is not a formula.
        "text.parse_math": False,
        "text.color": COLOURS["ink"],
        "axes.edgecolor": COLOURS["line"],
        "axes.labelcolor": COLOURS["muted"],
        "axes.labelsize": FONT_SIZE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "xtick.color": COLOURS["line"],
        "ytick.color": COLOURS["line"],
        "xtick.labelcolor": COLOURS["muted"],
        "ytick.labelcolor": COLOURS["muted"],
        "xtick.labelsize": FONT_SIZE - 0.5,
        "ytick.labelsize": FONT_SIZE - 0.5,
        "axes.unicode_minus": True,
        "axes.formatter.limits": (-4, 6),
        "axes.formatter.useoffset": False,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width / 72, height / 72))
        if foot is None:
            figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.03))
        else:
            figure.subplots_adjust(left=0.005, right=0.995, top=1 - 2 / height, bottom=foot / height)
        yield figure, figure.add_subplot()


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """Return a figure as SVG for the inside of a page; `name` keeps its identifiers apart from other pictures'."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Glyphs that matplotlib's own font lacks are drawn by the reader's fonts.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\s(xmlns(:xlink)?|version|width|height)="[^"]*"', "", text[: text.index(">")]) + _body(text, name)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    label = html.escape(description, quote=True)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _body(text: str, name: str) -> str:
    """Return what follows the opening tag, with identifiers that are unique on the page and fonts that are its own."""
    body = text[text.index(">") :].replace("xlink:href", "href")
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", body)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = re.sub(r'\sid="([^"]+)"', lambda match: match[0] if match[1] in used else "", body)
    for identifier in used:
        body = re.sub(rf'(id="|url\(#|href="#){re.escape(identifier)}(?=[")])', rf"\g<1>{name}-{identifier}", body)
    return re.sub(r"\n\s*", "\n", body)
