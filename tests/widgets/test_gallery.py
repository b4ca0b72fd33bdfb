"""PredictionGallery: filters, paging, heat maps, own pictures, and what is no picture."""

import io
import itertools
import re

import numpy as np
import pytest
from PIL import Image

import labkit
from labkit.results import TrainingResult
from labkit.widgets.gallery import LARGEST_UPLOAD, PAGE, PredictionGallery


@pytest.fixture
def result(tiny):
    scores = np.random.default_rng(0).dirichlet((1, 1), len(tiny.test)).astype(np.float32)
    return TrainingResult("guesses", tiny.classes, tiny.test.labels, scores, {}, 0, 0.0)


@pytest.fixture
def gallery(small_net, tiny, result):
    return PredictionGallery(result, tiny.test, labkit.build_classifier(small_net(), 2))


def say(widget, control, value="", files=()):
    widget._receive(None, {"control": control, "value": value, "token": ""}, list(files))
    return widget._parts


def png(side=50):
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side + 7, 3), 90, np.uint8)).save(stream, format="png")
    return stream.getvalue()


def about(data, name="mine.png"):
    return {"name": name, "size": len(data)}


def places(parts):
    return [int(n) for n in re.findall(r"Picture (\d+):", parts["pictures"])]


def test_filters_show_what_they_say(gallery, result):
    right = result.predictions == result.labels
    assert places(gallery._parts) == list(range(PAGE))
    assert places(say(gallery, "show", "right")) == np.flatnonzero(right)[:PAGE].tolist()
    assert places(say(gallery, "show", "wrong")) == np.flatnonzero(~right)[:PAGE].tolist()
    surest = labkit.plots.most_confidently_wrong(result, PAGE).tolist()
    assert places(say(gallery, "show", "confidently")) == surest
    for place in places(say(gallery, "class", "red")):
        assert result.classes[result.labels[place]] == "red"
        assert not right[place]


def test_pages_go_on_and_stop_at_the_ends(gallery, tiny):
    seen = [places(gallery._parts)]
    for _ in range(-(-len(tiny.test) // PAGE) - 1):
        seen.append(places(say(gallery, "step", "1")))
    assert [*itertools.chain(*seen)] == list(range(len(tiny.test)))
    assert places(say(gallery, "step", "1")) == seen[-1]
    assert places(say(gallery, "step", "-1")) == seen[-2]
    say(gallery, "show", "all")
    assert places(say(gallery, "step", "-1")) == seen[0]


def test_alt_text_and_caption_tell_the_prediction(gallery, result, tiny):
    html = gallery._parts["pictures"]
    label, said = (tiny.classes[i] for i in (result.labels[0], result.predictions[0]))
    assert f"alt='Picture 0: {label}, the model says {said}, {result.scores[0].max():.2f}'" in html
    assert html.count("alt='") == html.count("<img ") == PAGE


def test_heat_maps_change_the_pictures(gallery):
    before = gallery._parts["pictures"]
    after = say(gallery, "heat", True)["pictures"]
    assert after.count("bright where it looks") == PAGE
    assert before != after
    assert say(gallery, "heat", False)["pictures"] == before


def test_nothing_of_a_kind_is_said(small_net, tiny):
    scores = np.eye(2, dtype=np.float32)[tiny.test.labels]
    perfect = TrainingResult("right", tiny.classes, tiny.test.labels, scores, {}, 0, 0.0)
    gallery = PredictionGallery(perfect, tiny.test)
    assert "No picture is of this kind" in say(gallery, "show", "wrong")["found"]
    assert "all are right" in gallery.plain_html()


def test_an_own_picture_is_named(gallery):
    html = say(gallery, "own", about(png()), [png()])["own"]
    assert re.search(r"Your picture mine.png: (blue|red) 0\.\d\d, (blue|red) 0\.\d\d", html)
    assert gallery._parts["said"] == ""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no picture", "mine.png: the file is not an image that can be read. Choose a JPEG"),
        (b"", "mine.png: the file is empty"),
        (png()[:60], "mine.png: the image is damaged or truncated"),
        (b"x" * (LARGEST_UPLOAD + 1), "mine.png has 8 MB; a picture of at most 8 MB is taken"),
    ],
)
def test_what_is_no_picture_is_a_sentence(gallery, data, reason):
    say(gallery, "own", about(png()), [png()])
    parts = say(gallery, "own", about(data), [data])
    assert reason in parts["said"]
    assert parts["own"] == ""
    assert places(parts) == list(range(PAGE))


def test_a_file_that_the_page_did_not_send_is_too_large(gallery):
    parts = say(gallery, "own", {"name": "<film>.mp4", "size": 200_000_000})
    assert "&lt;film&gt;.mp4 has 200 MB" in parts["said"]


def test_without_a_model_there_is_neither_heat_nor_upload(tiny, result):
    gallery = PredictionGallery(result, tiny.test)
    assert "Give the model as well" in gallery._page
    assert "type='file'" not in gallery._page


def test_a_result_of_other_pictures_is_a_sentence(tiny, result):
    gallery = PredictionGallery(result, tiny.train)
    assert "give the split that the result was measured on" in gallery._page
    assert "give the split" in str(gallery)
    assert "give the split" in gallery.plain_html()


def test_the_distances_of_an_svm_are_called_so(tiny, lite0):
    scores = np.array([[-1.5, 1.5]] * len(tiny.test), np.float32)
    svm = TrainingResult("svm", tiny.classes, tiny.test.labels, scores, {}, 0, 0.0)
    assert "(distance 1.50)" in PredictionGallery(svm, tiny.test)._parts["pictures"]
