"""Training the last blocks: activations at the freeze boundary kept, or recomputed each step."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np

from benchmarks.harness import main as run_main
from benchmarks.harness import measure, own_cache, report

NAME = "boundary"
QUESTION = (
    "What does keeping the activations at the freeze boundary save when the last blocks train?"
)
TARGETS = {"whole network / kept boundary": 2.0}

BACKBONE, SIZE, PER_CLASS, EPOCHS = "EfficientNetLite0", 96, 400, 10
TOLERANCE = 2e-3  # of the mean: Adam's first steps make much of the last digit
WHOLE, KEPT = "through the whole network", "labkit.train, boundary kept, empty cache"


def run(repeats: int = 3) -> dict[str, Any]:
    import labkit

    dataset = labkit.load_dataset("cats_vs_dogs", image_size=SIZE, per_class=PER_CLASS)
    scores: dict[str, Any] = {}
    measured = measure(
        {name: lambda name=name: _train(dataset, scores, name) for name in (WHOLE, KEPT)}, repeats
    )
    apart = np.abs(scores[WHOLE] - scores[KEPT])
    if apart.mean() > TOLERANCE:
        raise AssertionError(f"The two ways end {apart.mean():.2g} apart: should be the same.")
    ratio = {"whole network / kept boundary": measured[WHOLE]["median"] / measured[KEPT]["median"]}
    timed = (
        f"labkit.train with the strategy partial (40 % of the layers), {len(dataset.train)} "
        f"{dataset.source} images, {EPOCHS} epochs with {len(dataset.validation)} validation "
        f"images after each, one look at {len(dataset.test)} test images; {BACKBONE}, {SIZE} px. "
        "The frozen part is computed once, or for every step and epoch anew; tracing is timed in "
        "both. Same weights to begin with, same order: test probabilities differ by "
        f"{apart.mean():.1g} in the mean, {apart.max():.1g} at the most."
    )
    seconds = {name: found["median"] for name, found in measured.items()}
    return report(NAME, QUESTION, timed, measured, ratio, TARGETS, seconds=seconds)


def _train(dataset: Any, scores: dict[str, Any], name: str) -> float:
    import labkit
    from labkit import features, training

    backbone = labkit.load_backbone(BACKBONE, image_size=SIZE)
    model = labkit.build_classifier(backbone, len(dataset.classes))
    labkit.set_strategy(model, "partial")
    features._READY.clear()
    most = training.LARGEST_CACHE if name == KEPT else 0  # 0: nothing may be kept
    with own_cache(), mock.patch.object(training, "LARGEST_CACHE", most):
        result = labkit.train(model, dataset, epochs=EPOCHS)
    scores[name] = result.scores
    return result.seconds


def main() -> None:
    run_main(run)


if __name__ == "__main__":
    main()
