"""What the commands ``labkit grade`` and ``labkit check`` do, from folders to tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from labkit.course.grading.batch import Batch, Settings, grade_batch
from labkit.course.grading.csvs import write_tables
from labkit.course.grading.folders import claim, describe_sources, find_submissions
from labkit.course.grading.gradebook import write_gradebook
from labkit.course.grading.similarity import write_similarity
from labkit.course.run import find_notebooks


def grade_folder(
    submissions: Path, out: Path, *, assignment: str | None = None, jobs: int = 1,
    scheduler: str | None = None, seconds: float = 120, memory: float = 4, data: str = "auto",
    resume: bool = False, require_sandbox: bool = False, progress: bool = True, warm: bool = True,
    say: Callable[[str], None] = print,
) -> bool:  # fmt: skip
    """Grade a folder of submissions into an output folder; tell whether all were graded.

    Args:
        submissions: laid out as ``folders.LAYOUT``.
        out: a new or empty folder, or one to go on with.
        assignment: the only one to grade, by name or as the path of its source; None: all
            that are among the submissions.
        jobs: workers at the same time.
        scheduler: address of a Dask scheduler, in place of processes of this machine.
        seconds: that a cell, or the calls of one check, may take.
        memory: GB that a student's kernel may use.
        data: which images notebooks load: "auto", "simulated" or "real".
        resume: whether to go on with results that are there.
        require_sandbox: whether to refuse where bubblewrap does not work.
        progress: whether to show a bar.
        warm: whether kernels are forked from a parent that has imported TensorFlow.
        say: gets what the instructor should know, line by line.

    Raises:
        CourseError: wrong layout, unknown assignment, other results in the way, no isolation.
    """
    sources = {file.stem: file.resolve() for file in find_notebooks([assignment] if assignment
                                                                    else ())}  # fmt: skip
    found = find_submissions(submissions, sources, next(iter(sources)) if assignment else None)
    isolation = _isolation(require_sandbox, say)
    settings = Settings(seconds, memory, data, isolation=isolation, warm=warm)
    wanted = {one.assignment for one in found}
    used = {name: file for name, file in sources.items() if name in wanted}
    about = {**asdict(settings), "sources": describe_sources(used)}
    claim(out, about, submissions, resume=resume)
    batch = Batch(tuple(found), used, out.resolve(), settings)
    results = grade_batch(batch, jobs=jobs, scheduler=scheduler, progress=progress)
    write_tables(results, batch.out)
    write_gradebook(results, used, batch.out)
    write_similarity(results, used, batch.out)
    _sum_up(batch, len(results), say)
    return len(results) == len(found)


def _isolation(require: bool, say: Callable[[str], None]) -> str:
    """Decide how notebooks are kept apart; say so where that is less than it could be."""
    from labkit.course.sandbox import Sandbox

    box = Sandbox(isolation="bubblewrap" if require else "auto", warm=False)
    if box.warning:
        say(f"Warning: {box.warning}.")
    return box.isolation


def _sum_up(batch: Batch, done: int, say: Callable[[str], None]) -> None:
    missing = batch.left()
    for submission in missing:
        say(f"not graded: {submission.student}, {submission.assignment}: the grader died over it")
    say(f"{done} of {len(batch.submissions)} submissions graded: {batch.out / 'grades.csv'}")
