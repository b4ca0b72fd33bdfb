"""Are the simulated images good enough to teach with? Measured as a student gets them.

No shortcut tells the class; frozen features have room to learn; fine-tuning pays on many
cells; pets look more like ImageNet than cells do; splitting by image leaks patients.
Every number is over several drawings (other animals, other patients), with Student's t
interval. EfficientNet-Lite0 at 96 px.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import joblib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import labkit
from labkit.data.dataset import Dataset, Split
from labkit.data.images import square
from labkit.data.simulated.cells import draw_cell
from labkit.data.simulated.cells_patients import deal
from labkit.data.simulated.dials import Dials, random_numbers
from labkit.data.simulated.pets import draw_pet
from labkit.data.simulated.writing import code_digest
from labkit.results import mean_interval

NAME = "simulated"
QUESTION = "Are the simulated images good enough to teach with? (no shortcut, room to learn)"
TARGETS: dict[str, float] = {}

IMAGE_SIZE, PER_CLASS, CAP = 96, 500, 1000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Property:
    """One measured number and the range that it is meant to lie in."""

    name: str
    values: list[float]
    lowest: float = -np.inf
    highest: float = np.inf

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON: mean, 95 % interval, target, and whether the mean is inside."""
        mean, low, high = mean_interval(self.values)
        return {
            "name": self.name,
            "mean": round(mean, 4),
            "low": None if np.isnan(low) else round(low, 4),
            "high": None if np.isnan(high) else round(high, 4),
            "runs": len(self.values),
            "target": _target(self.lowest, self.highest),
            "reached": bool(self.lowest <= mean <= self.highest),
        }


def _target(lowest: float, highest: float) -> str:
    if lowest > -np.inf and highest < np.inf:
        return f"{lowest:g} to {highest:g}"
    if highest < np.inf:
        return f"at most {highest:g}"
    return f"at least {lowest:g}" if lowest > -np.inf else ""


def load(name: str, drawing: int, per_class: int = PER_CLASS) -> Dataset:
    return labkit.load_dataset(
        name,
        image_size=IMAGE_SIZE,
        per_class=per_class,
        source="simulated",
        dials=Dials(drawing=drawing),
    )


def histogram(split: Split) -> Array:
    bins = [(4,) * 3, [(0, 256)] * 3]
    return np.stack([np.histogramdd(i.reshape(-1, 3), *bins)[0].ravel() for i in split.read()])


def thumbnail(split: Split) -> Array:
    small = [square(Image.fromarray(image), 8).ravel() for image in split.read()]
    return np.stack(small) / 255


SHORTCUTS: dict[str, Callable[[Split], Array]] = {
    "colour histogram": histogram,
    "mean intensity": lambda split: split.read().mean(axis=(1, 2, 3), dtype=float)[:, None],
    "PNG file size": lambda split: np.array([[float(p.stat().st_size)] for p in split.paths]),
    "8x8 thumbnail": thumbnail,
}


def linear(x: Array, y: NDArray[np.int64], unseen: Array, answers: NDArray[np.int64]) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return float(model.fit(x, y).score(unseen, answers))


def shortcut(look: Callable[[Split], Array], dataset: Dataset) -> float:
    train, test = dataset.train, dataset.test
    return linear(look(train), train.labels, look(test), test.labels)


def frozen(backbone: object, dataset: Dataset, per_class: int, subsets: int = 5) -> float:
    """Accuracy of a linear head on frozen features, mean over subsets of one drawing."""
    test = labkit.extract_features(backbone, dataset.test)
    scores = []
    for seed in range(subsets):
        train = labkit.extract_features(backbone, dataset.train.take(per_class, seed=seed))
        scores.append(linear(train.array, train.labels, test.array, test.labels))
    return float(np.mean(scores))


def entropy(split: Split) -> float:
    """Mean entropy in nats of the 1000-class prediction for a split's images."""
    network = labkit.load_imagenet_classifier(image_size=IMAGE_SIZE)
    shares = network.predict(split.read().astype("float32"), verbose=0)
    return float(-(shares * np.log(shares + 1e-12)).sum(axis=1).mean())


def leak(backbone: object, split: Split, per_class: int, draws: int = 10) -> float:
    """Accuracy of a split by image less that of a split by patient, as many images each."""
    features, groups = labkit.extract_features(backbone, split), np.array(split.groups)
    gains = []
    for seed in range(draws):
        numbers = np.random.default_rng(seed)
        people = numbers.permutation(np.unique(groups))
        by_patient = np.isin(groups, people[: len(people) // 2])
        by_image = numbers.permutation(len(groups)) < len(groups) // 2
        scores = []
        for half in (by_patient, by_image):
            learn = split.pick(np.flatnonzero(half)).take(per_class, seed=seed)
            x = labkit.extract_features(backbone, learn)
            scores.append(linear(x.array, x.labels, features.array[~half], features.labels[~half]))
        gains.append(scores[1] - scores[0])
    return float(np.mean(gains))


def fine_tuning_gain(drawing: int, epochs: int = 4) -> float:
    """Test accuracy of full fine-tuning less that of the frozen strategy it starts from."""
    dataset = load("cancer_cells", drawing, CAP)
    backbone = labkit.load_backbone("EfficientNetLite0", image_size=IMAGE_SIZE)
    model = labkit.build_classifier(backbone, 2, seed=drawing)
    labkit.set_strategy(model, "frozen")
    before = labkit.train(model, dataset, seed=drawing).accuracy
    labkit.set_strategy(model, "full")
    return labkit.train(model, dataset, epochs=epochs, seed=drawing).accuracy - before


def speed(kind: str, count: int = 400) -> float:
    """Images of 128 px a second, drawn by two processes."""
    parallel = joblib.Parallel(n_jobs=2)
    parallel(joblib.delayed(_draw)(kind, 0, 4) for _ in range(2))  # start the processes
    started = time.perf_counter()
    parallel(joblib.delayed(_draw)(kind, i, 20) for i in range(0, count, 20))
    return count / (time.perf_counter() - started)


def _draw(kind: str, first: int, count: int) -> None:
    dealt = deal("train", {"abnormal": count // 2, "normal": count // 2}, first, Dials())
    for i in range(count):
        numbers = random_numbers("speed", first + i)
        if kind == "pets":
            draw_pet(("cat", "dog")[i % 2], numbers, Dials(), size=128)
        else:
            draw_cell(dealt[i][0], numbers, Dials(), dealt[i][1], size=128)


def properties(drawings: int, tuned: int) -> Iterator[Property]:
    """Yield every measured property; ``tuned`` of the drawings are fine-tuned as well."""
    backbone = labkit.load_backbone("EfficientNetLite0", image_size=IMAGE_SIZE)
    ranges = {
        "cats_vs_dogs": {10: (0.70, 0.92), 100: (), 500: (0.93,)},
        "cancer_cells": {25: (0.60, 0.85), 100: (), 500: (0.80, 0.95)},
    }
    entropies = {}
    for name, curve in ranges.items():
        datasets = [load(name, drawing) for drawing in range(drawings)]
        for look, function in SHORTCUTS.items():
            values = [shortcut(function, dataset) for dataset in datasets]
            yield Property(f"{name}: accuracy by {look} alone", values, highest=0.60)
        for per_class, limits in curve.items():
            values = [frozen(backbone, dataset, per_class) for dataset in datasets]
            yield Property(f"{name}: frozen + linear, {per_class} a class", values, *limits)
        entropies[name] = [entropy(dataset.test) for dataset in datasets]
        yield Property(f"{name}: entropy of the ImageNet prediction, nats", entropies[name])
        if name == "cancer_cells":
            gains = [leak(backbone, dataset.train, 100) for dataset in datasets]
            yield Property(f"{name}: gain by splitting by image, 100 a class", gains, 0.01)
    gaps = np.subtract(entropies["cancer_cells"], entropies["cats_vs_dogs"]).tolist()
    yield Property("entropy of cells less entropy of pets, nats", gaps, lowest=0.2)
    breeds = [labkit.load_dataset("dog_breeds", image_size=IMAGE_SIZE, source="simulated",
                                  dials=Dials(drawing=d)) for d in range(drawings)]  # fmt: skip
    values = [frozen(backbone, dataset, 50, subsets=2) for dataset in breeds]
    yield Property("dog_breeds: frozen + linear, 12 classes, 50 a class", values, 0.3, 0.9)
    if tuned:
        gains = [fine_tuning_gain(drawing) for drawing in range(tuned)]
        yield Property("cancer_cells: full less frozen, 1,000 a class", gains, lowest=0.02)
    for kind in ("pets", "cells"):
        yield Property(f"{kind}: images of 128 px a second, 2 processes", [speed(kind)], 150)


def run(drawings: int = 3, tuned: int = 3) -> dict[str, object]:
    """Measure everything; about 15 minutes on two cores, most of it fine-tuning."""
    measured = []
    for found in properties(drawings, tuned):
        measured.append(found.as_dict())
        print(measured[-1], flush=True)
    return {"properties": measured, "drawing_code": code_digest()}


if __name__ == "__main__":
    run()
