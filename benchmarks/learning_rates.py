"""Records what fine-tuning does at several learning rates, for the LearningRateExplorer.

``python -m benchmarks.learning_rates`` writes ``labkit/widgets/learning_rates.json``: the
whole of EfficientNetLite0 goes on training from a trained head, and after some steps the new
task and the old one are looked at. The old task are the 20 labelled ImageNet pictures of the
``foolbox`` wheel, and whether the network's 1000-class answers to test images stay the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import typer
from PIL import Image

import labkit
from labkit.course.bench import machine
from labkit.data.images import square
from labkit.engine import keras, tf

TARGET = Path(labkit.__file__).parent / "widgets" / "learning_rates.json"

BACKBONE, SIZE, SOURCE_SIZE = "EfficientNetLite0", 96, 224
RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
STEPS = (0, 1, 2, 4, 8, 16, 32)
PER_CLASS = {"train": 200, "validation": 50, "test": 100}
BATCH = 32


class Lab:
    """The networks and images of all runs; everything is traced once."""

    def __init__(self) -> None:
        """Load everything once."""
        self.dataset = labkit.load_dataset("cats_vs_dogs", image_size=SIZE)
        self.base = labkit.load_backbone(BACKBONE, image_size=SIZE)
        self.known = [weight.numpy() for weight in self.base.weights]
        self.source = labkit.load_imagenet_classifier(BACKBONE, image_size=SOURCE_SIZE)
        self.pictures, self.classes = imagenet_pictures()
        test = self.dataset.test.take(PER_CLASS["test"])
        self.test, self.labels = test.read().astype(np.float32), test.labels
        self.small = labkit.load_imagenet_classifier(BACKBONE, image_size=SIZE)
        self.answer_pictures = tf.function(lambda x: self.source(x, training=False))
        self.answer_test = tf.function(lambda x: self.small(x, training=False))
        self.before = self._answers(self.known)

    def start(self, seed: int) -> None:
        """Train a head on the frozen base, from which all rates of a seed go on."""
        self.base.set_weights(self.known)
        self.model = labkit.build_classifier(self.base, 2, seed=seed)
        self.train = self.dataset.train.take(PER_CLASS["train"], seed=seed)
        validation = self.dataset.validation.take(PER_CLASS["validation"])
        few = labkit.Dataset(
            self.dataset.name, self.train, validation, self.dataset.test.take(10),
            self.dataset.classes, self.dataset.source, None, (),
        )  # fmt: skip
        labkit.set_strategy(self.model, "frozen")
        labkit.train(self.model, few, seed=seed)
        self.beginning = self.model.get_weights()
        labkit.set_strategy(self.model, "full")  # BatchNorm layers stay frozen
        self.optimizer = keras.optimizers.Adam()
        self.optimizer.build(self.model.trainable_variables)
        self.fresh = [v.numpy() for v in self.optimizer.variables]
        self.step = tf.function(self._step)
        self.predict = tf.function(lambda x: self.model(x, training=False))

    def _step(self, images: Any, labels: Any) -> None:
        with tf.GradientTape() as tape:
            scores = self.model(images, training=True)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, scores))
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)

    def run(self, rate: float, seed: int) -> dict[str, Any]:
        """Fine-tune at one rate; return the three measures after each of STEPS."""
        self.model.set_weights(self.beginning)
        for variable, value in zip(self.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)
        self.optimizer.learning_rate.assign(rate)
        numbers = np.random.default_rng(seed)
        order = np.concatenate([numbers.permutation(len(self.train)) for _ in range(4)])
        seen: list[tuple[float, float, float]] = [self._look()]
        for step in range(1, STEPS[-1] + 1):
            chosen = order[(step - 1) * BATCH : step * BATCH]
            images = tf.constant(self.train.read(chosen), tf.float32)
            self.step(images, tf.constant(self.train.labels[chosen]))
            if step in STEPS:
                seen.append(self._look())
        new, source, kept = (list(measure) for measure in zip(*seen, strict=True))
        return {"rate": rate, "seed": seed, "new": new, "source": source, "kept": kept}

    def _look(self) -> tuple[float, float, float]:
        scores = self.predict(tf.constant(self.test)).numpy()
        pictures, test = self._answers([w.numpy() for w in self.base.weights])
        return (
            float((scores.argmax(axis=1) == self.labels).mean()),
            float((pictures == self.classes).mean()),
            float((test == self.before[1]).mean()),
        )

    def _answers(self, base: list[Any]) -> tuple[Any, Any]:
        for network in (self.source, self.small):
            network.set_weights([*base, *network.get_weights()[len(base) :]])
        pictures = self.answer_pictures(tf.constant(self.pictures)).numpy().argmax(axis=1)
        test = self.answer_test(tf.constant(self.test)).numpy().argmax(axis=1)
        return pictures, test


def imagenet_pictures() -> tuple[Any, Any]:
    """Return the 20 labelled ImageNet pictures of the foolbox wheel, (20, 224, 224, 3)."""
    import foolbox

    files = sorted((Path(foolbox.__file__).parent / "data").glob("imagenet_*"))
    images = [square(Image.open(file).convert("RGB"), SOURCE_SIZE) for file in files]
    return np.stack(images).astype(np.float32), np.array([int(f.stem.split("_")[2]) for f in files])


def main(seeds: int = 3, out: Path = TARGET) -> None:
    lab, runs = Lab(), []
    for seed in range(seeds):
        lab.start(seed)
        for rate in RATES:
            runs.append(lab.run(rate, seed))
            print(f"seed {seed}, rate {rate:g}: {runs[-1]}", flush=True)
    about = {
        "backbone": BACKBONE, "dataset": lab.dataset.title, "source": lab.dataset.source,
        "image_size": SIZE, "optimizer": "Adam, BatchNorm layers frozen", "batch": BATCH,
        "n_train": 2 * PER_CLASS["train"], "n_new": len(lab.labels),
        "n_source": len(lab.classes), "n_kept": len(lab.before[1]), **machine(),
    }  # fmt: skip
    out.write_text(json.dumps({"about": about, "steps": STEPS, "runs": runs}) + "\n")


if __name__ == "__main__":
    typer.run(main)
