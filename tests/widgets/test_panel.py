"""What all widgets share: two outputs, no traceback, escaped text, small state, headless use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import labkit
from labkit.errors import DataError
from labkit.widgets.panel import Panel

VIEW = "application/vnd.jupyter.widget-view+json"


class Counter(Panel):
    """A widget with one number, and with what can go wrong."""

    title = "Counter <b>"

    def __init__(self) -> None:
        self.number = 0
        super().__init__()

    def page(self) -> str:
        return "<span data-part='number'></span><button type='button' data-control='add'>"

    def parts(self) -> dict[str, str]:
        return {"number": str(self.number)}

    def values(self) -> dict[str, Any]:
        return {"add": str(self.number)}

    def act(self, control: str, value: Any, files: Any) -> None:
        if control == "refuse":
            raise DataError("no <such> thing")
        if control == "fail":
            raise ZeroDivisionError("by zero")
        self.number += int(value)

    def __str__(self) -> str:
        return f"the number {self.number}"


def say(widget: Panel, control: str, value: Any = 1, *files: bytes) -> dict[str, str]:
    """Do as the page does; return what is shown afterwards."""
    widget._receive(None, {"control": control, "value": value, "token": "t"}, list(files))
    assert widget._answered == "t"
    shown: dict[str, str] = widget._parts
    return shown


def test_a_control_changes_what_is_shown() -> None:
    widget = Counter()
    assert widget._parts["number"] == "0"
    assert say(widget, "add", 2)["number"] == "2"
    assert widget._values == {"add": "2"}


def test_what_goes_wrong_is_a_sentence_and_goes_away() -> None:
    widget = Counter()
    assert "no &lt;such&gt; thing" in say(widget, "refuse")["said"]
    assert "ZeroDivisionError: by zero" in say(widget, "fail")["said"]
    assert say(widget, "add")["said"] == ""


def test_shown_as_a_live_and_a_plain_output(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    widget = Counter()
    widget.number = 7
    widget._ipython_display_()
    live, plain = shown
    assert set(live) == {VIEW, "text/plain"}
    assert live[VIEW]["model_id"] == widget.model_id
    assert plain["text/plain"] == repr(widget) == "the number 7"
    assert f"labkit-plain-{widget.model_id}" in plain["text/html"]
    assert "the number 7" in plain["text/html"]
    assert "<b>" not in plain["text/html"]
    assert widget._parts["number"] == "7"


def test_a_bundle_has_all_three_forms() -> None:
    data, _ = Counter()._repr_mimebundle_()
    assert set(data) == {VIEW, "text/html", "text/plain"}


def test_labkit_loads_no_widget_library_until_one_is_used() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Slider'"):
        _ = labkit.widgets.Slider
    assert set(labkit.widgets.__all__) <= set(dir(labkit.widgets))


CELLS = [
    """
import numpy as np
import labkit
from labkit.quiz import Question, seal
data = labkit.load_dataset(FOLDER, image_size=64)
backbone = labkit.load_backbone("EfficientNetLite0", image_size=64)
model = labkit.build_classifier(backbone, 2)
labkit.freeze(model)
result = labkit.train(model, data, epochs=2)
question = Question("q", "Is it so?", {"a": "yes", "b": "no"},
                    seal("q", {"a": (True, ""), "b": (False, "it is.")}))
""",
    "labkit.widgets.FreezeExplorer(model)",
    "labkit.widgets.Quiz(question)",
    "labkit.widgets.PredictionGallery(result, data.test, model)",
    "labkit.widgets.FeatureMapBrowser(model, data.test.read([0])[0])",
    "labkit.widgets.QuadrantAdvisor(data, backbone)",
    "labkit.widgets.LearningRateExplorer()",
]
SAID = ["1,280 x 2", "Is it so?", "pictures are named right", "block7", "quadrant", "ImageNet"]


@pytest.mark.slow
def test_without_a_front_end_each_has_a_plain_form_and_stays_small(tiny_folder: Path) -> None:
    code = [CELLS[0].replace("FOLDER", repr(str(tiny_folder))), *CELLS[1:]]
    cells = [nbformat.v4.new_code_cell(cell) for cell in code]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    for cell, said in zip(notebook.cells[1:], SAID, strict=True):
        outputs = [output for output in cell.outputs if output.output_type == "display_data"]
        plain = outputs[-1].data
        if said != "1,280 x 2":
            assert said in plain["text/plain"]
        else:
            assert f"{1280 * 2 + 2:,}" in plain["text/plain"]
        assert plain["text/html"].count("<img") == plain["text/html"].count("<img ")
        assert "alt=''" not in plain["text/html"]
        model_ids = [output.data[VIEW]["model_id"] for output in outputs if VIEW in output.data]
        states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
        kept = len(json.dumps(cell.outputs)) + sum(len(json.dumps(states[i])) for i in model_ids)
        assert kept < 200_000, cell.source
