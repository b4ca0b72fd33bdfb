"""What training gives back, and the statistics that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from labkit.tables import html_table


def wilson_interval(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share of ``right`` out of ``n`` (Wilson 1927).

    >>> low, high = wilson_interval(95, 100)
    >>> round(low, 3), round(high, 3)
    (0.888, 0.978)
    """
    interval = stats.binomtest(right, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return (mean, low, high): Student's t interval of the mean over runs.

    One run has no interval: low and high are then nan.
    """
    array = np.asarray(values, float)
    mean = float(array.mean())
    if len(array) < 2:
        return mean, float("nan"), float("nan")
    half = stats.t.ppf((1 + confidence) / 2, len(array) - 1) * stats.sem(array)
    return mean, mean - float(half), mean + float(half)


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a trained model did on the test split, looked at once; prints as a table.

    Attributes:
        title: dataset, source of the images, model and strategy.
        classes: names of the classes.
        labels: right class numbers of the test images, shape (n,).
        scores: shape (n, classes): probabilities, or for an SVM signed distances.
        history: a list a measure, one number an epoch ("accuracy", "val_accuracy", "loss",
            "val_loss"); for an SVM, one number a C that was tried.
        n_train: number of training images.
        seconds: time that it took, features included.
    """

    title: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    history: dict[str, list[float]]
    n_train: int
    seconds: float
    choices: dict[str, float] = field(default_factory=dict)

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The class numbers that the model gives, shape (n,)."""
        best: NDArray[np.int64] = np.argmax(self.scores, axis=1).astype(np.int64)
        return best

    @property
    def accuracy(self) -> float:
        """Share of the test images that are named right, 0..1."""
        return float((self.predictions == self.labels).mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy, from the number of test images alone (Wilson)."""
        return wilson_interval(int((self.predictions == self.labels).sum()), len(self.labels))

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts, shape (classes, classes): row the right class, column the predicted one."""
        counts = np.zeros((len(self.classes),) * 2, np.int64)
        np.add.at(counts, (self.labels, self.predictions), 1)
        return counts

    @property
    def recall(self) -> dict[str, float]:
        """For each class, the share of its test images that are named right, 0..1."""
        counts = self.confusion
        shares = counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
        return dict(zip(self.classes, shares.tolist(), strict=True))

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls: what accuracy would be if the classes were equally frequent."""
        return float(np.mean(list(self.recall.values())))

    def _rows(self) -> list[tuple[str, str]]:
        low, high = self.interval
        rows = [
            ("test accuracy", f"{self.accuracy:.3f}"),
            ("95 % interval", f"{low:.3f} to {high:.3f} ({len(self.labels):,} test images)"),
            *((f"recall of {name}", f"{share:.3f}") for name, share in self.recall.items()),
            ("training images", f"{self.n_train:,}"),
            ("seconds", f"{self.seconds:.1f}"),
        ]
        return rows + [(f"chosen {name}", f"{value:g}") for name, value in self.choices.items()]

    def __str__(self) -> str:
        """Return the table as text."""
        width = max(len(name) for name, _ in self._rows()) + 2
        return "\n".join([self.title, *(f"{name:<{width}}{value}" for name, value in self._rows())])

    def _repr_html_(self) -> str:
        return html_table(self._rows(), caption=self.title)
