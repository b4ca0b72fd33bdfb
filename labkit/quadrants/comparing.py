"""Plans a comparison of strategies and runs it: here, in processes, or on a Dask cluster."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

import joblib
from tqdm.auto import tqdm

from labkit.anatomy import anatomy
from labkit.data.dataset import Dataset
from labkit.engine import keras
from labkit.errors import DataError, LabkitError, ModelError, choices
from labkit.features import check_size, network_key
from labkit.quadrants.budget import fit_into, seconds_of_tasks
from labkit.quadrants.comparison import Comparison
from labkit.quadrants.runs import (
    CONTENDERS,
    Contender,
    Run,
    Scratch,
    Settings,
    Task,
    dataset_digest,
    default_tops,
    run_pending,
    run_task,
)
from labkit.training import LEARNING_RATES


def compare(
    datasets: Dataset | Mapping[str, Dataset],
    backbone: keras.Model,
    *,
    strategies: Sequence[Contender] = CONTENDERS,
    seeds: int | Sequence[int] = 5,
    budget: float | None = None,
    per_class: int | Mapping[str, int] | None = None,
    epochs: int = 10,
    tops: Sequence[int] | None = None,
    learning_rates: Sequence[float] = (LEARNING_RATES["full"],),
    scratch: Scratch = "small",
    jobs: int = 1,
    scheduler: str | None = None,
) -> Comparison:
    """Compare strategies of transfer learning on one or more datasets.

    Runs are paired: within a seed every strategy has the same training images, the same
    initial head and the same order; "partial" and "full" go on from the head that "frozen"
    ended with. Training stops early on at most 200 validation images and goes back to the
    best weights; the test split is looked at once a run. What a run has found is kept in the
    cache, keyed by all that decides it: an interrupted comparison goes on where it was.

    Args:
        datasets: one, or several by a name, for example the four quadrants.
        backbone: the pretrained network; it is copied, not changed.
        strategies: of "frozen", "partial", "full" and "scratch" (random weights).
        seeds: how many, or which. One gives no interval.
        budget: seconds. Before it starts, the comparison says what it will take, and runs
            fewer seeds (two at the least) where all of them do not fit.
        per_class: training images a class, drawn anew for each seed, for all datasets or by
            name; None: all images in every run, and the intervals leave out the luck of the
            draw.
        epochs: of "partial" and "full", at the most; "frozen" may take 5 times, "scratch" 4
            times as many.
        tops: numbers of blocks from which the validation split chooses for "partial"; None:
            the two around 40 % of the layers.
        learning_rates: from which the validation split chooses for "partial" and "full".
        scratch: "small" trains the small network of ``build_small_cnn``, what one would build
            for few images without transfer, and the harder one to beat; "same" trains the
            backbone's own layers. BatchNorm trains in both, with momentum 0.9.
        jobs: processes; TensorFlow uses all cores in each, 1 is right in a notebook.
        scheduler: address of a Dask scheduler, for example "tcp://10.0.0.1:8786", whose
            workers see the same cache folder (LABKIT_CACHE).

    Returns:
        The comparison: means with Student's t intervals, differences with paired t intervals.

    Raises:
        DataError: images do not fit the backbone, or are fewer than per_class.
        ModelError: a strategy or number is not one of those possible.
        LabkitError: the budget is too small, or ``scheduler`` needs a package or address
            that is not there.
    """
    named = {datasets.name: datasets} if isinstance(datasets, Dataset) else dict(datasets)
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    _check(named, backbone, strategies, numbers)
    _check_settings(backbone, epochs, tops, learning_rates, scratch, jobs, budget)
    blocks = default_tops(backbone) if tops is None else tuple(tops)
    settings = Settings(epochs, blocks, tuple(learning_rates), scratch, None)
    tasks = _plan(named, backbone, numbers, strategies, settings, per_class)
    if budget is not None:
        tasks = _within(budget, tasks, jobs)
    runs = _run_all(tasks, jobs, scheduler)
    order = {name: place for place, name in enumerate(named)}
    runs.sort(key=lambda run: (order[run.dataset], CONTENDERS.index(run.strategy), run.seed))
    return Comparison(tuple(runs), _about(tasks, named))


def _plan(
    named: Mapping[str, Dataset],
    backbone: keras.Model,
    seeds: list[int],
    strategies: Sequence[Contender],
    settings: Settings,
    per_class: int | Mapping[str, int] | None,
) -> list[Task]:
    """Return a task a seed and dataset, all datasets of a seed after one another."""
    network = network_key(anatomy(backbone).base)
    images = {name: dataset_digest(data) for name, data in named.items()}
    tasks = []
    for seed, (name, data) in itertools.product(seeds, named.items()):
        wanted = per_class.get(name) if isinstance(per_class, Mapping) else per_class
        own = replace(settings, per_class=wanted)
        tasks.append(
            Task(name, data, images[name], backbone, network, seed, tuple(strategies), own)
        )
    for task in tasks[: len(named)]:
        task.prepared()  # too few images are said before anything is trained
    return tasks


def _check(
    named: Mapping[str, Dataset], backbone: keras.Model, strategies: Sequence[str], seeds: list[int]
) -> None:
    if not named:
        raise DataError("There is no dataset to compare on: give one, or a mapping of some.")
    for data in named.values():
        check_size(backbone, data.train)
    for strategy in strategies:
        if strategy not in CONTENDERS:
            raise ModelError(
                f"There is no strategy {strategy!r}. Choose from {choices(CONTENDERS)}."
            )
    if not strategies or not seeds or len({*seeds}) < len(seeds):
        raise ModelError("A comparison needs a strategy or more, and a seed or more that differ.")


def _check_settings(
    backbone: keras.Model,
    epochs: int,
    tops: Sequence[int] | None,
    learning_rates: Sequence[float],
    scratch: str,
    jobs: int,
    budget: float | None,
) -> None:
    blocks = len(anatomy(backbone).blocks)
    wrong = {
        f"epochs is a whole number from 1 up. Received: {epochs!r}.": epochs < 1,
        f"top is a number of blocks from 1 to {blocks}, and tops names one or more. "
        f"Received: tops={tops!r}.": tops is not None
        and (not tops or not all(1 <= top <= blocks for top in tops)),
        f"learning_rates holds one number above zero or more. Received: {learning_rates!r}.": (
            not learning_rates or min(learning_rates) <= 0
        ),
        f"scratch is one of {choices(get_args(Scratch))}. Received: {scratch!r}.": (
            scratch not in get_args(Scratch)
        ),
        f"jobs is a number of processes from 1 up. Received: {jobs!r}.": jobs < 1,
        f"budget is a number of seconds above zero. Received: {budget!r}.": (
            budget is not None and budget <= 0
        ),
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise ModelError(message)


def _within(budget: float, tasks: list[Task], jobs: int) -> list[Task]:
    """Return the tasks that fit into the budget; print what they will take."""
    seconds = dict.fromkeys((task.seed for task in tasks), 0.0)
    for task, estimate in zip(tasks, seconds_of_tasks(tasks), strict=True):
        seconds[task.seed] += estimate
    fitting, text = fit_into(budget, seconds, jobs)
    tasks = [task for task in tasks if task.seed in fitting]
    pending = sum(len(task.pending()) for task in tasks)
    finished = sum(len(task.strategies) for task in tasks) - pending
    tqdm.write(f"{pending} runs to do, {finished} finished earlier: {text}.")
    return tasks


def _run_all(tasks: list[Task], jobs: int, scheduler: str | None) -> list[Run]:
    """Run all that is pending, with a progress bar; return every run."""
    total = sum(len(task.strategies) for task in tasks)
    pending = [task for task in tasks if task.pending()]
    left = sum(len(task.pending()) for task in pending)
    with tqdm(total=total, initial=total - left, desc="comparing", unit="run") as bar:
        if jobs == 1 and scheduler is None:
            for task in pending:
                for run in run_pending(task):
                    bar.update()
                    bar.set_postfix_str(f"{run.dataset} {run.strategy} {run.accuracy:.3f}")
        else:
            with _processes(jobs, scheduler) as parallel:
                counts = [len(task.pending()) for task in pending]
                results = parallel(joblib.delayed(run_task)(task) for task in pending)
                for task, count, runs in zip(pending, counts, results, strict=True):
                    bar.update(count)
                    for run in runs:  # a cluster's cache may be another than this one
                        task.keep(run)
    return [run for task in tasks for run in run_task(task)]


@contextmanager
def _processes(jobs: int, scheduler: str | None) -> Iterator[joblib.Parallel]:
    """Give joblib's own processes, or those of a Dask cluster."""
    if scheduler is None:
        yield joblib.Parallel(n_jobs=jobs, return_as="generator")
        return
    try:
        from distributed import Client  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise LabkitError(
            "A scheduler needs the package distributed: pip install 'labkit[cluster]'."
        ) from None
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise LabkitError(
            f"There is no Dask scheduler at {scheduler!r} ({type(error).__name__}): start one "
            "with 'dask scheduler', and workers with 'dask worker ADDRESS'."
        ) from None
    with client, joblib.parallel_config(backend="dask"):
        yield joblib.Parallel(return_as="generator")


def _about(tasks: list[Task], named: Mapping[str, Dataset]) -> dict[str, str]:
    from labkit import __version__
    from labkit.engine import tf

    backbone, settings = tasks[0].backbone, tasks[0].settings
    wanted = [task.settings.per_class for task in tasks]
    images = "drawn anew for each seed"
    if None in wanted:
        images = "the same in every run, and intervals leave out the luck of the draw"
        if any(wanted):
            images = "drawn anew for each seed where per_class names a number"
    titles = ", ".join(f"{name}: {data.title}" for name, data in named.items())
    network = "small_cnn" if settings.scratch == "small" else f"{backbone.name}, random weights"
    return {
        "images": f"{titles}; {tasks[0].dataset.image_size} px; training images {images}",
        "intervals": "95 %, Student's t over seeds, of differences paired t, each by itself",
        "backbone": f"{backbone.name}; from scratch: {network}",
        "settings": f"up to {settings.epochs} epochs, blocks {settings.tops}, "
        f"learning rates {settings.learning_rates}",
        "versions": f"labkit {__version__}, Keras {keras.__version__}, TensorFlow {tf.__version__}",
    }
