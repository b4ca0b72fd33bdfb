"""Trains a model as it stands: whatever is frozen stays, and is computed only once.

Without augmentation the frozen part of a network gives the same numbers for an image in
every epoch. They are computed once and cached, and only the part above them is run
during training. The weights that come out are those of training through the whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from labkit.anatomy import Anatomy, all_layers, anatomy
from labkit.data.dataset import Dataset, Split
from labkit.engine import keras, tf
from labkit.errors import DataError, ModelError
from labkit.features import Features, check_size, extract_features, network_key, run_over
from labkit.freezing import Strategy, strategy_of, trained_blocks
from labkit.rates import Group, Rates, rate_groups
from labkit.results import TrainingResult

LEARNING_RATES: dict[Strategy, float] = {"frozen": 3e-3, "partial": 1e-4, "full": 1e-4}
"""Adam's learning rate where none is given: smaller as soon as pretrained weights move."""

BATCH_SIZE = 32

LARGEST_CACHE = 1_500_000_000
"""Frozen activations of more bytes than this are not kept; training runs the whole network."""

SVM_CHOICES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Values of C that ``train_svm`` chooses from, on the validation split."""


class Step:
    """One step of training with Adam, traced once; ``restart`` makes it as good as new.

    Each group of variables has an optimizer of its own, and so a learning rate of its own.
    """

    def __init__(
        self, model: keras.Model, groups: Sequence[Group], decay: float = 0.0, change: Any = None
    ) -> None:
        """Build the optimizers; ``change`` augments a batch of images, or is None."""
        self.model, self.change = model, change
        self.variables = [group.variables for group in groups]
        self.optimizers = [_adam(group, decay) for group in groups]
        self.on_batch = tf.function(self._train)
        self._on_batches = tf.function(self._train_all, reduce_retracing=True)

    def restart(self, groups: Sequence[Group], seed: int) -> None:
        """Forget the moments of earlier training; draw dropout and augmentation from a seed."""
        for optimizer, group in zip(self.optimizers, groups, strict=True):
            for variable in optimizer.variables:
                variable.assign(keras.ops.zeros_like(variable))
            optimizer.learning_rate = group.rate
        _reseed([*all_layers(self.model.layers), *getattr(self.change, "layers", ())], seed)

    def set_rate(self, learning_rate: float) -> None:
        """Take further steps of all groups at one learning rate."""
        for optimizer in self.optimizers:
            optimizer.learning_rate = learning_rate

    def epoch(self, data: Split | Features, batches: NDArray[np.int_]) -> tuple[float, float]:
        """Train on batches of image numbers, shape (steps, size); return loss and accuracy."""
        if isinstance(data, Features):
            arrays = tf.constant(data.array), tf.constant(data.labels)
            loss, right = self._on_batches(*arrays, tf.constant(batches)).numpy().tolist()
        else:
            pairs = read_ahead(data, batches)
            done = [self.on_batch(x, y).numpy() for x, y in pairs]
            loss, right = np.mean(done, axis=0).tolist()
        return loss, right

    def _train(self, x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            changed = x if self.change is None else self.change(x, training=True)
            scores = self.model(changed, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(y, scores)
            loss = tf.add_n([tf.reduce_mean(losses), *self.model.losses])
        gradients = tape.gradient(loss, self.variables)
        for optimizer, *pair in zip(self.optimizers, gradients, self.variables, strict=True):
            optimizer.apply(*pair)
        return tf.stack([loss, _share_right(scores, y)])

    def _train_all(self, x: Any, y: Any, batches: Any) -> Any:
        # No Python loop: AutoGraph would need this file's source, which a sandbox may not show.
        total = tf.foldl(
            lambda sums, batch: sums + self._train(tf.gather(x, batch), tf.gather(y, batch)),
            batches, initializer=tf.zeros(2), parallel_iterations=1,
        )  # fmt: skip
        return total / tf.cast(tf.shape(batches)[0], tf.float32)


@dataclass(eq=False)
class Part:
    """The part of a model that is trained, and what was traced for it.

    Attributes:
        model: the whole, or what is above the freeze boundary; it shares the weights.
        below: the frozen network whose outputs go in; None: images go in.
    """

    model: Any
    below: Any = None

    steps: dict[tuple[object, ...], Step] = field(default_factory=dict)

    def step(self, groups: Sequence[Group], *, decay: float, augment: bool, seed: int) -> Step:
        """Return the step that trains these groups, traced anew only for other ones."""
        key = (decay, augment, *(tuple(v.path for v in group.variables) for group in groups))
        if key not in self.steps:
            self.steps[key] = Step(self.model, groups, decay, _augmentation() if augment else None)
        self.steps[key].restart(groups, seed)
        return self.steps[key]

    @cached_property
    def _forward(self) -> Any:
        shape = (None, *self.model.input_shape[1:])  # any batch size, traced once
        signature = [tf.TensorSpec(shape, tf.float32)]
        return tf.function(lambda x: self.model(x, training=False), input_signature=signature)

    def predict(self, data: Split | Features) -> NDArray[np.float32]:
        """Return the model's probabilities for some images, shape (n, classes)."""
        if isinstance(data, Features):
            rows = max(BATCH_SIZE, 10_000_000 // data.array[0].size)
            parts = (data.array[i : i + rows] for i in range(0, len(data), rows))
            return np.concatenate([self._forward(tf.constant(part)).numpy() for part in parts])
        batches = np.array_split(np.arange(len(data)), -(-len(data) // BATCH_SIZE))
        images = (tf.constant(data.read(batch), tf.float32) for batch in batches)
        return np.concatenate([self._forward(x).numpy() for x in images])


Kept = dict[tuple[object, ...], Part]
"""Parts of models by what is trainable in them: kept, they are traced once for many runs."""


@dataclass(eq=False)
class Job:
    """What is left to train: a part of a model and, for each split, what goes into it."""

    part: Part
    train: Split | Features
    validation: Split | Features
    test: Split | Features

    def predict(self, data: Split | Features) -> NDArray[np.float32]:
        """Return the model's probabilities for some images, shape (n, classes)."""
        return self.part.predict(data)


def train(
    model: keras.Model,
    dataset: Dataset,
    *,
    epochs: int = 10,
    learning_rate: Rates | None = None,
    weight_decay: float = 0.0,
    augment: bool = False,
    seed: int = 0,
    patience: int | None = None,
) -> TrainingResult:
    """Train what is trainable in a classifier with Adam, then look at the test split once.

    Args:
        model: a classifier with a softmax output, frozen as wanted. It is trained in place
            and goes on from the weights that it has.
        dataset: training split to learn from, validation split for the history.
        epochs: how often the training images are gone through.
        learning_rate: Adam's; None: 3e-3 for a frozen base, 1e-4 when pretrained blocks train.
            A rate for each block that trains, by its name, and for the "head" does as well.
        weight_decay: by which share of themselves, times the rate, weights shrink in each
            step (AdamW, Loshchilov & Hutter 2019); biases do not.
        augment: True flips, turns and zooms the training images at random. Frozen parts then
            have to be computed in every epoch.
        seed: order of the images, dropout and augmentation.
        patience: stop after so many epochs without a better validation accuracy, and go back
            to the best weights, which may be those it began with; None: train all epochs.

    Raises:
        DataError: number of classes or size of the images do not fit the model.
        ModelError: nothing in the model is trainable, or a number is out of its range.
    """
    started = time.perf_counter()
    job, history = train_unseen(
        model, dataset, epochs=epochs, learning_rate=learning_rate, weight_decay=weight_decay,
        augment=augment, seed=seed, patience=patience,
    )  # fmt: skip
    scores = job.predict(job.test)
    title = f"{dataset.title}: {model.name}, {strategy_of(model)}"
    seconds = time.perf_counter() - started
    return TrainingResult(
        title, dataset.classes, dataset.test.labels, scores, history, len(dataset.train), seconds
    )


def train_unseen(
    model: keras.Model,
    dataset: Dataset,
    *,
    epochs: int,
    learning_rate: Rates | None = None,
    weight_decay: float = 0.0,
    augment: bool = False,
    seed: int = 0,
    patience: int | None = None,
    passes: int = 1,
    kept: Kept | None = None,
) -> tuple[Job, dict[str, list[float]]]:
    """Train as ``train`` does, without a look at the test split: to choose between models.

    Args:
        passes: how often the images are gone through in an epoch, which ends with a look at
            the validation split.
        kept: parts of the same model from earlier calls, which need no new tracing. Added
            to; None: the last two are kept on the model itself.
        model, dataset, epochs, learning_rate, weight_decay, augment, seed, patience: as in
            ``train``.

    Returns:
        The job, whose ``predict(job.test)`` looks at the test split, and the history.
    """
    _check(model, dataset, epochs, weight_decay, patience)
    rates = LEARNING_RATES[strategy_of(model)] if learning_rate is None else learning_rate
    groups = rate_groups(model, rates)
    keras.utils.set_random_seed(seed)
    job = job_of(model, dataset, augment=augment, kept=kept)
    step = job.part.step(groups, decay=weight_decay, augment=augment, seed=seed)
    return job, _fit(job, step, epochs, seed, patience, passes)


def runs_by_labels(
    train_once: Callable[[Dataset, int], TrainingResult],
    dataset: Dataset,
    sizes: Sequence[int],
    seeds: Sequence[int],
) -> list[list[TrainingResult]]:
    """Train with fewer and with more labels, several times each.

    Args:
        train_once: trains on a dataset with a seed.
        dataset: its validation and test split stay whole.
        sizes: training images a class.
        seeds: each chooses other images; of one seed the smaller sets lie in the larger.

    Returns:
        Results by size, then by seed.
    """
    jobs = [(size, seed) for size in sizes for seed in seeds]
    results: dict[int, list[TrainingResult]] = {size: [] for size in sizes}
    for size, seed in tqdm(jobs, desc="runs", unit="run", delay=2, leave=False):
        fewer = dataset.train.take(size, seed=seed)
        results[size].append(train_once(dataset.with_train(fewer), seed))
    return list(results.values())


def train_svm(
    backbone: keras.Model, dataset: Dataset, *, C: float | None = None, seed: int = 0
) -> TrainingResult:
    """Train a linear support vector machine on a backbone's average-pooled features.

    Args:
        backbone: a model from images to a feature map.
        dataset: as in train; the validation split chooses C.
        C: how much a wrong training image costs; None: the best of SVM_CHOICES.
        seed: order in which the solver visits the images.

    Raises:
        DataError: the images have another size than the backbone takes.
        ModelError: C is not above zero.
    """
    if C is not None and C <= 0:
        raise ModelError(f"C is a number above zero. Received: {C!r}.")
    started = time.perf_counter()
    train, validation, test = (
        extract_features(backbone, split)
        for split in (dataset.train, dataset.validation, dataset.test)
    )
    best, accuracies = best_svm(train, validation, C=C, seed=seed)
    return TrainingResult(
        title=f"{dataset.title}: {backbone.name}, linear SVM",
        classes=dataset.classes,
        labels=test.labels,
        scores=_distances(best, test),
        history={"val_accuracy": accuracies},
        n_train=len(train),
        seconds=time.perf_counter() - started,
        choices={"C": best[-1].C},
    )


def best_svm(
    train: Features, validation: Features, *, C: float | None = None, seed: int = 0
) -> tuple[Any, list[float]]:
    """Fit a linear SVM on standardised features; the validation features choose C, if None.

    Returns scikit-learn's pipeline, and the validation accuracy for each C that was tried.
    """
    tried = [_svm(C=value, seed=seed, train=train) for value in (SVM_CHOICES if C is None else [C])]
    accuracies = [float(svm.score(validation.array, validation.labels)) for svm in tried]
    return tried[int(np.argmax(accuracies))], accuracies


def _svm(*, C: float, seed: int, train: Features) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    svm = make_pipeline(
        StandardScaler(), LinearSVC(C=C, random_state=seed, dual="auto", max_iter=5000)
    )
    return svm.fit(train.array, train.labels)


def _distances(svm: Any, features: Features) -> NDArray[np.float32]:
    """Return signed distances, one column a class; scikit-learn gives one for two classes."""
    distances = np.asarray(svm.decision_function(features.array), np.float32)
    return np.stack([-distances, distances], axis=1) if distances.ndim == 1 else distances


def _check(
    model: keras.Model,
    dataset: Dataset,
    epochs: int,
    weight_decay: float,
    patience: int | None,
) -> None:
    outputs = model.output_shape[-1]
    if len(model.output_shape) != 2 or outputs != len(dataset.classes):
        raise DataError(
            f"{model.name} has the output shape {model.output_shape[1:]}, the dataset has "
            f"{len(dataset.classes)} classes: build_classifier(backbone, {len(dataset.classes)})."
        )
    check_size(model, dataset.train)
    if not model.trainable_weights:
        raise ModelError(f"Nothing in {model.name} is trainable: labkit.set_strategy sets it up.")
    if not isinstance(epochs, int) or epochs < 1:
        raise ModelError(f"epochs is a whole number from 1 up. Received: {epochs!r}.")
    if not weight_decay >= 0:
        raise ModelError(f"weight_decay is a number from 0 up. Received: {weight_decay!r}.")
    if patience is not None and (not isinstance(patience, int) or patience < 1):
        raise ModelError(f"patience is a number of epochs from 1 up. Received: {patience!r}.")


def job_of(
    model: keras.Model, dataset: Dataset, *, augment: bool = False, kept: Kept | None = None
) -> Job:
    """Return what is to be trained: above the frozen blocks, on cached activations, if it can."""
    splits = (dataset.train, dataset.validation, dataset.test)
    part = _part(model, augment, kept)
    if part.below is None:
        return Job(part, *splits)
    if sum(map(len, splits)) * 4 * int(np.prod(part.below.output_shape[1:])) > LARGEST_CACHE:
        return Job(Part(model), *splits)
    digest = network_key(part.below)
    return Job(part, *(run_over(part.below, split, key=digest) for split in splits))


def _part(model: keras.Model, augment: bool, kept: Kept | None) -> Part:
    """Return the part that trains; a new one when the model is set up as it never was."""
    if kept is None and not hasattr(model, "_labkit"):
        model._labkit = _Parts()
    parts = model._labkit.parts if kept is None else kept
    layers = [layer for layer in all_layers(model.layers) if not hasattr(layer, "layers")]
    setup = json.dumps([layer.get_config() for layer in layers], default=str)
    key = (id(model), augment, setup, *(layer.trainable for layer in layers))
    if key not in parts:
        parts[key] = Part(model) if augment else _trained_part(model)
        while kept is None and len(parts) > 2:
            del parts[next(iter(parts))]
    part: Part = parts[key]
    return part


@dataclass(eq=False)
class _Parts:
    """What is kept on a model itself, so that it goes when the model goes."""

    parts: Kept = field(default_factory=dict)


def _trained_part(model: keras.Model) -> Part:
    """Cut a classifier above its frozen blocks; the whole of it where there are none."""
    parts = anatomy(model)
    frozen = len(parts.blocks) - trained_blocks(parts)
    if frozen == 0 or not parts.head:
        return Part(model)
    below, above = _cut(parts, frozen)
    return Part(above, below)


def _cut(parts: Anatomy, frozen: int) -> tuple[Any, Any]:
    """Cut a classifier above its frozen blocks into two models that share its layers."""
    base, head = parts.base, list(parts.head)
    boundary = parts.blocks[frozen - 1].end.output
    lower = boundary
    if frozen == len(parts.blocks) and isinstance(head[0], keras.layers.GlobalAveragePooling2D):
        lower = head.pop(0)(boundary)
    entry = keras.Input(lower.shape[1:])
    x = entry
    if frozen < len(parts.blocks):
        x = keras.Model(boundary, base.output)(x)
    for layer in head:
        x = layer(x)
    return keras.Model(base.inputs, lower, name=base.name), keras.Model(entry, x)


@dataclass
class _Best:
    """The weights of the best epoch so far, for early stopping.

    Accuracies on few images tie often: of two equal ones that of the lower loss is better.
    """

    model: Any
    patience: int
    score: tuple[float, float] = (-1.0, 0.0)
    waited: int = 0

    def __post_init__(self) -> None:
        self.weights = self.model.get_weights()

    def is_over(self, loss: float, accuracy: float) -> bool:
        """Note an epoch; tell whether there was nothing better for long enough."""
        self.waited += 1
        if (accuracy, -loss) > self.score:
            self.score, self.waited = (accuracy, -loss), 0
            self.weights = self.model.get_weights()
        return self.waited >= self.patience


def _fit(
    job: Job, step: Step, epochs: int, seed: int, patience: int | None, passes: int
) -> dict[str, list[float]]:
    """Train with cross-entropy; return loss and accuracy after each epoch.

    A loop of our own where Keras has ``fit``: on cached features an epoch takes
    milliseconds, and ``fit`` spends a multiple of that around them.
    """
    numbers = np.random.default_rng(seed)
    history: dict[str, list[float]] = {
        "loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []
    }  # fmt: skip
    best = None
    if patience is not None:
        best = _Best(job.part.model, patience)
        best.is_over(*judge(job.predict(job.validation), job.validation.labels))
    with tqdm(total=epochs, desc="training", unit="epoch", delay=2, leave=False) as bar:
        for _ in range(epochs):
            loss, accuracy = step.epoch(job.train, _batches(len(job.train), passes, numbers))
            val_loss, val_accuracy = judge(job.predict(job.validation), job.validation.labels)
            for name, value in zip(history, (loss, accuracy, val_loss, val_accuracy), strict=True):
                history[name].append(value)
            bar.update()
            bar.set_postfix_str(f"validation accuracy {val_accuracy:.3f}", refresh=False)
            if best is not None and best.is_over(val_loss, val_accuracy):
                break
    if best is not None:
        job.part.model.set_weights(best.weights)
    return history


def _batches(n: int, passes: int, numbers: np.random.Generator) -> NDArray[np.int_]:
    """Return numbers of n images in a random order, shape (steps, size); all of one size."""
    size = min(BATCH_SIZE, n)
    order = np.concatenate([numbers.permutation(n) for _ in range(passes)])
    return order[: len(order) // size * size].reshape(-1, size)


def read_ahead(split: Split, batches: NDArray[np.int_]) -> Iterator[tuple[Any, Any]]:
    """Yield batches of images and labels; the next one is read while one is used."""

    def read(batch: NDArray[np.int_]) -> tuple[Any, Any]:
        return tf.constant(split.read(batch), tf.float32), tf.constant(split.labels[batch])

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(read, batches[0])
        for batch in batches[1:]:
            ready, coming = coming.result(), thread.submit(read, batch)
            yield ready
        yield coming.result()


def _share_right(scores: Any, labels: Any) -> Any:
    return tf.reduce_mean(tf.cast(tf.argmax(scores, axis=1) == labels, tf.float32))


def judge(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return cross-entropy and accuracy."""
    right = np.clip(scores[np.arange(len(labels)), labels], 1e-7, 1.0)
    return float(-np.log(right).mean()), float((scores.argmax(axis=1) == labels).mean())


def _augmentation() -> Any:
    layers = keras.layers
    return keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.15)]
    )


def _adam(group: Group, decay: float) -> Any:
    optimizer = keras.optimizers.Adam(group.rate, weight_decay=decay or None)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(group.variables)
    return optimizer


def _reseed(layers: Sequence[Any], seed: int) -> None:
    """Let layers that draw random numbers begin anew."""
    generators = (
        getattr(layer, "generator", None) or getattr(layer, "seed_generator", None)
        for layer in layers
    )
    for number, generator in enumerate(filter(None, generators)):
        generator.state.assign([seed + number, 0])
