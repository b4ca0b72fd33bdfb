"""Grades one submission: runs its cells, has each exercise checked, says what came of it."""

from __future__ import annotations

import time
from typing import Any, Protocol

from labkit.course.grading.assignment import Assignment, Exercise
from labkit.course.grading.examining import ExaminerLost
from labkit.course.grading.kernels import (
    CellRun,
    KernelLost,
    OpenKernel,
    Session,
    Trouble,
    plain,
)
from labkit.course.grading.results import CheckOutcome, Grade, Status
from labkit.course.grading.submission import Plan, Step

MOST_RESTARTS = 25
"""Kernels that one submission may use up; what is not graded then gets no points."""

MOST_TIMES = 30
"""A submission may take so many times as long as one cell."""

_MEMORY = {"MemoryError", "ResourceExhaustedError", "_ArrayMemoryError"}
_STATUS: dict[Trouble, Status] = {
    "timeout": "timeout", "memory": "memory", "processes": "error", "disk": "error",
    "output": "error", "died": "error",
}  # fmt: skip


class Examiner(Protocol):
    """Judges answers: an examiner process, or the checks in the student's own notebook."""

    def start(self) -> None:
        """Be ready."""

    def begin(self, kept: list[tuple[str, bytes]]) -> None:
        """Take what a new kernel has handed out, by exercise."""

    def check(self, exercise: str, session: Session, seconds: float) -> dict[str, Any]:
        """Return what came of an exercise's checks."""


class Grader:
    """Grades the exercises of one submission.

    Args:
        plan: what is run.
        assignment: what it is graded against.
        examining: the examiner of that assignment.
        open_kernel: starts a kernel for the student's code.
        seconds: that a cell, or the calls of one check, may take.
        memory: GB that the kernel may use, for what is said to the student.
    """

    def __init__(
        self, plan: Plan, assignment: Assignment, examining: Examiner, open_kernel: OpenKernel,
        *, seconds: float, memory: float,
    ) -> None:  # fmt: skip
        """Prepare; nothing is run yet."""
        self.plan, self.assignment, self.examining = plan, assignment, examining
        self.seconds, self.memory = seconds, memory
        self.runs: dict[int, CellRun] = {}
        self._session = Session(open_kernel, seconds)
        self._skipped: dict[int, Trouble] = {}
        self._lost: dict[str, Trouble] = {}
        self._kept: list[tuple[str, bytes]] = []  # handed out for the exercises
        self._starts = 0
        self._careful = False
        self._end = time.monotonic() + MOST_TIMES * seconds
        self._asked_again: set[str] = set()

    def grades(self) -> list[Grade]:
        """Run the notebook and return a grade for each exercise."""
        with self._session:
            return [self._grade(exercise) for exercise in self.assignment.exercises]

    def _run_all(self) -> bool:
        """Run the cells until none of them takes the kernel away; tell whether that succeeded."""
        while self._starts < MOST_RESTARTS and not self._is_over():
            self._starts += 1
            self._session.start()
            self._kept = []
            if all(self._step(step) for step in self.plan.steps) and self._look_for_the_rest():
                try:
                    self.examining.begin(self._kept)
                except ExaminerLost as lost:
                    self._lost[lost.exercise] = lost.trouble
                    continue
                return True
        return False

    def _is_over(self) -> bool:
        return time.monotonic() > self._end

    def _step(self, step: Step) -> bool:
        """Run a cell and keep what it answers; False when the kernel is gone."""
        if step.place in self._skipped:
            return True
        if self._is_over():
            self._session.stop()
            return False
        run = self._session.run(step.source)
        if self._careful and self._session.running and not run.trouble:
            run.trouble = self._session.settle()
        self.runs[step.place] = run
        if run.trouble in ("timeout", "output") or (run.trouble and self._careful):
            self._skipped[step.place] = run.trouble
        elif run.trouble:
            # A cell may have done it that was over by then: look again, cell by cell.
            self._careful = True
        if self._session.running and step.after:
            self._session.run(step.after)
        return self._session.running and all(self._keep(name) for name in step.answers)

    def _look_for_the_rest(self) -> bool:
        """Keep what answers an exercise though no cell that does so was recognised."""
        return all(
            self._keep(exercise.name)
            for exercise in self.assignment.exercises
            if not (
                exercise.manual or exercise.name in dict(self._kept) or self._is_skipped(exercise)
            )
        )

    def _keep(self, name: str) -> bool:
        exercise = next(e for e in self.assignment.exercises if e.name == name)
        if name in self._lost:
            return True
        try:
            message = self._session.keep(list(exercise.names))
        except KernelLost as lost:
            if self._careful:
                self._lost[name] = lost.trouble
            self._careful = True
            return False
        self._kept.append((name, message))
        return True

    def _is_skipped(self, exercise: Exercise) -> bool:
        return self._trouble(exercise) is not None

    def _trouble(self, exercise: Exercise) -> Trouble | None:
        """Return why the cell that answers an exercise could not be run."""
        for step in reversed(self.plan.steps):
            if exercise.name in step.answers and step.place in self._skipped:
                return self._skipped[step.place]
        return self._lost.get(exercise.name)

    # One exercise

    def _grade(self, exercise: Exercise) -> Grade:
        if exercise.manual:
            return self._manual(exercise)
        if not self._session.running and not self._run_all():
            if self._is_over():
                said = f"longer than {MOST_TIMES * self.seconds:g} s and was stopped."
                return self._made(exercise, 0.0, "timeout", f"The notebook as a whole ran {said}")
            return self._made(exercise, 0.0, "error", "The notebook took the kernel away again "
                              "and again; this exercise could not be checked.")  # fmt: skip
        trouble = self._trouble(exercise)
        if trouble:
            return self._made(exercise, 0.0, _STATUS[trouble], self._say(trouble, "Your cell"))
        return self._missing(exercise) or self._checked(exercise)

    def _manual(self, exercise: Exercise) -> Grade:
        if exercise.name not in self.plan.written:
            return self._made(exercise, 0.0, "missing", "There is no cell with your answer.")
        return self._made(exercise, 0.0, "manual", "A person reads and grades your answer.")

    def _missing(self, exercise: Exercise) -> Grade | None:
        """Return a grade for an exercise of which nothing is there to be checked."""
        names = b"".join(message for name, message in self._kept
                         if name == exercise.name)  # fmt: skip
        if any(f'"{name}"'.encode() in names for name in exercise.names):
            return None
        runs = [self.runs[step.place] for step in self.plan.steps
                if exercise.name in step.answers and step.place in self.runs]  # fmt: skip
        failed = [run for run in runs if run.error]
        if failed:
            error = failed[-1].error
            status: Status = "memory" if error.split(":")[0] in _MEMORY else "error"
            if error.startswith("NotImplementedError"):
                return self._made(exercise, 0.0, "failed", "You have not started this exercise.")
            said = self._say("memory", "Your cell") if status == "memory" else (
                f"Your cell raised {error}")  # fmt: skip
            return self._made(exercise, 0.0, status, said, traceback=failed[-1].traceback)
        if runs:  # it ran, and defined something else: the check says what it misses
            return None
        wanted = " and ".join(exercise.names)
        return self._made(exercise, 0.0, "missing", f"No cell of your notebook defines {wanted}.")

    def _checked(self, exercise: Exercise) -> Grade:
        try:
            found = self.examining.check(exercise.name, self._session, 2 * self.seconds)
        except ExaminerLost as lost:
            self._session.stop()
            self.examining.start()
            if lost.trouble == "memory" and exercise.name not in self._asked_again:
                self._asked_again.add(exercise.name)
                return self._grade(exercise)  # it may have been worn out: a new one looks at it
            reason = "Checking your answer took too much time or memory."
            return self._made(exercise, 0.0, _STATUS[lost.trouble], reason)
        outcomes = tuple(
            CheckOutcome(**{**outcome, "reason": plain(outcome["reason"])})
            for outcome in found["outcomes"]
        )
        if found["trouble"]:
            self._session.stop()
            trouble: Trouble = found["trouble"]
            reason = self._say(trouble, "Your function")
            return self._made(exercise, 0.0, _STATUS[trouble], reason, outcomes)
        return self._judged(exercise, found, outcomes)

    def _judged(
        self, exercise: Exercise, found: dict[str, Any], outcomes: tuple[CheckOutcome, ...]
    ) -> Grade:
        points, raised = found["points"], found["raised"]
        names = {str(name) for error in raised for name in error.get("names", ())}
        status: Status = "partial" if 0 < points < exercise.points else "failed"
        if points >= exercise.points:
            status = "passed"
        elif names & _MEMORY:
            status = "memory"
        elif not points and raised and not found["untouched"] and _all_raised(outcomes):
            status = "error"
        trace = ""
        if raised:
            trace = "\n".join([*map(str, raised[0].get("lines", ())), _error(raised[0])])
        reason = found["error"] or _reason(outcomes)
        return self._made(exercise, points, status, reason, outcomes, trace)

    def _made(
        self, exercise: Exercise, points: float, status: Status, reason: str,
        outcomes: tuple[CheckOutcome, ...] = (), traceback: str = "",
    ) -> Grade:  # fmt: skip
        if exercise.name in self.plan.tampered and status in ("passed", "partial", "failed"):
            status = "tampered"
            reason = f"A locked cell was edited; the original was used. {reason}"
        return Grade(exercise.name, exercise.grade_id, round(points, 4), exercise.points, status,
                     " ".join(reason.split())[:500], outcomes, traceback)  # fmt: skip

    def _say(self, trouble: Trouble, what: str) -> str:
        return {
            "timeout": f"{what} ran longer than {self.seconds:g} s and was stopped: is there a "
                       "loop that never ends?",
            "memory": f"{what} used more than {self.memory:g} GB of memory and was stopped.",
            "died": f"{what} ended the Python process it ran in.",
            "processes": f"{what} started too many processes or threads and was stopped.",
            "disk": f"{what} wrote more than a submission may and was stopped.",
            "output": f"{what} printed without end and was stopped.",
        }[trouble]  # fmt: skip


def _all_raised(outcomes: tuple[CheckOutcome, ...]) -> bool:
    failed = [outcome for outcome in outcomes if not outcome.passed]
    return all(outcome.reason.startswith("Your code raised") for outcome in failed)


def _error(raised: dict[str, Any]) -> str:
    names = raised.get("names") or ["Error"]
    return f"{names[0]}: {raised.get('text', '')}"


def _reason(outcomes: tuple[CheckOutcome, ...]) -> str:
    """Return how many checks were passed, and the first reason why one was not."""
    passed = sum(outcome.passed for outcome in outcomes)
    hidden = sum(outcome.hidden for outcome in outcomes)
    said = f"{passed} of {len(outcomes)} checks passed"
    if hidden:
        said += f"; {hidden} run{'s' if hidden == 1 else ''} only at grading"
    failed = next((outcome for outcome in outcomes if not outcome.passed), None)
    if failed is None:
        return f"{said}." if outcomes else "All that is checked is right."
    return f"{said}. Not yet: {failed.text}. {failed.reason}"
