"""Taking models apart: the base, its blocks and the head, however the model was put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import labkit
from labkit.anatomy import anatomy
from labkit.engine import keras
from labkit.errors import ModelError

layers = keras.layers


def names(parts: Any) -> list[str]:
    return [layer.name for layer in parts]


def test_a_nested_base(small_net: Callable[..., Any]) -> None:
    base = small_net()
    parts = anatomy(labkit.build_classifier(base, 2, head="dense", dropout=0.1))
    assert parts.base is base
    assert parts.nested
    assert names(parts.head) == ["average_pool", "hidden", "dropout", "probabilities"]


def test_a_flat_model_is_split_after_its_last_feature_map(small_net: Callable[..., Any]) -> None:
    base = small_net()
    x = layers.GlobalAveragePooling2D(name="pool")(base.output)
    flat = keras.Model(base.input, layers.Dense(3, name="end")(x))
    parts = anatomy(flat)
    assert not parts.nested
    assert names(parts.head) == ["pool", "end"]
    assert parts.base.output is base.output  # with the activation after the last weights
    assert labkit.block_names(flat) == labkit.block_names(base)


def test_a_sequential_model(small_net: Callable[..., Any]) -> None:
    base = small_net()
    model = keras.Sequential([base, layers.Flatten(name="flat"), layers.Dense(2, name="end")])
    parts = anatomy(model)
    assert parts.base is base
    assert names(parts.head) == ["flat", "end"]


def test_a_sequential_model_of_layers() -> None:
    model = keras.Sequential([
        keras.Input((16, 16, 3)),
        layers.Conv2D(4, 3, name="one"), layers.ReLU(name="one_relu"),
        layers.Conv2D(4, 3, name="two"), layers.MaxPooling2D(name="pool"),
        layers.Flatten(name="flat"), layers.Dense(2, name="end"),
    ])  # fmt: skip
    parts = anatomy(model)
    assert labkit.block_names(model) == ["one", "two"]
    assert names(parts.head) == ["flat", "end"]
    assert names(parts.blocks[-1].layers) == ["one_relu", "two", "pool"]


def test_a_model_without_feature_maps() -> None:
    model = keras.Sequential([
        keras.Input((8,)), layers.Dense(4, name="one"), layers.Dense(4, name="two"),
        layers.Dense(2, name="end"),
    ])  # fmt: skip
    parts = anatomy(model)
    assert labkit.block_names(model) == ["one", "two"]
    assert names(parts.head) == ["end"]


def test_a_branch_is_never_cut() -> None:
    """A shortcut around two layers: they and the sum are one block."""
    images = keras.Input((8, 8, 3))
    entry = layers.Conv2D(4, 1, name="entry")(images)
    x = layers.Conv2D(4, 3, padding="same", name="in1")(entry)
    x = layers.Conv2D(4, 3, padding="same", name="in2")(x)
    x = layers.Add(name="sum")([entry, x])
    x = layers.Conv2D(4, 1, name="exit")(x)
    blocks = anatomy(keras.Model(images, x)).blocks
    assert [block.name for block in blocks] == ["entry", "exit"]
    assert names(blocks[1].layers) == ["in1", "in2", "sum", "exit"]


def test_a_bare_backbone_has_no_head(lite0: Any) -> None:
    parts = anatomy(lite0)
    assert parts.head == ()
    assert parts.base is lite0
    assert not parts.nested


@pytest.mark.parametrize("thing", [None, 3, "VGG16", [1], layers.Dense(3)])
def test_what_is_no_model_is_refused(thing: object) -> None:
    with pytest.raises(ModelError, match=f"Received: {type(thing).__name__}"):
        labkit.block_names(thing)  # type: ignore[arg-type]


def test_an_unbuilt_model_is_refused() -> None:
    with pytest.raises(ModelError, match=r"not built: give it an input shape"):
        labkit.block_names(keras.Sequential([layers.Dense(3)]))


def test_looking_does_not_change_anything(small_net: Callable[..., Any]) -> None:
    base = small_net()
    base.layers[2].trainable = False
    before = [layer.trainable for layer in base.layers]
    flat = keras.Model(base.input, layers.Dense(2)(layers.Flatten()(base.output)))
    anatomy(flat)
    anatomy(base)
    assert [layer.trainable for layer in base.layers] == before
