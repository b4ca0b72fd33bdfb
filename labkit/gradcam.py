"""Grad-CAM: which parts of a picture speak for a class, by the gradients at the last feature map.

Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
localization", ICCV 2017, arXiv 1610.02391.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.anatomy import anatomy, graph_nodes
from labkit.data.images import Pixels
from labkit.engine import keras, tf
from labkit.errors import DataError, ModelError

Heat = NDArray[np.float32]

Scores = Callable[[Any], Any]
"""From feature maps to class scores, shape (n, classes)."""

_BATCH = 32

_PARTS: weakref.WeakKeyDictionary[Any, tuple[Any, Scores]] = weakref.WeakKeyDictionary()


def grad_cam(
    model: keras.Model, images: ArrayLike, classes: int | Sequence[int] | None = None
) -> Heat:
    """Return a heat map for each image: where it is high, the picture speaks for a class.

    The channels of the base's last feature map, each weighted by the average gradient of
    the class's score before the softmax, are added up; what is negative becomes 0.

    Args:
        model: a classifier.
        images: shape (n, height, width, 3) or one image (height, width, 3), RGB 0..255.
        classes: class number, one for all images or one each; None: what the model predicts.

    Returns:
        Shape (n, height, width), float32. Each map is scaled so that its highest value is
        1; it is 0 everywhere where nothing speaks for the class.

    Raises:
        DataError: the images have a shape that the model does not take.
        ModelError: a class that there is not, or a model without a feature map.
    """
    pixels = as_images(images, model)
    lower, upper = _parts(model)
    wanted = _class_numbers(classes, len(pixels), int(model.output_shape[-1]))
    starts = range(0, len(pixels), _BATCH)
    maps = [_heat(lower, upper, pixels[i : i + _BATCH], wanted[i : i + _BATCH]) for i in starts]
    return np.concatenate(maps)


def overlay(images: ArrayLike, heat: ArrayLike, *, strength: float = 0.6) -> Pixels:
    """Lay heat maps over images: bright yellow where the heat is high, darkened where not.

    Args:
        images: shape (n, height, width, 3), 0..255.
        heat: shape (n, height, width), 0..1, from grad_cam.
        strength: 0 shows the images alone, 1 the heat alone.

    Returns:
        Pixels, shape (n, height, width, 3). The colours are those of matplotlib's map
        "cividis": brightness rises with the heat, so that they can be read in grey.
    """
    import matplotlib as mpl

    colours = mpl.colormaps["cividis"](np.asarray(heat, np.float32))[..., :3] * 255
    mixed = (1 - strength) * np.asarray(images, np.float32) + strength * colours
    return np.clip(mixed.round(), 0, 255).astype(np.uint8)


def as_images(images: ArrayLike, model: keras.Model) -> NDArray[np.float32]:
    """Return images as a float array (n, height, width, 3); DataError where a model takes others.

    A single image (height, width, 3) becomes a batch of one.
    """
    pixels = np.asarray(images, np.float32)
    if pixels.ndim == 3:
        pixels = pixels[None]
    wanted = tuple(model.input_shape[1:])
    fits = pixels.ndim == 4 and len(pixels) and all(
        size in (None, found) for size, found in zip(wanted, pixels.shape[1:], strict=True)
    )  # fmt: skip
    if not fits:
        raise DataError(
            f"{model.name} takes images of the shape {wanted}, one or several. "
            f"Received: an array of the shape {np.shape(images)}."
        )
    return pixels


def _parts(model: keras.Model) -> tuple[Any, Scores]:
    """Return the model in two: images to last feature map, and from there to class scores."""
    if model not in _PARTS:
        _PARTS[model] = _take_apart(model)
    return _PARTS[model]


def _take_apart(model: keras.Model) -> tuple[Any, Scores]:
    if len(model.output_shape) != 2:
        raise ModelError(f"{model.name} names no classes: put a head on it with build_classifier.")
    parts = anatomy(model)
    if not parts.nested:
        _need_map(model, parts.base)
        lower = keras.Model(model.inputs[0], parts.base.output)
        return lower, _to_scores(model, parts.base.output)
    nodes = graph_nodes(model)
    boundary = next(n.output_tensors[0] for n in nodes if n.operation is parts.base)
    upper = _to_scores(model, boundary)
    if len(parts.base.output_shape) == 4:
        return keras.Model(model.inputs[0], boundary), upper
    # A base that pools by itself: its own last map is inside.
    inner = anatomy(parts.base).base
    _need_map(model, inner)
    rest = keras.Model(inner.output, parts.base.output)
    lower = keras.Model(inner.inputs[0], inner.output)
    return lower, lambda maps: upper(rest(maps, training=False))


def _need_map(model: keras.Model, base: Any) -> None:
    if len(base.output_shape) != 4 or tuple(base.input_shape) != tuple(model.input_shape):
        raise ModelError(f"{model.name} has no feature map that a heat map could be made of.")


def _to_scores(model: keras.Model, boundary: Any) -> Scores:
    """Return the function from a tensor of the model to its class scores, before the softmax."""
    last = graph_nodes(model)[-1].operation
    softmax = getattr(last, "activation", None) is keras.activations.softmax
    if not (softmax and isinstance(last, keras.layers.Dense)):
        whole = keras.Model(boundary, model.outputs[0])
        return lambda maps: whole(maps, training=False)
    hidden = keras.Model(boundary, last.input)

    def scores(maps: Any) -> Any:
        product = tf.matmul(hidden(maps, training=False), last.kernel)
        return product + last.bias if last.use_bias else product

    return scores


def _class_numbers(classes: Any, n: int, possible: int) -> NDArray[np.int64]:
    """Return a class number for each image; -1 stands for the one that is predicted."""
    if classes is None:
        return np.full(n, -1)
    numbers = np.asarray(classes)
    if numbers.ndim > 1 or (numbers.ndim == 1 and len(numbers) != n):
        raise ModelError(f"One class number, or one for each of the {n} images, is needed.")
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() >= possible:
        raise ModelError(
            f"A class is a whole number from 0 to {possible - 1}. Received: {classes!r}."
        )
    return np.broadcast_to(numbers, n).astype(np.int64)


def _heat(lower: Any, upper: Scores, pixels: Any, classes: NDArray[np.int64]) -> Heat:
    maps = lower(pixels, training=False)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        scores = upper(maps)
        chosen = tf.where(classes < 0, tf.argmax(scores, axis=1), classes)
        score = tf.gather(scores, chosen, axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1, keepdims=True))
    heat = tf.image.resize(heat, pixels.shape[1:3])[..., 0].numpy()
    highest = heat.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(heat, highest, out=np.zeros_like(heat), where=highest > 0))
