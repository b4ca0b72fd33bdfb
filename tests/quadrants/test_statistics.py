"""The paired statistics against numbers computed by hand."""

from __future__ import annotations

import math

import pytest

from labkit.quadrants.statistics import Difference, paired_difference, runs_needed


def test_paired_t_interval_by_hand() -> None:
    # differences 4, 6, 5, 7, 3 points: mean 5, sd sqrt(2.5), t(0.975, 4) = 2.776445
    found = paired_difference("a", "b", [0.94, 0.96, 0.95, 0.97, 0.93], [0.9] * 5)
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5) / 100
    assert found.mean == pytest.approx(0.05)
    assert (found.low, found.high) == pytest.approx((0.05 - half, 0.05 + half), abs=1e-7)
    assert found.runs == 5


def test_pairs_are_compared_and_not_means() -> None:
    ours, theirs = [0.5, 0.7, 0.9], [0.49, 0.69, 0.89]  # wide apart, and always one point better
    assert paired_difference("a", "b", ours, theirs).is_clear


def test_runs_needed_by_hand() -> None:
    # mean 1, sd 2 points: (1.959964 + 0.841621)^2 * 4 + 1.959964^2 / 2 = 33.32
    assert runs_needed([0.01, 0.03, -0.01]) == 34
    # mean 5, sd 1.5811 points: 7.84888 * 0.1 + 1.92073 = 2.71
    assert runs_needed([0.04, 0.06, 0.05, 0.07, 0.03]) == 3


@pytest.mark.parametrize("differences", [[0.1], [0.1, -0.1], [0.0, 0.0]])
def test_runs_needed_says_none_where_it_cannot_know(differences: list[float]) -> None:
    assert runs_needed(differences) is None


def test_unequal_numbers_of_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_difference("a", "b", [0.5, 0.6], [0.5])


VERDICTS = [
    ((0.065, 0.04, 0.09, 5, 2), "frozen beats full by 4 to 9 points"),
    ((-0.065, -0.09, -0.04, 5, 2), "full beats frozen by 4 to 9 points"),
    ((0.02, 0.004, 0.036, 5, 4), "frozen beats full by 0.4 to 3.6 points"),
    ((0.01, 0.0002, 0.02, 5, 4), "frozen beats full by up to 2.0 points"),
    ((0.03, 0.03, 0.03, 2, 2), "frozen beats full by 3 points"),
    ((0.01, 0.01, 0.01, 2, 2), "frozen beats full by 1 point"),
    ((0.01, -0.01, 0.03, 5, 20), "cannot tell frozen from full (5 runs; about 20 would be needed)"),
    (
        (0.0001, -0.01, 0.01, 5, 4096),
        "cannot tell frozen from full (5 runs; more than 1,000 would be needed)",
    ),
    (
        (0.0, -0.01, 0.01, 5, None),
        "cannot tell frozen from full (5 runs; no difference was found)",
    ),
    ((0.0, 0.0, 0.0, 5, None), "frozen and full do equally well in all 5 runs"),
    (
        (0.1, math.nan, math.nan, 1, None),
        "cannot tell frozen from full (1 run; at least 2 are needed for an interval)",
    ),
]


@pytest.mark.parametrize(("numbers", "sentence"), VERDICTS)
def test_verdicts(numbers: tuple[float, float, float, int, int | None], sentence: str) -> None:
    assert Difference("frozen", "full", *numbers).verdict == sentence
