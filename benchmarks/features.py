"""Images a second through a backbone: labkit.extract_features beside keras.predict."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness import main as run_main
from benchmarks.harness import measure, report

NAME = "features"
QUESTION = "How many images a second go through a backbone?"
TARGETS = {"labkit / keras, images a second": 1.25}

BACKBONE, SIZE, IMAGES = "EfficientNetLite0", 128, 1000
LABKIT, KERAS = "labkit.extract_features(cache=False)", "keras.Model.predict"


def run(repeats: int = 5) -> dict[str, Any]:
    import labkit
    from labkit.engine import keras

    dataset = labkit.load_dataset("cats_vs_dogs", image_size=SIZE)
    split = dataset.train.take(IMAGES // 2)
    backbone = labkit.load_backbone(BACKBONE, image_size=SIZE)
    in_memory = split.read().astype(np.float32)
    arrays: dict[str, Any] = {}

    def with_labkit() -> None:
        arrays[LABKIT] = labkit.extract_features(backbone, split, cache=False).array

    pooled = keras.Model(backbone.input, keras.layers.GlobalAveragePooling2D()(backbone.output))

    def with_keras() -> None:
        arrays[KERAS] = pooled.predict(in_memory, batch_size=32, verbose=0)

    with_labkit()  # both trace the network once, and keep the trace
    with_keras()
    measured = measure({LABKIT: with_labkit, KERAS: with_keras}, repeats)
    rates = {name: IMAGES / row["median"] for name, row in measured.items()}
    timed = (
        f"{IMAGES:,} {dataset.source} images of {SIZE} px through {BACKBONE}, average-pooled, "
        "in batches of 32, after a first call of each, which traces. labkit reads decoded pixels "
        "from its store on the disk, Keras has them as one float32 array in memory."
    )
    ratios = {"labkit / keras, images a second": rates[LABKIT] / rates[KERAS]}
    return report(
        NAME, QUESTION, timed, measured, ratios, TARGETS, source=dataset.source,
        images_a_second=rates,
        largest_difference=float(np.abs(arrays[LABKIT] - arrays[KERAS]).max()),
    )  # fmt: skip


def main() -> None:
    run_main(run)


if __name__ == "__main__":
    main()
