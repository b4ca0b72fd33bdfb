"""Grad-CAM: against the formula it comes down to, on planted evidence, on every kind of model."""

import numpy as np
import pytest

import labkit
from labkit.backbones.small import build_small_cnn
from labkit.engine import keras, tf
from labkit.errors import DataError, ModelError
from labkit.gradcam import grad_cam, overlay

layers = keras.layers


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)


def test_with_average_pooling_it_is_the_class_activation_map(small_net, images):
    """Zhou et al. 2016: then the channels' weights are those of the softmax layer."""
    model = labkit.build_classifier(small_net(), 3)
    maps = model.layers[1](images, training=False).numpy()
    kernel = model.layers[-1].kernel.numpy()
    expected = np.maximum(maps @ kernel[:, 2], 0)[..., None]
    expected = tf.image.resize(expected, (32, 32)).numpy()[..., 0]
    expected /= expected.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(grad_cam(model, images, 2), expected, atol=1e-5)


def evidence_on_the_left():
    """A classifier whose class 1 is 'bright': it can only have looked at bright places."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(1, 3, padding="same", use_bias=False, name="bright")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, "softmax", name="out")(x))
    model.get_layer("bright").set_weights([np.full((3, 3, 3, 1), 1 / 27, np.float32)])
    model.get_layer("out").set_weights([np.array([[-1.0, 1.0]], np.float32), np.zeros(2)])
    return model


def test_it_lights_up_where_the_evidence_is():
    image = np.zeros((32, 32, 3), np.float32)
    image[8:24, 2:10] = 200
    (heat,) = grad_cam(evidence_on_the_left(), image)
    assert heat.shape == (32, 32)
    assert heat.max() == 1
    assert heat[10:22, 3:9].min() > 0.9
    assert heat[:, 16:].max() == 0
    assert grad_cam(evidence_on_the_left(), image, 0).max() == 0  # nothing speaks for class 0


def pooling_inside(small_net):
    base = small_net()
    pooled = keras.Model(base.input, layers.GlobalAveragePooling2D()(base.output), name="pooled")
    inputs = keras.Input((32, 32, 3))
    hidden = layers.Dense(8, "relu")(pooled(inputs))
    return keras.Model(inputs, layers.Dense(3, "softmax")(hidden))


def kinds(small_net):
    base = small_net()
    yield labkit.build_classifier(base, 3, head="flatten")
    yield labkit.build_classifier(base, 3, head="dense", hidden=5, dropout=0.5)
    yield pooling_inside(small_net)
    yield keras.Sequential(
        [keras.Input((32, 32, 3)), small_net(), layers.Flatten(), layers.Dense(3),
         layers.Activation("softmax")]
    )  # fmt: skip
    yield build_small_cnn(3, image_size=32)


def test_every_kind_of_model(small_net, images):
    for model in kinds(small_net):
        heat = grad_cam(model, images, [0, 1, 2])
        assert heat.shape == (3, 32, 32)
        assert heat.dtype == np.float32
        assert 0 <= heat.min() <= heat.max() <= 1
        predicted = model.predict(images, verbose=0).argmax(axis=1)
        np.testing.assert_array_equal(grad_cam(model, images), grad_cam(model, images, predicted))


def test_it_follows_the_weights_and_changes_none(small_net, images):
    model = labkit.build_classifier(small_net(), 3, head="dense")
    before = model.get_weights()
    first = grad_cam(model, images, 1)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.set_weights([w[::-1] for w in before])
    assert not np.array_equal(first, grad_cam(model, images, 1))


@pytest.mark.parametrize("shape", [(32, 32), (2, 16, 16, 3), (0, 32, 32, 3), (32, 32, 1)])
def test_images_of_another_shape(small_net, shape):
    model = labkit.build_classifier(small_net(), 2)
    with pytest.raises(DataError, match="takes images of the shape"):
        grad_cam(model, np.zeros(shape))


@pytest.mark.parametrize("classes", [2, -1, [0, 1], 0.5, "cat"])
def test_a_class_that_there_is_not(small_net, images, classes):
    model = labkit.build_classifier(small_net(), 2)
    with pytest.raises(ModelError, match=r"class"):
        grad_cam(model, images, classes)


def test_a_model_without_classes_or_maps(small_net, images):
    with pytest.raises(ModelError, match="names no classes"):
        grad_cam(small_net(), images)
    dense = keras.Sequential([keras.Input((32, 32, 3)), layers.Flatten(), layers.Dense(4),
                              layers.Dense(2, "softmax")])  # fmt: skip
    with pytest.raises(ModelError, match="no feature map"):
        grad_cam(dense, images)


def test_overlay_is_brighter_where_the_heat_is():
    images = np.full((1, 4, 4, 3), 100, np.uint8)
    heat = np.zeros((1, 4, 4))
    heat[0, 0, 0] = 1
    mixed = overlay(images, heat)
    assert mixed.dtype == np.uint8
    assert mixed.shape == images.shape
    assert mixed[0, 0, 0].sum() > mixed[0, 3, 3].sum()
    np.testing.assert_array_equal(overlay(images, heat, strength=0), images)
