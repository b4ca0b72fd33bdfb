"""Trains one dataset with each strategy from one seed, and keeps what came out on disk.

All strategies of a seed see the same training images in the same order; partial and full
go on from the head that frozen ended with. The test split is looked at once a run.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

import labkit
from labkit.anatomy import anatomy
from labkit.backbones.loading import SCRATCH_MOMENTUM
from labkit.backbones.small import build_small_cnn
from labkit.data.dataset import Dataset, Split
from labkit.engine import keras, tf
from labkit.freezing import default_top, set_strategy, unfreeze
from labkit.heads import build_classifier
from labkit.paths import atomic_write, cache_folder
from labkit.quadrants.memory import PeakMemory
from labkit.training import BATCH_SIZE, Job, Kept, judge, train_unseen

Contender = Literal["frozen", "partial", "full", "scratch"]
CONTENDERS: tuple[Contender, ...] = get_args(Contender)
ORDER: tuple[Contender, ...] = ("scratch", "frozen", "partial", "full")
Scratch = Literal["small", "same"]
Head = list[Any]

LOOKED_AT = 200
"""Validation images that early stopping looks at after each epoch, at the most."""

LEAST_STEPS = 8
"""Training steps between two looks at the validation images, at the least: with few images
an epoch of a comparison goes through them several times."""

SCRATCH_RATE = 1e-3
FROZEN_RATE = 3e-3


@dataclass(frozen=True)
class Settings:
    """What decides a run besides images, backbone and seed.

    Attributes:
        epochs: of partial and full, at the most; frozen gets 5 times, scratch 4 times as many.
        tops: numbers of blocks that partial may train; the validation split chooses.
        learning_rates: that partial and full may take; the validation split chooses.
        scratch: "small", the small network of build_small_cnn, or "same", the backbone's
            layers with random weights.
        per_class: training images a class, drawn anew for each seed; None: all of them.
    """

    epochs: int
    tops: tuple[int, ...]
    learning_rates: tuple[float, ...]
    scratch: Scratch
    per_class: int | None

    def epochs_of(self, strategy: Contender) -> int:
        """Return the most epochs that a strategy may take."""
        return self.epochs * {"frozen": 5, "scratch": 4}.get(strategy, 1)

    def passes_of(self, images: int) -> int:
        """Return how often an epoch goes through so many training images."""
        return max(1, -(-LEAST_STEPS * BATCH_SIZE // images))

    def patience_of(self, strategy: Contender) -> int:
        """Return after how many epochs without progress a strategy stops: a third, 4 at least."""
        return max(4, -(-self.epochs_of(strategy) // 3))

    def candidates(self, strategy: Contender) -> list[dict[str, float]]:
        """Return what the validation split may choose from."""
        rates: list[dict[str, float]] = [{"learning_rate": r} for r in self.learning_rates]
        if strategy == "partial":
            return [{"top": top, **rate} for top in self.tops for rate in rates]
        return rates

    def that_decide(self, strategy: Contender) -> dict[str, Any]:
        """Return the settings that a strategy's result depends on."""
        common: dict[str, Any] = {"epochs": self.epochs, "steps": LEAST_STEPS}
        if strategy == "scratch":
            return {**common, "scratch": self.scratch}
        return common if strategy == "frozen" else {**common, "of": self.candidates(strategy)}


@dataclass(frozen=True)
class Run:
    """What one strategy reached from one seed.

    Attributes:
        dataset: name in the comparison.
        strategy: "frozen", "partial", "full" or "scratch".
        seed: decides training images, head and order.
        accuracy: on the test split, 0..1.
        validation: accuracy on the validation images at the weights that were kept.
        n_train: training images.
        n_test: test images.
        seconds: wall time, all choices and the look at the test split included.
        cpu_seconds: processor time of all threads for the same; other programs on the machine
            change it less.
        memory_mb: the most that the process held while it ran, TensorFlow, the networks and
            what earlier runs of the process left included.
        choices: what the validation split chose.
        images: digest of the training images in their order: equal within a seed.
        start: digest of the head that the run began with; "" for scratch.
    """

    dataset: str
    strategy: Contender
    seed: int
    accuracy: float
    validation: float
    n_train: int
    n_test: int
    seconds: float
    cpu_seconds: float
    memory_mb: float
    choices: dict[str, float]
    images: str
    start: str


@dataclass(frozen=True, eq=False)
class Task:
    """One dataset and one seed, to be run with several strategies in one process.

    ``images`` and ``network`` are digests of the dataset and of the backbone.
    """

    name: str
    dataset: Dataset
    images: str
    backbone: Any
    network: str
    seed: int
    strategies: tuple[Contender, ...]
    settings: Settings

    def prepared(self) -> Dataset:
        """Return the dataset of this seed: its training images, the validation cut down."""
        data, per_class = self.dataset, self.settings.per_class
        if per_class is not None:
            data = data.with_train(data.train.take(per_class, seed=self.seed))
        order = np.random.default_rng(0).permutation(len(data.validation))[:LOOKED_AT]
        return replace(data, validation=data.validation.pick(np.sort(order)))

    def file(self, strategy: Contender) -> Path:
        """Return where the run is kept: named by all that decides its result."""
        parts: list[Any] = [labkit.__version__, keras.__version__, tf.__version__, self.seed]
        parts += [strategy, self.settings.that_decide(strategy), self.settings.per_class]
        if strategy != "scratch" or self.settings.scratch == "same":
            parts.append(self.network)
        parts.append(self.images)
        name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
        return cache_folder("comparisons") / f"{name}.json"

    def finished(self, strategy: Contender) -> Run | None:
        """Return a run that was finished earlier, or None where there is no whole one."""
        try:
            found = json.loads(self.file(strategy).read_text(encoding="utf-8"))
            return replace(Run(**found), dataset=self.name)
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, run: Run) -> None:
        """Write a finished run to disk."""
        with atomic_write(self.file(run.strategy)) as stream:
            stream.write(json.dumps(asdict(run), indent=1).encode())

    def pending(self) -> list[Contender]:
        """Return the strategies that are not finished, in the order in which they are run.

        Others start from frozen. Each needs more memory than those before, so that none is
        taken to need what another one has left.
        """
        return [s for s in ORDER if s in self.strategies and self.finished(s) is None]


def run_task(task: Task) -> list[Run]:
    """Run what is pending of a task; return all its runs, earlier ones included."""
    for _ in run_pending(task):
        pass
    runs = [task.finished(strategy) for strategy in task.strategies]
    return [run for run in runs if run is not None]


def run_pending(task: Task) -> Iterator[Run]:
    """Run one pending strategy after another; each is kept as soon as it is finished."""
    bench = None
    for strategy in task.pending():
        bench = bench or _Bench(task, _networks_for(task))
        run = bench.run(strategy)
        task.keep(run)
        yield run


def dataset_digest(dataset: Dataset) -> str:
    """Return a digest of a dataset's images and labels, split by split, in their order."""
    return "-".join(_digest_of(s) for s in (dataset.train, dataset.validation, dataset.test))


def default_tops(backbone: keras.Model) -> tuple[int, ...]:
    """Return what partial chooses from: the blocks nearest to 40 % of the layers, and one less."""
    top = default_top(anatomy(backbone).blocks)
    return (top - 1, top) if top > 1 else (top,)


class _Networks:
    """A copy of the backbone, and all that was traced for it: one seed after another uses them."""

    def __init__(self, task: Task) -> None:
        original = anatomy(task.backbone).base
        self.base = keras.models.clone_model(original)
        self.base.set_weights(original.get_weights())
        self.pretrained = self.base.get_weights()
        self.model = build_classifier(self.base, len(task.dataset.classes))
        self.scratch: Any = None
        self.kept: Kept = {}

    def set_back(self, head: Head) -> None:
        """Give the backbone its pretrained weights, and the head these."""
        self.base.set_weights(self.pretrained)
        _head_of(self.model).set_weights(head)

    def first_head(self, seed: int) -> Head:
        """Return the weights that a head starts from."""
        fresh = build_classifier(self.base, self.model.output_shape[-1], seed=seed)
        return list(_head_of(fresh).get_weights())

    def from_scratch(self, kind: Scratch, seed: int) -> Any:
        """Return a network with random weights, BatchNorm in training included."""
        size, classes = self.model.input_shape[1], self.model.output_shape[-1]
        if kind == "small":
            fresh = build_small_cnn(classes, image_size=size, seed=seed)
        else:
            keras.utils.set_random_seed(seed)
            fresh = build_classifier(_with_quick_norms(self.base), classes, seed=seed)
            unfreeze(fresh, batch_norm=True)
        if self.scratch is None:
            self.scratch = fresh
        self.scratch.set_weights(fresh.get_weights())
        return self.scratch


_NETWORKS: dict[tuple[object, ...], _Networks] = {}
"""The networks of the last task. Tracing them takes longer than training on few images."""


def _networks_for(task: Task) -> _Networks:
    key = (task.network, len(task.dataset.classes), task.settings.scratch)
    if key not in _NETWORKS:
        _NETWORKS.clear()
        _NETWORKS[key] = _Networks(task)
    return _NETWORKS[key]


def _with_quick_norms(base: Any) -> Any:
    """Return a copy with random weights whose BatchNorm statistics follow within few steps."""
    copy = keras.models.clone_model(base)
    for layer in copy.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = SCRATCH_MOMENTUM
    return copy


class _Bench:
    """One seed's images, on which strategies train the same networks one after another."""

    def __init__(self, task: Task, networks: _Networks) -> None:
        self.task, self.data, self.networks = task, task.prepared(), networks
        self.first_head = networks.first_head(task.seed)
        self.frozen_head: Head | None = None

    def run(self, strategy: Contender) -> Run:
        """Train a strategy, look at the test split, and return what came out."""
        ways: dict[Contender, Callable[[], tuple[Any, dict[str, float], str]]] = {
            "frozen": self._frozen, "scratch": self._scratch,
            "partial": lambda: self._tuned("partial"), "full": lambda: self._tuned("full"),
        }  # fmt: skip
        if strategy in ("partial", "full") and self.frozen_head is None:
            self._frozen()  # a resumed seed; its features are in the cache
        started, processor = time.perf_counter(), time.process_time()
        with PeakMemory() as memory:
            job, choices, start = ways[strategy]()
            _, validation = _judged(job, "validation")
            _, accuracy = _judged(job, "test")
        return Run(
            self.task.name, strategy, self.task.seed, accuracy, validation,
            len(self.data.train), len(self.data.test), time.perf_counter() - started,
            time.process_time() - processor, memory.peak_mb, choices,
            _digest_of(self.data.train), start,
        )  # fmt: skip

    def _frozen(self) -> tuple[Job, dict[str, float], str]:
        self.networks.set_back(self.first_head)
        set_strategy(self.networks.model, "frozen")
        job = self._train(self.networks.model, "frozen", FROZEN_RATE)
        self.frozen_head = _head_of(self.networks.model).get_weights()
        return job, {}, _digest(self.first_head)

    def _tuned(self, strategy: Literal["partial", "full"]) -> tuple[Job, dict[str, float], str]:
        """Train with each candidate; go back to the one that the validation images prefer."""
        kept: tuple[Any, ...] | None = None
        head, model = self.frozen_head or self.first_head, self.networks.model
        for choice in self.task.settings.candidates(strategy):
            self.networks.set_back(head)
            set_strategy(model, strategy, top=choice.get("top"))  # type: ignore[arg-type]
            job = self._train(model, strategy, choice["learning_rate"])
            loss, accuracy = _judged(job, "validation")
            if kept is None or (accuracy, -loss) > kept[0]:
                kept = ((accuracy, -loss), job, choice, model.get_weights())
        assert kept is not None
        _, job, choice, weights = kept
        model.set_weights(weights)
        return job, choice, _digest(head)

    def _scratch(self) -> tuple[Job, dict[str, float], str]:
        model = self.networks.from_scratch(self.task.settings.scratch, self.task.seed)
        return self._train(model, "scratch", SCRATCH_RATE), {}, ""

    def _train(self, model: Any, strategy: Contender, rate: float) -> Job:
        settings = self.task.settings
        job, _ = train_unseen(
            model, self.data, learning_rate=rate, seed=self.task.seed,
            epochs=settings.epochs_of(strategy), patience=settings.patience_of(strategy),
            passes=settings.passes_of(len(self.data.train)), kept=self.networks.kept,
        )  # fmt: skip
        return job


def _head_of(model: Any) -> Any:
    return model.get_layer("probabilities")


def _judged(job: Job, split: Literal["validation", "test"]) -> tuple[float, float]:
    """Return loss and accuracy on a split."""
    data = getattr(job, split)
    return judge(job.predict(data), data.labels)


def _digest_of(split: Split) -> str:
    text = "".join(f"{d}{label}" for d, label in zip(split.digests, split.labels, strict=True))
    return hashlib.sha256(f"{split.image_size}|{text}".encode()).hexdigest()[:16]


def _digest(head: Head) -> str:
    return hashlib.sha256(b"".join(weight.tobytes() for weight in head)).hexdigest()[:16]
