"""Draws where a dataset lies in the quadrants, and a comparison of strategies on datasets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from labkit.plots import COLOURS, Picture
from labkit.quadrants.advice import LARGE, QUADRANTS, Advice
from labkit.results import mean_interval

if TYPE_CHECKING:
    from labkit.quadrants.comparison import Comparison

GREY = "#8A8A8A"

STYLE: Any = {
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.alpha": 0.3,
    "font.size": 10,
}


def comparison_figure(comparison: Comparison) -> Picture:
    """Return a panel a dataset, two in a row: test accuracy of each strategy with interval.

    Filled and coloured: the best strategy and those that cannot be told from it. Grey and
    hollow: those that it clearly beats. All panels share one scale.
    """
    datasets = comparison.datasets
    columns = min(2, len(datasets))
    rows = -(-len(datasets) // columns)
    height = 0.9 + 0.34 * len(comparison.strategies)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * columns, height * rows + 0.5), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
        sentences = [
            _panel(axis, comparison, dataset) for axis, dataset in zip(axes, datasets, strict=False)
        ]
        for axis in axes[len(datasets) :]:
            axis.set_axis_off()
        figure.supxlabel(
            f"accuracy on the test images{_sources(comparison)}: mean and 95 % interval", fontsize=9
        )
    title = f"Strategies compared{_sources(comparison)}"
    return Picture(figure, f"{title}. {' '.join(sentences)}")


def _sources(comparison: Comparison) -> str:
    """Return where the images come from, as the comparison tells it: `` (simulated)``."""
    found = re.findall(r"\((real|simulated) images\)", comparison.about.get("images", ""))
    return f" ({', '.join(dict.fromkeys(found))})" if found else ""


def _panel(axis: Any, comparison: Comparison, dataset: str) -> str:
    """Draw one dataset; return it as a sentence."""
    leaders = comparison.leaders(dataset)
    told = []
    for place, strategy in enumerate(comparison.strategies):
        mean, low, high = mean_interval(comparison.accuracies(dataset, strategy))
        low, high = (float(np.clip(end, 0, 1)) for end in (low, high))  # nan stays
        leads = strategy in leaders
        colour = COLOURS[2] if leads else GREY
        if low <= high:  # not for a single run, whose ends are nan
            axis.plot([low, high], [place, place], color=colour, linewidth=3 if leads else 1.5)
        axis.plot(mean, place, "o", color=colour, markersize=8,
                  markerfacecolor=colour if leads else "white")  # fmt: skip
        axis.annotate(f"{mean:.3f}", (mean, place), (0, 7), textcoords="offset points",
                      ha="center", fontsize=8, color="black")  # fmt: skip
        told.append(f"{strategy} {mean:.3f}")
    axis.set_yticks(range(len(comparison.strategies)), comparison.strategies)
    axis.set_ylim(len(comparison.strategies) - 0.5, -0.7)
    headline = f"best: {leaders[0]}"
    if len(leaders) > 1:
        headline += f", not told from {', '.join(leaders[1:])}"
    axis.set_title(f"{dataset}\n", fontsize=11, fontweight="bold")
    axis.text(0, 1.03, headline, transform=axis.transAxes, fontsize=9, color=COLOURS[2])
    return f"{dataset}: {', '.join(told)}; {headline}."


@mpl.rc_context(STYLE)
def quadrant_map(advice: Advice) -> Picture:
    """Show the four quadrants of size and similarity, and where a dataset lies in them."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    sizes = {"small": (1.0, LARGE), "large": (LARGE, 1e5)}
    for (size, similar), (number, strategy, _) in QUADRANTS.items():
        low, high = sizes[size]
        here = number == advice.quadrant
        axis.fill_between([0.5, 1] if similar else [0, 0.5], low, high, linewidth=0,
                          color="#DCEBF7" if here else "#F4F4F4")  # fmt: skip
        axis.text(0.75 if similar else 0.25, np.sqrt(low * high), f"{number}: {strategy}",
                  ha="center", va="center", fontsize=11, alpha=1 if here else 0.65,
                  fontweight="bold" if here else "normal")  # fmt: skip
    left, right = advice.interval
    point = min(max(advice.per_class, 1), 9e4)
    error = [[advice.similarity - left], [right - advice.similarity]]
    axis.errorbar(advice.similarity, point, xerr=error, fmt="o", color=COLOURS[1], capsize=5,
                  markersize=9, linewidth=2, clip_on=False)  # fmt: skip
    axis.axhline(LARGE, color="#666666", linewidth=1)
    axis.axvline(0.5, color="#666666", linewidth=1)
    axis.set(yscale="log", xlim=(0, 1), ylim=(1, 1e5), ylabel="training images a class",
             xlabel="similarity to what the network knows", title=advice.title)  # fmt: skip
    axis.grid(False)
    width = f", interval {left:.2f} to {right:.2f}" if right > left else ""
    alt = (
        f"Four quadrants. {advice.title}: {advice.per_class:,} images a class, similarity "
        f"{advice.similarity:.2f}{width}, lies in quadrant {advice.quadrant}, {advice.strategy}."
    )
    return Picture(figure, alt)
