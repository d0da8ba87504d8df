"""Pictures of the losses themselves: their shape over the rows, who pulls hardest, and the noise they assume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from lossfn.robustness import MAD_TO_SIGMA

from .drawing import COLOURS, Picture, canvas, inline_svg, stroke
from .formatting import MINUS, percent, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .result import Comparison, FloatArray, LossCurve

HEIGHT = 240

# Residuals further out than this many robust sigmas are counted in words, so that they do not squeeze the rest.
SIGMAS_SHOWN = 6.0


def losses_over_rows(result: Comparison) -> list[Picture]:
    """Return the losses and their gradients, drawn over the rows that they act on."""
    labels = dict.fromkeys(curve.label for loss in result.losses for curve in loss.curves)
    return [
        _over_rows(result, label, gradient=gradient)
        for label in labels
        if len(_places(result, label))
        for gradient in (False, True)
    ]


def _places(result: Comparison, label: str) -> FloatArray:
    """Return where on a curve the rows lie: the residuals, or the logits of one class, of the default loss."""
    if result.evidence.residuals is not None:
        return result.evidence.residuals
    probability = result.predictions.by_loss[result.default]
    if probability is None:
        return np.empty(0)
    rows = probability[result.predictions.target == (1.0 if label.endswith("1") else 0.0)]
    clipped = np.clip(rows, 1e-6, 1 - 1e-6)
    logits: FloatArray = np.log(clipped) - np.log1p(-clipped)
    return logits


def _over_rows(result: Comparison, label: str, *, gradient: bool) -> Picture:
    rows = _places(result, label)
    low, high = _range_shown(result, rows)
    title = f"{'Gradient' if gradient else 'Loss'}{'' if result.task == 'regression' else f', {label}'}"
    with canvas(HEIGHT) as (figure, axes):
        heights = []
        for index, loss in enumerate(result.losses):
            curve = next((curve for curve in loss.curves if curve.label == label), None)
            if curve is None:
                continue
            inside = (curve.argument >= low) & (curve.argument <= high)
            values = (curve.gradient if gradient else curve.value)[inside] / _typical(result, index, gradient=gradient)
            axes.plot(curve.argument[inside], values, zorder=3 - 0.01 * index, **stroke(index).line)
            heights.append((values.min(), values.max()))
        _limit_height(axes, np.array(heights))
        _histogram(axes, rows, low, high)
        if gradient:
            axes.axhline(0, color=COLOURS["line"], linewidth=0.8)
        axes.set_xlim(low, high)
        axes.set_xlabel(_axis_label(result))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}\N{MULTIPLICATION SIGN}".replace("-", MINUS)))
        name = f"{'gradient' if gradient else 'loss'}-{label.replace(' ', '-')}"
        svg = inline_svg(figure, name, f"{title} of each loss over a histogram of the rows")
    what = (
        "How hard a row pulls at the fit, in multiples of the average row\N{RIGHT SINGLE QUOTATION MARK}s pull"
        if gradient
        else "What a row costs, in multiples of what the average row costs"
    )
    outside = int(np.sum((rows < low) | (rows > high)))
    further = f", {outside:,} more of them outside" if outside else ""
    return Picture(svg, title, f"{what}; bars: where the rows lie{further}.")


def _axis_label(result: Comparison) -> str:
    if result.task == "binary":
        return "logit of the prediction"
    return f"prediction {MINUS} target, {shorten(result.target_name, 24)}"


def _typical(result: Comparison, index: int, *, gradient: bool) -> float:
    """Return the mean of a loss, or of the size of its gradient, over all rows: what makes losses comparable."""
    parts = [_extended(curve, _places(result, curve.label), gradient) for curve in result.losses[index].curves]
    mean = float(np.mean(np.concatenate(parts)))
    return mean if mean > 0 else 1.0


def _extended(curve: LossCurve, places: FloatArray, gradient: bool) -> FloatArray:
    """Return the curve, or the size of its gradient, at `places`; straight on where it has not been drawn."""
    inside = np.clip(places, curve.argument[0], curve.argument[-1])
    beyond = places - inside
    slope = np.gradient(curve.gradient, curve.argument) if gradient else curve.gradient
    values = curve.gradient if gradient else curve.value
    extended: FloatArray = np.interp(inside, curve.argument, values) + beyond * np.interp(inside, curve.argument, slope)
    return np.abs(extended)


def _range_shown(result: Comparison, rows: FloatArray) -> tuple[float, float]:
    curves = [curve for loss in result.losses for curve in loss.curves]
    low = min(float(curve.argument[0]) for curve in curves)
    high = max(float(curve.argument[-1]) for curve in curves)
    if result.task == "binary":
        return max(low, min(-4.0, rows.min())), min(high, max(4.0, rows.max()))
    middle = float(np.median(rows))
    reach = SIGMAS_SHOWN * MAD_TO_SIGMA * float(np.median(np.abs(rows - middle))) or high - low
    # The origin, where every loss has its minimum, belongs in the picture.
    return max(low, min(0.0, middle - reach)), min(high, max(0.0, middle + reach))


def _limit_height(axes: Axes, heights: FloatArray) -> None:
    """Let the steepest losses leave the picture, so that the others can be told apart."""
    low, high = heights.T
    top, bottom = min(high.max(), 2.0 * np.median(high)), max(low.min(), 2.0 * np.median(low))
    margin = 0.06 * (top - bottom) or 1.0
    axes.set_ylim(bottom - margin, top + margin)


def _histogram(axes: Axes, rows: FloatArray, low: float, high: float) -> None:
    """Draw where the rows lie, behind the curves and without an axis of its own."""
    bars = axes.twinx()
    bars.set_zorder(axes.get_zorder() - 1)
    bins = min(60, max(12, int(2 * np.sqrt(len(rows)))))
    counts, edges = np.histogram(rows, bins=bins, range=(low, high))
    bars.stairs(counts, edges, fill=True, color=COLOURS["bars"])
    bars.set_ylim(0, 1.6 * max(1, counts.max()))
    bars.axis("off")


def gradient_share(result: Comparison) -> Picture:
    """Return which share of the gradient the rows with the largest one carry."""
    # The curves are given at steps of the rows, so nothing is known about shares below the first step.
    smallest = max(1 / result.rows, float(result.losses[0].gradient_rows[1]))
    fractions = np.geomspace(smallest, 1, 200)
    with canvas(HEIGHT) as (figure, axes):
        axes.plot(fractions, fractions, color=COLOURS["muted"], linewidth=1)
        for index, loss in enumerate(result.losses):
            shares = np.interp(fractions, loss.gradient_rows, loss.gradient_curve)
            axes.plot(fractions, shares, zorder=3 - 0.01 * index, **stroke(index).line)
        axes.set(xscale="log", xlim=(smallest, 1), ylim=(0, 1.02))
        ticks = [tick for tick in (0.001, 0.01, 0.1, 1) if tick >= smallest]
        axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(axis="x", color=COLOURS["line"], linewidth=0.6)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.0f} %"))
        axes.set_xlabel("rows, those with the largest gradient first")
        words = "; ".join(
            f"{loss.label} {percent(loss.gradient_share)}" for loss in result.losses if loss.gradient_share is not None
        )
        svg = inline_svg(figure, "share", f"Share of the gradient carried by the top 1 % of rows: {words}")
    return Picture(
        svg,
        "Share of the gradient",
        "How much of the whole pull the few strongest rows have; the thin curve gives every row an equal share.",
    )


def noise(result: Comparison) -> Picture | None:
    """Return the residuals' histogram with the best noise model and the Gaussian one; None where there is none."""
    from scipy import stats

    rows, models = result.evidence.residuals, result.evidence.noise
    if rows is None or models is None or not models.parameters:
        return None
    low, high = _range_shown(result, rows)
    families = {"Gaussian": stats.norm, "Laplace": stats.laplace, "logistic": stats.logistic, "Student-t": stats.t}
    grid = np.linspace(low, high, 300)
    with canvas(HEIGHT) as (figure, axes):
        bins = min(60, max(12, int(2 * np.sqrt(len(rows)))))
        counts, edges = np.histogram(rows, bins=bins, range=(low, high))
        axes.stairs(counts / len(rows) / np.diff(edges), edges, fill=True, color=COLOURS["bars"])
        for index, name in enumerate(dict.fromkeys((models.best, "Gaussian")), start=1):
            label = f"{name}, best" if name == models.best else name
            axes.plot(grid, families[name].pdf(grid, *models.parameters[name]), label=label, **stroke(index).line)
        axes.legend(frameon=False, loc="upper left", handlelength=2.2, borderaxespad=0)
        axes.set(xlim=(low, high), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(_axis_label(result))
        svg = inline_svg(figure, "noise", f"Histogram of the residuals; the best noise model is {models.best}")
    return Picture(svg, "Residuals and noise", "Bars: the held-out residuals; lines: noise models fitted to them.")
