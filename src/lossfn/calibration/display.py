"""Reliability diagrams, in the manner of scikit-learn's displays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from lossfn.calibration.binned import Reliability
from lossfn.calibration.decomposition import Array, Curve, Decomposition
from lossfn.extras import needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# More curves than this cannot be told apart.
MOST_CURVES = 10

# Draws of labels for the consistency band, and cells in which near predictions are drawn together: a picture shows no
# more of them.
DRAWS = 200
CELLS = 500


class _Display:
    """A square of predicted against observed, with a histogram of the predictions below."""

    ax_: Axes
    histogram_ax_: Axes
    figure_: Figure | SubFigure

    def _prepare(self, ax: Axes | None) -> tuple[Axes, Axes]:
        with needs("plot()", "cli"):
            import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(5, 6), layout="constrained")
        below = _place_below(ax)
        ax.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle=(0, (4, 3)), label="calibrated", zorder=1)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="observed frequency")
        ax.tick_params(labelbottom=False)
        below.set_xlabel("predicted probability")
        for axes in (ax, below):
            axes.spines[["top", "right"]].set_visible(False)
        self.ax_, self.histogram_ax_, self.figure_ = ax, below, ax.figure
        return ax, below


def _place_below(ax: Axes) -> Axes:
    """Return axes in what was the lowest fifth of ``ax``; every layout of the figure knows them."""
    figure = ax.get_figure()
    assert figure is not None
    spec = ax.get_subplotspec()
    if spec is not None:
        grid = spec.subgridspec(2, 1, height_ratios=(4, 1), hspace=0.1)
        ax.set_subplotspec(grid[0])
        return figure.add_subplot(grid[1], sharex=ax)
    left, bottom, width, height = ax.get_position().bounds
    ax.set_position((left, bottom + 0.24 * height, width, 0.76 * height))
    return figure.add_axes((left, bottom, width, 0.2 * height), sharex=ax)


class ReliabilityDisplay(_Display):
    """The picture of a ``Reliability``: mean prediction against frequency, with intervals, and counts below.

    Parameters
    ----------
    result : Reliability
        What to draw.
    name : str, optional
        What the legend calls the predictions.

    Attributes
    ----------
    ax_, histogram_ax_, figure_ : matplotlib objects
        After ``plot``.
    """

    def __init__(self, result: Reliability, *, name: str | None = None) -> None:
        self.result = result
        self.name = name

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw into ``ax``, or into a new figure, and return the display."""
        result = self.result
        curves = len(result.counts) if result.kind == "class_wise" else 1
        if curves > MOST_CURVES:
            raise ValueError(
                f"plot: {curves} classes cannot be told apart; draw kind='top_label', or the classes of interest by "
                "kind='positive' one by one"
            )
        axes, below = self._prepare(ax)
        for index in range(curves):
            chosen = index if result.kind == "class_wise" else ...
            label = self.name or ("top label" if result.kind == "top_label" else "predictions")
            if result.kind == "class_wise":
                label = f"{self.name}, class {index}" if self.name else f"class {index}"
            self._draw(chosen, f"C{index}", label, curves)
        axes.legend(loc="upper left", frameon=False)
        is_width = result.strategy == "width"
        below.set(ylim=(0, None), ylabel="share" if is_width else "density")
        return self

    def _draw(self, chosen: Any, colour: str, label: str, curves: int) -> None:
        result = self.result
        counts, edges = result.counts[chosen], result.edges[chosen]
        filled = counts > 0
        mean, frequency = result.mean_probability[chosen][filled], result.frequency[chosen][filled]
        low, high = result.low[chosen][filled], result.high[chosen][filled]
        # Rounding may put an end of an interval beyond its middle.
        reach = np.maximum([frequency - low, high - frequency], 0.0)
        self.ax_.errorbar(
            mean, frequency, reach, fmt="o-", color=colour, label=label, markersize=4.5, linewidth=1.2, elinewidth=1.2,
            zorder=3,
        )  # fmt: skip
        # Bins of equal mass have equal shares; their widths tell where predictions are dense.
        width = np.diff(edges)
        height = result.weight[chosen] / result.weight[chosen].sum()
        if result.strategy == "mass":
            height = height / np.where(width > 0, width, np.inf)
        if curves == 1:
            look: dict[str, Any] = {"color": colour, "alpha": 0.5, "edgecolor": "white", "linewidth": 0.6}
            self.histogram_ax_.bar(edges[:-1], height, width, align="edge", **look)
        else:
            self.histogram_ax_.stairs(height, edges, color=colour)


class DecompositionDisplay(_Display):
    """The picture of a ``Decomposition``: recalibrated against predicted probabilities.

    Parameters
    ----------
    result : Decomposition
        What to draw.
    name : str, optional
        What the legend calls the predictions.
    level : float or None
        Level of the consistency band.

    Attributes
    ----------
    ax_, histogram_ax_, figure_ : matplotlib objects
        After ``plot``.
    """

    def __init__(self, result: Decomposition, *, name: str | None = None, level: float | None = 0.9) -> None:
        self.result = result
        self.name = name
        self.level = level

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw into ``ax``, or into a new figure, and return the display."""
        result = self.result
        axes, below = self._prepare(ax)
        if self.level is not None:
            points, low, high = consistency_band(result.probability, result.effective_counts, self.level)
            label = f"{100 * self.level:g} % if calibrated"
            axes.fill_between(points, low, high, color="0.88", linewidth=0, label=label, zorder=0)
        marker = "o" if len(result.probability) <= 30 else ""
        axes.plot(
            result.probability, result.recalibrated, color="C0", marker=marker, markersize=4.5, linewidth=1.6,
            label=self.name or "predictions", zorder=3,
        )  # fmt: skip
        parts = {"score": result.score, "miscalibration": result.miscalibration,
                 "discrimination": result.discrimination, "uncertainty": result.uncertainty}  # fmt: skip
        text = "\n".join(f"{name} {value:.4f}" for name, value in parts.items())
        axes.text(0.98, 0.02, text, transform=axes.transAxes, ha="right", va="bottom", color="0.3")
        axes.legend(loc="upper left", frameon=False)
        share = result.weight / result.weight.sum()
        below.hist(result.probability, list(np.linspace(0, 1, 41)), weights=share, color="C0", alpha=0.5)
        below.set(ylim=(0, None), ylabel="share")
        return self


def consistency_band(
    probability: Array, counts: Array, level: float, seed: int = 0
) -> tuple[Array, Array, NDArray[np.float64]]:
    """Return where the recalibrated curve of calibrated predictions would lie: points and both ends of the band."""
    # Neighbours share a cell, so that the time does not grow with the number of rows.
    cell = np.minimum((np.cumsum(counts) - counts / 2) / counts.sum() * CELLS, CELLS - 1).astype(np.intp)
    _, cell = np.unique(cell, return_inverse=True)
    size = np.bincount(cell, counts).astype(np.float64)
    # A mean of ones may round to more than 1.
    points = np.minimum(np.bincount(cell, counts * probability) / size, 1.0)
    trials = np.maximum(np.rint(size), 1).astype(np.int64)
    rng = np.random.default_rng(seed)
    hits = [rng.binomial(trials, points).astype(np.float64) for _ in range(DRAWS)]
    draws = np.array([Curve.fit(points, each / trials, size).values for each in hits])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return points, low, high
