"""Figures in one style, each with a text that says what it shows.

Colours are those of Okabe and Ito (2008), told apart by colour-blind readers; shapes and
line styles differ as well, so that a grey print can be read.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from labkit.data.images import Pixels
from labkit.measures import Rates, auc, roc
from labkit.results import TrainingResult, mean_interval

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))

_STYLE: Any = {
    "figure.dpi": 96,
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.alpha": 0.3,
    "font.size": 10,
    "legend.frameon": False,
}

_FIELDS_TOLD = 24
"""Fields of a confusion matrix that its text names."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure and the text that stands for it where it cannot be seen.

    Shown by a notebook as an image with that text as its ``alt``.
    """

    figure: Figure
    alt: str
    colours: int = 256

    def png(self) -> bytes:
        """Return the figure as the bytes of a PNG file, with its number of colours (0: all)."""
        stream = io.BytesIO()
        self.figure.savefig(stream, format="png", bbox_inches="tight")
        if not self.colours:
            return stream.getvalue()
        small = io.BytesIO()
        image = Image.open(stream).convert("RGB")
        image.quantize(self.colours, dither=Image.Dither.NONE).save(
            small, format="png", optimize=True
        )
        return small.getvalue()

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png()).decode()
        return f'<img src="data:image/png;base64,{data}" alt="{escape(self.alt)}">'

    def __str__(self) -> str:
        """Return the text that stands for the figure."""
        return self.alt


@mpl.rc_context(_STYLE)
def picture_grid(images: Pixels, titles: Sequence[str], *, title: str, columns: int = 8) -> Picture:
    """Show images (n, height, width, 3) in a grid, a title over each."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.35 * columns, 1.6 * rows + 0.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    for axis in axes:
        axis.set_axis_off()
    for axis, image, text in zip(axes, images, titles, strict=False):
        axis.imshow(image)
        axis.set_title(text, fontsize=8, loc="center")
    count = f"{len(images)} picture{'s' * (len(images) != 1)}"
    alt = f"{title}. {count}: {', '.join(' '.join(text.split()) for text in titles)}."
    return Picture(figure, alt, colours=0)


def accuracy_against_labels(
    curves: Mapping[str, ArrayLike], sizes: Sequence[int], *, title: str, what: str = "images"
) -> Picture:
    """Show accuracies (sizes, runs) against the number of labelled images a class; see lines."""
    return lines(
        curves, sizes, title=title, xlabel=f"labelled training {what} a class", log=True,
        ylabel=f"accuracy on the test {what}", limits=(0, 1),
    )  # fmt: skip


@mpl.rc_context(_STYLE)
def lines(
    curves: Mapping[str, ArrayLike],
    x: Sequence[float],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    marks: Mapping[str, float] | None = None,
    ticks: Sequence[str] = (),
    log: bool = False,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Picture:
    """Show curves over a row of numbers; of repeated runs the mean with its 95 % interval.

    Args:
        curves: for each name, values of shape (x,), or (x, runs) for repeated runs.
        x: the numbers on the horizontal axis, rising.
        title: of the figure; says whether the images are simulated.
        xlabel: what x is, with its unit.
        ylabel: what the values are, with their unit.
        marks: names and places of vertical lines.
        ticks: a name for each x in place of its number.
        log: whether the horizontal axis is logarithmic.
        limits: the values that there can be, such as (0, 1); intervals are cut there, and the
            axis spans a fifth of them at least, so that a trifle does not look like much.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    sentences = [f"{name} at {place:.3g}" for name, place in (marks or {}).items()]
    arrays = {name: np.asarray(values, float) for name, values in curves.items()}
    for number, (name, array) in enumerate(arrays.items()):
        sentences.append(_curve(axis, x, array, name, number, limits))
    for number, (name, place) in enumerate((marks or {}).items(), len(curves)):
        axis.axvline(place, label=name, color=COLOURS[number], linestyle=LINES[number])
    axis.set(title=title, xlabel=xlabel, ylabel=ylabel, xscale="log" if log else "linear")
    if ticks or (len(x) <= 16 and all(float(number).is_integer() for number in x)):
        axis.set_xticks(list(x), ticks or [f"{number:g}" for number in x])
        axis.minorticks_off()
    bottom, top = axis.get_ylim()
    short = (limits[1] - limits[0]) / 5 - (top - bottom)
    if 0 < short < np.inf:
        axis.set_ylim(bottom - short / 2, top + short / 2)
    repeated = any(array.ndim == 2 for array in arrays.values())
    axis.legend(loc="best", title="mean and 95 % interval" if repeated else None)
    return Picture(figure, f"{title}. {ylabel} against {xlabel}: {'; '.join(sentences)}.")


def _curve(
    axis: Any, x: Sequence[float], values: Any, name: str, number: int, limits: tuple[float, float]
) -> str:
    """Draw one curve, of repeated runs with its interval; return what it shows."""
    style: Any = {"color": COLOURS[number], "linestyle": LINES[number]}
    if values.ndim == 1:
        axis.plot(x, values, label=name, **style)
        low, high = int(values.argmin()), int(values.argmax())
        return (
            f"{name} goes from {values[0]:.2f} to {values[-1]:.2f}, "
            f"lowest {values[low]:.2f} at {x[low]:.3g}, highest {values[high]:.2f} at {x[high]:.3g}"
        )
    means, lows, highs = np.array([mean_interval(runs) for runs in values]).T
    lows, highs = np.clip([lows, highs], *limits)
    axis.plot(x, means, label=name, marker=MARKERS[number], **style)
    axis.fill_between(x, lows, highs, alpha=0.2, color=COLOURS[number], linewidth=0)
    return _points_told(name, x, means, lows, highs)


def _points_told(name: str, x: Sequence[float], means: Any, lows: Any, highs: Any) -> str:
    """Return each point of a curve with its interval, as text."""
    points = [
        f"{_told(*point)} at {place:.3g}"
        for place, *point in zip(x, means, lows, highs, strict=True)
    ]
    return f"{name} {', '.join(points)}"


def _told(mean: float, low: float, high: float) -> str:
    """Return a number with its interval, where it has one, as text."""
    return f"{mean:.3g}" if np.isnan(low) else f"{mean:.3g} ({low:.3g} to {high:.3g})"


@mpl.rc_context(_STYLE)
def roc_curves(
    tests: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    title: str,
    points: Mapping[str, Rates] | None = None,
) -> Picture:
    """Show ROC curves, each with its area, and single thresholds as points on them.

    Args:
        tests: for each name (positive, scores), both of shape (n,); see measures.rates.
        title: of the figure; says whether the images are simulated.
        points: thresholds that deserve a mark, with what they do.
    """
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="grey", linestyle=":", label="guessing")
    sentences = []
    for number, (name, (positive, scores)) in enumerate(tests.items()):
        area, low, high = auc(positive, scores)
        text = f"{name}: area {area:.3f} ({low:.3f} to {high:.3f})"
        style: Any = {"color": COLOURS[number], "linestyle": LINES[number]}
        axis.plot(*roc(positive, scores), label=text, **style)
        sentences.append(text)
    for number, (name, at) in enumerate((points or {}).items(), len(tests)):
        place = (1 - at.specificity[0], at.sensitivity[0])
        axis.plot(*place, MARKERS[number], color=COLOURS[number], markersize=9, label=name)
        sentences.append(f"{name}: false alarms {place[0]:.2f}, found {place[1]:.2f}")
    axis.set(title=title, xlabel="share of false alarms (1 - specificity)",
             ylabel="share found (sensitivity)", aspect="equal")  # fmt: skip
    axis.legend(loc="lower right", title="area with 95 % bootstrap interval", fontsize=9)
    return Picture(figure, f"{title}. ROC curves: {'; '.join(sentences)}.")


@mpl.rc_context(_STYLE)
def forgetting_curves(
    panels: Mapping[str, Mapping[str, ArrayLike]],
    steps: Sequence[int],
    *,
    title: str,
    order: Sequence[str] = (),
) -> Picture:
    """Show measures of the new and of the old task over training steps, a panel a measure.

    Args:
        panels: for each measure, by learning rate, values of shape (steps, seeds), 0..1.
        steps: after which training steps it was measured.
        title: of the figure; says whether the images are simulated.
        order: all learning rates, so that one keeps its colour whichever are shown.
    """
    figure = Figure(figsize=(3.1 * len(panels), 3.4), layout="constrained")
    sentences = []
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (measure, rates) in zip(axes, panels.items(), strict=True):
        for rate, values in rates.items():
            place = list(order or rates).index(rate)
            runs = np.asarray(values)
            axis.plot(range(len(steps)), runs.mean(axis=1), label=rate, color=COLOURS[place],
                      marker=MARKERS[place], linestyle=LINES[place], markersize=5)  # fmt: skip
            axis.fill_between(range(len(steps)), runs.min(axis=1), runs.max(axis=1), alpha=0.2,
                              color=COLOURS[place], linewidth=0)  # fmt: skip
            means = runs.mean(axis=1)
            sentences.append(f"{measure}, rate {rate}: {means[0]:.2f} to {means[-1]:.2f}")
        axis.set_title(measure, fontsize=9)
        axis.set_xticks(range(len(steps)), [str(step) for step in steps])
        axis.set(xlabel="training steps", ylim=(-0.03, 1.03))
    axes[0].set_ylabel("share of the images")
    axes[-1].legend(title="learning rate", fontsize=8, title_fontsize=8)
    figure.suptitle(f"{title}: mean and range over seeds", x=0.01, ha="left", fontsize=10)
    return Picture(figure, f"{title}. {'; '.join(sentences)}.")


@mpl.rc_context(_STYLE)
def confusion_matrix(result: TrainingResult) -> Picture:
    """Show how many test images of each class were given which name."""
    counts = result.confusion
    names = result.classes
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.7 + 0.75 * len(names)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axis = figure.subplots()
    drawn = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, f"{count}", ha="center", va="center", color=colour)
    ticks = range(len(names))
    axis.set_xticks(ticks, names, rotation=45 if len(names) > 3 else 0)
    axis.set_yticks(ticks, names)
    axis.set(xlabel="predicted class", ylabel="right class")
    axis.set_title(result.title, fontsize=9, wrap=True)
    axis.grid(False)
    figure.colorbar(drawn, ax=axis, label="share of the right class")
    order = np.argsort(-counts, axis=None, kind="stable")  # the largest fields first
    told = [
        f"{counts[row, column]} of {names[row]} named {names[column]}"
        for row, column in zip(*np.unravel_index(order, counts.shape), strict=True)
    ]
    if len(told) > _FIELDS_TOLD:
        told[_FIELDS_TOLD:] = [f"and {len(told) - _FIELDS_TOLD} others, none of them larger"]
    return Picture(figure, f"Confusion matrix, {result.title}: {'; '.join(told)}.")


@mpl.rc_context(_STYLE)
def bars(
    values: Mapping[str, float | tuple[float, float, float]], *, title: str, label: str
) -> Picture:
    """Show one bar a name; a value may be (mean, low, high) with an interval."""
    names = list(values)
    figure = Figure(figsize=(7, 0.5 * len(names) + 1.2), layout="constrained")
    axis = figure.subplots()
    sentences = []
    for place, name in enumerate(names):
        mean, low, high = _interval_of(values[name])
        error = None if np.isnan(low) else [[mean - low], [high - mean]]
        axis.barh(place, mean, xerr=error, color=COLOURS[place % len(COLOURS)], capsize=4)
        sentences.append(f"{name} {_told(mean, low, high)}")
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set(xlabel=label, title=title)
    return Picture(figure, f"{title}. {label}: {'; '.join(sentences)}.")


def _interval_of(value: float | tuple[float, float, float]) -> tuple[float, float, float]:
    return value if isinstance(value, tuple) else (value, float("nan"), float("nan"))


@mpl.rc_context(_STYLE)
def feature_map_grid(maps: NDArray[np.float32], *, title: str, count: int = 16) -> Picture:
    """Show the channels (height, width, channels) that vary most, bright where they are high."""
    chosen = strongest_channels(maps, count)
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(1.15 * columns, 1.35 * rows + 0.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, channel in zip(axes, chosen, strict=False):
        axis.imshow(maps[..., channel], cmap="cividis")
        axis.set_title(f"channel {channel}", fontsize=8, loc="center")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    numbers = ", ".join(str(channel) for channel in chosen)
    alt = f"{title}. The {len(chosen)} maps that vary most over the picture: channels {numbers}."
    return Picture(figure, alt, colours=32)


@mpl.rc_context(_STYLE)
def feature_map_overview(
    maps: Mapping[str, NDArray[np.float32]], *, title: str, count: int = 4
) -> Picture:
    """Show a row a block, input to output, with the channels that vary most."""
    figure = Figure(figsize=(1.2 * count + 1.6, 1.15 * len(maps) + 0.4), layout="constrained")
    axes = figure.subplots(len(maps), count, squeeze=False)
    for row, (name, found) in zip(axes, maps.items(), strict=True):
        for axis in row:
            axis.set_axis_off()
        for axis, channel in zip(row, strongest_channels(found, count), strict=False):
            axis.imshow(found[..., channel], cmap="cividis")
        label = f"{name}\n{found.shape[0]} x {found.shape[1]}"
        row[0].text(-0.1, 0.5, label, transform=row[0].transAxes, ha="right", va="center",
                    fontsize=8)  # fmt: skip
    figure.suptitle(f"{title}: feature maps, input to output", x=0.01, ha="left", fontsize=10)
    shapes = ", ".join(f"{name} {m.shape[0]} x {m.shape[1]}" for name, m in maps.items())
    alt = f"{title}: the {count} feature maps of each block that vary most: {shapes}."
    return Picture(figure, alt, colours=32)


def most_confidently_wrong(result: TrainingResult, count: int = 8) -> NDArray[np.int64]:
    """Return the numbers of the wrongly named test images, the surest first."""
    wrong = np.flatnonzero(result.predictions != result.labels)
    sureness = result.scores.max(axis=1)[wrong]
    chosen: Any = wrong[np.argsort(-sureness, kind="stable")][:count]
    return np.asarray(chosen, np.int64)


def strongest_channels(maps: NDArray[np.float32], count: int = 16) -> NDArray[np.int64]:
    """Return the numbers of the channels whose activation varies most over the picture.

    A channel that is the same everywhere shows nothing, however high it is.
    """
    spread = np.asarray(maps).std(axis=(0, 1))
    order: Any = np.argsort(-spread, kind="stable")[:count]
    return np.asarray(order, np.int64)
