"""Results and their statistics, against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from labkit.results import TrainingResult, mean_interval, wilson_interval


def result(**changes: object) -> TrainingResult:
    """Ten test images of three classes; seven are named right."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    named = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 0])
    fields = {
        "title": "pets (simulated images): EfficientNetLite0_gap_3, frozen",
        "classes": ("cat", "dog", "hamster"), "labels": labels,
        "scores": np.eye(3, dtype=np.float32)[named] * 0.8 + 0.1,
        "history": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.9]},
        "n_train": 1200, "seconds": 12.34,
    }  # fmt: skip
    return TrainingResult(**{**fields, **changes})  # type: ignore[arg-type]


def test_accuracy_and_predictions() -> None:
    assert result().predictions.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 0]
    assert result().accuracy == 0.7


def test_confusion_has_the_right_class_in_the_rows() -> None:
    confusion = result().confusion
    assert confusion.tolist() == [[3, 1, 0], [0, 2, 1], [1, 0, 2]]
    assert confusion.sum() == 10
    assert confusion.sum(axis=1).tolist() == [4, 3, 3]


def test_recall_and_balanced_accuracy() -> None:
    assert result().recall == pytest.approx({"cat": 3 / 4, "dog": 2 / 3, "hamster": 2 / 3})
    assert result().balanced_accuracy == pytest.approx((3 / 4 + 2 / 3 + 2 / 3) / 3)


def test_a_class_without_test_images_has_no_recall_to_speak_of() -> None:
    some = result(labels=np.array([0, 1] * 5))
    assert some.recall["hamster"] == 0.0


def by_hand(right: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson 1927, as it stands in the textbooks."""
    share = right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return centre - half, centre + half


@pytest.mark.parametrize(("right", "n"), [(7, 10), (45, 50), (950, 1000), (0, 10), (10, 10)])
def test_the_interval_of_a_share(right: int, n: int) -> None:
    assert wilson_interval(right, n) == pytest.approx(by_hand(right, n), abs=1e-9)


def test_the_interval_of_a_result() -> None:
    assert result().interval == pytest.approx((0.39678, 0.89221), abs=1e-4)
    assert wilson_interval(7, 10, 0.5)[0] > wilson_interval(7, 10)[0]


def test_the_interval_of_a_mean() -> None:
    # 1, 2, 3: mean 2, standard error 1 / sqrt(3), Student's t with 2 degrees 4.302653
    mean, low, high = mean_interval([1, 2, 3])
    assert mean == 2
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-5)
    mean, low, high = mean_interval([0.9])
    assert mean == 0.9
    assert math.isnan(low)
    assert math.isnan(high)


def test_it_prints_as_a_table(golden: Callable[[str, str], None]) -> None:
    golden("result.txt", f"{result()}\n\n{result(choices={'C': 0.001})}")


def test_it_is_a_table_in_a_notebook() -> None:
    html = result()._repr_html_()
    assert "<table" in html
    for part in ("EfficientNetLite0_gap_3", "0.700", "recall of hamster", "0.667", "1,200"):
        assert part in html


def test_names_cannot_break_the_page() -> None:
    """A class is named by its folder, a dataset by its path: anybody's text."""
    html = result(classes=("<script>alert(1)</script>", "a&b", "c"), title="<b>x")._repr_html_()
    assert "<script>" not in html
    assert "<b>x" not in html


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        result().n_train = 3  # type: ignore[misc]
