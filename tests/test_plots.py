import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from labkit import plots
from labkit.measures import rates
from labkit.results import TrainingResult
from labkit.tables import Table, html_table


@pytest.fixture
def result():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.05, 0.95]], np.float32)
    labels = np.array([0, 1, 1, 0])
    return TrainingResult("cells (simulated images)", ("a", "b"), labels, scores, {}, 8, 1.0)


def figures(result):
    images = np.zeros((3, 8, 8, 3), np.uint8)
    yield plots.picture_grid(images, ["a", "b", "c"], title="Three")
    yield plots.accuracy_against_labels(
        {"transfer": [[0.8, 0.9], [0.9, 1.0]], "scratch": [[0.5, 0.5], [0.6, 0.7]]},
        (10, 100), title="Labels",
    )  # fmt: skip
    yield plots.confusion_matrix(result)
    yield plots.lines(
        {"test": [[0.5, 0.7], [0.8, 0.9]], "train": [0.6, 1.0]}, (0, 9), title="Lines",
        xlabel="blocks", ylabel="accuracy", marks={"here": 4},
    )  # fmt: skip
    ill, scores = [True, True, False, False], [0.9, 0.4, 0.6, 0.1]
    yield plots.roc_curves(
        {"head": (ill, scores)}, title="ROC", points={"half": rates(ill, scores, 0.5)}
    )
    yield plots.forgetting_curves({"new": {"0.1": [[0.5, 0.6], [0.7, 0.9]]}}, (0, 8), title="F")
    yield plots.bars({"x": 0.5, "y": (0.7, 0.6, 0.8)}, title="Bars", label="accuracy")


def test_every_figure_is_an_image_with_alt_text(result):
    for picture in figures(result):
        html = picture._repr_html_()
        alt = re.search(r'alt="([^"]+)"', html).group(1)
        assert len(alt) > 20
        assert picture.png().startswith(b"\x89PNG")
        assert str(picture) == picture.alt


def test_axes_are_labelled(result):
    for picture in list(figures(result))[1:]:
        axis = picture.figure.axes[0]
        assert axis.get_xlabel()
        assert picture.figure.axes[0].get_title(loc="left")


def test_alt_text_holds_the_numbers(result):
    _, curve, matrix, lines, roc, forgetting, bars = figures(result)
    assert "transfer 0.85 (0.215 to 1) at 10, 0.95 (0.315 to 1) at 100" in curve.alt
    assert "1 of a named b" in matrix.alt
    assert "x 0.5; y 0.7 (0.6 to 0.8)" in bars.alt
    assert "test 0.6 (-0.671 to 1.87) at 0, 0.85 (0.215 to 1.49) at 9" in lines.alt
    assert "train goes from 0.60 to 1.00, lowest 0.60 at 0, highest 1.00 at 9" in lines.alt
    assert "here at 4" in lines.alt
    assert "head: area 0.750" in roc.alt
    assert "new, rate 0.1: 0.55 to 0.80" in forgetting.alt
    assert "half: false alarms 0.50, found 0.50" in roc.alt


def test_maps_of_a_network_are_small_pictures():
    maps = np.random.default_rng(0).uniform(0, 1, (112, 112, 64)).astype(np.float32)
    grid = plots.feature_map_grid(maps, title="block1")
    assert "The 16 maps that vary most" in grid.alt
    assert len(grid.png()) < 150_000  # noise, the worst that there is
    overview = plots.feature_map_overview({"a": maps, "b": maps[:3, :3, :2]}, title="net")
    assert "a 112 x 112, b 3 x 3" in overview.alt


def test_pictures_of_few_colours_keep_the_ink_of_the_figure(result):
    """The palette changes no pixel by much: text and lines stay as dark as they were."""
    picture = plots.confusion_matrix(result)
    few, all_ = (
        np.asarray(Image.open(io.BytesIO(replace(picture, colours=n).png())).convert("L"), int)
        for n in (256, 0)
    )
    assert few.shape == all_.shape
    assert np.abs(few - all_).max() < 40


def test_intervals_end_where_values_end():
    picture = plots.lines(
        {"runs": [[0.5, 1.0], [0.9, 1.0]]}, (1, 2), title="T", xlabel="x", ylabel="y", limits=(0, 1)
    )
    axis = picture.figure.axes[0]
    assert axis.dataLim.ymin >= 0
    assert axis.dataLim.ymax <= 1
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "2"]


def test_a_trifle_does_not_look_like_much():
    labels = {"title": "T", "xlabel": "x", "ylabel": "y"}
    for values, span in (([0.90, 0.91], 0.2), ([0.1, 0.9], 0.88)):
        axis = plots.lines({"a": values}, (1, 2), limits=(0, 1), **labels).figure.axes[0]
        assert np.ptp(axis.get_ylim()) == pytest.approx(span)


def test_colours_differ_in_grey_or_by_shape():
    assert len(set(plots.COLOURS)) == len(plots.COLOURS) == len(plots.MARKERS) == len(plots.LINES)


def test_most_confidently_wrong_first(result):
    assert plots.most_confidently_wrong(result, 5).tolist() == [3, 1]
    assert plots.most_confidently_wrong(result, 1).tolist() == [3]


def test_table_is_escaped_and_aligned():
    assert "&lt;b&gt;" in html_table([("<b>", 1)], header=("x", "y"), caption="c")
    assert "<caption>c</caption>" in html_table([("a", 1)], caption="c")
    assert str(Table({"n": (1, 100), "x": ("a", "bb")})) == "n     x\n1     a\n100  bb"


def test_lines_with_names_on_the_axis_and_with_a_logarithmic_one():
    named = plots.lines({"a": [0.1, 0.2]}, (0, 1), title="T", xlabel="block", ylabel="y",
                        ticks=("stem", "top"))  # fmt: skip
    axis = named.figure.axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["stem", "top"]
    assert axis.get_xscale() == "linear"
    steep = plots.lines({"a": [1, 2]}, (1e-5, 1), title="T", xlabel="rate", ylabel="y", log=True)
    assert steep.figure.axes[0].get_xscale() == "log"


def test_the_text_of_a_large_matrix_names_the_largest_fields():
    labels = np.repeat(np.arange(6), 9)
    named = labels.copy()
    named[:7] = 5
    scores = np.eye(6, dtype=np.float32)[named]
    classes = tuple("abcdef")
    result = TrainingResult("six (simulated)", classes, labels, scores, {}, 8, 1.0)
    told = plots.confusion_matrix(result).alt.split(": ", 1)[1].split("; ")
    assert told[0] == "9 of b named b"
    assert told[5] == "7 of a named f"
    assert told[-1] == "and 12 others, none of them larger."
