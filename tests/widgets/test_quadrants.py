"""QuadrantAdvisor: the sliders' quadrant, what is measured, and the figure."""

import pytest

import labkit
from labkit.quadrants.comparison import Comparison
from labkit.quadrants.figure import quadrant_map
from labkit.quadrants.runs import Run
from labkit.widgets import quadrants
from labkit.widgets.quadrants import PER_CLASS, QuadrantAdvisor


def say(advisor, control, value):
    advisor._receive(None, {"control": control, "value": value, "token": ""}, [])
    return advisor._parts


@pytest.mark.parametrize(
    ("per_class", "similarity", "quadrant", "strategy"),
    [
        (1000, 0, 1, "full"),
        (25000, 50, 2, "partial"),
        (750, 49, 3, "partial"),
        (5, 100, 4, "frozen"),
    ],
)
def test_the_sliders_lead_to_the_quadrant(per_class, similarity, quadrant, strategy):
    advisor = QuadrantAdvisor()
    say(advisor, "size", PER_CLASS.index(per_class))
    parts = say(advisor, "similarity", similarity)
    assert f"Quadrant {quadrant}, strategy {strategy}" in parts["advice"]
    assert f"lies in quadrant {quadrant}, {strategy}" in parts["figure"]
    assert parts["size"] == f"{per_class:,}"
    assert "measured" not in str(advisor)


def test_what_is_measured_is_shown_until_a_slider_is_moved(tiny_folder, lite0):
    data = labkit.load_dataset(tiny_folder, image_size=64)
    advisor = QuadrantAdvisor(data, lite0)
    advisor.prepare()
    advisor.refresh()
    advice = labkit.advise(data, lite0)
    assert advisor.advice == advice
    assert str(advisor) == str(advice)
    assert "BatchNorm statistics, 80 images" in advisor._parts["advice"]
    assert advisor._parts["size"] == "40"
    say(advisor, "size", len(PER_CLASS) - 1)
    assert advisor.advice.size == "large"
    assert "measured by" not in advisor._parts["advice"]


def test_a_dataset_without_a_backbone_gives_its_size(tiny):
    advisor = QuadrantAdvisor(tiny)
    advisor.prepare()
    assert advisor.advice.per_class == 40


def test_the_figure_holds_point_and_interval(tiny, lite0):
    advice = QuadrantAdvisor().advice
    picture = quadrant_map(advice)
    assert "100 images a class, similarity 0.70, lies in quadrant 4, frozen" in picture.alt
    assert len(picture.figure.axes[0].containers) == 1


REST = {"validation": 0.9, "n_train": 8, "n_test": 8, "seconds": 1.0, "cpu_seconds": 1.0,
        "memory_mb": 1.0, "choices": {}, "images": "", "start": ""}  # fmt: skip


def run(dataset, strategy, seed, accuracy):
    return Run(dataset=dataset, strategy=strategy, seed=seed, accuracy=accuracy, **REST)


def test_what_was_measured_is_shown_and_nothing_where_nothing_was(monkeypatch):
    runs = [
        run("4 small, similar", strategy, seed, accuracy + seed / 1000)
        for strategy, accuracy in (("frozen", 0.9), ("full", 0.8))
        for seed in range(3)
    ]
    monkeypatch.setattr(quadrants, "reference", lambda source: Comparison(tuple(runs)))
    advisor = QuadrantAdvisor()
    advisor.refresh()
    html = advisor._parts["evidence"]
    assert "quadrant 4 small, similar: best frozen" in html
    assert "0.901" in html
    assert quadrants.evidence(1) == ""

    def absent(source):
        raise FileNotFoundError

    monkeypatch.setattr(quadrants, "reference", absent)
    advisor.refresh()
    assert advisor._parts["evidence"] == ""
