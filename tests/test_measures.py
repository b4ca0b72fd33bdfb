"""Sensitivity, specificity, ROC and costs; top-k, confusions and recalls of many classes."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, top_k_accuracy_score

import labkit
from labkit import measures
from labkit.errors import DataError
from labkit.results import wilson_interval

ILL = [True, True, True, False, False]
SCORES = [0.9, 0.6, 0.2, 0.6, 0.1]


def random_cases(seed=0, n=200, ties=True):
    numbers = np.random.default_rng(seed)
    ill = numbers.random(n) < 0.3
    scores = ill + numbers.normal(size=n)
    return ill, np.round(scores, 1) if ties else scores


def test_counts_of_one_threshold():
    found = measures.rates(ILL, SCORES, 0.6)
    assert (found.found, found.missed, found.cleared, found.alarmed) == (2, 1, 1, 1)
    assert found.sensitivity == (2 / 3, *wilson_interval(2, 3))
    assert found.specificity == (1 / 2, *wilson_interval(1, 2))
    assert found.accuracy == 3 / 5
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.cost(miss=10, alarm=1) == (10 + 1) / 5


@pytest.mark.parametrize(("threshold", "expected"), [(0, (1, 0)), (1, (0, 1))])
def test_a_yes_to_all_and_to_nobody(threshold, expected):
    found = measures.rates(ILL, SCORES, threshold)
    assert (found.sensitivity[0], found.specificity[0]) == expected


def test_rates_print_their_intervals():
    text = str(measures.rates(ILL, SCORES, 0.6))
    assert "sensitivity        0.667 (" in text
    assert "1 of 3" in text
    assert "<caption>" in measures.rates(ILL, SCORES, 0.6)._repr_html_()


@pytest.mark.parametrize("ties", [True, False])
def test_area_is_scikit_learns(ties):
    ill, scores = random_cases(ties=ties)
    area, low, high = measures.auc(ill, scores, draws=200)
    assert area == pytest.approx(roc_auc_score(ill, scores))
    assert low < area < high


def test_area_is_the_area_under_the_curve():
    ill, scores = random_cases()
    alarms, found = measures.roc(ill, scores)
    assert np.trapezoid(found, alarms) == pytest.approx(measures.auc(ill, scores, draws=1)[0])


def test_interval_of_the_area_covers_what_repeated_sampling_gives():
    ends = [measures.auc(*random_cases(seed, ties=False), draws=200)[1:] for seed in range(60)]
    numbers = np.random.default_rng(1)
    truth = float((1 + numbers.normal(size=10**6) > numbers.normal(size=10**6)).mean())
    covered = np.mean([low <= truth <= high for low, high in ends])
    assert 0.85 <= covered <= 1  # 95 % is meant


def test_groups_of_equal_cases_widen_the_interval():
    ill, scores = random_cases(n=60, ties=False)
    groups = [str(i) for i in range(60)] * 10
    _, low, high = measures.auc(np.tile(ill, 10), np.tile(scores, 10), draws=300)
    _, wide_low, wide_high = measures.auc(
        np.tile(ill, 10), np.tile(scores, 10), groups=groups, draws=300
    )
    assert wide_high - wide_low > 2 * (high - low)


def test_costs_are_those_of_the_rates():
    ill, scores = random_cases(n=50)
    thresholds, found = measures.costs(ill, scores, miss=7, alarm=2)
    expected = [measures.rates(ill, scores, t).cost(7, 2) for t in thresholds]
    assert found == pytest.approx(expected)
    assert np.isinf(thresholds[-1])


def test_cheapest_threshold():
    assert measures.cheapest_threshold(ILL, SCORES, miss=10, alarm=1) == 0.2
    assert measures.cheapest_threshold(ILL, SCORES, miss=1, alarm=10) == 0.9
    assert math.isinf(measures.cheapest_threshold([True, False], [0.1, 0.9], miss=1, alarm=10))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k_is_scikit_learns(k):
    numbers = np.random.default_rng(2)
    scores, labels = numbers.random((80, 5)), numbers.integers(0, 5, 80)
    expected = top_k_accuracy_score(labels, scores, k=k, labels=range(5))
    assert measures.top_k_accuracy(scores, labels, k) == pytest.approx(expected)


def test_top_k_of_all_classes_is_one():
    assert measures.top_k_accuracy([[0.1, 0.9]], [0], 2) == 1


def result(labels, predictions, classes=("a", "b", "c")):
    scores = np.eye(len(classes), dtype=np.float32)[predictions]
    return labkit.TrainingResult("made up", classes, np.array(labels), scores, {}, 0, 0.0)


def test_most_confused_first():
    found = measures.most_confused(result([0, 0, 0, 1, 1, 2], [1, 1, 2, 1, 0, 2]))
    assert [str(mistake) for mistake in found] == [
        "2 of 3 a named b", "1 of 3 a named c", "1 of 2 b named a",
    ]  # fmt: skip
    assert measures.most_confused(result([0, 1], [1, 1]), 1)[0].count == 1


def test_nothing_is_confused():
    assert measures.most_confused(result([0, 1, 2], [0, 1, 2])) == []


def test_recall_intervals():
    found = measures.recall_intervals(result([0, 0, 1, 2], [0, 1, 1, 2]))
    assert found["a"] == (0.5, *wilson_interval(1, 2))
    assert list(found) == ["a", "b", "c"]
    assert math.isnan(measures.recall_intervals(result([0], [0]))["b"][0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measures.rates([True, False], [0.5], 0.5), "One score for each case"),
        (lambda: measures.rates([True, True], [0.5, 0.1], 0.5), "all 2 are positive"),
        (lambda: measures.auc([False], [0.5]), "all 1 are negative"),
        (lambda: measures.top_k_accuracy([[0.5, 0.5]], [0], 3), "k goes from 1 to the 2 classes"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
