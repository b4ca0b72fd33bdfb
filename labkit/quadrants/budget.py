"""Says beforehand how long a comparison will take, and makes it fit into a budget."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from labkit.anatomy import anatomy, holds_weights
from labkit.backbones.small import build_small_cnn
from labkit.engine import keras
from labkit.errors import LabkitError
from labkit.features import BATCH, inference_function
from labkit.quadrants.runs import Contender, Task

TRACING = {"frozen": 3.0, "partial": 10.0, "full": 20.0, "scratch": 5.0}
"""Seconds before the first step of a candidate; measured on two cores."""

BACKWARD = 3.0
"""A training step costs as much as so many forward passes."""


def seconds_of_tasks(tasks: Sequence[Task]) -> list[float]:
    """Estimate, for each task, the seconds that its pending runs take at the most.

    From the measured time of one forward pass: what a strategy trains passes three times
    an image and epoch, and no strategy is taken to stop early.
    """
    pending = [task.pending() for task in tasks]
    speeds: dict[int, tuple[float, float]] = {}
    for task, left in zip(tasks, pending, strict=True):
        if left and task.dataset.image_size not in speeds:
            size = task.dataset.image_size
            small = build_small_cnn(2, image_size=size)
            speeds[size] = (
                _seconds_an_image(anatomy(task.backbone).base),
                _seconds_an_image(small),
            )
    traced: set[tuple[str, int, Contender]] = set()
    sums = []
    for task, left in zip(tasks, pending, strict=True):
        seconds = 0.0
        for strategy in left:
            seconds += _seconds(task, strategy, *speeds[task.dataset.image_size])
            seconds += _tracing(task, strategy, traced)
        sums.append(seconds)
    return sums


def _tracing(task: Task, strategy: Contender, traced: set[tuple[str, int, Contender]]) -> float:
    """Return what tracing takes, once for networks of one kind; note that it was done."""
    network = (task.network, len(task.dataset.classes), strategy)
    if network in traced:
        return 0.0
    traced.add(network)
    times = len(task.settings.tops) if strategy == "partial" else 1
    whole = strategy == "scratch" and task.settings.scratch == "same"
    return times * TRACING["full" if whole else strategy]


def _seconds(task: Task, strategy: Contender, image: float, small: float) -> float:
    """Estimate one run from the seconds that an image takes in the backbone and small network."""
    data, settings = task.prepared(), task.settings
    train, validation, test = len(data.train), len(data.validation), len(data.test)
    once = (train + validation + test) * image
    epoch = (BACKWARD * settings.passes_of(train) * train + validation) * image
    epochs = settings.epochs_of(strategy)
    if strategy == "frozen":
        return once
    if strategy == "scratch":
        share = small / image if settings.scratch == "small" else 1.0
        return (epochs * epoch + test * image) * share
    if strategy == "full":
        return len(settings.candidates("full")) * epochs * epoch + test * image
    shares = [
        _share(task.backbone, int(choice["top"])) for choice in settings.candidates("partial")
    ]
    return sum((1 - share) * once + epochs * share * epoch for share in shares)


def _share(backbone: keras.Model, top: int) -> float:
    """Return the share of the layers with weights that is in the last blocks."""
    sizes = [sum(map(holds_weights, block.layers)) for block in anatomy(backbone).blocks]
    return sum(sizes[len(sizes) - top :]) / max(sum(sizes), 1)


def _seconds_an_image(network: keras.Model) -> float:
    run = inference_function(network)
    images = np.zeros((BATCH, *network.input_shape[1:]), np.uint8)
    run(images)  # traced and warmed up
    started = time.perf_counter()
    for _ in range(3):
        run(images)
    return (time.perf_counter() - started) / (3 * BATCH)


def fit_into(budget: float, seconds: dict[int, float], jobs: int) -> tuple[list[int], str]:
    """Return the seeds that fit into a budget, and a sentence that says what they will take.

    Args:
        budget: seconds.
        seconds: what is left to do for each seed, in the order of importance.
        jobs: processes that share the work.

    Raises:
        LabkitError: two seeds, the fewest that have an interval, do not fit.
    """
    sums = (np.cumsum(list(seconds.values())) / jobs).tolist()
    seeds = list(seconds)
    fitting = [seed for seed, total in zip(seeds, sums, strict=True) if total <= budget]
    fewest = min(2, len(seeds))
    if len(fitting) < fewest:
        raise LabkitError(
            f"The comparison takes up to {duration(sums[-1])}, with {fewest} seeds up to "
            f"{duration(sums[fewest - 1])}, and the budget is {duration(budget)}: give more, or "
            "fewer strategies, datasets, epochs or images (per_class)."
        )
    text = f"up to {duration(sums[len(fitting) - 1])} of {duration(budget)}"
    if len(fitting) < len(seeds):
        text += (
            f"; {len(seeds)} seeds would take up to {duration(sums[-1])}, {len(fitting)} are run"
        )
    return fitting, text


def duration(seconds: float) -> str:
    """Return a duration as a reader says it: ``45 s``, ``12 min``, ``2.5 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
