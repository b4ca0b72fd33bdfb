"""Multiply-adds: against numbers counted by hand, and what freezing saves."""

import labkit
from labkit.anatomy import anatomy
from labkit.effort import BACKWARD, effort, multiply_adds
from labkit.engine import keras

layers = keras.layers


def test_counted_by_hand():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="a")(inputs)  # 3 * 3 * 3 * 4 * 64
    x = layers.DepthwiseConv2D(3, 2, padding="same", name="b")(x)  # 3 * 3 * 4 * 16
    x = layers.Dense(2, name="c")(layers.Flatten()(x))  # 64 * 2
    model = keras.Model(inputs, x)
    assert multiply_adds(model.layers) == 6912 + 576 + 128
    assert multiply_adds([model]) == 6912 + 576 + 128


def test_frozen_blocks_are_computed_once(small_net):
    parts = anatomy(labkit.build_classifier(small_net(), 2))
    total = multiply_adds(parts.base.layers) + multiply_adds(parts.head)
    for trained in range(len(parts.blocks) + 1):
        found = effort(parts, trained)
        assert found.once + found.again == total
        assert found.training(10, 5) == 10 * (found.once + 5 * BACKWARD * found.again)
    assert effort(parts, 0).again == multiply_adds(parts.head)
    assert effort(parts, len(parts.blocks)).once == 0
