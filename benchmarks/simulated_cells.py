"""Do simulated cells teach what real ones do? Shortcuts, quadrants, entropy, patient leak.

Every number is over seeds with patients of their own; intervals are Student's t at 95 %.
Run: ``python benchmarks/simulated_cells.py [--quick]``; prints a table, then JSON.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import labkit
from labkit.data.images import Pixels, load_square, square
from labkit.data.simulated.cells import Patient, deal, draw_cell
from labkit.data.simulated.dials import Dials, random_numbers

BACKBONE, SIZE = "EfficientNetLite0", 96
TRAIN, TEST = 1000, 500
"""Cells a class."""

Array = NDArray[Any]
Results = dict[str, list[float]]


def draw_one(job: tuple[str, Patient, int, str, int]) -> Pixels:
    kind, patient, seed, split, number = job
    pixels = draw_cell(kind, random_numbers("cell", seed, split, number), Dials(), patient)
    return square(Image.fromarray(pixels), SIZE)


def draw_split(pool: ProcessPoolExecutor, split: str, count: int, seed: int) -> tuple[Array, ...]:
    """Return pictures, 1 for abnormal, and patients' names of ``count`` cells a class."""
    dealt = deal(split, {"abnormal": count, "normal": count}, seed, Dials())
    jobs = [(kind, patient, seed, split, i) for i, (kind, patient) in enumerate(dealt)]
    pictures = np.stack(list(pool.map(draw_one, jobs, chunksize=25)))
    labels = np.array([kind == "abnormal" for kind, _ in dealt]).astype(int)
    return pictures, labels, np.array([patient.name for _, patient in dealt])


def packed(picture: Pixels) -> float:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return float(file.tell())


def simple_looks(pictures: Array) -> dict[str, Array]:
    """Return the global statistics that must not tell the class, one row a picture."""
    count, cell = len(pictures), SIZE // 8
    thumbnails = pictures.reshape(count, 8, cell, 8, cell, 3).mean(axis=(2, 4))
    bins = [[np.histogram(p[..., c], 8, (0, 256))[0] for c in range(3)] for p in pictures]
    return {
        "colour histogram": np.array(bins).reshape(count, -1) / SIZE**2,
        "mean intensity": pictures.mean(axis=(1, 2, 3))[:, None],
        "PNG file size": np.array([[packed(picture)] for picture in pictures]),
        "8x8 thumbnail": thumbnails.reshape(count, -1),
    }


def linear(features: Array, labels: Array, strength: float) -> tuple[Array, float]:
    """Fit logistic regression on standardised features; return its weights for raw ones."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=strength, max_iter=3000).fit(scaler.transform(features), labels)
    weights = model.coef_[0] / scaler.scale_
    return weights, float(model.intercept_[0] - (scaler.mean_ * weights).sum())


def score(train: Array, labels: Array, test: Array, answers: Array, strength: float) -> float:
    weights, bias = linear(train, labels, strength)
    return float(((test @ weights + bias > 0) == answers).mean())


def some(numbers: np.random.Generator, places: Array, labels: Array, count: int) -> Array:
    """Pick ``count`` places of each class."""
    return np.concatenate(
        [numbers.permutation(places[labels[places] == kind])[:count] for kind in (0, 1)]
    )


def leak(
    features: Array, labels: Array, names: Array, count: int, seed: int
) -> tuple[float, float]:
    """Return accuracy with ``count`` a class, split by patient and at random, 10 draws each."""
    scores: list[list[float]] = [[], []]
    for draw in range(10):
        numbers = random_numbers("leak", seed, count, draw)
        people = numbers.permutation(np.unique(names))
        order = numbers.permutation(len(labels))
        halves = np.isin(names, people[: len(people) // 2]), order < len(labels) // 2
        for kept, half in zip(scores, halves, strict=True):
            rest = np.flatnonzero(~half)
            part = some(numbers, np.flatnonzero(half), labels, count)
            kept.append(score(features[part], labels[part], features[rest], labels[rest], 0.003))
    return float(np.mean(scores[0])), float(np.mean(scores[1]))


def fine_tune(seed: int, train: tuple[Array, ...], head: tuple[Array, float]) -> keras.Model:
    """Train all of the network for three epochs, its head started from the frozen one."""
    keras.utils.set_random_seed(seed)
    backbone = labkit.load_backbone(BACKBONE, image_size=SIZE)
    model = labkit.build_classifier(backbone, 2)
    weights, bias = head
    kernel = np.stack([-weights / 2, weights / 2], axis=1)
    model.layers[-1].set_weights([kernel, np.array([-bias / 2, bias / 2])])
    labkit.unfreeze(model)
    model.compile(keras.optimizers.Adam(1e-4), loss="sparse_categorical_crossentropy")
    model.fit(train[0].astype("float32"), train[1], batch_size=32, epochs=3, verbose=0)
    return model


def entropy(pictures: Array) -> float:
    """Return the mean entropy in nats of the 1000-class prediction."""
    network = labkit.load_imagenet_classifier(BACKBONE, image_size=SIZE)
    shares = network.predict(pictures.astype("float32"), verbose=0)
    return float(-(shares * np.log(shares + 1e-12)).sum(axis=1).mean())


def measure(seed: int, pool: ProcessPoolExecutor, tune: bool, found: Results) -> None:
    """Add one seed's numbers to ``found``."""
    train = pictures, labels, names = draw_split(pool, "train", TRAIN, seed)
    unseen, answers, _ = draw_split(pool, "test", TEST, seed)
    numbers = random_numbers("benchmark", seed)
    half = some(numbers, np.arange(len(labels)), labels, 500)

    def add(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    before, after = simple_looks(pictures[half]), simple_looks(unseen)
    for look, rows in before.items():
        best = max(score(rows, labels[half], after[look], answers, c) for c in (0.01, 1.0))
        add(f"(a) shortcut: {look}, 500 a class", best)
    backbone = labkit.load_backbone(BACKBONE, image_size=SIZE)
    features, new = (
        backbone.predict(x.astype("float32"), batch_size=50, verbose=0).mean((1, 2))
        for x in (pictures, unseen)
    )
    for count, draws in ((25, 10), (100, 10), (500, 3), (1000, 1)):
        parts = [some(numbers, np.arange(len(labels)), labels, count) for _ in range(draws)]
        scores = [score(features[p], labels[p], new, answers, 0.003) for p in parts]
        add(f"(b) frozen, {count} a class", float(np.mean(scores)))
    if tune:
        model = fine_tune(seed, train, linear(features, labels, 0.003))
        guessed = model.predict(unseen.astype("float32"), verbose=0).argmax(axis=1)
        tuned = float((guessed == answers).mean())
        add("(b) fine-tuned, 1000 a class", tuned)
        frozen = found["(b) frozen, 1000 a class"][-1]
        add("(b) fine-tuned minus frozen, same seeds", tuned - frozen)
    add("(c) entropy, simulated cells, nats", entropy(unseen[:300]))
    for count in (25, 100, 400):
        by_patient, at_random = leak(features, labels, names, count, seed)
        add(f"(d) split by patient, {count} a class", by_patient)
        add(f"(d) split at random, {count} a class", at_random)
        add(f"(d) inflation, {count} a class", at_random - by_patient)


def reference_entropy(found: Results) -> None:
    """Add the entropy of the labelled ImageNet pictures inside the foolbox wheel."""
    spec = find_spec("foolbox")
    if spec is not None and spec.origin is not None:
        files = sorted((Path(spec.origin).parent / "data").glob("imagenet_*"))
        pictures = np.stack([load_square(path, SIZE) for path in files])
        found["(c) entropy, ImageNet pictures, nats"] = [entropy(pictures)]


def drawing_speed(found: Results) -> None:
    people = [deal("train", {"normal": 1}, seed, Dials())[0][1] for seed in range(20)]
    start = time.perf_counter()
    for number in range(200):
        kind = ("abnormal", "normal")[number % 2]
        draw_cell(kind, random_numbers(number), Dials(), people[number % 20], size=128)
    found["milliseconds a picture of 128 px, one process"] = [(time.perf_counter() - start) * 5]


def interval(values: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of the mean, by Student's t."""
    if len(values) < 2:
        return float("nan")
    wide = stats.t.ppf(0.975, len(values) - 1)
    return float(wide * np.std(values, ddof=1) / len(values) ** 0.5)


def show(found: Results, write: Callable[[str], object]) -> None:
    table = Table("measured", "mean", "95 %", "lowest", "highest", "seeds")
    summary = {}
    for name, values in sorted(found.items()):
        mean, half = float(np.mean(values)), interval(values)
        spread = "" if np.isnan(half) else f"± {half:.3f}"
        edges = f"{min(values):.3f}", f"{max(values):.3f}"
        table.add_row(name, f"{mean:.3f}", spread, *edges, str(len(values)))
        summary[name] = [round(value, 4) for value in values]
    Console(width=110).print(table)
    write(json.dumps(summary))


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    found: Results = {}
    drawing_speed(found)
    reference_entropy(found)
    with ProcessPoolExecutor(2) as pool:
        for seed in range(3 if quick else 5):
            measure(seed, pool, tune=not quick and seed < 3, found=found)
            print(f"seed {seed} done", file=sys.stderr, flush=True)
    show(found, print)


if __name__ == "__main__":
    main()
