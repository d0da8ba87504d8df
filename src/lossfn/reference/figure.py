"""Pictures of losses: value, gradient and Hessian over the residual, the margin or the prediction."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lossfn.extras import needs
from lossfn.fields import parameters_of
from lossfn.parameters import Number
from lossfn.reference.curves import KINDS, Curve, curves_of, jumps, label_of_axis
from lossfn.reference.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    FloatArray = np.ndarray[Any, np.dtype[np.float64]]

FORMATS = ("png", "svg", "pdf")

# More lines in one panel than this cannot be told apart.
MOST_LINES = 6

# A picture is cut where its tails reach this many times as far as the bulk of its curves.
RUNS_OFF = 4.0

# The palette of Okabe and Ito, which most colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)))


class LossDisplay:
    """The picture of one loss, in scikit-learn's display style.

    Parameters
    ----------
    loss : Loss
        What is drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of these axes.
    lines_ : list of matplotlib Line2D
        The curves, value first.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import lossfn
    >>> display = lossfn.Huber(delta=2.0).plot()
    >>> display.ax_.get_xlabel()
    'residual (prediction − target)'
    """

    def __init__(self, loss: Any) -> None:
        self.loss = loss

    def plot(self, ax: Any = None) -> LossDisplay:
        """Draw value, gradient and Hessian into one pair of axes, new ones if none are given."""
        if ax is None:
            with needs("plot()", "cli"):
                import matplotlib.pyplot as plt

            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []
        curves = curves_of(self.loss)
        for kind, colour in zip(KINDS, COLOURS, strict=False):
            for curve, dashes in zip(curves, DASHES, strict=False):
                label = ", ".join(filter(None, (kind, curve.label)))
                self.lines_ += draw(ax, curve, kind, color=colour, linestyle=dashes, label=label)
        limit(ax, [curve.values[kind] for curve in curves for kind in KINDS])
        mark_spikes(ax, self.loss, curves, COLOURS[2])
        ax.set(xlabel=label_of_axis(self.loss), title=repr(self.loss))
        ax.legend()
        return self


def panels(losses: Sequence[Any]) -> Figure:
    """Return a figure with a panel for value, gradient and Hessian each, and one colour for each of the losses."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    with style():
        figure = Figure(figsize=(9.6, 3.1), layout="constrained")
        axes = figure.subplots(1, 3)
        lines = [curves_of(loss) for loss in losses]
        for kind, ax in zip(KINDS, axes, strict=True):
            for place, (curves, colour) in enumerate(zip(lines, COLOURS, strict=False)):
                # Where curves coincide, the wider ones below show.
                width = 1.6 + 0.6 * (len(lines) - 1 - place)
                for curve, dashes in zip(curves, DASHES, strict=False):
                    draw(ax, curve, kind, color=colour, linestyle=dashes, linewidth=width)
            limit(ax, [curve.values[kind] for curves in lines for curve in curves])
            ax.set(title=kind, xlabel=label_of_axis(losses[0]))
        for loss, curves, colour in zip(losses, lines, COLOURS, strict=False):
            mark_spikes(axes[-1], loss, curves, colour)
        handles = [
            Line2D([], [], color=colour, label=setting(loss))
            for loss, colour in zip(losses, COLOURS, strict=False)
            if len(losses) > 1
        ]
        handles += [
            Line2D([], [], color=COLOURS[0] if len(losses) == 1 else "0.3", linestyle=dashes, label=curve.label)
            for curve, dashes in zip(lines[0], DASHES, strict=False)
            if curve.label
        ]
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def pictured(variants: Sequence[Any]) -> list[Any]:
    """Return the settings that share one picture: those that differ from the first in numbers, not in choices."""
    first = variants[0]

    def choices(loss: Any) -> list[Any]:
        return [getattr(loss, name) for name, each in parameters_of(type(loss)).items() if not isinstance(each, Number)]

    alike = [loss for loss in variants if (choices(loss), loss.heads) == (choices(first), first.heads)]
    # The more lines a setting takes, the fewer settings can be told apart.
    return alike[: max(1, MOST_LINES // len(curves_of(first)))]


def setting(loss: Any) -> str:
    """Return what tells this setting from the defaults, as it is written in Python."""
    parameters = Sheet(loss).parameters
    changed = [each for each in parameters if each.value != each.default]
    if not changed and len(parameters) != 1:
        return "defaults"
    shown = changed or parameters
    return ", ".join(
        f"{each.name}={each.value:g}" if isinstance(each.value, float) else f"{each.name}={each.value!r}"
        for each in shown
    )


# ---- drawing ------------------------------------------------------------------------------------------------------


@contextmanager
def style() -> Iterator[None]:
    """Quiet axes, for as long as the context lasts."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "0.92",
        "axes.edgecolor": "0.6",
        "xtick.color": "0.35",
        "ytick.color": "0.35",
        "axes.labelcolor": "0.2",
        "lines.linewidth": 1.7,
        "lines.solid_capstyle": "butt",
        "path.simplify_threshold": 0.2,
        "svg.fonttype": "none",
        # Equal input gives equal bytes.
        "svg.hashsalt": "lossfn",
        "text.parse_math": False,
    }
    with mpl.rc_context(settings):
        yield


def draw(ax: Axes, curve: Curve, kind: str, **line: Any) -> list[Any]:
    """Draw one curve, broken where it jumps and where it is infinite."""
    values = np.where(np.isfinite(curve.values[kind]), curve.values[kind], np.nan)
    # A gap takes a point of its own.
    places = np.flatnonzero(jumps(values)) + 1
    argument = np.insert(curve.argument, places, curve.argument[places])
    return ax.plot(argument, np.insert(values, places, np.nan), **line)


def mark_spikes(ax: Axes, loss: Any, curves: Sequence[Curve], colour: str) -> None:
    """Draw an arrow where the Hessian leaves out an infinite spike: where the gradient jumps."""
    if not loss.hessian_is_partial:
        return
    across: Any = ("data", "axes fraction")
    for curve in curves:
        gradient = curve.values["gradient"]
        for place in np.flatnonzero(jumps(gradient)):
            where = float(curve.argument[place : place + 2].mean())
            start, end = (0.5, 0.97) if gradient[place + 1] > gradient[place] else (0.5, 0.03)
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", (where, end), (where, start), across, across, arrowprops=arrow)


def limit(ax: Axes, values: Sequence[FloatArray]) -> None:
    """Show all of the curves, or most of them where a few points run off."""
    together = np.concatenate(values)
    low, most_low, most_high, high = np.percentile(together[np.isfinite(together)], [0, 3, 97, 100])
    if high - low > RUNS_OFF * (most_high - most_low) > 0:
        low, high = most_low, most_high
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.08 * (high - low) or 0.5
    ax.set_ylim(low - margin, high + margin)


def picture_of(loss: Any, kind: str) -> bytes:
    """Return the picture of a loss as a file of a kind; with its variants, if it is in its default setting."""
    losses = [loss]
    if loss == type(loss)():
        losses = pictured([type(loss)(**variant) for variant in loss.variants])
    figure = panels(losses)
    if kind == "svg":
        return as_svg(figure).encode()
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150)
    return buffer.getvalue()


def as_svg(figure: Figure) -> str:
    """Return a figure as SVG, as short as it can be: coordinates in hundredths of a point, the reader's own font."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", buffer.getvalue(), flags=re.DOTALL)
    text = re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: 'DejaVu Sans', Verdana, sans-serif", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    return re.sub(r"\s*\n\s*", "\n", text).strip() + "\n"
