"""Measures beyond accuracy: of a test for one class, and of many classes that look alike.

A test gives each case a score; from a threshold upwards it says yes. ``positive`` marks the
cases that it is meant to find, for example the abnormal cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from labkit.errors import DataError
from labkit.results import TrainingResult, wilson_interval
from labkit.tables import html_table

Interval = tuple[float, float, float]
"""(value, low, high), low and high the ends of a 95 % interval."""

_MARK = "{:.3f} ({:.3f} to {:.3f})"


@dataclass(frozen=True)
class Rates:
    """What a test with one threshold did: four counts, and the shares that follow.

    Attributes:
        threshold: a score from here upwards counts as yes.
        found: positive cases with a yes (true positives).
        missed: positive cases with a no (false negatives).
        cleared: negative cases with a no (true negatives).
        alarmed: negative cases with a yes (false positives).
    """

    threshold: float
    found: int
    missed: int
    cleared: int
    alarmed: int

    @property
    def sensitivity(self) -> Interval:
        """Share of the positive cases that were found, with its Wilson interval."""
        return _share(self.found, self.found + self.missed)

    @property
    def specificity(self) -> Interval:
        """Share of the negative cases that were cleared, with its Wilson interval."""
        return _share(self.cleared, self.cleared + self.alarmed)

    @property
    def accuracy(self) -> float:
        """Share of all cases that were judged right, 0..1."""
        return (self.found + self.cleared) / self.cases

    @property
    def balanced_accuracy(self) -> float:
        """Mean of sensitivity and specificity, 0..1."""
        return (self.sensitivity[0] + self.specificity[0]) / 2

    @property
    def cases(self) -> int:
        """Number of cases."""
        return self.found + self.missed + self.cleared + self.alarmed

    def cost(self, miss: float, alarm: float) -> float:
        """Return the mean cost of a case, where a miss and a false alarm cost so much."""
        return (miss * self.missed + alarm * self.alarmed) / self.cases

    def _rows(self) -> list[tuple[str, str]]:
        return [
            ("threshold", f"{self.threshold:.3f}"),
            ("sensitivity", _MARK.format(*self.sensitivity)),
            ("specificity", _MARK.format(*self.specificity)),
            ("balanced accuracy", f"{self.balanced_accuracy:.3f}"),
            ("missed", f"{self.missed:,} of {self.found + self.missed:,}"),
            ("false alarms", f"{self.alarmed:,} of {self.cleared + self.alarmed:,}"),
        ]

    def __str__(self) -> str:
        """Return the table as text."""
        return "\n".join(f"{name:<19}{value}" for name, value in self._rows())

    def _repr_html_(self) -> str:
        return html_table(self._rows(), caption="95 % intervals in brackets (Wilson)")


def rates(positive: ArrayLike, scores: ArrayLike, threshold: float) -> Rates:
    """Count what a test with a threshold does.

    Args:
        positive: True for the cases that should be found, shape (n,).
        scores: the higher, the more likely positive, shape (n,).
        threshold: a score from here upwards counts as yes.

    Raises:
        DataError: the shapes differ, or one of the two kinds of cases is missing.
    """
    ill, score = _both_kinds(positive, scores)
    yes = score >= threshold
    counts = (yes & ill, ~yes & ill, ~yes & ~ill, yes & ~ill)
    return Rates(float(threshold), *(int(found.sum()) for found in counts))


def roc(positive: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ROC curve: shares of false alarms and of positive cases found, rising.

    Arguments and errors as in rates.
    """
    from sklearn.metrics import roc_curve

    ill, score = _both_kinds(positive, scores)
    alarms, found, _ = roc_curve(ill, score)
    return np.asarray(alarms), np.asarray(found)


def auc(
    positive: ArrayLike,
    scores: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the area under the ROC curve with its 95 % bootstrap interval.

    Args:
        positive: True for the cases that should be found, shape (n,).
        scores: the higher, the more likely positive, shape (n,).
        groups: what each case belongs to, for example the patient. Whole groups are then
            drawn, since cases of one group are alike; None: case by case.
        draws: number of bootstrap samples.
        seed: of the samples.

    Raises:
        DataError: the shapes differ, or one of the two kinds of cases is missing.
    """
    ill, score = _both_kinds(positive, scores)
    units = np.arange(len(ill)) if groups is None else np.unique(groups, return_inverse=True)[1]
    members = [np.flatnonzero(units == unit) for unit in range(units.max() + 1)]
    numbers = np.random.default_rng(seed)
    areas: list[float] = []
    while len(areas) < draws:
        drawn = np.concatenate(
            [members[i] for i in numbers.integers(len(members), size=len(members))]
        )
        if 0 < ill[drawn].sum() < len(drawn):  # a sample of one kind has no curve
            areas.append(_area(ill[drawn], score[drawn]))
    low, high = np.quantile(areas, (0.025, 0.975))
    return _area(ill, score), float(low), float(high)


def costs(
    positive: ArrayLike, scores: ArrayLike, *, miss: float, alarm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (thresholds, mean cost of a case at each); all thresholds that matter, rising.

    These are the scores themselves, and infinity: a yes to nobody. ``miss`` and ``alarm`` are
    the costs of a positive case not found and of a negative one with a yes.
    """
    ill, score = _both_kinds(positive, scores)
    thresholds = np.append(np.unique(score), np.inf)
    missed = np.searchsorted(np.sort(score[ill]), thresholds)
    alarmed = (~ill).sum() - np.searchsorted(np.sort(score[~ill]), thresholds)
    return thresholds, (miss * missed + alarm * alarmed) / len(ill)


def cheapest_threshold(
    positive: ArrayLike, scores: ArrayLike, *, miss: float, alarm: float
) -> float:
    """Return the threshold of the lowest mean cost, of several the lowest; see costs."""
    thresholds, cost = costs(positive, scores, miss=miss, alarm=alarm)
    return float(thresholds[np.argmin(cost)])


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int) -> float:
    """Return the share of cases whose right class is among the k highest scores, 0..1.

    Args:
        scores: shape (n, classes).
        labels: right class numbers, shape (n,).
        k: from 1 to the number of classes.

    Raises:
        DataError: k is out of that range.
    """
    table, right = np.asarray(scores), np.asarray(labels)
    if not 1 <= k <= table.shape[1]:
        raise DataError(f"k goes from 1 to the {table.shape[1]} classes. Received: {k!r}.")
    best = np.argsort(-table, axis=1, kind="stable")[:, :k]
    return float((best == right[:, None]).any(axis=1).mean())


@dataclass(frozen=True)
class Confusion:
    """One kind of mistake: ``count`` of the ``cases`` of ``right`` were named ``named``."""

    right: str
    named: str
    count: int
    cases: int

    def __str__(self) -> str:
        """Return the mistake as a sentence."""
        return f"{self.count} of {self.cases} {self.right} named {self.named}"


def most_confused(result: TrainingResult, count: int = 5) -> list[Confusion]:
    """Return the most frequent mistakes of a result, the most frequent first."""
    table = result.confusion.copy()
    cases = table.sum(axis=1)
    np.fill_diagonal(table, 0)
    order = np.argsort(-table, axis=None, kind="stable")[:count]
    places = (np.unravel_index(place, table.shape) for place in order)
    names = result.classes
    return [
        Confusion(names[row], names[column], int(table[row, column]), int(cases[row]))
        for row, column in places
        if table[row, column]
    ]


def recall_intervals(result: TrainingResult) -> dict[str, Interval]:
    """Return each class's recall on the test images with its Wilson interval."""
    table = result.confusion
    right, cases = table.diagonal().tolist(), table.sum(axis=1).tolist()
    return {n: _share(r, c) for n, r, c in zip(result.classes, right, cases, strict=True)}


def _share(part: int, whole: int) -> Interval:
    if not whole:  # a class without test images
        return (float("nan"),) * 3
    return (part / whole, *wilson_interval(part, whole))


def _area(ill: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the share of pairs (positive, negative) in the right order; a tie is half.

    The Mann-Whitney statistic: Hanley and McNeil, "The meaning and use of the area under a
    receiver operating characteristic (ROC) curve", Radiology 143 (1982).
    """
    ranks = stats.rankdata(scores)
    positive, negative = int(ill.sum()), int((~ill).sum())
    above = ranks[ill].sum() - positive * (positive + 1) / 2
    return float(above / (positive * negative))


def _both_kinds(
    positive: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    ill, score = np.asarray(positive, bool), np.asarray(scores, float)
    if ill.ndim != 1 or ill.shape != score.shape:
        raise DataError(
            "One score for each case is needed, in two rows of one length. "
            f"Received: shapes {ill.shape} and {score.shape}."
        )
    if ill.all() or not ill.any():
        kind = "positive" if ill.all() else "negative"
        raise DataError(f"Both kinds of cases are needed; all {len(ill)} are {kind}.")
    return ill, score
