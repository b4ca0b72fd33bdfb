"""How similar images are to what a pretrained network has learnt from, measured from pixels.

For a network trained on ImageNet: the free energy of EfficientNet-Lite0's 1000 classes.
For a network of one's own: how far the activations' statistics are from those that its
BatchNorm layers remember. ``benchmarks/similarity.py`` is the study that chose them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from labkit.anatomy import anatomy
from labkit.backbones.catalogue import list_backbones
from labkit.backbones.loading import load_imagenet_classifier
from labkit.data.dataset import Split
from labkit.engine import keras
from labkit.errors import DataError, ModelError
from labkit.features import check_size, run_over

Array = NDArray[np.float64]

JUDGE = "EfficientNetLite0"
"""The network whose classes judge: its weights come with the installation."""

JUDGE_SIZE = 96
"""Side in pixels of what the judge sees; energies of other sizes are not comparable."""

MOST_IMAGES = 500
FEWEST_IMAGES = 20

_SAMPLES = 400  # of the bootstrap


@dataclass(frozen=True)
class Measure:
    """A way to measure similarity, and how its values become a number from 0 to 1.

    Attributes:
        name: what is measured, for a reader.
        middle: the value that becomes 0.5.
        scale: a value larger by so much becomes 0.73.
    """

    name: str
    middle: float
    scale: float

    def similarity(self, value: float) -> float:
        """Return 0..1: 0.5 is the border between dissimilar and similar."""
        return float(expit((value - self.middle) / self.scale))


ENERGY = Measure(f"energy of {JUDGE}'s ImageNet classes", middle=20.8, scale=4.0)
OVERLAP = Measure("overlap of activations with BatchNorm's memory", middle=0.948, scale=0.008)


@dataclass(frozen=True)
class Similarity:
    """How similar some images are to a network's source, with its uncertainty.

    Attributes:
        value: 0..1, above 0.5 similar.
        low: lower end of the 95 % interval (bootstrap over images).
        high: upper end.
        raw: what was measured, in the unit of the measure.
        measure: the name of the measure.
        images: number of images that were looked at.
    """

    value: float
    low: float
    high: float
    raw: float
    measure: str
    images: int

    @property
    def borderline(self) -> bool:
        """True when the interval holds 0.5: these images do not tell which it is."""
        return self.low <= 0.5 <= self.high


def measure_similarity(backbone: keras.Model, split: Split, *, seed: int = 0) -> Similarity:
    """Measure how similar a split's images are to what a backbone was trained on.

    Needs no labels. For the networks of ``list_backbones()`` the source is ImageNet, and
    images are judged by the free energy of EfficientNet-Lite0's 1000 classes at 96 px,
    ``log sum exp(logits)``, which is high for what the network was taught and low for
    what it was not (Liu, Wang, Owens and Li, "Energy-based out-of-distribution detection",
    NeurIPS 2020, arXiv 2010.03759). Any other backbone is compared with its own BatchNorm
    statistics, which are those of its source (cf. Schneider et al., "Improving robustness
    against common corruptions by covariate shift adaptation", NeurIPS 2020): the
    Bhattacharyya coefficient of two normal distributions a channel, averaged.

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
    norms = [x for x in base.layers if isinstance(x, keras.layers.BatchNormalization)]
    if norms and all(not np.any(norm.moving_mean.numpy()) for norm in norms):
        raise ModelError(
            f"{backbone.name} has random weights, so nothing is similar to what it knows: "
            "load it with weights='imagenet', or train it first."
        )
    chosen = sample(split, seed)
    if base.name in {info.name for info in list_backbones()}:
        return _bootstrapped(ENERGY, energies(chosen)[:, None], _mean, seed)
    return _overlap(base, norms, chosen, seed)


def sample(split: Split, seed: int = 0) -> Split:
    """Return at most 500 images of a split, a random choice; DataError below 20."""
    if len(split) < FEWEST_IMAGES:
        raise DataError(
            f"Similarity is measured on at least {FEWEST_IMAGES} images, the {split.name} split "
            f"has {len(split)}."
        )
    order = np.random.default_rng(seed).permutation(len(split))
    return split.pick(np.sort(order[:MOST_IMAGES]))


def energies(split: Split) -> Array:
    """Return ``log sum exp`` of the judge's 1000 logits for each image, shape (n,)."""
    classifier = load_imagenet_classifier(JUDGE, image_size=JUDGE_SIZE)
    kernel, bias = classifier.get_layer("predictions").get_weights()
    pooled = keras.Model(classifier.inputs, classifier.get_layer("avg_pool").output)
    if split.image_size != JUDGE_SIZE:
        images = keras.Input((split.image_size,) * 2 + (3,))
        resize = keras.layers.Resizing(JUDGE_SIZE, JUDGE_SIZE, antialias=True)
        pooled = keras.Model(images, pooled(resize(images)))
    logits = run_over(pooled, split).array.astype(np.float64) @ kernel + bias
    return np.asarray(logsumexp(logits, axis=1), np.float64)


def _mean(weights: Array, values: Array) -> Array:
    """Return the mean of the images' values for each row of image weights."""
    return np.asarray(weights @ values[:, 0], np.float64)


def _overlap(base: Any, norms: list[Any], split: Split, seed: int) -> Similarity:
    if not norms:
        raise ModelError(
            f"{base.name} is not one of list_backbones() and has no BatchNorm layers, whose "
            "statistics would tell what it was trained on: similarity cannot be measured."
        )
    memory = np.concatenate(
        [(norm.moving_mean.numpy(), norm.moving_variance.numpy()) for norm in norms], axis=1
    ).astype(np.float64)

    def statistic(weights: Array, values: Array) -> Array:
        rows = [overlap(row @ values, memory) for row in weights]
        return np.array(rows)

    return _bootstrapped(OVERLAP, activation_moments(base, norms, split), statistic, seed)


def activation_moments(base: Any, norms: list[Any], split: Split) -> Array:
    """Return each image's means and mean squares of what enters BatchNorm layers.

    Shape (n, 2 c) for c channels in all layers together: first all means, then all squares.
    """
    pool = [norm.input for norm in norms]
    axes = [tuple(range(1, len(x.shape) - 1)) for x in pool]
    means = [keras.ops.mean(x, a) for x, a in zip(pool, axes, strict=True)]
    squares = [keras.ops.mean(keras.ops.square(x), a) for x, a in zip(pool, axes, strict=True)]
    network = keras.Model(base.inputs, keras.ops.concatenate([*means, *squares], axis=-1))
    return run_over(network, split).array.astype(np.float64)


def overlap(moments: Array, memory: Array) -> float:
    """Return the mean Bhattacharyya coefficient, 0 (apart) to 1 (the same), over channels.

    Args:
        moments: means then mean squares of the new activations, shape (2 c,).
        memory: means and variances of the source, shape (2, c).
    """
    mean, square = np.split(moments, 2)
    there = np.maximum(memory[1], 1e-8)
    here = np.maximum(square - mean**2, 1e-6 * there)
    both = here + there
    width = np.sqrt(2 * np.sqrt(here * there) / both)
    return float(np.mean(width * np.exp(-((mean - memory[0]) ** 2) / (4 * both))))


def _bootstrapped(
    measure: Measure, values: Array, statistic: Callable[[Array, Array], Array], seed: int
) -> Similarity:
    """Return the similarity with a normal interval, its width from a bootstrap over images.

    Percentiles would be biased: images drawn twice make distributions look narrower
    (Efron and Tibshirani 1993, chapter 13).
    """
    n = len(values)
    numbers = np.random.default_rng(seed)
    samples = _SAMPLES if values.shape[1] == 1 else 50
    weights = numbers.multinomial(n, np.full(n, 1 / n), size=samples) / n
    raw = float(statistic(np.full((1, n), 1 / n), values)[0])
    half = 1.96 * float(np.std(statistic(weights, values), ddof=1))
    low, value, high = (measure.similarity(raw + step) for step in (-half, 0.0, half))
    return Similarity(value, low, high, raw, measure.name, n)
