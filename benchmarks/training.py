"""Ten epochs of the frozen strategy: labkit.train beside the plain Keras guide's way."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import main as run_main
from benchmarks.harness import measure, own_cache, report

NAME = "training"
QUESTION = "How long do ten epochs of the frozen strategy on 1,000 photographs take?"
TARGETS = {"cold: keras / labkit": 7.0, "warm: keras / labkit": 50.0}

BACKBONE, SIZE, EPOCHS, RATE = "EfficientNetLite0", 128, 10, 3e-3
PER_CLASS = {"train": 500, "validation": 100, "test": 100}
KERAS = "keras guide: fit through the frozen base"
COLD, WARM = "labkit.train, empty cache", "labkit.train, second run"


def run(repeats: int = 5) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as place:
        folder = Path(place) / "photographs"
        source = _copy_images(folder)
        accuracies: dict[str, float] = {}
        with own_cache() as cache:
            candidates = {
                KERAS: lambda: _keras_guide(folder, accuracies),
                COLD: lambda: _labkit(folder, accuracies, COLD, empty=cache),
                WARM: lambda: _labkit(folder, accuracies, WARM),
            }
            _labkit(folder, accuracies, WARM)  # fills the cache, in case a round starts with WARM
            measured = measure(candidates, repeats)
    keras_seconds = measured[KERAS]["median"]
    ratios = {
        "cold: keras / labkit": keras_seconds / measured[COLD]["median"],
        "warm: keras / labkit": keras_seconds / measured[WARM]["median"],
    }
    timed = (
        f"reading {source} images (1,000 to learn from, 200 for validation, 200 for the test), ten "
        f"epochs with validation after each, one look at the test images; {BACKBONE}, {SIZE} px, "
        "batches of 32, Adam. Not timed: importing, building the model. Keras: "
        "image_dataset_from_directory, cached in memory, shuffled, prefetched, jit_compile=False, "
        "as XLA is slower for this network on a CPU. labkit, empty cache: neither pixels, "
        "features nor a traced network are there."
    )
    return report(NAME, QUESTION, timed, measured, ratios, TARGETS, source=source,
                  test_accuracy=accuracies)  # fmt: skip


def _copy_images(folder: Path) -> str:
    """Copy cats and dogs into a folder that both ways read; return whether they are real."""
    import labkit

    dataset = labkit.load_dataset("cats_vs_dogs", image_size=SIZE)
    for split in (dataset.train, dataset.validation, dataset.test):
        some = split.take(PER_CLASS[split.name])
        for path, label in zip(some.paths, some.labels, strict=True):
            target = folder / split.name / split.classes[label] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return dataset.source


def _labkit(
    folder: Path, accuracies: dict[str, float], name: str, *, empty: Path | None = None
) -> float:
    import labkit
    from labkit import features

    model = labkit.build_classifier(labkit.load_backbone(BACKBONE, image_size=SIZE), 2)
    labkit.set_strategy(model, "frozen")
    if empty is not None:
        for part in ("pixels", "features"):
            shutil.rmtree(empty / part, ignore_errors=True)
        features._READY.clear()  # a first run has to trace the network as well
    began = time.perf_counter()
    dataset = labkit.load_dataset(folder, image_size=SIZE)
    result = labkit.train(model, dataset, epochs=EPOCHS, learning_rate=RATE)
    seconds = time.perf_counter() - began
    accuracies[name] = result.accuracy
    return seconds


def _keras_guide(folder: Path, accuracies: dict[str, float]) -> float:
    """Work as https://keras.io/guides/transfer_learning/ does."""
    import labkit
    from labkit.engine import keras, tf

    base = labkit.load_backbone(BACKBONE, image_size=SIZE)  # preprocessing inside
    base.trainable = False
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(base(images, training=False))
    model = keras.Model(images, keras.layers.Dense(2, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(RATE), "sparse_categorical_crossentropy",
                  metrics=["accuracy"], jit_compile=False)  # fmt: skip

    def read(split: str) -> Any:
        data = keras.utils.image_dataset_from_directory(
            folder / split, image_size=(SIZE, SIZE), batch_size=None, crop_to_aspect_ratio=True,
            shuffle=False, verbose=False,
        ).cache()  # fmt: skip
        if split == "train":  # after the cache, or every epoch would have the same order
            data = data.shuffle(2 * PER_CLASS[split])
        return data.batch(32).prefetch(tf.data.AUTOTUNE)

    began = time.perf_counter()
    model.fit(read("train"), validation_data=read("validation"), epochs=EPOCHS, verbose=0)
    accuracies[KERAS] = float(model.evaluate(read("test"), verbose=0)[1])
    return time.perf_counter() - began


def main() -> None:
    run_main(run)


if __name__ == "__main__":
    main()
