"""The source task: old head on a base, agreement, and pictures whose classes are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import labkit
from labkit.errors import DataError
from labkit.forgetting import agreement, labelled_pictures, with_imagenet_head


def noise(size: int) -> Any:
    return np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32)


def test_an_untouched_base_under_the_old_head_is_the_old_network(lite0: Any) -> None:
    whole = labkit.load_imagenet_classifier(image_size=64)
    restored = with_imagenet_head(lite0)
    np.testing.assert_allclose(restored(noise(64)).numpy(), whole(noise(64)).numpy(), atol=1e-5)


def test_it_shares_the_weights_of_a_classifiers_base() -> None:
    backbone = labkit.load_backbone("EfficientNetLite0", image_size=32)
    restored = with_imagenet_head(labkit.build_classifier(backbone, 2))
    before = restored(noise(32)).numpy()
    backbone.set_weights([weight * 0.5 for weight in backbone.get_weights()])
    assert np.abs(restored(noise(32)).numpy() - before).max() > 1e-4


def test_agreement_counts_equal_first_answers() -> None:
    before = [[0.1, 0.9], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]]
    after = [[0.4, 0.6], [0.1, 0.9], [0.9, 0.1], [0.2, 0.8]]
    assert agreement(before, after) == 0.75
    for wrong in ([[0.1, 0.9]], [0.1, 0.9]):
        with pytest.raises(DataError, match="of one shape are needed"):
            agreement(before, wrong)
    with pytest.raises(DataError):
        agreement(np.zeros((0, 2)), np.zeros((0, 2)))


def test_labelled_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    found = labelled_pictures(32)
    if found is None:
        pytest.skip("foolbox, in whose wheel the labelled pictures are, is not installed")
    images, classes = found
    assert images.shape == (20, 32, 32, 3)
    assert classes.shape == (20,)
    assert 0 <= classes.min() <= classes.max() < 1000
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert labelled_pictures(32) is None
