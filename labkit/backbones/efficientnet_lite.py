"""EfficientNet-Lite0 as Keras layers, with the weights of its PyTorch package.

Keras has no builder for the Lite family: EfficientNet without squeeze-and-excitation,
with ReLU6 for swish (Liu, "Higher accuracy on vision models with EfficientNet-Lite",
TensorFlow blog, March 2020). Layer names follow Keras's EfficientNetB0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labkit.engine import keras

layers = keras.layers


class Stage(NamedTuple):
    """One row of table 1 in Tan and Le 2019 (arXiv 1905.11946)."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite0(images: Any, *, include_top: bool) -> Any:
    """Return the network's output for a tensor of images scaled by ``(x - 127) / 128``.

    The output is the last feature map (side / 32, side / 32, 1280), or with
    ``include_top`` the probabilities of the 1000 ImageNet classes.
    """
    x = _convolve(images, 32, 3, 2, "stem_conv", "stem_bn", "stem_activation")
    for number, stage in enumerate(STAGES, start=1):
        for repeat in range(stage.repeats):
            name = f"block{number}{'abcd'[repeat]}"
            x = _inverted_residual(x, stage, stage.stride if repeat == 0 else 1, name)
    x = _convolve(x, 1280, 1, 1, "top_conv", "top_bn", "top_activation")
    if not include_top:
        return x
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return layers.Dense(1000, activation="softmax", name="predictions")(x)


def _convolve(
    x: Any, filters: int, kernel: int, stride: int, conv: str, norm: str, activation: str = ""
) -> Any:
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=conv)(x)
    return _normalise(x, norm, activation)


def _normalise(x: Any, norm: str, activation: str) -> Any:
    x = layers.BatchNormalization(epsilon=1e-3, name=norm)(x)
    return layers.ReLU(6, name=activation)(x) if activation else x


def _inverted_residual(x: Any, stage: Stage, stride: int, name: str) -> Any:
    """Widen, convolve each channel alone, narrow, and add the input where shapes agree."""
    entry, width = x, int(x.shape[-1])
    if stage.expansion > 1:
        x = _convolve(
            x, width * stage.expansion, 1, 1,
            f"{name}_expand_conv", f"{name}_expand_bn", f"{name}_expand_activation",
        )  # fmt: skip
    x = layers.DepthwiseConv2D(
        stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_dwconv"
    )(x)
    x = _normalise(x, f"{name}_bn", f"{name}_activation")
    x = _convolve(x, stage.filters, 1, 1, f"{name}_project_conv", f"{name}_project_bn")
    if stride == 1 and width == stage.filters:
        x = layers.Add(name=f"{name}_add")([entry, x])
    return x


def assign_weights(model: Any, state: dict[str, NDArray[Any]]) -> None:
    """Put a PyTorch state dict of EfficientNet-Lite0 into the Keras layers, in order.

    Arrays of the 1000-class top are left out when the model has none. Raises ValueError
    when a name or shape does not fit.
    """
    arrays = _keras_arrays(state)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([next(arrays) for _ in layer.weights])


def _keras_arrays(state: dict[str, NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield the state dict's arrays in Keras's order and axis layout."""
    for name, array in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if "_depthwise_conv" in name:
            yield np.transpose(array, (2, 3, 0, 1))
        elif array.ndim == 4:
            yield np.transpose(array, (2, 3, 1, 0))
        else:
            yield np.transpose(array)
