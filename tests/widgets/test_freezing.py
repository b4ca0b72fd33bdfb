"""FreezeExplorer: the model is what it shows, whoever changed it; any kind of model."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import labkit
from labkit.engine import keras
from labkit.widgets.freezing import FreezeExplorer

BLOCKS = 6  # of small_net: three convolutions, three BatchNorm layers


def say(widget: FreezeExplorer, control: str, value: Any) -> dict[str, str]:
    widget._receive(None, {"control": control, "value": value, "token": ""}, [])
    shown: dict[str, str] = widget._parts
    assert shown["said"] == ""
    return shown


def shown_count(parts: dict[str, str]) -> int:
    return int(re.search(r"trainable</th><td>([\d,]+)", parts["counts"])[1].replace(",", ""))


def states(model: Any) -> list[bool]:
    return [layer.trainable for layer in model.layers[1].layers]


@pytest.mark.parametrize("top", range(BLOCKS + 1))
def test_the_slider_is_labkit_unfreeze(small_net: Any, top: int) -> None:
    model, other = (labkit.build_classifier(small_net(), 2) for _ in range(2))
    labkit.freeze(model)
    parts = say(FreezeExplorer(model), "top", top)
    labkit.unfreeze(other, top=top)
    assert states(model) == states(other)
    assert shown_count(parts) == labkit.count_parameters(model).trainable


def test_the_slider_stands_where_it_was_put(small_net: Any) -> None:
    """Also on a block that has only BatchNorm layers, or an arrow key would get stuck."""
    widget = FreezeExplorer(labkit.build_classifier(small_net(), 2))
    for top in range(BLOCKS + 1):
        say(widget, "top", top)
        assert widget._values["top"]["value"] == str(top)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("blocks", [(), (4,), (0, 2), (2, 4), (0, 2, 4)])
def test_the_code_does_the_same(small_net: Any, blocks: tuple[int, ...], batch_norm: bool) -> None:
    model, other = (labkit.build_classifier(small_net(), 2) for _ in range(2))
    widget = FreezeExplorer(model)
    say(widget, "top", 0)
    for block in blocks:
        say(widget, f"block-{block}", True)
    parts = say(widget, "batch_norm", batch_norm)
    code = parts["code"].replace("&#x27;", "'")
    exec(code, {"labkit": labkit, "model": other})
    trains = [w.trainable for w in model.weights]
    assert trains == [w.trainable for w in other.weights], code
    assert shown_count(parts) == labkit.count_parameters(other).trainable


def test_it_follows_changes_made_by_code(small_net: Any) -> None:
    model = labkit.build_classifier(small_net(), 2)
    widget = FreezeExplorer(model)
    labkit.set_strategy(model, "full")
    widget.refresh()
    assert "Strategy full" in widget._parts["means"]
    labkit.freeze(model)
    widget.refresh()
    assert "Strategy frozen" in widget._parts["means"]
    assert shown_count(widget._parts) == 22
    model.layers[1].layers[2].trainable = True  # by Keras, below a base that is frozen
    model.layers[1].trainable = True
    widget.refresh()
    assert shown_count(widget._parts) == labkit.count_parameters(model).trainable


def test_a_gap_is_called_unusual(small_net: Any) -> None:
    widget = FreezeExplorer(labkit.build_classifier(small_net(), 2))
    say(widget, "top", 0)
    assert "Unusual" in say(widget, "block-0", True)["means"]
    assert "Unusual" not in say(widget, "top", 2)["means"]


def test_golden_text(golden: Any) -> None:
    vgg = labkit.load_backbone("VGG16", weights=None, image_size=224)
    model = labkit.build_classifier(vgg, 2, head="flatten")
    labkit.unfreeze(model, top=1)
    golden("freeze_explorer.txt", str(FreezeExplorer(model)))


@pytest.mark.parametrize("model", [keras.Sequential([keras.layers.Dense(2)]), None, np.zeros(3)])
def test_what_is_no_built_model_is_a_sentence(model: Any) -> None:
    widget = FreezeExplorer(model)
    assert "labkit-trouble" in widget._page
    assert str(widget).count("\n") == 0
    assert "<p>" in widget.plain_html()


def test_a_model_that_is_built_later_is_shown_then() -> None:
    model = keras.Sequential([keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D(),
                              keras.layers.Dense(2)])  # fmt: skip
    widget = FreezeExplorer(model)
    model.build((None, 8, 8, 3))
    widget.refresh()
    assert "labkit-trouble" not in widget._page
    assert shown_count(widget._parts) == labkit.count_parameters(model).total


def test_a_bare_backbone(small_net: Any) -> None:
    base = small_net()
    widget = FreezeExplorer(base)
    assert "Nothing trains" in say(widget, "top", 0)["means"]
    assert "head" not in str(widget)
