"""Submissions an hour: ``labkit grade`` beside ``nbgrader autograde``, the same notebooks."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import main as run_main
from benchmarks.harness import measure, report

NAME = "grading"
QUESTION = "How many submissions an hour are graded?"
TARGETS = {"labkit / nbgrader, submissions an hour": 6.0}

SUBMISSIONS = int(os.environ.get("LABKIT_BENCH_SUBMISSIONS", "100"))
JOBS = 2
LABKIT, NBGRADER = f"labkit grade --jobs {JOBS}", "nbgrader autograde"

ANSWERS = {
    "scale": (
        'def scale(images):\n    return np.asarray(images, "float32") / 255',
        "def scale(images):\n    return np.asarray(images) / 255.0",
        "def scale(images):\n    return np.asarray(images) > 0",  # white is right, grey is not
        "def scale(images):\n    return np.asarray(images)",
    ),
    "head": (
        "import keras\n\n\ndef head(inputs, classes):\n    return keras.Sequential("
        '[keras.Input((inputs,)), keras.layers.Dense(classes, "softmax")])',
        "import keras\n\n\ndef head(inputs, classes):\n    return keras.Sequential("
        '[keras.Input((inputs,)), keras.layers.Dense(classes, "sigmoid")])',  # sums are not one
    ),
    "rate": ("learning_rate = 1e-4", "learning_rate = 0.1", "learning_rate = -1"),
}


def run(repeats: int = 1) -> dict[str, Any]:
    """Grade the same submissions by both, in turns; scores have to agree."""
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as folder:
        root = Path(folder)
        source = _write(root)
        scores: dict[str, dict[str, float]] = {}
        peaks: dict[str, float] = {}
        turn = iter(range(10**6))

        def with_labkit() -> None:
            out = root / f"labkit-{next(turn)}"
            command = ["labkit.cli", "grade", str(root / "submitted"), "-o", str(out),
                       "--assignment", str(source), "--jobs", str(JOBS)]  # fmt: skip
            _run(command, root, LABKIT, peaks)
            scores[LABKIT] = _column(out / "summary.csv", "student", "points")

        def with_nbgrader() -> None:
            _run(["nbgrader", "autograde", "light", "--force"], root, NBGRADER, peaks)
            target = root / "export.csv"
            _run(["nbgrader", "export", f"--to={target}"], root, "", {})
            scores[NBGRADER] = _column(target, "student_id", "score")

        measured = measure({LABKIT: with_labkit, NBGRADER: with_nbgrader}, repeats)
    if scores[LABKIT] != scores[NBGRADER]:
        raise SystemExit(f"The two give other points: {scores}.")
    rates = {name: 3600 * SUBMISSIONS / row["median"] for name, row in measured.items()}
    timed = (
        f"The whole command over {SUBMISSIONS} submissions of a small assignment that builds, "
        f"trains and runs a Keras model. labkit isolates, with {JOBS} jobs; nbgrader has "
        "no jobs and no isolation. The scores were the same for every submission."
    )
    ratios = {"labkit / nbgrader, submissions an hour": rates[LABKIT] / rates[NBGRADER]}
    return report(
        NAME, QUESTION, timed, measured, ratios, TARGETS, submissions_an_hour=rates,
        peak_memory_gb=peaks, scores=sorted(set(scores[LABKIT].values())),
    )  # fmt: skip


def _write(root: Path) -> Path:
    """Write a course folder of nbgrader's with the light assignment, and the submissions."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "grading"))
    import light
    import nbformat

    source = light.write_source(root)
    numbers = random.Random(0)
    for student in range(SUBMISSIONS):
        chosen = {name: numbers.choice(given) for name, given in ANSWERS.items()}
        light.hand_in(root / "submitted", f"student-{student:03d}", light.answered(**chosen))
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    nbformat.read(source, 4)
    _run(["nbgrader", "generate_assignment", "light"], root, "", {})
    return source


def _run(words: list[str], root: Path, name: str, peaks: dict[str, float]) -> None:
    """Run a module as a command; note the most memory that it and its children had."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    quiet = {  # nbgrader starts programs by name, and gives nothing where TensorFlow says a word
        **os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=root, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, env=quiet,
    )  # fmt: skip
    stop = _watch(process.pid, name, peaks)
    _, error = process.communicate()
    stop()
    if process.returncode:
        raise SystemExit(f"{' '.join(words[:2])} failed: {error[-500:]}")


def _watch(pid: int, name: str, peaks: dict[str, float]) -> Callable[[], None]:
    """Look at the memory of a process and its children every second, shared pages once."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(1):
            peaks[name] = max(peaks.get(name, 0.0), _memory_gb(pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()

    def stop() -> None:
        done.set()
        thread.join()

    return stop


def _memory_gb(pid: int) -> float:
    total = 0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return 0.0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.Error, AttributeError):
            continue
    return round(total / 1e9, 2)


def _column(file: Path, key: str, value: str) -> dict[str, float]:
    with file.open(newline="") as stream:
        return {row[key]: float(row[value]) for row in csv.DictReader(stream)}


def main() -> None:
    run_main(run)


if __name__ == "__main__":
    main()
