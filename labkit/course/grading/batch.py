"""Grades many submissions: several at a time, each written as soon as it is done.

Workers share nothing but the output folder. Each takes the next submission that nobody has
taken, so the same code serves processes on one machine and a cluster with shared files.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from labkit.course.grading.assignment import Assignment, load_assignment
from labkit.course.grading.examining import Examining
from labkit.course.grading.folders import Submission
from labkit.course.grading.grading import Examiner, Grader
from labkit.course.grading.kernels import CellRun
from labkit.course.grading.record import write_record
from labkit.course.grading.results import (
    Grade,
    Graded,
    Status,
    not_graded,
    read_graded,
    summed_up,
)  # fmt: skip
from labkit.course.grading.submission import Plan, SubmissionError, make_plan, read_submission
from labkit.course.sandbox import Limits, Sandbox
from labkit.errors import CourseError, LabkitError
from labkit.paths import atomic_write, file_sha256

MOST_CRASHES = 2
"""How often a worker may die over one submission, graded alone, before that is given up."""


@dataclass(frozen=True)
class Settings:
    """How a batch is graded.

    Attributes:
        seconds: that a cell, or the calls of one check, may take.
        memory: GB that a student's kernel may use.
        data: parameter DATA of the notebooks.
        seed: parameter SEED of the notebooks.
        isolation: of the sandbox: "auto", "bubblewrap" (insists on it) or "rlimits".
        warm: whether kernels are forked from a parent that has imported TensorFlow.
    """

    seconds: float = 120
    memory: float = 4
    data: str = "auto"
    seed: int = 0
    isolation: str = "auto"
    warm: bool = True

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that notebooks are run with."""
        return {"PROFILE": "smoke", "SEED": self.seed, "DATA": self.data}


@dataclass(frozen=True)
class Batch:
    """Submissions, the sources that they are graded against, and where the results go."""

    submissions: tuple[Submission, ...]
    sources: dict[str, Path]
    out: Path
    settings: Settings

    def result_file(self, submission: Submission) -> Path:
        """Return the file of a submission's result."""
        return self.out / "results" / submission.student / f"{submission.assignment}.json"

    def is_graded(self, submission: Submission) -> bool:
        """Tell whether there is a result, and of the notebook as it is now."""
        graded = read_graded(self.result_file(submission))
        return graded is not None and graded.digest == digest_of(submission)

    def graded(self) -> list[Graded]:
        """Return all results that are there, in the order of the submissions."""
        found = (read_graded(self.result_file(submission)) for submission in self.submissions)
        return [graded for graded in found if graded is not None]

    def left(self) -> list[Submission]:
        """Return the submissions that have no result yet."""
        return [s for s in self.submissions if not self.is_graded(s)]


def digest_of(submission: Submission) -> str:
    """Return the SHA-256 of a submission's notebook; nothing where it cannot be read."""
    try:
        return file_sha256(submission.file)
    except OSError:
        return ""


def grade_batch(
    batch: Batch, *, jobs: int = 1, scheduler: str | None = None, progress: bool = True
) -> list[Graded]:
    """Grade what has no result yet; return all results.

    Args:
        batch: what is graded.
        jobs: workers at the same time.
        scheduler: address of a Dask scheduler; None: processes of this machine.
        progress: whether to show a bar.

    Raises:
        CourseError: nothing can be graded here: no kernel starts, a source fails.
    """
    with _lock(batch.out), _progress(batch, progress):
        while left := batch.left():
            suspects = _work_together(batch, left, min(jobs, len(left)), scheduler)
            for suspect in suspects:
                _work_alone(batch, suspect, scheduler)
            if not suspects and batch.left() == left:
                break  # workers end before they begin: the command says what is left
    return batch.graded()


def _work_together(
    batch: Batch, left: list[Submission], jobs: int, scheduler: str | None, processes: int = 1
) -> list[Submission]:
    """Grade submissions; return those that were being graded when a worker died.

    ``processes`` above one has them graded in other processes than this one in any case.
    """
    import joblib

    claims = batch.out / ".claims" / secrets.token_hex(8)
    claims.mkdir(parents=True)
    boss = os.getpid() if scheduler is None else None
    try:
        with _backend(scheduler):
            joblib.Parallel(n_jobs=max(jobs, processes))(
                joblib.delayed(work)(batch, left, claims, boss) for _ in range(jobs)
            )
    except _worker_deaths():
        return [s for s in left if _claim_file(claims, s, left).exists() and not batch.is_graded(s)]
    finally:
        shutil.rmtree(batch.out / ".claims", ignore_errors=True)
    return []


def _work_alone(batch: Batch, suspect: Submission, scheduler: str | None) -> None:
    """Grade a submission over which a worker has died, and no other beside it."""
    for _ in range(MOST_CRASHES):
        if not _work_together(batch, [suspect], 1, scheduler, processes=2):
            return
    said = "The grader itself died over this notebook, again and again: a person has to look at it."
    give_up(batch, suspect, said)


def give_up(batch: Batch, submission: Submission, said: str) -> Graded:
    """Write that a submission cannot be graded, and why."""
    assignment = load_assignment(batch.sources[submission.assignment])
    graded = not_graded(
        submission.student, submission.assignment, assignment.exercises, "error", said, 0.0
    )
    graded = replace(graded, digest=digest_of(submission))
    write_record(graded, None, {}, assignment, batch.out)
    return graded


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Keep a second run from writing to the same folder at the same time."""
    file = out / ".lock"
    try:
        with FileLock(file, timeout=0):
            yield
            file.unlink(missing_ok=True)
    except Timeout:
        raise CourseError(f"Another run is grading into {out}: wait for it to end.") from None


@contextlib.contextmanager
def _backend(scheduler: str | None) -> Iterator[None]:
    if scheduler is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise CourseError("--scheduler needs Dask: pip install 'labkit[cluster]'.") from None
    import joblib

    try:
        client = Client(scheduler, timeout="20s")
    except (OSError, ValueError) as error:
        raise CourseError(f"No Dask scheduler answers at {scheduler!r}: {error}") from None
    with client, joblib.parallel_config("dask"):
        yield


def _worker_deaths() -> tuple[type[BaseException], ...]:
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    return (TerminatedWorkerError,)


def _claim_file(claims: Path, submission: Submission, among: Sequence[Submission]) -> Path:
    return claims / str(list(among).index(submission))


def work(
    batch: Batch, submissions: Sequence[Submission], claims: Path, boss: int | None = None
) -> None:
    """Grade submissions that no other worker has taken, until none is left.

    Ends before the next one when the process ``boss`` is gone.
    """
    with contextlib.ExitStack() as stack:
        workshop = None
        for submission in submissions:
            if boss is not None and not psutil.pid_exists(boss):
                stack.close()
                os._exit(1)  # nobody would end this process
            if not _take(_claim_file(claims, submission, submissions)):
                continue
            if workshop is None:
                workshop = stack.enter_context(Workshop(batch.sources, batch.settings))
            try:
                workshop.grade(submission, batch.out)
            except LabkitError:  # such as a full disk: there is no going on
                raise
            except Exception as error:  # whatever it is, the next submission goes on
                workshop.start_afresh()
                _keep_traceback(batch.out, submission, error)
                said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                give_up(batch, submission, f"Your notebook could not be graded ({said}).")


def _keep_traceback(out: Path, submission: Submission, error: Exception) -> None:
    file = out / "errors" / submission.student / f"{submission.assignment}.txt"
    with atomic_write(file) as stream:
        stream.write("".join(traceback.format_exception(error)).encode("utf-8", "replace"))


def _take(file: Path) -> bool:
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Workshop:
    """What one worker keeps from one submission to the next: a sandbox, and examiners."""

    def __init__(self, sources: dict[str, Path], settings: Settings) -> None:
        """Open nothing yet."""
        self._sources, self._settings = sources, settings
        self._stack = contextlib.ExitStack()
        self._desks: dict[str, tuple[Assignment, Examining]] = {}
        self._box: Any = None

    def __enter__(self) -> Workshop:
        """Open the sandbox."""
        limits = Limits(memory_gb=self._settings.memory, output_mb=1000)
        self._box = self._stack.enter_context(
            Sandbox(limits, isolation=self._settings.isolation, warm=self._settings.warm)  # type: ignore[arg-type]
        )
        return self

    def __exit__(self, *error: object) -> None:
        """End everything that was started."""
        self._stack.close()

    def grade(self, submission: Submission, out: Path) -> Graded:
        """Grade one submission and write what came of it."""
        digest = digest_of(submission)
        graded, notebook, runs = self.look_at(submission)
        graded = replace(graded, digest=digest)
        write_record(graded, notebook, runs, self._desk(submission.assignment)[0], out)
        return graded

    def start_afresh(self) -> None:
        """Forget the examiners: after a fault one may be in the middle of something."""
        for _, examining in self._desks.values():
            examining.stop()
        self._desks.clear()

    def look_at(self, submission: Submission) -> tuple[Graded, Any, dict[int, CellRun]]:
        """Return a submission's grades, its notebook and what its cells showed."""
        started = time.perf_counter()
        assignment, examining = self._desk(submission.assignment)
        try:
            notebook = read_submission(submission.file, submission.folder)
        except SubmissionError as error:
            status: Status = "error" if submission.file.exists() else "missing"
            return not_graded(
                submission.student, submission.assignment, assignment.exercises, status,
                str(error), time.perf_counter() - started,
            ), None, {}  # fmt: skip
        plan = make_plan(notebook, assignment, self._settings.parameters)
        examining.renew()
        grades, runs = self.run(plan, assignment, examining)
        graded = summed_up(submission.student, submission.assignment, grades,
                           time.perf_counter() - started, plan.notes)  # fmt: skip
        return graded, plan.notebook, runs

    def run(
        self, plan: Plan, assignment: Assignment, examining: Examiner
    ) -> tuple[list[Grade], dict[int, CellRun]]:
        """Run what a plan says in the sandbox; return the grades, and what cells showed."""
        made = tempfile.TemporaryDirectory(prefix="labkit-grade-", ignore_cleanup_errors=True)
        with made as folder:
            grader = Grader(
                plan, assignment, examining, lambda: self._kernel(Path(folder)),
                seconds=self._settings.seconds, memory=self._settings.memory,
            )  # fmt: skip
            return grader.grades(), grader.runs

    def _kernel(self, folder: Path) -> Any:
        """Start a kernel in an emptied folder."""
        for path in folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True) if not path.is_dir() or path.is_symlink() else None
        return self._box.kernel(folder)

    def _desk(self, name: str) -> tuple[Assignment, Examining]:
        """Return an assignment and its examiner; one examiner is kept at a time."""
        if name not in self._desks:
            self.start_afresh()
            file = self._sources[name]
            examining = self._stack.enter_context(Examining(file, self._settings.parameters))
            self._desks[name] = (load_assignment(file), examining)
        return self._desks[name]


@contextlib.contextmanager
def _progress(batch: Batch, shown: bool) -> Iterator[None]:
    """Show how many results are there, and how long the rest will take at that pace."""
    from tqdm.auto import tqdm

    done = threading.Event()
    before = len(batch.submissions) - len(batch.left())
    # The pace is that of the last minutes: the first result has waited for the preparation.
    bar = tqdm(total=len(batch.submissions), initial=before, desc="grading", unit="submission",
               disable=None if shown else True, smoothing=0.1)  # fmt: skip

    def watch() -> None:
        seen = set(batch.submissions) - set(batch.left())
        while not done.wait(1):
            new = [s for s in batch.submissions if s not in seen and batch.result_file(s).exists()]
            seen.update(new)
            bar.update(len(new))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        bar.update(len(batch.submissions) - len(batch.left()) - bar.n)
        bar.close()
