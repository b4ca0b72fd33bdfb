"""Puts a new classifier head on a backbone."""

from __future__ import annotations

import weakref
from typing import Literal, get_args

from labkit.engine import keras
from labkit.errors import ModelError, choices

Head = Literal["gap", "flatten", "dense"]

HIDDEN_UNITS = 256
"""Hidden units of the "dense" head where ``hidden`` is not given."""


def build_classifier(
    backbone: keras.Model,
    n_classes: int,
    *,
    head: Head = "gap",
    hidden: int | None = None,
    dropout: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Put a head on a backbone; the two share the backbone's weights, nothing is copied.

    Args:
        backbone: a model from images to a feature map (height, width, channels).
        n_classes: number of classes, at least 2; the output is a softmax over them.
        head: "gap": global average pooling, softmax. "flatten": all of the feature map,
            softmax. "dense": pooling, a hidden ReLU layer, softmax.
        hidden: units of the hidden layer of "dense" (default 256).
        dropout: share of the inputs of the softmax layer that is dropped in training, 0..1.
        seed: random numbers that the head starts from.

    Returns:
        A model from images (size, size, 3), RGB 0..255, to probabilities (n_classes,).

    Raises:
        ModelError: an argument is out of its range.
    """
    _check(backbone, n_classes, head, hidden, dropout)
    layers = keras.layers
    images = keras.Input(backbone.input_shape[1:], name="images")
    x = backbone(images)
    x = layers.Flatten(name="flatten")(x) if head == "flatten" else _pool(x)
    if head == "dense":
        glorot = keras.initializers.GlorotUniform(seed=seed + 1)
        units = HIDDEN_UNITS if hidden is None else hidden
        x = layers.Dense(units, activation="relu", kernel_initializer=glorot, name="hidden")(x)
    if dropout:
        x = layers.Dropout(dropout, seed=seed, name="dropout")(x)
    glorot = keras.initializers.GlorotUniform(seed=seed)
    x = layers.Dense(
        n_classes, activation="softmax", kernel_initializer=glorot, name="probabilities"
    )(x)
    model = keras.Model(images, x, name=f"{backbone.name}_{head}_{n_classes}")
    # Freezing the backbone has to reach a classifier that was compiled on it.
    if not hasattr(backbone, "classifiers"):
        backbone.classifiers = weakref.WeakSet()
    backbone.classifiers.add(model)
    return model


def _pool(x: object) -> object:
    return keras.layers.GlobalAveragePooling2D(name="average_pool")(x)


def _check(
    backbone: keras.Model, n_classes: int, head: str, hidden: int | None, dropout: float
) -> None:
    if not isinstance(backbone, keras.Model) or len(backbone.output_shape) != 4:
        raise ModelError(
            "A head goes on a model whose output is a feature map, such as load_backbone(...) "
            f"returns. Received: {getattr(backbone, 'name', backbone)!r}."
        )
    if not isinstance(n_classes, int) or n_classes < 2:
        raise ModelError(f"n_classes is a whole number from 2 up. Received: {n_classes!r}.")
    if head not in get_args(Head):
        raise ModelError(f"There is no head {head!r}. Choose one of {choices(get_args(Head))}.")
    if hidden is not None and (head != "dense" or not isinstance(hidden, int) or hidden < 1):
        raise ModelError(
            "hidden is the number of units of head='dense', from 1 up. "
            f"Received: hidden={hidden!r} with head={head!r}."
        )
    if not 0 <= dropout < 1:
        raise ModelError(f"dropout is a share from 0 up to 1. Received: {dropout!r}.")
