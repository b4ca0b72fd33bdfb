"""What a network makes of a picture: its feature maps, block by block."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.anatomy import anatomy
from labkit.engine import keras
from labkit.gradcam import as_images

Maps = NDArray[np.float32]

_READY: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def feature_maps(model: keras.Model, image: ArrayLike) -> dict[str, Maps]:
    """Return the feature maps of one image at the end of each block, input to output.

    Args:
        model: a classifier or a bare backbone.
        image: shape (height, width, 3), RGB 0..255.

    Returns:
        For each block of the base its activations, shape (height, width, channels),
        computed in inference mode. A block whose output is no map is left out.

    Raises:
        DataError: the image has a shape that the model does not take.
        ModelError: the model is not built.
    """
    parts = anatomy(model)
    pixels = as_images(image, parts.base)[:1]
    ends = {b.name: b.end.output for b in parts.blocks if len(b.end.output.shape) == 4}
    if model not in _READY:
        _READY[model] = keras.Model(parts.base.inputs[0], list(ends.values()))
    outputs = _READY[model](pixels, training=False)
    return {name: output.numpy()[0] for name, output in zip(ends, outputs, strict=True)}
