"""Heads on a backbone: shapes, sharing, seeds, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import labkit
from labkit.engine import keras
from labkit.errors import ModelError

Net = Callable[..., Any]


@pytest.mark.parametrize(
    ("head", "options", "parameters"),
    [
        ("gap", {}, 10 * 3 + 3),
        ("flatten", {}, 4 * 4 * 10 * 3 + 3),
        ("dense", {}, 10 * 256 + 256 + 256 * 3 + 3),
        ("dense", {"hidden": 7, "dropout": 0.5}, 10 * 7 + 7 + 7 * 3 + 3),
    ],
)
def test_heads(small_net: Net, head: Any, options: dict[str, Any], parameters: int) -> None:
    base = small_net()
    model = labkit.build_classifier(base, 3, head=head, **options)
    assert model.count_params() - base.count_params() == parameters
    scores = model(np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3))).numpy()
    assert scores.shape == (4, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_the_backbone_is_shared_not_copied(small_net: Net) -> None:
    base = small_net()
    first, second = labkit.build_classifier(base, 2), labkit.build_classifier(base, 2)
    inside = {id(weight) for weight in base.weights}
    assert inside <= {id(w) for w in first.weights}
    assert inside <= {id(w) for w in second.weights}


def test_the_seed_decides_the_first_weights(small_net: Net) -> None:
    def kernel(seed: int) -> np.ndarray:
        return labkit.build_classifier(base, 2, seed=seed).get_layer("probabilities").kernel.numpy()

    base = small_net()
    np.testing.assert_array_equal(kernel(3), kernel(3))
    assert not np.array_equal(kernel(3), kernel(4))


def test_hidden_layer_and_softmax_do_not_start_alike(small_net: Net) -> None:
    model = labkit.build_classifier(small_net(), 10, head="dense", hidden=10)
    hidden, end = model.get_layer("hidden").kernel, model.get_layer("probabilities").kernel
    assert not np.allclose(hidden.numpy(), end.numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_classes": 1}, "from 2 up. Received: 1"),
        ({"n_classes": 2.0}, "from 2 up. Received: 2.0"),
        ({"n_classes": "2"}, "from 2 up. Received: '2'"),
        ({"head": "GAP"}, "'gap', 'flatten', 'dense'"),
        ({"hidden": 5}, "hidden=5 with head='gap'"),
        ({"hidden": 0, "head": "dense"}, "from 1 up"),
        ({"dropout": 1.0}, "from 0 up to 1. Received: 1.0"),
        ({"dropout": -0.1}, "Received: -0.1"),
    ],
)
def test_arguments_out_of_range(small_net: Net, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as error:
        labkit.build_classifier(small_net(), **{"n_classes": 2, **arguments})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_head_goes_on_a_feature_map_only(small_net: Net) -> None:
    whole = labkit.build_classifier(small_net(), 2)
    for thing in (whole, "VGG16", None, keras.layers.Dense(3)):
        with pytest.raises(ModelError, match="A head goes on a model whose output is a feature"):
            labkit.build_classifier(thing, 2)


def test_a_model_can_be_saved_and_loaded(small_net: Net, tmp_path: Any) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.freeze(model)
    model.save(tmp_path / "mine.keras")
    again = keras.models.load_model(tmp_path / "mine.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    np.testing.assert_allclose(again(images).numpy(), model(images).numpy(), atol=1e-6)
    assert labkit.count_parameters(again) == labkit.count_parameters(model)
