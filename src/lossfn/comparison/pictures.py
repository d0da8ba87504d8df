"""The pictures of a report, each with one sentence that tells how to read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from lossfn.calibration import reliability

from .drawing import COLOURS, Picture, canvas, inline_svg, stroke
from .formatting import decimals_for, mark, number, percent, shorten, significant
from .shapes import gradient_share, losses_over_rows, noise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .result import Comparison, ScoreInfo, Verdict

# More points than this are neither seen nor worth their bytes; a sample of the rows is drawn instead.
MAX_POINTS = 1500

# Differences are shown in small multiples, three of them side by side on a wide page.
FOREST_WIDTH = 300
ROW_HEIGHT = 31.0
LONG_NAME = 20
FOOT = 38.0

# Above this many panels of predictions, the reader scrolls more than he learns.
MAX_PANELS = 4


@dataclass(frozen=True)
class Pictures:
    """All pictures of one report, in reading order."""

    differences: tuple[Picture, ...]
    losses: tuple[Picture, ...]
    rows: tuple[Picture, ...]
    predictions: tuple[Picture, ...]


def draw(result: Comparison) -> Pictures:
    """Draw everything."""
    return Pictures(
        differences=_present(forest(result, score) for score in result.scores),
        losses=tuple(losses_over_rows(result)),
        rows=_present((gradient_share(result), noise(result))),
        predictions=tuple(predictions(result)),
    )


def _present(pictures: Iterable[Picture | None]) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture is not None)


def forest(result: Comparison, score: ScoreInfo) -> Picture | None:
    """Return the differences from the default loss under one score; None where nothing is compared."""
    verdicts = [verdict for verdict in result.verdicts if verdict.score == score.key]
    if not verdicts:
        return None
    # The best on top: matplotlib counts places upwards.
    verdicts.sort(key=lambda verdict: -verdict.difference if score.lower_is_better else verdict.difference)
    reaches = sorted(max(abs(verdict.low), abs(verdict.high)) for verdict in verdicts)
    # One hopeless loss would squeeze all others to a line; it gets an arrow instead.
    limit = 1.08 * max(reach for reach in reaches if reach <= 4 * reaches[(len(reaches) - 1) // 2]) or 1.0
    decimals = decimals_for([verdict.high - verdict.low for verdict in verdicts], 3)
    words = []
    height = ROW_HEIGHT * len(verdicts)
    with canvas(height + FOOT, FOREST_WIDTH, foot=FOOT) as (figure, axes):
        across = axes.get_yaxis_transform()
        for place, verdict in enumerate(verdicts):
            label = result.loss(verdict.loss).label
            difference = number(verdict.difference, decimals, sign=True)
            decided = verdict.verdict != "no clear difference"
            colour = COLOURS[verdict.verdict if decided else "muted"]
            _interval(axes, place, verdict, limit, colour)
            # A long name reaches across the middle, so the line stops below it.
            top = place + (0.2 if len(label) > LONG_NAME else 0.56)
            axes.vlines(0, place - 0.45, top, color=COLOURS["ink"], linewidth=1, zorder=1)
            axes.text(0, place + 0.24, shorten(label, 40), transform=across, va="bottom")
            right: dict[str, Any] = {"transform": across, "va": "bottom", "ha": "right", "color": colour}
            axes.text(1, place + 0.24, f"{difference} {mark(verdict)}" if decided else difference, **right)
            words.append(f"{label} {difference} ({verdict.verdict})")
        axes.set(xlim=(-limit, limit), ylim=(-0.45, len(verdicts) - 0.2), yticks=[])
        axes.spines["left"].set_visible(False)
        # Numbers nearer to an end would stick out of the picture.
        axes.set_xticks([tick for tick in MaxNLocator(5).tick_values(-limit, limit) if abs(tick) <= 0.8 * limit])
        better, worse = (0.0, 1.0) if score.lower_is_better else (1.0, 0.0)
        ends: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "color": COLOURS["muted"]}
        lower = -21 / height
        for x, text in ((better, "better"), (worse, "worse")):
            text = f"\N{LEFTWARDS ARROW} {text}" if x == 0 else f"{text} \N{RIGHTWARDS ARROW}"
            axes.text(x, lower, text, ha="left" if x == 0 else "right", **ends)
        default = result.loss(result.default).label
        title = f"{score.label}, difference from {default}"
        svg = inline_svg(figure, f"forest-{score.key.replace('.', '')}", f"{title}: {'; '.join(reversed(words))}")
    return Picture(svg, score.label, score.meaning)


def _interval(axes: Axes, place: int, verdict: Verdict, limit: float, colour: str) -> None:
    low, high = np.clip([verdict.low, verdict.high], -limit, limit)
    axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
    if abs(verdict.difference) <= limit:
        axes.plot([verdict.difference], [place], "o", color=colour, markersize=6)
    for beyond, end, shape in ((verdict.low < -limit, -limit, "<"), (verdict.high > limit, limit, ">")):
        if beyond:
            axes.plot([end], [place], shape, color=colour, markersize=6, clip_on=False)


def predictions(result: Comparison) -> list[Picture]:
    """Return predicted against actual, or the reliability, of the default loss and the recommended ones."""
    recommended = dict.fromkeys([result.default, *(item.loss for item in result.recommendations)])
    # For classes every other loss may give wrong probabilities; for regression a pair is enough to compare.
    others = [loss.key for loss in result.losses][: 2 if result.task == "regression" else None]
    given = [key for key in dict.fromkeys([*recommended, *others]) if result.predictions.by_loss.get(key) is not None]
    if result.task == "regression":
        given = given[: max(2, len(recommended))]
    draw_one = _predicted_against_actual if result.task == "regression" else _reliability
    return [draw_one(result, key) for key in given[:MAX_PANELS]]


def _index(result: Comparison, key: str) -> int:
    return next(index for index, loss in enumerate(result.losses) if loss.key == key)


def _predicted_against_actual(result: Comparison, key: str) -> Picture:
    index = _index(result, key)
    target, predicted = result.predictions.target, result.predictions.by_loss[key]
    assert predicted is not None
    below = percent(float(np.mean(target < predicted)))
    chosen = np.arange(len(target))
    if len(chosen) > MAX_POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MAX_POINTS, replace=False))
    with canvas(300) as (figure, axes):
        shown = np.concatenate([target[chosen], predicted[chosen]])
        ends = [shown.min(), shown.max()]
        axes.plot(ends, ends, color=COLOURS["ink"], linewidth=1)
        dots: dict[str, Any] = {"color": COLOURS[stroke(index).colour], "markeredgewidth": 0, "alpha": 0.55}
        dots["markersize"] = 4.5 if len(chosen) <= 500 else 3
        axes.plot(predicted[chosen], target[chosen], "o", **dots)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set(xlabel="predicted", ylabel=f"actual {shorten(result.target_name, 24)}")
        label = result.losses[index].label
        svg = inline_svg(figure, f"actual-{index}", f"Actual against predicted, {label}: {below} of the rows are below")
    sampled = f" {MAX_POINTS:,} rows drawn at random are shown." if len(target) > MAX_POINTS else ""
    return Picture(
        svg, label, f"A point is a held-out row; {below} lie below the line of perfect predictions.{sampled}"
    )


def _reliability(result: Comparison, key: str, bins: int = 10) -> Picture:
    """Return predicted probability against frequency, with Wilson intervals, over the bins that ECE uses."""
    index = _index(result, key)
    target, predicted = result.predictions.target, result.predictions.by_loss[key]
    assert predicted is not None
    if result.task == "multiclass":
        found, which = reliability(predicted, target.astype(np.intp), bins, kind="top_label"), " of the likeliest class"
    else:
        found, which = reliability(predicted, target, bins), ""
    # An empty bin has no frequency, so nothing is drawn there.
    filled = found.counts > 0
    mean, frequency = found.mean_probability[filled], found.frequency[filled]
    height = 0.25 * found.counts / found.counts.max()
    label = result.losses[index].label
    ends: dict[str, Any] = {"xlabel": f"predicted probability{which}", "ylabel": "observed frequency"}
    with canvas(300) as (figure, axes):
        axes.bar((np.arange(bins) + 0.5) / bins, height, 0.92 / bins, color=COLOURS["bars"])
        axes.plot([0, 1], [0, 1], color=COLOURS["ink"], linewidth=1)
        colour = COLOURS[stroke(index).colour]
        axes.vlines(mean, found.low[filled], found.high[filled], color=colour, linewidth=1.6)
        axes.plot(mean, frequency, "o", color=colour, markersize=6)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), **ends)
        words = "; ".join(f"{p:.2f} predicted, {f:.2f} observed" for p, f in zip(mean, frequency, strict=True))
        svg = inline_svg(figure, f"reliability-{index}", f"Reliability of {label}: {words}")
    # The table has the mean over the folds, whose bins hold fewer rows each and so differ more from the line.
    ece = f"mean gap of the bins drawn, all folds together: {significant(found.expected_error(), 2)}"
    caption = (
        f"On the line, a probability{which} comes true as often as it says; {ece}; bars: how often it is predicted."
    )
    return Picture(svg, label, caption)
