"""Learning rates by block, weight decay, and a step that is kept but never a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import labkit
from labkit.engine import keras
from labkit.errors import ModelError
from labkit.rates import discriminative_rates, rate_groups

Net = Callable[..., Any]


def classifier(net: Net, strategy: Any = "full", **options: Any) -> Any:
    model = labkit.build_classifier(net(), 2, **options)
    labkit.set_strategy(model, strategy)
    return model


def kept(model: Any) -> list[Any]:
    return [step for part in model._labkit.parts.values() for step in part.steps.values()]


@pytest.mark.parametrize(("strategy", "options"), [
    ("full", {}), ("full", {"augment": True}), ("frozen", {}), ("full", {"weight_decay": 0.1}),
])  # fmt: skip
def test_a_second_run_is_the_same_and_traces_nothing(
    small_net: Net, tiny: Any, strategy: Any, options: Any
) -> None:
    model = classifier(small_net, strategy, dropout=0.3)
    start = model.get_weights()
    first = labkit.train(model, tiny, epochs=2, learning_rate=1e-3, **options)
    steps = kept(model)
    model.set_weights(start)
    second = labkit.train(model, tiny, epochs=2, learning_rate=1e-3, **options)
    assert kept(model) == steps
    assert len(steps) == 1
    if strategy == "full":
        assert steps[0].on_batch.experimental_get_tracing_count() == 1
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-4)


def test_another_rate_is_used_without_a_new_trace(small_net: Net, tiny: Any) -> None:
    model = classifier(small_net)
    start = model.get_weights()
    labkit.train(model, tiny, epochs=1, learning_rate=1e-3)
    steps = kept(model)
    model.set_weights(start)
    labkit.train(model, tiny, epochs=1, learning_rate=0.0)
    assert kept(model) == steps
    for before, after in zip(start, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_model_that_is_set_up_otherwise_gets_a_new_step(small_net: Net, tiny: Any) -> None:
    model = classifier(small_net, dropout=0.2)
    seen = set()

    def train(**options: Any) -> None:
        labkit.train(model, tiny, epochs=1, **options)
        seen.update(kept(model))

    train()
    model.get_layer("dropout").rate = 0.5
    train()
    labkit.unfreeze(model, batch_norm=True)
    train()
    train(weight_decay=0.1)
    train(augment=True)
    assert len(seen) == 5


def test_dropout_is_drawn_from_the_seed(small_net: Net, tiny: Any) -> None:
    def losses(seed: int) -> list[float]:
        model = classifier(small_net, "frozen", dropout=0.5)
        small = tiny.with_train(tiny.train.take(16))  # one batch: no order that could differ
        return labkit.train(model, small, epochs=3, seed=seed).history["loss"]

    np.testing.assert_allclose(losses(1), losses(1), atol=1e-4)
    assert np.abs(np.subtract(losses(1), losses(2))).max() > 1e-3


# A rate for each block


def test_each_block_moves_by_its_rate(small_net: Net, tiny: Any) -> None:
    model = classifier(small_net)
    before = {w.path: w.numpy() for w in model.trainable_weights}
    one_batch = tiny.with_train(tiny.train.take(16))
    rates = dict.fromkeys(labkit.block_names(model), 0.0) | {"conv1": 1e-4, "head": 1e-2}
    labkit.train(model, one_batch, epochs=1, learning_rate=rates)
    change = {w.path: np.abs(w.numpy() - before[w.path]).max() for w in model.trainable_weights}
    by_layer = {path.split("/")[-2]: size for path, size in change.items() if "kernel" in path}
    # Adam's first step is as long as the rate.
    assert by_layer["conv0"] == by_layer["conv2"] == 0
    assert by_layer["conv1"] == pytest.approx(1e-4, rel=0.05)
    assert by_layer["probabilities"] == pytest.approx(1e-2, rel=0.05)


def test_equal_rates_are_one_rate(small_net: Net, tiny: Any) -> None:
    one, each = classifier(small_net), classifier(small_net)
    rates = dict.fromkeys([*labkit.block_names(each), "head"], 1e-3)
    first = labkit.train(one, tiny, epochs=2, learning_rate=1e-3)
    second = labkit.train(each, tiny, epochs=2, learning_rate=rates)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-3)


def test_rates_that_do_not_fit(small_net: Net) -> None:
    model = classifier(small_net)
    labkit.unfreeze(model, top=2)
    blocks = labkit.block_names(model)
    with pytest.raises(ModelError, match="Look at 'head'"):
        rate_groups(model, dict.fromkeys(blocks, 1e-3))
    with pytest.raises(ModelError, match="Look at 'block9'"):
        rate_groups(model, {"block9": 1e-3, "head": 1e-3})
    with pytest.raises(ModelError, match=r"from 0 up\. Received: -1"):
        rate_groups(model, dict.fromkeys([*blocks, "head"], -1))
    frozen_is_left_out = rate_groups(model, dict.fromkeys([*blocks, "head"], 1e-3))
    assert sum(len(g.variables) for g in frozen_is_left_out) == len(model.trainable_variables)


def test_rates_fall_towards_the_input(small_net: Net) -> None:
    rates = discriminative_rates(classifier(small_net), 0.8, factor=2)
    assert rates == {
        "head": 0.8, "norm2": 0.8, "conv2": 0.4, "norm1": 0.2, "conv1": 0.1, "norm0": 0.05,
        "conv0": 0.025,
    }  # fmt: skip
    assert set(discriminative_rates(classifier(small_net), 1.0, factor=1).values()) == {1.0}
    with pytest.raises(ModelError, match="factor is a number from 1 up"):
        discriminative_rates(classifier(small_net), 1.0, factor=0.5)


# Weight decay


def test_weight_decay_shrinks_weights_and_no_biases(small_net: Net, tiny: Any) -> None:
    """Decay alone, at a rate that Adam's own step is known for: AdamW as Keras has it."""
    ours, theirs = classifier(small_net), classifier(small_net)
    few = tiny.with_train(tiny.train.take(16))
    labkit.train(ours, few, epochs=3, learning_rate=1e-3, weight_decay=5.0)
    adamw = keras.optimizers.AdamW(1e-3, weight_decay=5.0)
    adamw.exclude_from_weight_decay(var_names=["bias"])
    theirs.compile(adamw, "sparse_categorical_crossentropy", jit_compile=False)
    images = few.train.read().astype(np.float32)
    theirs.fit(images, few.train.labels, batch_size=32, epochs=3, shuffle=False, verbose=0)
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=2e-3)


@pytest.mark.parametrize("decay", [-1.0, float("nan")])
def test_a_decay_that_is_none(small_net: Net, tiny: Any, decay: float) -> None:
    with pytest.raises(ModelError, match="weight_decay is a number from 0 up"):
        labkit.train(classifier(small_net), tiny, weight_decay=decay)
