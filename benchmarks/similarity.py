"""Which measure of similarity to ImageNet ranks sets of images as people would?

And which tells beforehand how much there is to gain from training the last blocks? Twelve
measures with a source in the literature, thirteen sets of images, EfficientNet-Lite0 at its
own 224 px. Labels are used by the last four only. The gain, partial less frozen, is measured
at 96 px over three seeds. ``--figure FILE`` draws the result, ``--json FILE`` keeps it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import stats
from scipy.special import logsumexp, softmax

from labkit.data.dataset import Dataset, Split
from labkit.data.images import Pixels
from labkit.data.simulated.dials import Dials
from labkit.tables import text_table

NAME = "similarity"
QUESTION = "Which measure puts what people call similar to ImageNet apart from what they do not?"
TARGETS = {"gap of BatchNorm overlap, late": 0.2}

BACKBONE, SIZE, IMAGES, LOADED = "EfficientNetLite0", 224, 200, 96
CHOSEN = "BatchNorm overlap, late"
SEEDS, PER_CLASS, MOST_TEST = 3, 50, 400
GAIN: dict[str, Any] = {
    "strategies": ("frozen", "partial"), "seeds": SEEDS, "per_class": PER_CLASS, "epochs": 4,
    "tops": (3,), "learning_rates": (3e-4,),
}  # fmt: skip
Array = NDArray[np.float64]

# How people would rank the sets: the authors' grades, 4 a photograph of what ImageNet shows,
# 0 noise. The margin is taken between the sets that have to come out on either side.
GRADES = {
    "real pets": 4, "real pets, grey": 3.5, "real pets, negative": 3.5, "simulated pets": 3,
    "simulated breeds": 3, "real pets, blurred": 2, "real pets, tiles shuffled": 2,
    "real cells": 1, "simulated cells": 1, "real pets, noise 60": 1, "line drawings of pets": 1,
    "pink noise": 0, "white noise": 0,
}  # fmt: skip
SIMILAR = ("real pets", "simulated pets", "simulated breeds")
DISSIMILAR = ("real cells", "simulated cells")


@dataclass
class Seen:
    """What the network says about one set: all that the measures need."""

    moments: Array
    all_moments: Array
    pooled: Array
    middle: Array
    logits: Array
    labels: NDArray[np.int64]


class Network:
    """The 1000-class network with its BatchNorm inputs laid open; none of it is trained."""

    def __init__(self) -> None:
        """Load it, for images of LOADED px that are scaled to its own size."""
        import labkit
        from labkit.engine import keras
        from labkit.features import inference_function
        from labkit.quadrants.similarity import late_norms

        self.model = labkit.load_imagenet_classifier(BACKBONE, image_size=SIZE)
        kind = keras.layers.BatchNormalization
        self.norms = [layer for layer in self.model.layers if isinstance(layer, kind)]
        self.late = late_norms(self.model)
        mean, square = keras.ops.mean, keras.ops.square
        taps = [mean(n.input, axis=(1, 2)) for n in self.norms]
        taps += [mean(square(n.input), axis=(1, 2)) for n in self.norms]
        taps.append(mean(self.model.get_layer("block4c_add").output, axis=(1, 2)))
        taps.append(self.model.get_layer("avg_pool").output)
        images = keras.Input((LOADED, LOADED, 3))
        network = keras.Model(self.model.inputs, keras.ops.concatenate(taps, axis=-1))
        scaled = keras.layers.Resizing(SIZE, SIZE)(images)
        self.run = inference_function(keras.Model(images, network(scaled)))
        self.kernel, self.bias = self.model.get_layer("predictions").get_weights()

    def look(self, images: Pixels, labels: NDArray[np.int64]) -> Seen:
        """Run over a set of images."""
        out = np.concatenate([self.run(images[i : i + 32]) for i in range(0, len(images), 32)])
        sizes = [norm.moving_mean.shape[0] for norm in self.norms]
        half, skipped = sum(sizes), sum(sizes[: len(self.norms) - len(self.late)])
        late = np.r_[skipped:half, half + skipped : 2 * half]
        pooled = out[:, -1280:].astype(float)
        return Seen(out[:, late], out[:, : 2 * half], pooled, out[:, 2 * half : -1280],
                    pooled @ self.kernel + self.bias, labels)  # fmt: skip


def memory(norms: list[Any]) -> tuple[Array, Array]:
    means = np.concatenate([norm.moving_mean.numpy() for norm in norms])
    return means, np.maximum(np.concatenate([norm.moving_variance.numpy() for norm in norms]), 1e-8)


def now(moments: Array) -> tuple[Array, Array]:
    mean, square = np.split(moments.mean(axis=0).astype(float), 2)
    return mean, np.maximum(square - mean**2, 1e-9)


def overlap(seen: Seen, network: Network) -> float:
    from labkit.quadrants.similarity import distance_of

    return -distance_of(seen.moments.mean(axis=0), network.late)


def overlap_all(seen: Seen, network: Network) -> float:
    from labkit.quadrants.similarity import distance_of

    return -distance_of(seen.all_moments.mean(axis=0), network.norms)


def wasserstein(seen: Seen, network: Network) -> float:
    """Normalised squared Wasserstein distance (Schneider et al. 2020), late layers."""
    (m, v), (mm, vv) = now(seen.moments), memory(network.late)
    return -float(np.mean(((m - mm) ** 2 + (np.sqrt(v) - np.sqrt(vv)) ** 2) / vv))


def divergence(seen: Seen, network: Network) -> float:
    """Symmetric Kullback-Leibler divergence, the median channel of the late layers."""
    (m, v), (mm, vv) = now(seen.moments), memory(network.late)
    v = np.maximum(v, 1e-6 * vv)
    both = ((vv + (m - mm) ** 2) / v + (v + (m - mm) ** 2) / vv) / 2 - 1
    return -float(np.median(both))


def surest(seen: Seen, network: Network) -> float:
    """Mean of the highest probability (Hendrycks and Gimpel 2017)."""
    return float(softmax(seen.logits, axis=1).max(axis=1).mean())


def entropy(seen: Seen, network: Network) -> float:
    shares = softmax(seen.logits, axis=1)
    return -float(-(shares * np.log(shares + 1e-12)).sum(axis=1).mean())


def energy(seen: Seen, network: Network) -> float:
    """Free energy of the classes (Liu et al. 2020)."""
    return float(logsumexp(seen.logits, axis=1).mean())


def norm(seen: Seen, network: Network) -> float:
    """Length of the pooled features (Park et al. 2023)."""
    return float(np.linalg.norm(seen.pooled, axis=1).mean())


def leep(seen: Seen, network: Network) -> float:
    """LEEP (Nguyen et al. 2020)."""
    shares, labels = softmax(seen.logits, axis=1), seen.labels
    joint = np.stack([shares[labels == c].sum(axis=0) for c in np.unique(labels)]) / len(labels)
    given = joint / np.maximum(joint.sum(axis=0), 1e-12)
    place = np.searchsorted(np.unique(labels), labels)
    return float(np.log(np.maximum((shares * given[place]).sum(axis=1), 1e-12)).mean())


def h_score(seen: Seen, network: Network) -> float:
    """H-score with a shrunk covariance (Bao et al. 2019; Ibrahim et al. 2022)."""
    from sklearn.covariance import ledoit_wolf

    x = seen.pooled - seen.pooled.mean(axis=0)
    between = np.zeros_like(x)
    for c in np.unique(seen.labels):
        between[seen.labels == c] = x[seen.labels == c].mean(axis=0)
    return float(np.trace(np.linalg.solve(ledoit_wolf(x)[0], np.cov(between.T))))


def log_me(seen: Seen, network: Network) -> float:
    """Log of maximum evidence a label (You et al. 2021), by MacKay's fixed point."""
    x, n = seen.pooled, len(seen.pooled)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    scores = []
    for c in np.unique(seen.labels):
        y = (seen.labels == c).astype(float)
        z, alpha, beta = u.T @ y, 1.0, 1.0
        rest = float(y @ y - z @ z)
        for _ in range(50):
            gamma = float((beta * s**2 / (alpha + beta * s**2)).sum())
            weights = beta * s * z / (alpha + beta * s**2)
            error = float(((z - s * weights) ** 2).sum()) + max(rest, 0.0)
            alpha, beta = gamma / float((weights**2).sum()), (n - gamma) / max(error, 1e-9)
        d = x.shape[1]
        evidence = d * np.log(alpha) + n * np.log(beta) - n * np.log(2 * np.pi) - beta * error
        evidence -= alpha * float((weights**2).sum()) + np.log(alpha + beta * s**2).sum()
        scores.append((evidence - (d - len(s)) * np.log(alpha)) / (2 * n))
    return float(np.mean(scores))


def probe_gap(seen: Seen, network: Network) -> float:
    """Accuracy of a linear probe on the last features minus one on block 4's."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    late, early = (
        cross_val_score(probe, x, seen.labels, cv=3).mean() for x in (seen.pooled, seen.middle)
    )
    return float(late - early)


MEASURES: dict[str, Callable[[Seen, Network], float]] = {
    CHOSEN: overlap, "BatchNorm overlap, all": overlap_all, "BatchNorm Wasserstein": wasserstein,
    "BatchNorm divergence": divergence, "surest class": surest, "entropy": entropy,
    "energy": energy, "feature norm": norm, "LEEP": leep, "H-score": h_score, "LogME": log_me,
    "probe gap": probe_gap,
}  # fmt: skip


def sets() -> dict[str, Dataset]:
    """Return the sets of images; real ones only where there are any."""
    found = {
        "simulated pets": _load("cats_vs_dogs", "simulated"),
        "simulated breeds": _load("dog_breeds", "simulated"),
        "simulated cells": _load("cancer_cells", "simulated"),
        "line drawings of pets": _load("cats_vs_dogs", "simulated", Dials(style=0.0)),
    }
    from labkit.data.loading import real_folder

    if real_folder("cancer_cells"):
        found["real cells"] = _load("cancer_cells", "real")
    if real_folder("cats_vs_dogs"):
        pets = found["real pets"] = _load("cats_vs_dogs", "real")
        for name, change in CHANGES.items():
            found[f"real pets, {name}"] = _changed(pets, change)
    pets, numbers = found["simulated pets"], np.random.default_rng(0)
    found["pink noise"] = _changed(pets, lambda image: _pink(numbers))
    found["white noise"] = _changed(
        pets, lambda image: numbers.integers(0, 256, image.shape).astype(np.uint8)
    )
    return {name: found[name] for name in GRADES if name in found}


def _load(name: str, source: Any, dials: Dials | None = None) -> Dataset:
    import labkit

    drawn = PER_CLASS if source == "simulated" else None
    data = labkit.load_dataset(name, image_size=LOADED, source=source, dials=dials, per_class=drawn)
    return replace(
        data,
        train=data.train.take(PER_CLASS * (1 if drawn else 4)),
        validation=_some(data.validation, IMAGES),
        test=_some(data.test, MOST_TEST),
    )


def _some(split: Split, most: int) -> Split:
    return split.pick(np.sort(np.random.default_rng(0).permutation(len(split))[:most]))


def _changed(data: Dataset, change: Callable[[Pixels], Pixels]) -> Dataset:
    train, validation, test = (
        split.with_images(np.stack([change(image) for image in split.read()]))
        for split in (data.train, data.validation, data.test)
    )
    return replace(data, train=train, validation=validation, test=test)


def gains(found: dict[str, Dataset]) -> dict[str, Any]:
    """Measure for each natural set what partial reaches more than frozen, paired over seeds."""
    import labkit

    backbone = labkit.load_backbone(BACKBONE, image_size=LOADED)
    differences = {
        name: labkit.compare({name: data}, backbone, **GAIN).difference(name, "partial", "frozen")
        for name, data in found.items()
        if GRADES[name] >= 1
    }
    return {name: {"mean": d.mean, "low": d.low, "high": d.high} for name, d in differences.items()}


def _noisy(image: Pixels) -> Pixels:
    noise = np.random.default_rng(int(image.sum())).normal(0, 60, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _shuffled(image: Pixels, tiles: int = 8) -> Pixels:
    side = len(image) // tiles
    parts = image.reshape(tiles, side, tiles, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    parts = np.random.default_rng(int(image.sum())).permutation(parts)
    whole = parts.reshape(tiles, tiles, side, side, 3).swapaxes(1, 2)
    return whole.reshape(tiles * side, tiles * side, 3)


def _pink(numbers: np.random.Generator) -> Pixels:
    """Noise with the 1/f spectrum and the mean colour of photographs."""
    waves = np.fft.fftfreq(LOADED)
    f = np.hypot(waves[:, None], waves[None])
    f[0, 0] = 1.0
    planes = [np.fft.ifft2(np.fft.fft2(numbers.normal(size=f.shape)) / f).real for _ in range(3)]
    image = np.stack(planes, axis=-1)
    image = 0.8 * image.mean(axis=-1, keepdims=True) + 0.4 * image
    image = (image - image.mean()) / image.std() * 55 + np.array([124, 117, 104])
    return np.clip(image, 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "grey": lambda i: np.repeat(i.mean(-1, keepdims=True), 3, -1).astype(np.uint8),
    "negative": lambda i: 255 - i,
    "blurred": lambda i: np.asarray(Image.fromarray(i).filter(ImageFilter.GaussianBlur(2.4))),
    "tiles shuffled": _shuffled,
    "noise 60": _noisy,
}


def judged(values: dict[str, float], gained: dict[str, Any]) -> dict[str, float]:
    """Return how well a measure does.

    "tau": Kendall's, with people's grades. "gap": the lowest similar minus the highest
    dissimilar value, in units of the range of all natural sets; above zero they are apart.
    "foretells": Spearman's rank correlation of dissimilarity with the gain of partial over
    frozen; 1 where the least similar set gains the most.
    """
    tau = stats.kendalltau([GRADES[name] for name in values], list(values.values())).statistic
    similar = [values[name] for name in SIMILAR if name in values]
    dissimilar = [values[name] for name in DISSIMILAR if name in values]
    natural = [v for name, v in values.items() if GRADES[name] >= 1]
    told = stats.spearmanr(
        [-values[name] for name in gained], [gain["mean"] for gain in gained.values()]
    ).statistic
    gap = (min(similar) - max(dissimilar)) / float(np.ptp(natural))
    return {"tau": float(tau), "gap": gap, "foretells": float(told)}


def run(repeats: int = 1) -> dict[str, Any]:
    """Measure all sets with all measures; ``repeats`` changes nothing, the study is not timed."""
    network = Network()
    found = sets()
    seen = {n: network.look(d.validation.read(), d.validation.labels) for n, d in found.items()}
    values = {
        measure: {name: function(what, network) for name, what in seen.items()}
        for measure, function in MEASURES.items()
    }
    gained = gains(found)
    verdicts = {measure: judged(row, gained) for measure, row in values.items()}
    return {
        "name": NAME, "question": QUESTION, "seconds": {},
        "ratios": {f"gap of {CHOSEN}": verdicts[CHOSEN]["gap"]},
        "gap": {measure: verdict["gap"] for measure, verdict in verdicts.items()},
        "tau": {measure: verdict["tau"] for measure, verdict in verdicts.items()},
        "foretells": {measure: verdict["foretells"] for measure, verdict in verdicts.items()},
        "gain of partial over frozen": gained, "training": GAIN,
        "values": values, "grades": GRADES, "images a set": IMAGES,
    }  # fmt: skip


def table(outcome: dict[str, Any]) -> str:
    names = list(next(iter(outcome["values"].values())))
    rows = [
        (measure, f"{outcome['tau'][measure]:.2f}", f"{outcome['gap'][measure]:.2f}",
         f"{outcome['foretells'][measure]:.2f}", *(f"{row[name]:.3g}" for name in names))
        for measure, row in outcome["values"].items()
    ]  # fmt: skip
    return text_table(rows, header=("measure", "tau", "gap", "foretells", *names))


def figure(outcome: dict[str, Any]) -> Any:
    """Draw the sets along the chosen measure's similarity, and the measures' gaps."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from labkit.plots import COLOURS, MARKERS, Picture
    from labkit.quadrants.figure import STYLE
    from labkit.quadrants.similarity import similarity_of

    values = {n: similarity_of(-v) for n, v in outcome["values"][CHOSEN].items()}
    with mpl.rc_context(STYLE):
        drawing = Figure(figsize=(12, 4.4), layout="constrained")
        left, middle, right = drawing.subplots(1, 3)
    order = sorted(values, key=lambda name: values[name])
    left.axvline(0.5, color="black", linewidth=0.8)
    middle.axvline(0.5, color="black", linewidth=0.8)
    for place, name in enumerate(order):
        look = dict(zip(("marker", "color"), _look_of(name, MARKERS, COLOURS), strict=True))
        left.plot(values[name], place, **look)
        gain = outcome["gain of partial over frozen"].get(name)
        if gain:
            ends = [100 * gain["low"], 100 * gain["high"]]
            middle.plot([values[name]] * 2, ends, color=look["color"], linewidth=1)
            middle.plot(values[name], 100 * gain["mean"], **look)
    left.set_yticks(range(len(order)), order)
    left.set(xlabel="similarity to ImageNet, measured", xlim=(0, 1), title="Sets of images")
    middle.axhline(0, color="black", linewidth=0.8)
    middle.set(xlabel="similarity to ImageNet, measured", xlim=(0, 1),
               ylabel="points gained, 95 % interval", title="Partial less frozen")  # fmt: skip
    gaps = outcome["gap"]
    right.barh(list(gaps), list(gaps.values()), color=COLOURS[0])
    right.axvline(0, color="black", linewidth=0.8)
    right.set(xlabel="gap between pets and cells, share of the range", title="Measures")
    right.invert_yaxis()
    said = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    told = outcome["foretells"][CHOSEN]
    return Picture(
        drawing,
        f"Measured similarity to ImageNet: {said}. Rank correlation of dissimilarity with what "
        f"partial gains over frozen: {told:.2f}.",
    )


def _look_of(name: str, markers: Any, colours: Any) -> tuple[Any, Any]:
    group = 2 if name in SIMILAR else 1 if name in DISSIMILAR else 0
    return markers[group], colours[group]


def main() -> None:
    outcome = run()
    print(table(outcome))
    if "--figure" in sys.argv:
        Path(sys.argv[sys.argv.index("--figure") + 1]).write_bytes(figure(outcome).png())
    if "--json" in sys.argv:
        text = json.dumps(outcome, indent=1)
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
