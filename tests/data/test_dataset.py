"""Datasets and splits: pipelines, subsets, tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit.data.images import load_square
from labkit.errors import DataError


def test_lengths_and_counts(tiny: Any) -> None:
    assert (len(tiny.train), len(tiny.validation), len(tiny.test)) == (80, 24, 40)
    assert tiny.classes == tiny.train.classes == ("blue", "red")
    assert tiny.test.counts() == {"blue": 20, "red": 20}
    assert tiny.test.labels.dtype == np.int64
    assert len(tiny.test.paths) == len(tiny.test.groups) == len(tiny.test.digests) == 40
    assert (tiny.image_size, tiny.source, tiny.card, tiny.problems) == (32, "real", None, ())


def test_labels_are_those_of_the_folders(tiny: Any) -> None:
    for split in (tiny.train, tiny.validation, tiny.test):
        names = [split.classes[label] for label in split.labels]
        assert names == [path.parent.name for path in split.paths]
        assert {path.parts[-3] for path in split.paths} == {split.name}


def test_pixels_are_those_of_the_paths(tiny: Any) -> None:
    expected = np.stack([load_square(path, 32) for path in tiny.test.paths])
    np.testing.assert_array_equal(tiny.test.read(), expected)
    np.testing.assert_array_equal(tiny.test.read([3, 1]), expected[[3, 1]])


def test_the_pipeline_of_images(tiny: Any) -> None:
    images = tiny.test.images
    assert images.element_spec.shape == (32, 32, 3)
    assert images.element_spec.dtype == "float32"
    assert images.cardinality().numpy() == 40
    stacked = np.stack(list(images.as_numpy_iterator()))
    np.testing.assert_array_equal(stacked, tiny.test.read().astype(np.float32))
    assert stacked.max() > 100  # 0..255, not 0..1


def test_the_pipeline_of_batches(tiny: Any) -> None:
    batches = tiny.test.batches(16)
    assert [spec.shape.as_list() for spec in batches.element_spec] == [[None, 32, 32, 3], [None]]
    parts = list(batches.as_numpy_iterator())
    assert [len(labels) for _, labels in parts] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), tiny.test.labels)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), tiny.test.read())


def test_going_through_one_by_one(tiny: Any) -> None:
    image, label = next(iter(tiny.test))
    np.testing.assert_array_equal(image, tiny.test.read([0])[0])
    assert type(label) is int
    assert [label for _, label in tiny.test] == tiny.test.labels.tolist()


def test_pick_keeps_everything_together(tiny: Any) -> None:
    some = tiny.test.pick([30, 2])
    assert some.paths == (tiny.test.paths[30], tiny.test.paths[2])
    assert some.labels.tolist() == [tiny.test.labels[30], tiny.test.labels[2]]
    np.testing.assert_array_equal(some.read(), tiny.test.read()[[30, 2]])
    assert some.digests == [tiny.test.digests[30], tiny.test.digests[2]]
    assert len(tiny.test.pick([])) == 0


@pytest.mark.parametrize("seed", [0, 7])
def test_smaller_subsets_are_in_larger_ones(tiny: Any, seed: int) -> None:
    chosen = [set(tiny.train.take(n, seed=seed).paths) for n in (1, 5, 20, 40)]
    assert [len(paths) for paths in chosen] == [2, 10, 40, 80]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]


def test_subsets_are_balanced_and_random(tiny: Any) -> None:
    assert tiny.train.take(7).counts() == {"blue": 7, "red": 7}
    assert tiny.train.take(7).paths == tiny.train.take(7).paths
    assert tiny.train.take(7, seed=1).paths != tiny.train.take(7, seed=2).paths


def test_more_than_there_are(tiny: Any) -> None:
    with pytest.raises(DataError, match="40 images of class 'blue', 41 were asked for") as error:
        tiny.train.take(41)
    assert "ask for 40 at the most" in str(error.value)


def test_with_train_leaves_the_rest(tiny: Any) -> None:
    small = tiny.with_train(tiny.train.take(3))
    assert (len(small.train), len(tiny.train)) == (6, 80)
    assert small.test is tiny.test


def test_changed_pixels_leave_the_rest(tiny: Any, own_cache: Path) -> None:
    inverted = tiny.test.with_images(255 - tiny.test.read())
    np.testing.assert_array_equal(inverted.read([3, 1]), 255 - tiny.test.read([3, 1]))
    assert (inverted.paths, inverted.image_size) == (tiny.test.paths, tiny.test.image_size)
    assert not set(inverted.digests) & set(tiny.test.digests)
    again = inverted.pick([2, 0]).with_images(tiny.test.read([2, 0]))
    assert again.digests == [tiny.test.digests[2], tiny.test.digests[0]]


def test_changed_pixels_of_a_wrong_number_or_kind(tiny: Any) -> None:
    images = tiny.test.read()
    with pytest.raises(DataError, match=r"40 images are needed\. Received: 3"):
        tiny.test.with_images(images[:3])
    with pytest.raises(DataError, match=r"of uint8\. Received: .* of float64"):
        tiny.test.with_images(images / 255)
    with pytest.raises(DataError, match=r"array \(n, size, size, 3\)"):
        tiny.test.with_images(images[:, :4])


def test_it_prints_as_a_table(tiny: Any, tiny_folder: Path, golden: Callable[..., None]) -> None:
    golden("dataset.txt", str(tiny).replace(str(tiny_folder), "FOLDER"))
    html = tiny._repr_html_()
    assert "<table" in html
    assert all(cell in html for cell in ("blue", "red", "80", "24", "40", "real images"))
