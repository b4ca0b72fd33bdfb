"""How long a model takes on this machine."""

from __future__ import annotations

import time

import numpy as np

from labkit.engine import keras, tf
from labkit.errors import ModelError


def step_milliseconds(model: keras.Model, *, batch: int = 32, steps: int = 3) -> float:
    """Return the milliseconds of one inference step: the median, the first step left out.

    The first step traces the model and is no measure of the later ones.

    Args:
        model: takes images of a fixed size.
        batch: images a step; published tables say for which number they hold.
        steps: how many are measured.

    Raises:
        ModelError: ``batch`` or ``steps`` is below 1.
    """
    if batch < 1 or steps < 1:
        raise ModelError(f"batch and steps are from 1 up. Received: {batch!r} and {steps!r}.")
    run = tf.function(lambda x: model(x, training=False))
    images = tf.zeros((batch, *model.input_shape[1:]))
    run(images)
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        run(images).numpy()
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))
