"""Are simulated pets told apart by their shape, by a network as well as by a person?

Three questions: does any shortcut tell the class, how well do frozen features do from few
and many pictures, and how sure of itself is the pretrained network. Prints tables, then JSON.
Run with ``python benchmarks/simulated_pets.py [draws]``.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labkit.data.images import Pixels, square
from labkit.data.simulated.dials import Dials, random_numbers
from labkit.data.simulated.pets import BREEDS, CATS_AND_DOGS, draw_breed, draw_pet

BACKBONE, SIZE = "EfficientNetLite0", 96
A_CLASS = 500
Rows = dict[str, list[float]]


def drawn(job: tuple[str, str, int]) -> Pixels:
    kind, split, number = job
    draw = draw_pet if kind in CATS_AND_DOGS else draw_breed
    return draw(kind, random_numbers(kind, split, number), Dials())


def pictures(
    pool: ProcessPoolExecutor, kinds: tuple[str, ...], split: str, count: int
) -> tuple[Pixels, NDArray[np.int64]]:
    jobs = [(kind, split, number) for kind in kinds for number in range(count)]
    return np.stack(list(pool.map(drawn, jobs, chunksize=25))), np.repeat(
        np.arange(len(kinds)), count
    )


def histogram(images: Pixels) -> NDArray[np.float64]:
    return np.stack(
        [np.histogramdd(i.reshape(-1, 3) // 64, bins=(4,) * 3)[0].ravel() for i in images]
    )


def mean_intensity(images: Pixels) -> NDArray[np.float64]:
    return images.mean((1, 2, 3))[:, None]


def png_bytes(images: Pixels) -> NDArray[np.float64]:
    sizes = []
    for image in images:
        Image.fromarray(image).save(file := io.BytesIO(), "PNG")
        sizes.append([float(file.tell())])
    return np.array(sizes)


def thumbnail(images: Pixels) -> NDArray[np.float64]:
    return np.stack([square(Image.fromarray(image), 8).ravel() for image in images]) / 255


SHORTCUTS: dict[str, Callable[[Pixels], NDArray[np.float64]]] = {
    "colour histogram": histogram,
    "mean intensity": mean_intensity,
    "PNG file size": png_bytes,
    "8x8 thumbnail": thumbnail,
}


def accuracy(
    train: NDArray[np.float64], labels: NDArray[np.int64],
    test: NDArray[np.float64], truth: NDArray[np.int64],
) -> float:  # fmt: skip
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return float(model.fit(train, labels).score(test, truth))


def few(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    numbers = np.random.default_rng(seed)
    return np.concatenate(
        [numbers.permutation(np.flatnonzero(labels == kind))[:count] for kind in np.unique(labels)]
    )


class Network:
    """The frozen backbone and the 1000-class network, both at SIZE pixels."""

    def __init__(self) -> None:
        """Load both."""
        import labkit

        self.backbone = labkit.load_backbone(BACKBONE, image_size=SIZE)
        self.classifier = labkit.load_imagenet_classifier(BACKBONE, image_size=SIZE)

    def resized(self, images: Pixels) -> NDArray[np.float32]:
        """Scale pictures to SIZE."""
        small = [square(Image.fromarray(image), SIZE) for image in images]
        return np.stack(small).astype(np.float32)

    def features(self, images: Pixels) -> NDArray[np.float64]:
        """Average the backbone's map; (n, 1280)."""
        maps = self.backbone.predict(self.resized(images), batch_size=64, verbose=0)
        return np.asarray(maps.mean((1, 2)), dtype=np.float64)

    def entropy(self, images: Pixels) -> NDArray[np.float64]:
        """How unsure the 1000-class network is of each picture, in nats."""
        shares = self.classifier.predict(self.resized(images), batch_size=64, verbose=0)
        return np.asarray(-(shares * np.log(shares + 1e-9)).sum(1), dtype=np.float64)

    def surest(self, images: Pixels) -> NDArray[np.int64]:
        """The surest of the 1000 classes of each picture."""
        shares = self.classifier.predict(self.resized(images), batch_size=64, verbose=0)
        return np.asarray(shares.argmax(1))


def measured(pool: ProcessPoolExecutor, network: Network, draw: int, rows: Rows) -> None:
    """Add the numbers of one independent draw of all pictures to ``rows``."""
    train, labels = pictures(pool, CATS_AND_DOGS, f"train{draw}", A_CLASS)
    test, truth = pictures(pool, CATS_AND_DOGS, f"test{draw}", A_CLASS)
    for name, shortcut in SHORTCUTS.items():
        value = accuracy(shortcut(train), labels, shortcut(test), truth)
        rows.setdefault(f"shortcut: {name}", []).append(value)
    known, unknown = network.features(train), network.features(test)
    for count in (10, 25, 100, A_CLASS):
        chosen = few(labels, count, draw)
        value = accuracy(known[chosen], labels[chosen], unknown, truth)
        rows.setdefault(f"cats and dogs, {count} a class", []).append(value)
    rows.setdefault("ImageNet entropy (nats)", []).append(float(network.entropy(test).mean()))
    animals = network.surest(test) <= 397
    rows.setdefault("called an animal by ImageNet", []).append(float(animals.mean()))
    train, labels = pictures(pool, BREEDS, f"train{draw}", 50)
    test, truth = pictures(pool, BREEDS, f"test{draw}", 50)
    value = accuracy(network.features(train), labels, network.features(test), truth)
    rows.setdefault("12 breeds, 50 a class", []).append(value)


def speed(size: int = 128, count: int = 100) -> float:
    """Milliseconds of processor time a picture, one process."""
    start = time.process_time()
    for number in range(count):
        kind = CATS_AND_DOGS[number % 2]
        draw_pet(kind, random_numbers(kind, "speed", number), Dials(), size=size)
    return (time.process_time() - start) / count * 1000


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval (Student's t) over draws."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return mean, mean - float(half), mean + float(half)


def main(draws: int = 5) -> None:
    """Measure and print."""
    rows: Rows = {}
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(drawn, [("cat", "warm", 0), ("dog", "warm", 0)]))  # fork before TensorFlow
        network = Network()
        for draw in range(draws):
            measured(pool, network, draw, rows)
    rows["ms of processor time a picture, 128 px"] = [speed() for _ in range(3)]
    table = Table("measured", "mean", "95 % interval", title=f"Simulated pets, {draws} draws")
    for name, values in rows.items():
        mean, low, high = interval(values)
        table.add_row(name, f"{mean:.3f}", f"{low:.3f} to {high:.3f}")
    Console().print(table)
    print(json.dumps({name: interval(values) for name, values in rows.items()}))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
