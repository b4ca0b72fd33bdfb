"""Training: the short way gives what the long way gives, and what is frozen stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labkit
from labkit import training
from labkit.engine import keras
from labkit.errors import DataError, ModelError

Net = Callable[..., Any]
BELOW_HEAD = {"conv0", "conv1", "conv2", "norm0", "norm1", "norm2"}


def values(model: Any) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy().copy() for weight in model.weights}


def moved(model: Any, before: dict[str, np.ndarray]) -> set[str]:
    """Return the layers that have an array which is no longer equal bit by bit."""
    after = values(model)
    return {p.split("/")[-2] for p in before if before[p].tobytes() != after[p].tobytes()}


def prepared(net: Net, strategy: Any, head: Any = "gap", **options: Any) -> Any:
    model = labkit.build_classifier(net(), 2, head=head, hidden=8 if head == "dense" else None)
    labkit.set_strategy(model, strategy, **options)
    return model


# The short way and the long way


@pytest.mark.parametrize("head", ["gap", "flatten", "dense"])
@pytest.mark.parametrize(("strategy", "top"), [("frozen", None), ("partial", 2), ("partial", 4)])
def test_cached_activations_give_the_same_training(
    small_net: Net, tiny: Any, monkeypatch: pytest.MonkeyPatch, head: Any, strategy: Any, top: Any
) -> None:
    short = prepared(small_net, strategy, head, top=top)
    long = prepared(small_net, strategy, head, top=top)
    rate = 1e-3
    first = labkit.train(short, tiny, epochs=3, learning_rate=rate)
    monkeypatch.setattr(training, "LARGEST_CACHE", 0)
    monkeypatch.setattr(training, "run_over", None)  # calling it would be an error
    second = labkit.train(long, tiny, epochs=3, learning_rate=rate)
    for name, numbers in first.history.items():
        np.testing.assert_allclose(numbers, second.history[name], atol=0.03)
    np.testing.assert_allclose(first.scores, second.scores, atol=0.01)
    for mine, theirs in zip(short.weights, long.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=3e-3)


def test_it_is_the_training_that_keras_does(small_net: Net, tiny: Any) -> None:
    """One batch of all images: no order that could differ. Adam's steps, one by one."""
    images, labels = tiny.train.read([*range(16), *range(40, 56)]), [0] * 16 + [1] * 16
    small = tiny.with_train(tiny.train.pick([*range(16), *range(40, 56)]))
    ours, theirs = prepared(small_net, "full"), prepared(small_net, "full")
    labkit.train(ours, small, epochs=4, learning_rate=1e-3)
    theirs.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy",
                   jit_compile=False)  # fmt: skip
    theirs.fit(images.astype(np.float32), np.array(labels), batch_size=32, epochs=4,
               shuffle=False, verbose=0)  # fmt: skip
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=2e-3)


def test_losses_of_the_model_itself_count(small_net: Net, tiny: Any) -> None:
    """A weight penalty that a student puts on the head pulls it to zero."""
    base = small_net()
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    heavy = keras.regularizers.L2(50.0)
    x = keras.layers.Dense(2, "softmax", kernel_regularizer=heavy, name="end")(x)
    model = keras.Model(base.input, x)
    labkit.freeze(model)
    before = np.abs(model.get_layer("end").kernel.numpy()).max()
    labkit.train(model, tiny, epochs=20, learning_rate=0.02)
    assert np.abs(model.get_layer("end").kernel.numpy()).max() < before / 5


# What is frozen stays


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize(
    ("strategy", "top", "trained"),
    [
        ("frozen", None, {"probabilities"}),
        ("partial", 2, {"probabilities", "conv2"}),
        ("full", None, {"probabilities", "conv0", "conv1", "conv2"}),
    ],
)
def test_only_what_is_trainable_moves(
    small_net: Net, tiny: Any, strategy: Any, top: Any, trained: set[str], augment: bool
) -> None:
    model = prepared(small_net, strategy, top=top)
    before = values(model)
    labkit.train(model, tiny, epochs=2, learning_rate=1e-3, augment=augment)
    assert moved(model, before) == trained


def test_batch_norm_that_is_asked_to_train_does(small_net: Net, tiny: Any) -> None:
    """The last block of this network is a BatchNorm layer alone."""
    model = labkit.build_classifier(small_net(), 2)
    labkit.unfreeze(model, top=1, batch_norm=True)
    before = values(model)
    labkit.train(model, tiny, epochs=1, learning_rate=1e-3)
    assert moved(model, before) == {"probabilities", "norm2"}
    after = values(model)
    changed = {p.split("/")[-1] for p in before if "norm2" in p and (before[p] != after[p]).any()}
    assert changed == {"gamma", "beta", "moving_mean", "moving_variance"}


@pytest.mark.slow
def test_lite0_partial_on_cached_activations(tiny_folder: Path) -> None:
    dataset = labkit.load_dataset(tiny_folder, image_size=32)
    model = labkit.build_classifier(labkit.load_backbone("EfficientNetLite0", image_size=32), 2)
    labkit.set_strategy(model, "partial", top=2)
    before = values(model)
    result = labkit.train(model, dataset, epochs=2)
    assert moved(model, before) == {
        "probabilities", "top_conv", "block7a_expand_conv", "block7a_dwconv",
        "block7a_project_conv",
    }  # fmt: skip
    scores = model.predict(dataset.test.read().astype(np.float32), verbose=0)
    np.testing.assert_allclose(result.scores, scores, atol=1e-3)


# Results


def test_it_learns_and_the_result_says_what_the_model_does(small_net: Net, tiny: Any) -> None:
    model = prepared(small_net, "full")
    result = labkit.train(model, tiny, epochs=15, learning_rate=3e-3)
    assert result.accuracy > 0.8
    scores = model.predict(tiny.test.read().astype(np.float32), verbose=0)
    np.testing.assert_allclose(result.scores, scores, atol=1e-4)
    np.testing.assert_array_equal(result.labels, tiny.test.labels)
    assert set(result.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {len(numbers) for numbers in result.history.values()} == {15}
    assert result.history["loss"][-1] < result.history["loss"][0]
    validation = model.predict(tiny.validation.read().astype(np.float32), verbose=0)
    right = (validation.argmax(axis=1) == tiny.validation.labels).mean()
    assert result.history["val_accuracy"][-1] == pytest.approx(right)
    assert result.n_train == 80
    assert result.seconds > 0
    assert result.title.endswith("small_gap_2, full")


def test_training_goes_on_from_the_weights_that_there_are(small_net: Net, tiny: Any) -> None:
    model = prepared(small_net, "frozen")
    first = labkit.train(model, tiny, epochs=5)
    second = labkit.train(model, tiny, epochs=5)
    assert second.history["loss"][0] < first.history["loss"][0]


@pytest.mark.parametrize(("strategy", "augment"), [("frozen", False), ("full", True)])
def test_one_seed_one_result(small_net: Net, tiny: Any, strategy: Any, augment: bool) -> None:
    def run(seed: int) -> np.ndarray:
        model = prepared(small_net, strategy)
        return labkit.train(model, tiny, epochs=2, seed=seed, augment=augment).scores

    np.testing.assert_allclose(run(3), run(3), atol=1e-4)
    assert np.abs(run(3) - run(4)).max() > 1e-4


def test_the_rate_goes_with_the_strategy(
    small_net: Net, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    restart = training.Step.restart

    def watch(step: training.Step, groups: Any, seed: int) -> None:
        restart(step, groups, seed)
        seen.append(float(step.optimizers[0].learning_rate.numpy()))

    monkeypatch.setattr(training.Step, "restart", watch)
    for strategy in ("frozen", "partial", "full"):
        labkit.train(prepared(small_net, strategy), tiny, epochs=1)
    labkit.train(prepared(small_net, "frozen"), tiny, epochs=1, learning_rate=0.5)
    assert seen == pytest.approx([3e-3, 1e-4, 1e-4, 0.5])


@pytest.mark.parametrize("strategy", ["frozen", "partial", "full"])
def test_a_kept_part_trains_as_a_new_one_does(small_net: Net, tiny: Any, strategy: Any) -> None:
    """Traced once, used for other weights, labels and numbers of images."""
    kept: training.Kept = {}
    model = prepared(small_net, strategy)
    start = model.get_weights()
    few = tiny.with_train(tiny.train.take(8))
    training.train_unseen(model, few, epochs=1, learning_rate=0.01, kept=kept)
    model.set_weights(start)
    job, history = training.train_unseen(model, tiny, epochs=2, learning_rate=1e-3, kept=kept)
    fresh, expected = training.train_unseen(
        prepared(small_net, strategy), tiny, epochs=2, learning_rate=1e-3
    )
    np.testing.assert_allclose(history["loss"], expected["loss"], atol=1e-4)
    np.testing.assert_allclose(job.predict(job.test), fresh.predict(fresh.test), atol=1e-3)
    assert len(kept) == 1


def test_what_became_trainable_is_not_taken_from_what_was_kept(small_net: Net, tiny: Any) -> None:
    kept: training.Kept = {}
    model = prepared(small_net, "frozen")
    training.train_unseen(model, tiny, epochs=1, kept=kept)
    labkit.unfreeze(model, top=2)
    before = values(model)
    training.train_unseen(model, tiny, epochs=1, learning_rate=1e-3, kept=kept)
    assert {"conv2"} <= moved(model, before)
    assert len(kept) == 2


def test_an_epoch_of_several_passes_has_more_steps() -> None:
    numbers = np.random.default_rng(0)
    assert training._batches(50, 1, numbers).shape == (1, 32)
    batches = training._batches(50, 6, numbers)
    assert batches.shape == (9, 32)
    assert np.bincount(batches.ravel()).max() <= 6
    assert training._batches(6, 3, numbers).shape == (3, 6)


def test_few_images_make_one_small_batch(small_net: Net, tiny: Any) -> None:
    few = tiny.with_train(tiny.train.take(3))
    result = labkit.train(prepared(small_net, "frozen"), few, epochs=2)
    assert result.n_train == 6
    assert np.isfinite(result.history["loss"]).all()


def test_training_images_are_computed_once(
    small_net: Net, tiny: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labkit import features

    seen: list[int] = []
    compute = features._compute

    def count(network: Any, split: Any, key: str) -> Any:
        seen.append(len(split))
        return compute(network, split, key)

    monkeypatch.setattr(features, "_compute", count)
    labkit.train(prepared(small_net, "frozen"), tiny, epochs=4)
    assert sorted(seen) == [24, 40, 80]
    labkit.train(prepared(small_net, "frozen", "dense"), tiny, epochs=4)  # the same features
    assert sorted(seen) == [24, 40, 80]


# Refusals


def refusal(error: type[Exception], model: Any, dataset: Any, **options: Any) -> str:
    before = values(model)
    with pytest.raises(error) as caught:
        labkit.train(model, dataset, **options)
    assert moved(model, before) == set()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_trained(small_net: Net, tiny: Any, tiny_folder: Path) -> None:
    base = small_net()
    three = labkit.build_classifier(base, 3)
    assert "build_classifier(backbone, 2)" in refusal(DataError, three, tiny)
    assert "output shape (4, 4, 10)" in refusal(DataError, base, tiny)
    model = labkit.build_classifier(base, 2)
    large = labkit.load_dataset(tiny_folder, image_size=64)
    assert "image_size=32" in refusal(DataError, model, large)
    for epochs in (0, -1, 2.5, "3"):
        assert f"Received: {epochs!r}" in refusal(ModelError, model, tiny, epochs=epochs)
    for rate in (-0.1, float("nan")):
        assert "from 0 up" in refusal(ModelError, model, tiny, learning_rate=rate)
    model.trainable = False
    assert "labkit.set_strategy sets it up" in refusal(ModelError, model, tiny)


# The support vector machine


def test_the_support_vector_machine(lite0: Any, tiny_folder: Path) -> None:
    dataset = labkit.load_dataset(tiny_folder, image_size=64)
    result = labkit.train_svm(lite0, dataset)
    assert result.accuracy > 0.8
    assert result.scores.shape == (40, 2)
    np.testing.assert_allclose(result.scores[:, 0], -result.scores[:, 1])
    tried = dict(zip(training.SVM_CHOICES, result.history["val_accuracy"], strict=True))
    assert tried[result.choices["C"]] == max(tried.values())
    assert "chosen C" in str(result)
    again = labkit.train_svm(lite0, dataset)
    np.testing.assert_array_equal(result.scores, again.scores)


def test_the_svm_with_more_classes(small_net: Net, tmp_path: Path, draw_folder: Any) -> None:
    folder = draw_folder(tmp_path / "three", dict.fromkeys("abc", 20))
    dataset = labkit.load_dataset(folder, image_size=32)
    result = labkit.train_svm(small_net(), dataset, C=0.01)
    assert result.scores.shape == (len(dataset.test), 3)
    assert result.choices == {"C": 0.01}
    assert set(result.recall) == {"a", "b", "c"}


@pytest.mark.parametrize("cost", [0, -1.0])
def test_the_svm_refuses_a_cost_that_is_none(small_net: Net, tiny: Any, cost: float) -> None:
    with pytest.raises(ModelError, match="C is a number above zero"):
        labkit.train_svm(small_net(), tiny, C=cost)


# The real images: what the course promises (issue 2)


@pytest.fixture(scope="module")
def lite0_128() -> Any:
    return labkit.load_backbone("EfficientNetLite0", image_size=128)


@pytest.mark.slow
@pytest.mark.real_images
@pytest.mark.parametrize(("per_class", "least"), [(100, 0.94), (1000, 0.955)])
def test_cats_and_dogs_frozen(
    real_images: Path, lite0_128: Any, per_class: int, least: float
) -> None:
    """Mean of three seeds on the 1,200 test photographs, and the SVM within 0.01 of it."""
    heads, machines = [], []
    for seed in range(3):
        dataset = labkit.load_dataset("cats_vs_dogs", per_class=per_class, seed=seed)
        assert (dataset.source, len(dataset.test)) == ("real", 1200)
        model = labkit.build_classifier(lite0_128, 2, seed=seed)
        labkit.set_strategy(model, "frozen")
        heads.append(labkit.train(model, dataset, seed=seed).accuracy)
        machines.append(labkit.train_svm(lite0_128, dataset, seed=seed).accuracy)
    print(f"{per_class} a class: softmax {heads}, SVM {machines}")
    assert np.mean(heads) >= least
    assert abs(np.mean(heads) - np.mean(machines)) <= 0.01


@pytest.mark.slow
@pytest.mark.real_images
def test_cancer_cells_frozen(real_images: Path, lite0_128: Any) -> None:
    """Far from ImageNet: well above the larger class's share, far below cats and dogs."""
    dataset = labkit.load_dataset("cancer_cells")
    model = labkit.build_classifier(lite0_128, 2)
    labkit.set_strategy(model, "frozen")
    result = labkit.train(model, dataset)
    share = max(dataset.test.counts().values()) / len(dataset.test)
    assert result.interval[0] > share
    assert 0.7 < result.balanced_accuracy < 0.95


def test_runs_by_labels_go_over_sizes_and_seeds(tiny_folder: Path) -> None:
    dataset = labkit.load_dataset(tiny_folder, image_size=32)

    def train_once(fewer: labkit.Dataset, seed: int) -> tuple[int, int, int]:
        return len(fewer.train), len(fewer.test), seed

    runs = training.runs_by_labels(train_once, dataset, (1, 2), (3, 5))  # type: ignore[arg-type]
    n = len(dataset.test)
    assert runs == [[(2, n, 3), (2, n, 5)], [(4, n, 3), (4, n, 5)]]
