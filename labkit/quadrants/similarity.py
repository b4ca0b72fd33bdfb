"""How similar images are to what a pretrained network has learned from, measured from pixels.

BatchNorm layers remember mean and variance of what went through them in training. Images
like those of the source bring the same statistics forth again, others do not.
``benchmarks/similarity.py`` is the study that chose this among twelve measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.anatomy import anatomy
from labkit.backbones.catalogue import backbone_info, list_backbones
from labkit.backbones.loading import load_backbone
from labkit.data.dataset import Split
from labkit.engine import keras
from labkit.errors import DataError, ModelError
from labkit.features import check_size, run_over

Array = NDArray[np.float32]

JUDGE = "EfficientNetLite0"
"""The network that judges similarity to ImageNet: its weights come with the installation."""

MIDDLE = 0.05
"""The distance that becomes similarity 0.5. Found by the study: what people call similar came
to 0.027 to 0.035, what they call dissimilar to 0.075 and more."""

STEEPNESS = 3.0
"""How fast similarity falls with the logarithm of the distance."""

MOST_IMAGES = 500
FEWEST_IMAGES = 20

_SAMPLES = 100  # of the bootstrap


@dataclass(frozen=True)
class Similarity:
    """How similar some images are to a network's source, with its uncertainty.

    Attributes:
        value: 0..1, above 0.5 similar.
        low: lower end of the 95 % interval (bootstrap over images).
        high: upper end.
        distance: what was measured, 0 (the same statistics) to 1.
        measure: how it was measured, for a reader.
        images: number of images that were looked at.
    """

    value: float
    low: float
    high: float
    distance: float
    measure: str
    images: int

    @property
    def borderline(self) -> bool:
        """True when the interval holds 0.5: these images do not tell which it is."""
        return self.low <= 0.5 <= self.high


def measure_similarity(backbone: keras.Model, split: Split, *, seed: int = 0) -> Similarity:
    """Measure how similar a split's images are to what a backbone was trained on.

    Needs no labels and none of the source's images. In the later half of the BatchNorm
    layers, each channel's activations on the new images are compared with the mean and
    variance that the layer remembers, by the Bhattacharyya coefficient of two normal
    distributions (Bhattacharyya 1943); the distance is one minus its average. That these
    statistics tell how far images are from the source: Schneider et al., "Improving
    robustness against common corruptions by covariate shift adaptation", NeurIPS 2020,
    arXiv 2006.16971, and Li et al., "Revisiting batch normalization for practical domain
    adaptation", 2016, arXiv 1603.04779.

    For every network of ``list_backbones()`` the source is ImageNet, and EfficientNet-Lite0
    judges, shown the images at its own 224 px. A backbone of one's own judges by itself;
    where similar ends was found for the former only.

    Args:
        backbone: what will be adapted.
        split: the images; at most 500 of them are looked at, a random choice.
        seed: which images are looked at, and the bootstrap.

    Raises:
        DataError: fewer than 20 images, or images of a size that the backbone does not take.
        ModelError: the backbone has random weights, or is one's own without BatchNorm.
    """
    base = anatomy(backbone).base
    check_size(base, split)
    judge, source = _judge_for(base)
    layers = late_norms(judge)
    chosen = sample(split, seed)
    moments = activation_moments(judge, layers, chosen)
    distance, error = _with_error(moments, layers, seed)
    low, value, high = (similarity_of(distance + step * 1.96 * error) for step in (1.0, 0.0, -1.0))
    measure = f"BatchNorm statistics, {len(chosen)} images against {source}"
    return Similarity(value, low, high, distance, measure, len(chosen))


def _judge_for(base: keras.Model) -> tuple[keras.Model, str]:
    """Return the network that judges for a base, and what it remembers, for a reader."""
    if _is_untrained(base):
        raise ModelError(
            f"{base.name} has random weights, so nothing is similar to what it knows: "
            "load it with weights='imagenet', or train it first."
        )
    if base.name in {info.name for info in list_backbones()}:
        size = backbone_info(JUDGE).input_size
        return load_backbone(JUDGE, image_size=size), f"{JUDGE}'s memory of ImageNet"
    if not late_norms(base):
        raise ModelError(
            f"{base.name} is not one of list_backbones() and has no BatchNorm layers, whose "
            "statistics would tell what it was trained on: similarity cannot be measured."
        )
    return base, f"{base.name}'s memory of what it was trained on"


def similarity_of(distance: float) -> float:
    """Return the similarity, 0..1, of a distance from 0 up: 0.5 at MIDDLE, 1 at no distance.

    >>> [round(similarity_of(d), 2) for d in (0.0, 0.03, 0.05, 0.08)]
    [1.0, 0.82, 0.5, 0.2]
    """
    return 1 / (1 + float(np.power(max(distance, 0.0) / MIDDLE, STEEPNESS)))


def sample(split: Split, seed: int = 0) -> Split:
    """Return at most 500 images of a split, a random choice; DataError below 20."""
    if len(split) < FEWEST_IMAGES:
        raise DataError(
            f"Similarity is measured on at least {FEWEST_IMAGES} images, the {split.name} split "
            f"has {len(split)}."
        )
    order = np.random.default_rng(seed).permutation(len(split))
    return split.pick(np.sort(order[:MOST_IMAGES]))


def late_norms(base: keras.Model) -> list[Any]:
    """Return the later half of the BatchNorm layers: the early ones know colours and edges.

    With all of them a grey photograph of a cat would count as dissimilar.
    """
    norms = [x for x in base.layers if isinstance(x, keras.layers.BatchNormalization)]
    return norms[len(norms) // 2 :]


def activation_moments(base: keras.Model, layers: list[Any], split: Split) -> Array:
    """Return each image's means and mean squares of what enters some BatchNorm layers.

    Shape (n, 2 c), c channels in all layers together: first all means, then all squares.
    Images are scaled to the size that the base takes.
    """
    inputs = [layer.input for layer in layers]
    pooled = [keras.ops.mean(x, axis=(1, 2)) for x in inputs]
    squares = [keras.ops.mean(keras.ops.square(x), axis=(1, 2)) for x in inputs]
    network = keras.Model(base.inputs, keras.ops.concatenate([*pooled, *squares], axis=-1))
    size = base.input_shape[1] or split.image_size
    if split.image_size != size:
        images = keras.Input((split.image_size, split.image_size, 3))
        network = keras.Model(images, network(keras.layers.Resizing(size, size)(images)))
    return run_over(network, split, cache=False).array


def distance_of(moments: Array, layers: list[Any]) -> float:
    """Return the distance of new activations from what BatchNorm layers remember.

    Args:
        moments: means, then mean squares of the activations, shape (2 c,).
        layers: the BatchNorm layers, c channels together.

    Returns:
        One minus the Bhattacharyya coefficient, averaged over a layer's channels and then
        over layers: 0 where all distributions agree, 1 where none overlap.
    """
    means, squares = np.split(moments.astype(np.float64), 2)
    distances, start = [], 0
    for layer in layers:
        memory, there = layer.moving_mean.numpy(), np.maximum(layer.moving_variance.numpy(), 1e-8)
        mean = means[start : start + len(memory)]
        here = np.maximum(squares[start : start + len(memory)] - mean**2, 1e-6 * there)
        both = here + there
        width = np.sqrt(2 * np.sqrt(here * there) / both)
        distances.append(1 - np.mean(width * np.exp(-((mean - memory) ** 2) / (4 * both))))
        start += len(memory)
    return float(np.mean(distances))


def _with_error(moments: Array, layers: list[Any], seed: int) -> tuple[float, float]:
    """Return the distance and its standard error over images, by the bootstrap.

    Few images look further away than many of the same kind do; the bootstrap tells by how
    much, and that is taken off (Efron and Tibshirani 1993, chapters 6 and 10).
    """
    n = len(moments)
    numbers = np.random.default_rng(seed)
    weights = numbers.multinomial(n, np.full(n, 1 / n), size=_SAMPLES).astype(np.float32) / n
    drawn = np.array([distance_of(row, layers) for row in weights @ moments])
    found = distance_of(moments.mean(axis=0), layers)
    return 2 * found - float(drawn.mean()), float(drawn.std(ddof=1))


def _is_untrained(base: keras.Model) -> bool:
    """Tell whether BatchNorm layers still remember what they were built with."""
    norms = late_norms(base)
    return bool(norms) and all(not np.any(norm.moving_mean.numpy()) for norm in norms)
