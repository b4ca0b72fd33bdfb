"""Warm kernels are like cold ones: the same numbers, figures, and nothing shared."""

from __future__ import annotations

import pytest

from .conftest import KINDS, execute, skip_without_bubblewrap

FIT = """
from labkit.engine import keras
import numpy as np
keras.utils.set_random_seed(3)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(2)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
history = model.fit(x, (x[:, 0] > 0).astype(int), epochs=3, verbose=0)
print([float(loss).hex() for loss in history.history["loss"]])
"""

FIGURE = """
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()
"""


@pytest.mark.slow
def test_the_same_losses_warm_and_cold(sandboxes, tmp_path):
    skip_without_bubblewrap("warm")
    found = {kind: execute(sandboxes(kind), tmp_path, FIT).text for kind in KINDS}
    assert found["warm"].startswith("['0x"), found
    assert found["warm"] == found["cold"] == found["rlimits"]


def test_figures_appear(limited):
    done = limited(FIGURE)
    assert "image/png" in done.notebook.cells[0].outputs[0].data, done.text


def test_two_warm_kernels_draw_other_random_numbers(sandboxes, tmp_path):
    code = "import random, numpy as np, uuid; print(random.random(), np.random.rand())"
    texts = [execute(sandboxes("warm"), tmp_path, code).text for _ in range(2)]
    assert texts[0].split()[0] != texts[1].split()[0]
    assert texts[0].split()[1] != texts[1].split()[1]


def test_a_warm_kernel_has_tensorflow_and_none_of_the_others_variables(sandboxes, tmp_path):
    code = "import sys; print('tensorflow' in sys.modules, 'mark' in dir(sys)); sys.mark = 1"
    for _ in range(2):
        assert execute(sandboxes("warm"), tmp_path, code).text == "True False\n"


def test_a_warm_parent_that_was_killed_costs_only_time(sandboxes, tmp_path):
    skip_without_bubblewrap("warm")
    from labkit.course.sandbox import Sandbox

    with Sandbox(isolation="bubblewrap", warm=True) as sandbox:
        parent = sandbox._parent
        assert (
            execute(sandbox, tmp_path, "import sys; 'tensorflow' in sys.modules").text == "True\n"
        )
        parent.kill()
        parent.wait()
        assert (
            execute(sandbox, tmp_path, "import sys; 'tensorflow' in sys.modules").text == "False\n"
        )
