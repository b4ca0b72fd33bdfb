"""Feature maps block by block: against the layers themselves, and in a stated order."""

import numpy as np
import pytest

import labkit
from labkit.activations import feature_maps
from labkit.engine import keras
from labkit.errors import DataError
from labkit.plots import strongest_channels


def test_maps_are_what_the_layers_give(small_net):
    base = small_net()
    image = np.random.default_rng(0).uniform(0, 255, (32, 32, 3)).astype(np.float32)
    found = feature_maps(labkit.build_classifier(base, 2), image)
    assert list(found) == labkit.block_names(base)
    for name, maps in found.items():
        end = next(b.end for b in labkit.anatomy.anatomy(base).blocks if b.name == name)
        expected = keras.Model(base.inputs, end.output)(image[None], training=False).numpy()[0]
        np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_maps_of_a_pretrained_network_shrink_and_deepen(lite0):
    shapes = [maps.shape for maps in feature_maps(lite0, np.zeros((64, 64, 3))).values()]
    assert shapes[0] == (32, 32, 32)
    assert shapes[-1] == (2, 2, 1280)
    assert [s[0] for s in shapes] == sorted((s[0] for s in shapes), reverse=True)


def test_an_image_of_another_size(small_net):
    with pytest.raises(DataError, match="takes images of the shape"):
        feature_maps(small_net(), np.zeros((16, 16, 3)))


def test_channels_that_are_the_same_everywhere_come_last():
    maps = np.zeros((4, 4, 3), np.float32)
    maps[..., 0] = 100
    maps[0, 0, 2] = 1
    maps[0, 0, 1] = 5
    assert strongest_channels(maps, 2).tolist() == [1, 2]
    assert len(strongest_channels(maps)) == 3
