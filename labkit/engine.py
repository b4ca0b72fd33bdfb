"""The one place that imports TensorFlow and Keras: quietly, and checked once.

Everything that needs a model says ``from labkit.engine import keras, tf``. Importing
this module takes several seconds; ``import labkit`` alone does not import it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from labkit.errors import LabkitError


@contextlib.contextmanager
def _without_startup_messages() -> Iterator[None]:
    """Hide what TensorFlow's C++ code writes to stderr while it starts."""
    sys.stderr.flush()
    saved = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with _without_startup_messages():
    import keras
    import tensorflow as tf

    # Warnings about traces: networks are small here, and many are built on purpose.
    tf.get_logger().setLevel("ERROR")
    for _gpu in tf.config.list_physical_devices("GPU"):
        # A notebook takes the memory it uses, so that two of them fit on one GPU.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(_gpu, True)

if keras.backend.backend() != "tensorflow":
    raise LabkitError(
        f"Keras runs on {keras.backend.backend()!r} here, labkit needs 'tensorflow': "
        "unset KERAS_BACKEND and restart the kernel."
    )

__all__ = ["keras", "tf"]
