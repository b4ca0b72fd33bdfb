"""Counting parameters: the course's numbers, on each way of building the same model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

import labkit
from labkit.engine import keras
from labkit.errors import ModelError

layers = keras.layers


@cache
def vgg() -> Any:
    return labkit.load_backbone("VGG16", weights=None, image_size=224)


def nested() -> Any:
    return labkit.build_classifier(vgg(), 2, head="flatten")


def flat() -> Any:
    x = layers.Flatten()(vgg().output)
    return keras.Model(vgg().input, layers.Dense(2, activation="softmax")(x))


def sequential() -> Any:
    return keras.Sequential([vgg(), layers.Flatten(), layers.Dense(2, activation="softmax")])


@pytest.mark.parametrize("build", [nested, flat, sequential])
def test_vgg16_with_a_flatten_head(build: Callable[[], Any]) -> None:
    """Lesson 1's numbers: total, trainable, frozen."""
    model = build()
    labkit.freeze(model)
    count = labkit.count_parameters(model)
    assert (count.total, count.trainable, count.frozen) == (14_764_866, 50_178, 14_714_688)
    labkit.unfreeze(model)
    count = labkit.count_parameters(model)
    assert (count.total, count.trainable, count.frozen) == (14_764_866, 14_764_866, 0)
    labkit.unfreeze(model, top=1)
    count = labkit.count_parameters(model)
    last_block = 3 * (3 * 3 * 512 * 512 + 512)
    assert (count.trainable, count.frozen) == (50_178 + last_block, 14_714_688 - last_block)


def test_tables(lite0: Any, golden: Callable[[str, str], None]) -> None:
    tables = []
    models = {"VGG16": vgg(), "EfficientNetLite0": labkit.load_backbone(
        "EfficientNetLite0", weights=None, image_size=224)}  # fmt: skip
    for name, base in models.items():
        model = labkit.build_classifier(base, 2, head="flatten" if name == "VGG16" else "gap")
        for strategy in ("frozen", "partial", "full"):
            labkit.set_strategy(model, strategy)
            tables.append(f"{name}, {strategy}\n{labkit.count_parameters(model)}")
    golden("counts.txt", "\n\n".join(tables))


def test_statistics_are_part_of_the_frozen(small_net: Callable[..., Any]) -> None:
    base = small_net()
    labkit.unfreeze(base, batch_norm=True)
    count = labkit.count_parameters(base)
    assert count.statistics == 2 * (6 + 8 + 10) == count.frozen
    labkit.freeze(base)
    count = labkit.count_parameters(base)
    assert (count.trainable, count.statistics) == (0, 48)
    assert count.frozen == count.total == base.count_params()


def test_a_shared_weight_is_counted_once() -> None:
    shared = layers.Dense(4, name="shared")
    entry = keras.Input((4,))
    model = keras.Model(entry, shared(shared(entry)))
    outer = keras.Sequential([keras.Input((4,)), model, shared])
    assert labkit.count_parameters(model).total == 20
    assert labkit.count_parameters(outer).total == 20


def test_it_is_a_table_in_a_notebook_too(small_net: Callable[..., Any]) -> None:
    html = labkit.count_parameters(small_net())._repr_html_()
    assert html.startswith("<table")
    assert "1,356" in html or "1,350" in html or "," in html
    assert "scope" in html  # a screen reader tells what a row is about


def test_an_unbuilt_model_is_refused() -> None:
    with pytest.raises(ModelError, match="not built"):
        labkit.count_parameters(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(ModelError):
        labkit.count_parameters("VGG16")  # type: ignore[arg-type]
