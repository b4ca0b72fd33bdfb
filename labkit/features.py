"""Runs a backbone, or the frozen part of one, over images: once, then from the cache.

The cache is keyed by the weights and layers that made the features and by the pixels of
each image, so that a subset or another order of the same images is found again. An entry
that cannot be read is made anew.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from labkit.anatomy import anatomy
from labkit.data.dataset import Split
from labkit.data.images import Pixels
from labkit.engine import keras, tf
from labkit.errors import DataError
from labkit.paths import atomic_write, cache_folder

Array = NDArray[np.float32]

BATCH = 32
"""Images a step. More do not go faster on a CPU; the last batch is filled up, since each
new batch shape costs seconds of tracing."""

CHUNK = 2048
"""Images a cache file."""

KEPT_FUNCTIONS = 2
"""Inference functions that are kept for further calls; each holds a copy of the weights."""

_READY: dict[str, Callable[[Pixels], Array]] = {}


@dataclass(frozen=True, eq=False)
class Features:
    """What a network says about some images.

    Attributes:
        array: one row an image, shape (n, d) or (n, height, width, channels), float32.
        labels: class numbers, shape (n,).
        cached: how many of the n rows came from the cache.
    """

    array: Array
    labels: NDArray[np.int64]
    cached: int

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)


def extract_features(
    backbone: keras.Model, split: Split, *, cache: bool = True, pool: bool = True
) -> Features:
    """Run a backbone over a split's images.

    Args:
        backbone: a model from images to a feature map; of a classifier its base is taken.
        split: the images; their size has to be the backbone's.
        cache: False computes all of it anew and keeps nothing.
        pool: True averages each channel over the feature map, giving d = channels
            numbers an image; False gives the feature map itself.

    Raises:
        DataError: the images have another size than the backbone takes.
    """
    base = anatomy(backbone).base
    check_size(base, split)
    output = base.output
    if pool and len(output.shape) == 4:
        output = keras.layers.GlobalAveragePooling2D()(output)  # as in a head: one cache for both
    return run_over(keras.Model(base.inputs, output), split, cache=cache)


def run_over(network: keras.Model, split: Split, *, cache: bool = True, key: str = "") -> Features:
    """Return a network's outputs for a split's images, in inference mode.

    ``key`` is ``network_key(network)`` where that is known already.
    """
    key = key or network_key(network)
    if not cache:
        return Features(_compute(network, split, key), split.labels, 0)
    folder = cache_folder("features", key)
    digests = split.digests
    known = _lookup(folder, set(digests))
    missing = [i for i, digest in enumerate(digests) if digest not in known]
    for start in range(0, len(missing), CHUNK):
        part = missing[start : start + CHUNK]
        rows = _compute(network, split.pick(part), key)
        known |= _remember(folder, [digests[i] for i in part], rows)
    array = np.stack([known[digest] for digest in digests])
    return Features(array, split.labels, len(split) - len(missing))


def check_size(model: keras.Model, split: Split) -> None:
    """Raise DataError unless the images of a split have the size that a model takes."""
    wanted = model.input_shape[1]
    if wanted not in (None, split.image_size):
        raise DataError(
            f"{model.name} takes images of {wanted} x {wanted} px, these have {split.image_size}: "
            f"load the dataset with image_size={wanted}, or the backbone with "
            f"image_size={split.image_size}."
        )


def inference_function(network: keras.Model) -> Callable[[Pixels], Array]:
    """Return a fast function from one batch of ``BATCH`` images to a network's outputs.

    The weights become constants of the graph, so that TensorFlow folds the normalisation
    into the convolutions; the numbers are those of ``network.predict`` to about 1e-5.
    """
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    shape = (BATCH, *network.input_shape[1:])
    traced = tf.function(lambda x: network(tf.cast(x, tf.float32), training=False))
    concrete = traced.get_concrete_function(tf.TensorSpec(shape, tf.uint8))
    constant = convert_variables_to_constants_v2(concrete)

    def run(images: Pixels) -> Array:
        filled = np.zeros(shape, np.uint8)
        filled[: len(images)] = images
        output = constant(tf.constant(filled))[0].numpy()
        return np.asarray(output[: len(images)], np.float32)

    return run


def _ready_function(network: keras.Model, key: str) -> Callable[[Pixels], Array]:
    """Return the inference function of a network, made anew only for new weights.

    Making one takes seconds, and the three splits of a dataset come one after another.
    """
    if key not in _READY:
        for old in list(_READY)[: 1 - KEPT_FUNCTIONS]:
            _READY.pop(old, None)
        _READY[key] = inference_function(network)
    return _READY[key]


def _compute(network: keras.Model, split: Split, key: str) -> Array:
    run = _ready_function(network, key)
    starts = range(0, len(split), BATCH)
    title = f"{network.name or 'network'} over {split.name}"
    with (
        ThreadPoolExecutor(2) as threads,  # one step's small layers do not fill two cores
        tqdm(total=len(split), desc=title, unit="image", delay=2, leave=False) as bar,
    ):

        def step(start: int) -> Array:
            images = split.read(np.arange(start, min(start + BATCH, len(split))))
            bar.update(len(images))
            return run(images)

        return np.concatenate(list(threads.map(step, starts)))


def network_key(network: keras.Model) -> str:
    """Return a digest of everything that decides a network's outputs."""
    digest = hashlib.blake2b(digest_size=16)
    for layer in network.operations:
        config = {k: v for k, v in layer.get_config().items() if k not in ("name", "trainable")}
        digest.update(f"{type(layer).__name__} {json.dumps(config, default=str)}".encode())
    for weight in network.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).data)
    return digest.hexdigest()


def _lookup(folder: Path, wanted: set[str]) -> dict[str, Array]:
    """Return the rows that the cache has, by image digest; drop files that are damaged."""
    found: dict[str, Array] = {}
    for file in sorted(folder.glob("*.npz")):
        try:
            found |= dict(_read_rows(file, wanted - found.keys()))
        except FileNotFoundError:  # another process has dropped it
            continue
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            file.unlink(missing_ok=True)
    return found


def _read_rows(file: Path, wanted: set[str]) -> Iterator[tuple[str, Array]]:
    with np.load(file, allow_pickle=False) as entry:
        digests = entry["digests"].tolist()
        if wanted.intersection(digests):
            rows = entry["rows"]  # the zip's checksum is compared while this is read
            yield from ((d, row) for d, row in zip(digests, rows, strict=True) if d in wanted)


def _remember(folder: Path, digests: list[str], rows: Array) -> dict[str, Array]:
    name = hashlib.blake2b("".join(digests).encode(), digest_size=16).hexdigest()
    with atomic_write(folder / f"{name}.npz") as stream:
        np.savez(stream, digests=np.array(digests), rows=rows)
    return dict(zip(digests, rows, strict=True))
