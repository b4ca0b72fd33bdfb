"""The learning-rate range test: which rates a model learns at, found in one short run.

Smith, "Cyclical learning rates for training neural networks", WACV 2017, arXiv 1506.01186.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from labkit.data.dataset import Dataset, Split
from labkit.engine import keras, tf
from labkit.errors import ModelError
from labkit.features import Features
from labkit.rates import rate_groups
from labkit.training import BATCH_SIZE, job_of

DIVERGED = 4.0
"""The test ends when the loss is so many times the lowest one."""

WARM_UP = 0.25
"""Share of the steps that pass before that is looked at: a running mean of few batches jumps."""

SMOOTHING = 0.8
"""Weight of the past in the running mean of the loss."""


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What a range test saw.

    Attributes:
        rates: learning rates, rising, shape (n,).
        losses: running mean of the loss before the step at each rate, shape (n,).
        diverged: whether the loss ran away, so that the test ended early.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    diverged: bool

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at which the loss was lowest: on the slope, not at its end."""
        return float(self.rates[int(np.argmin(self.losses))] / 10)

    def __str__(self) -> str:
        """Return the outcome as a line of text."""
        end = "where the loss ran away" if self.diverged else "its end"
        return (
            f"{len(self.rates)} rates from {self.rates[0]:.1e} to {self.rates[-1]:.1e}, {end}; "
            f"suggestion {self.suggestion:.1e}"
        )


def range_test(
    model: keras.Model,
    dataset: Dataset,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 50,
    seed: int = 0,
) -> RangeTest:
    """Raise the learning rate from step to step and watch the loss; the model is set back.

    Args:
        model: a classifier, frozen as it is to be trained.
        dataset: only its training split is learned from.
        lowest: rate of the first step.
        highest: rate of the last step; between them the rates have a constant ratio.
        steps: number of steps, at least 2.
        seed: order of the images and dropout.

    Raises:
        ModelError: the rates do not rise from above zero, or there are too few steps.
    """
    if not 0 < lowest < highest or not isinstance(steps, int) or steps < 2:
        raise ModelError(
            "A range test goes from a rate above zero to a higher one in 2 steps at least. "
            f"Received: lowest={lowest!r}, highest={highest!r}, steps={steps!r}."
        )
    rates = np.geomspace(lowest, highest, steps)
    weights = model.get_weights()
    job = job_of(model, dataset)
    step = job.part.step(rate_groups(model, lowest), decay=0.0, augment=False, seed=seed)
    losses: list[float] = []
    try:
        batches = _batches(job.train, np.random.default_rng(seed))
        for rate in tqdm(rates, desc="range test", unit="step", delay=2, leave=False):
            step.set_rate(float(rate))
            losses.append(float(step.on_batch(*next(batches))[0]))
            if len(losses) > WARM_UP * steps and _has_diverged(losses):
                break
    finally:
        model.set_weights(weights)
    smooth = _running_mean(losses)
    kept = np.isfinite(smooth)
    return RangeTest(rates[: len(losses)][kept], smooth[kept], _has_diverged(losses))


def _batches(data: Split | Features, numbers: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    """Yield batches of one size without end, in a new order each time round."""
    size = min(BATCH_SIZE, len(data))
    while True:
        order = numbers.permutation(len(data))
        for batch in order[: len(order) // size * size].reshape(-1, size):
            pixels = data.array[batch] if isinstance(data, Features) else data.read(batch)
            yield tf.constant(pixels, tf.float32), tf.constant(data.labels[batch])


def _has_diverged(losses: list[float]) -> bool:
    smooth = _running_mean(losses)
    return not np.isfinite(losses[-1]) or bool(smooth[-1] > DIVERGED * smooth.min())


def _running_mean(losses: list[float]) -> NDArray[np.float64]:
    """Return the exponential running mean, corrected for its start at zero."""
    mean, means = 0.0, []
    for number, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        means.append(mean / (1 - SMOOTHING**number))
    return np.array(means)
