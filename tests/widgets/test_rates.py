"""LearningRateExplorer: real recorded runs, their origin said, forgetting to be seen in them."""

import json

import numpy as np
import pytest

from labkit.widgets.rates import RECORDED, LearningRateExplorer, Recording


@pytest.fixture(scope="module")
def recording():
    return Recording.read(RECORDED)


def test_every_run_is_whole(recording):
    seeds = {run["seed"] for run in recording.runs}
    assert len(recording.runs) == len(recording.rates) * len(seeds) >= 15
    for run in recording.runs:
        for measure, n in (("new", "n_new"), ("source", "n_source"), ("kept", "n_kept")):
            values = np.array(run[measure]) * recording.about[n]
            assert len(values) == len(recording.steps)
            np.testing.assert_allclose(values, values.round(), atol=1e-6)  # counts of images
            assert values.min() >= 0
            assert values.max() <= recording.about[n]


def test_runs_of_a_seed_begin_alike(recording):
    for seed in {run["seed"] for run in recording.runs}:
        starts = {(r["new"][0], r["source"][0], r["kept"][0])
                  for r in recording.runs if r["seed"] == seed}  # fmt: skip
        assert len(starts) == 1


def test_forgetting_is_there_to_be_seen(recording):
    """What the lesson says: a small rate keeps both tasks, a large one loses both at once."""
    small, large = recording.rates[0], recording.rates[-1]
    assert recording.values(small, "source")[-1].mean() > 0.7
    assert recording.values(small, "new")[-1].mean() > 0.85
    assert recording.values(large, "source")[1:].max() < 0.2
    assert recording.values(large, "new")[-1].mean() < 0.6


def test_the_slider_shows_a_rate_and_the_box_all():
    explorer = LearningRateExplorer()
    for number, rate in enumerate(explorer.recording.rates):
        explorer._receive(None, {"control": "rate", "value": number, "token": ""}, [])
        assert explorer._parts["rate"] == f"{rate:g}"
        assert f"rate {rate:g}:" in explorer._parts["figure"]
        assert explorer._parts["figure"].count("rate 1e-05") == (rate == 1e-5) * 3
    explorer._receive(None, {"control": "all", "value": True, "token": ""}, [])
    for rate in explorer.recording.rates:
        assert f"rate {rate:g}:" in explorer._parts["figure"]


def test_it_says_what_the_runs_were():
    explorer = LearningRateExplorer()
    about = explorer.recording.about
    for text in (explorer._page, str(explorer), explorer.plain_html()):
        assert f"{about['source']} images" in text
        assert "3 seeds" in text
        assert f"tensorflow {about['versions']['tensorflow']}" in text
    assert f"{about['n_source']} ImageNet pictures" in str(explorer)


@pytest.mark.parametrize(
    "text", [None, "", "{}", json.dumps({"about": {}, "steps": 1, "runs": []})]
)
def test_a_file_that_is_no_recording_is_a_sentence(tmp_path, text):
    file = tmp_path / "runs.json"
    if text is not None:
        file.write_text(text)
    explorer = LearningRateExplorer(file)
    assert "is no recording of learning rates" in explorer._page
    assert "is no recording" in str(explorer)
    assert "is no recording" in explorer.plain_html()
