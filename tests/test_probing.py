"""Linear probes: the features of each block are its own, and what is learned is on new images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import labkit
from labkit.errors import DataError
from labkit.probing import block_features, probe_blocks

Net = Callable[..., Any]


def test_each_block_has_its_own_average_pooled_features(small_net: Net, tiny: Any) -> None:
    net = small_net()
    found = block_features(net, tiny.test)
    assert list(found) == labkit.block_names(net)
    image = tiny.test.read([3])[0]
    for block, maps in labkit.feature_maps(net, image).items():
        np.testing.assert_allclose(found[block].array[3], maps.mean(axis=(0, 1)), atol=1e-4)
    whole = labkit.extract_features(net, tiny.test).array
    np.testing.assert_allclose(list(found.values())[-1].array, whole, atol=1e-4)
    np.testing.assert_array_equal(found["conv1"].labels, tiny.test.labels)


def test_probes_learn_the_colour_that_tells_the_classes(small_net: Net, tiny: Any) -> None:
    found = probe_blocks(small_net(), tiny, per_class=20, seeds=(0, 1, 2))
    assert {len(accuracies) for accuracies in found.values()} == {3}
    assert all(0 <= a <= 1 for accuracies in found.values() for a in accuracies)
    assert max(np.mean(accuracies) for accuracies in found.values()) > 0.7
    again = probe_blocks(small_net(), tiny, per_class=20, seeds=(0, 1, 2))
    assert found == again


def test_seeds_choose_other_images(small_net: Net, tiny: Any) -> None:
    found = probe_blocks(small_net(), tiny, per_class=4, seeds=range(6))
    assert any(len(set(accuracies)) > 1 for accuracies in found.values())


def test_other_sizes_are_refused(small_net: Net, tiny_folder: Any) -> None:
    large = labkit.load_dataset(tiny_folder, image_size=64)
    with pytest.raises(DataError, match="takes images of 32 x 32 px"):
        block_features(small_net(), large.test)
