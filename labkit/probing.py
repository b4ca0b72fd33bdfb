"""How much each block of a network knows about a task: a linear classifier on its features.

Alain & Bengio, "Understanding intermediate layers using linear classifier probes", 2016,
arXiv 1610.01644.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labkit.anatomy import anatomy
from labkit.data.dataset import Dataset, Split
from labkit.engine import keras
from labkit.features import Features, check_size, run_over
from labkit.training import best_svm


def block_features(backbone: keras.Model, split: Split) -> dict[str, Features]:
    """Return what each block says about some images, each channel averaged over the map.

    Computed in one pass over the images, and kept in the cache.

    Args:
        backbone: a backbone or a classifier.
        split: the images; their size has to be the backbone's.

    Returns:
        For each block, input to output, an array (n, channels of the block).

    Raises:
        DataError: the images have another size than the backbone takes.
    """
    parts = anatomy(backbone)
    check_size(parts.base, split)
    ends = {b.name: b.end.output for b in parts.blocks if len(b.end.output.shape) == 4}
    pooled = [keras.ops.mean(output, axis=(1, 2)) for output in ends.values()]
    joined = keras.ops.concatenate(pooled, axis=-1) if len(pooled) > 1 else pooled[0]
    all_blocks = run_over(keras.Model(parts.base.inputs[0], joined), split)
    places = np.cumsum([output.shape[-1] for output in pooled])[:-1]
    arrays = np.split(all_blocks.array, places, axis=1)
    return {
        name: replace(all_blocks, array=array) for name, array in zip(ends, arrays, strict=True)
    }


def probe_blocks(
    backbone: keras.Model, dataset: Dataset, *, per_class: int, seeds: Sequence[int]
) -> dict[str, list[float]]:
    """Return the test accuracy of a linear classifier on each block, one a seed.

    Args:
        backbone: a backbone or a classifier; it is not changed.
        dataset: the validation split chooses the SVM's C for each block and seed.
        per_class: training images a class; each seed chooses its own, the same for all blocks.
        seeds: at least two give an interval.

    Returns:
        For each block, input to output, accuracies 0..1 in the order of the seeds.
    """
    splits = [block_features(backbone, s) for s in (dataset.validation, dataset.test)]
    accuracies: dict[str, list[float]] = {}
    for seed in seeds:
        train = block_features(backbone, dataset.train.take(per_class, seed=seed))
        for block, features in train.items():
            validation, test = (split[block] for split in splits)
            svm, _ = best_svm(features, validation, seed=seed)
            score = float(svm.score(test.array, test.labels))
            accuracies.setdefault(block, []).append(score)
    return accuracies
