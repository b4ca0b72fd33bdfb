"""Trains a model as it stands: whatever is frozen stays, and is computed only once.

Without augmentation the frozen part of a network gives the same numbers for an image in
every epoch. They are computed once and cached, and only the part above them is run
during training. The weights that come out are those of training through the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from labkit.anatomy import Anatomy, anatomy
from labkit.data.dataset import Dataset, Split
from labkit.engine import keras, tf
from labkit.errors import DataError, ModelError
from labkit.features import Features, check_size, extract_features, network_key, run_over
from labkit.freezing import Strategy, strategy_of, trained_blocks
from labkit.results import TrainingResult

LEARNING_RATES: dict[Strategy, float] = {"frozen": 3e-3, "partial": 1e-4, "full": 1e-4}
"""Adam's learning rate where none is given: smaller as soon as pretrained weights move."""

BATCH_SIZE = 32

LARGEST_CACHE = 1_500_000_000
"""Frozen activations of more bytes than this are not kept; training runs the whole network."""

SVM_CHOICES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Values of C that ``train_svm`` chooses from, on the validation split."""


@dataclass(eq=False)
class Job:
    """What is left to train: a model and, for each split, what goes into it.

    The splits are images, or the activations at the freeze boundary; the model is then the
    part above it, and shares its weights with the whole.
    """

    model: Any
    train: Split | Features
    validation: Split | Features
    test: Split | Features

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


def train(
    model: keras.Model,
    dataset: Dataset,
    *,
    epochs: int = 10,
    learning_rate: float | None = None,
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
        model, dataset, epochs=epochs, learning_rate=learning_rate, augment=augment, seed=seed,
        patience=patience,
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
    learning_rate: float | None = None,
    augment: bool = False,
    seed: int = 0,
    patience: int | None = None,
) -> tuple[Job, dict[str, list[float]]]:
    """Train as ``train`` does, without a look at the test split: to choose between models.

    Returns the history, and the job whose ``predict(job.test)`` looks at the test split.
    """
    _check(model, dataset, epochs, learning_rate, patience)
    keras.utils.set_random_seed(seed)
    job = Job(model, dataset.train, dataset.validation, dataset.test)
    if not augment:
        job = _above_the_frozen_part(model, job)
    rate = LEARNING_RATES[strategy_of(model)] if learning_rate is None else learning_rate
    return job, _fit(job, epochs, rate, augment, seed, patience)


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
    tried = [_svm(C=value, seed=seed, train=train) for value in (SVM_CHOICES if C is None else [C])]
    accuracies = [float(svm.score(validation.array, validation.labels)) for svm in tried]
    best = tried[int(np.argmax(accuracies))]
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
    learning_rate: float | None,
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
    if learning_rate is not None and not learning_rate >= 0:
        raise ModelError(f"learning_rate is a number from 0 up. Received: {learning_rate!r}.")
    if patience is not None and (not isinstance(patience, int) or patience < 1):
        raise ModelError(f"patience is a number of epochs from 1 up. Received: {patience!r}.")


def _above_the_frozen_part(model: keras.Model, job: Job) -> Job:
    """Return the job of training only what is above the frozen blocks, on cached activations."""
    parts = anatomy(model)
    frozen = len(parts.blocks) - trained_blocks(parts)
    if frozen == 0 or not parts.head:
        return job
    lower, upper = _cut(parts, frozen)
    images = len(job.train) + len(job.validation) + len(job.test)
    if images * 4 * int(np.prod(lower.output_shape[1:])) > LARGEST_CACHE:
        return job
    splits = (job.train, job.validation, job.test)
    key = network_key(lower)
    return Job(upper, *(run_over(lower, s, key=key) for s in splits if isinstance(s, Split)))


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
    job: Job, epochs: int, learning_rate: float, augment: bool, seed: int, patience: int | None
) -> dict[str, list[float]]:
    """Train with Adam on cross-entropy; return loss and accuracy after each epoch.

    A loop of our own where Keras has ``fit``: on cached features an epoch takes
    milliseconds, and ``fit`` spends a multiple of that around them.
    """
    size = min(BATCH_SIZE, len(job.train))
    run_epoch = _epoch_function(job, size, learning_rate, _augmentation(seed) if augment else None)
    numbers = np.random.default_rng(seed)
    history: dict[str, list[float]] = {
        "loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []
    }  # fmt: skip
    best = None
    if patience is not None:
        best = _Best(job.model, patience)
        best.is_over(*judge(job.predict(job.validation), job.validation.labels))
    with tqdm(total=epochs, desc="training", unit="epoch", delay=2, leave=False) as bar:
        for _ in range(epochs):
            order = numbers.permutation(len(job.train))
            batches = order[: len(order) // size * size].reshape(-1, size)
            loss, accuracy = run_epoch(batches)
            val_loss, val_accuracy = judge(job.predict(job.validation), job.validation.labels)
            for name, value in zip(history, (loss, accuracy, val_loss, val_accuracy), strict=True):
                history[name].append(value)
            bar.update()
            bar.set_postfix_str(f"validation accuracy {val_accuracy:.3f}", refresh=False)
            if best is not None and best.is_over(val_loss, val_accuracy):
                break
    if best is not None:
        job.model.set_weights(best.weights)
    return history


def _epoch_function(
    job: Job, size: int, learning_rate: float, change: Any
) -> Callable[[NDArray[np.int_]], tuple[float, float]]:
    """Return a function that trains on batches of image numbers, shape (steps, size)."""
    model, data = job.model, job.train
    variables = model.trainable_variables
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(variables)

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = model(x if change is None else change(x, training=True), training=True)
            losses = keras.losses.sparse_categorical_crossentropy(y, scores)
            loss = tf.add_n([tf.reduce_mean(losses), *model.losses])
        optimizer.apply(tape.gradient(loss, variables), variables)
        return tf.stack([loss, _share_right(scores, y)])

    if isinstance(data, Features):
        x_all, y_all = tf.constant(data.array), tf.constant(data.labels)

        @tf.function  # type: ignore[untyped-decorator]
        def steps(batches: Any) -> Any:
            total = tf.zeros(2)
            for batch in batches:
                total += step(tf.gather(x_all, batch), tf.gather(y_all, batch))
            return total / tf.cast(len(batches), tf.float32)

        return lambda batches: tuple(steps(tf.constant(batches)).numpy().tolist())

    compiled = tf.function(step)

    def run(batches: NDArray[np.int_]) -> tuple[float, float]:
        pairs = _read_ahead(data, batches)
        loss, right = np.mean([compiled(x, y).numpy() for x, y in pairs], axis=0).tolist()
        return loss, right

    return run


def _read_ahead(split: Split, batches: NDArray[np.int_]) -> Iterator[tuple[Any, Any]]:
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


def _augmentation(seed: int) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomRotation(0.05, seed=seed + 1),
            layers.RandomZoom(0.15, seed=seed + 2),
        ]
    )
