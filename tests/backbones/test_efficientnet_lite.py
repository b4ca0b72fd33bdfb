"""EfficientNet-Lite0 layer by layer, as its paper and page describe it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labkit.backbones.efficientnet_lite import STAGES, assign_weights
from labkit.engine import keras


def test_layers_are_those_of_the_description(lite0: Any) -> None:
    kinds = {type(layer).__name__ for layer in lite0.layers}
    assert kinds == {
        "InputLayer", "Rescaling", "Conv2D", "BatchNormalization", "ReLU", "DepthwiseConv2D", "Add"
    }  # fmt: skip
    for layer in lite0.layers:
        if isinstance(layer, keras.layers.ReLU):
            assert layer.max_value == 6
        if isinstance(layer, keras.layers.BatchNormalization):
            assert layer.epsilon == 1e-3
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            assert (layer.padding, layer.use_bias) == ("same", False)
    convolutions = [x for x in lite0.layers if isinstance(x, keras.layers.DepthwiseConv2D)]
    assert len(convolutions) == sum(stage.repeats for stage in STAGES) == 16


def test_the_statistics_number_as_published(lite0: Any) -> None:
    normal = [x for x in lite0.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert sum(2 * int(np.prod(x.moving_mean.shape)) for x in normal) == 42_016


def test_moving_variances_were_put_in_their_place(lite0: Any) -> None:
    """A mean in the place of a variance would show as a negative number."""
    for layer in lite0.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert float(keras.ops.min(layer.moving_variance)) >= 0
            assert float(keras.ops.min(layer.moving_mean)) < 0


def test_weights_that_do_not_fit_are_an_error(lite0: Any) -> None:
    model = keras.models.clone_model(lite0)
    with pytest.raises((ValueError, StopIteration, RuntimeError)):
        assign_weights(model, {"_conv_stem.weight": np.zeros((1, 1, 3, 3), np.float32)})
