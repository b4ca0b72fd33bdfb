"""Says what paired runs tell: a difference with its interval, or that more runs are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from labkit.results import mean_interval

POWER = 0.8
"""How likely the needed number of runs would tell two strategies apart."""

_MANY = 1000


@dataclass(frozen=True)
class Difference:
    """How much better one strategy is than another, over runs that share seeds.

    Attributes:
        first: name of the strategy that is named first.
        second: name of the other.
        mean: mean of the paired differences in accuracy, first minus second, -1..1.
        low: lower end of the 95 % interval; nan for a single run.
        high: upper end.
        runs: number of pairs.
        needed: runs after which such a difference would be told; None where it cannot be said.
    """

    first: str
    second: str
    mean: float
    low: float
    high: float
    runs: int
    needed: int | None

    @property
    def is_clear(self) -> bool:
        """True when the interval does not hold zero."""
        return self.low > 0 or self.high < 0

    @property
    def verdict(self) -> str:
        """The difference as a sentence, in points of a hundred."""
        if self.is_clear and self.mean > 0:
            return f"{self.first} beats {self.second} by {_points(self.low, self.high)}"
        if self.is_clear:
            return f"{self.second} beats {self.first} by {_points(-self.high, -self.low)}"
        if self.low == self.high == 0:
            return f"{self.first} and {self.second} do equally well in all {self.runs} runs"
        return f"cannot tell {self.first} from {self.second} ({self._reason()})"

    def _reason(self) -> str:
        runs = f"{self.runs} run{'s' if self.runs > 1 else ''}"
        if self.runs < 2:
            return f"{runs}; at least 2 are needed for an interval"
        if self.needed is None:
            return f"{runs}; no difference was found"
        if self.needed > _MANY:
            return f"{runs}; more than {_MANY:,} would be needed"
        return f"{runs}; about {self.needed} would be needed"


def paired_difference(
    first: str, second: str, ours: Sequence[float], theirs: Sequence[float]
) -> Difference:
    """Compare two strategies by the accuracies of runs that share their seeds, in order.

    The interval is that of the paired t test (Student 1908; for learning machines:
    Dietterich 1998): the mean difference plus and minus ``t(0.975, n - 1) sd / sqrt(n)``.
    Where all n differences are the same its width is zero.

    Raises ValueError when the numbers of runs differ.
    """
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean, low, high = mean_interval(differences)
    return Difference(first, second, mean, low, high, len(differences), runs_needed(differences))


def runs_needed(differences: Sequence[float]) -> int | None:
    """Return how many runs a paired t test would need to tell this difference from zero.

    Taken that the true difference and its spread are those seen: ``(z(0.975) + z(0.8))^2
    sd^2 / mean^2 + z(0.975)^2 / 2``, rounded up, for 5 % and a power of 80 % (Guenther,
    "Sample size formulas for normal theory t tests", The American Statistician 35, 1981).
    A rough guide: from few runs the spread itself is known badly.

    Returns None for fewer than two differences or a mean of zero.

    >>> runs_needed([0.01, 0.03, -0.01])
    34
    """
    mean = float(np.mean(differences))
    if len(differences) < 2 or abs(mean) < 1e-12:
        return None
    sd = float(np.std(differences, ddof=1))
    z, power = float(stats.norm.ppf(0.975)), float(stats.norm.ppf(POWER))
    return max(2, math.ceil((z + power) ** 2 * (sd / mean) ** 2 + z**2 / 2))


def _points(low: float, high: float) -> str:
    """Return ``4 to 9 points``: whole points, or tenths where the lower end is below one."""
    digits = 0 if round(100 * low) >= 1 else 1
    ends = [f"{100 * end:.{digits}f}" for end in (low, high)]
    if float(ends[0]) == 0:
        return f"up to {ends[1]} points"
    unit = "point" if ends == ["1", "1"] else "points"
    return f"{ends[0]} {unit}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} {unit}"
