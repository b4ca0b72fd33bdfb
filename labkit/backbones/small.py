"""A small network for training from scratch: what one would build without transfer."""

from __future__ import annotations

from labkit.backbones.loading import SCRATCH_MOMENTUM
from labkit.engine import keras


def build_small_cnn(n_classes: int, *, image_size: int = 128, seed: int = 0) -> keras.Model:
    """Build a convolutional network of about 100,000 parameters with random weights.

    Four blocks of convolution, BatchNorm and ReLU, each at half the resolution of the one
    before. On a few hundred images it learns more than a large network from scratch does.

    Args:
        n_classes: number of classes.
        image_size: side of the images in pixels, at least 32.
        seed: random numbers that the weights start from.

    Returns:
        A classifier from images (size, size, 3), RGB 0..255, to probabilities (n_classes,).
    """
    layers = keras.layers
    images = keras.Input((image_size, image_size, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")(images)
    for number, filters in enumerate((16, 32, 64, 128), start=1):
        start = keras.initializers.HeNormal(seed=seed + number)
        x = layers.Conv2D(filters, 3, 2, padding="same", use_bias=False,
                          kernel_initializer=start, name=f"block{number}_conv")(x)  # fmt: skip
        x = layers.BatchNormalization(momentum=SCRATCH_MOMENTUM, name=f"block{number}_bn")(x)
        x = layers.ReLU(name=f"block{number}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    start = keras.initializers.GlorotUniform(seed=seed)
    x = layers.Dense(n_classes, "softmax", kernel_initializer=start, name="probabilities")(x)
    return keras.Model(images, x, name="small_cnn")
