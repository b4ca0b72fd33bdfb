"""What fine-tuning does to the source task: a network's 1000 ImageNet answers, before and after."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.anatomy import anatomy
from labkit.backbones.loading import load_imagenet_classifier
from labkit.data.images import Pixels, read_image, square
from labkit.engine import keras
from labkit.errors import DataError


def with_imagenet_head(backbone: keras.Model) -> keras.Model:
    """Put a backbone back under the 1000-class head that it was trained with.

    Args:
        backbone: from load_backbone, or a classifier on one; fine-tuned or not.

    Returns:
        A model from images to 1000 probabilities. It shares the backbone's weights: what
        fine-tuning does to them later, it shows.

    Raises:
        ModelError: no such backbone, or its head takes images of another size.
        WeightsError: the weights of the head are not on this machine.
    """
    base = anatomy(backbone).base
    whole = load_imagenet_classifier(base.name, image_size=base.input_shape[1])
    x = base.output
    for layer in anatomy(whole).head:
        x = layer(x)
    return keras.Model(base.inputs[0], x, name=f"{base.name}_imagenet")


def agreement(before: ArrayLike, after: ArrayLike) -> float:
    """Return the share of images whose first answer is the same in both, 0..1.

    Args:
        before: scores of the original network, shape (n, classes).
        after: scores of the fine-tuned one for the same images.

    Raises:
        DataError: the shapes differ or there is no image.
    """
    first, second = np.asarray(before), np.asarray(after)
    if first.shape != second.shape or first.ndim != 2 or not len(first):
        raise DataError(
            "Two arrays of scores (images, classes) of one shape are needed. "
            f"Received: {first.shape} and {second.shape}."
        )
    return float((first.argmax(axis=1) == second.argmax(axis=1)).mean())


def labelled_pictures(image_size: int) -> tuple[Pixels, NDArray[np.int64]] | None:
    """Return 20 ImageNet pictures and their classes where the package foolbox is installed.

    Returns:
        Pixels (20, size, size, 3) and class numbers 0..999; None where there are none.
    """
    package = importlib.util.find_spec("foolbox")
    if package is None or package.origin is None:
        return None
    files = sorted(Path(package.origin).parent.glob("data/imagenet_*_*.*"))
    if not files:
        return None
    classes = [int(re.split(r"[_.]", file.name)[2]) for file in files]
    images = [square(read_image(file), image_size) for file in files]
    return np.stack(images), np.array(classes, np.int64)
