"""Checks a student's own notebook by the checks in it, in the grader's sandbox and words."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from labkit.checks import Checks
from labkit.course.grading import code
from labkit.course.grading.assignment import (
    Assignment,
    Exercise,
    find_exercises,
    is_check,
    settings,
)  # fmt: skip
from labkit.course.grading.batch import Settings, Workshop
from labkit.course.grading.exchange import Peer
from labkit.course.grading.kernels import Session
from labkit.course.grading.results import Grade, Graded, summed_up
from labkit.course.grading.submission import Plan, Step, read_submission
from labkit.course.grading.wire import ExchangeError
from labkit.errors import CourseError


def check_notebook(file: Path, how: Settings) -> Graded:
    """Run a notebook in the sandbox and return what its visible checks say.

    Args:
        file: a released notebook that a student has worked on.
        how: limits, and which images; the notebook runs in the profile "smoke".

    Raises:
        CourseError: it is no notebook, or has no checks in it.
    """
    started = time.perf_counter()
    notebook = read_submission(file, file.parent)
    exercises = {exercise.name: _visible(exercise) for exercise in find_exercises(notebook.cells)}
    if all(exercise.manual for exercise in exercises.values()):
        raise CourseError(f"{file} has no checks: is it a notebook of the course?")
    assignment = Assignment(file.stem, notebook, notebook, tuple(exercises.values()))
    plan = _plan(notebook, assignment, how.parameters)
    with Workshop({}, how) as workshop:
        grades, _ = workshop.run(plan, assignment, _OwnChecks())
    seconds = time.perf_counter() - started
    return summed_up("", file.stem, [_so_far(grade) for grade in grades], seconds, [])


def _visible(exercise: Exercise) -> Exercise:
    """Return an exercise that is answered by what its check cell has found."""
    return replace(exercise, names=tuple(sorted(code.defined(exercise.check))))


def _plan(notebook: Any, assignment: Assignment, parameters: dict[str, Any]) -> Plan:
    setting = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    by_id = {exercise.grade_id: exercise.name for exercise in assignment.exercises}
    steps = [Step(-1, setting)]
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            answers = [by_id[settings(cell)["grade_id"]]] if is_check(cell) else []
            after = setting if code.defined(cell.source) & set(parameters) else ""
            steps.append(Step(place, cell.source, answers, after))
    written = {exercise.name: "" for exercise in assignment.exercises if exercise.manual}
    return Plan(notebook, steps, set(by_id.values()), set(), written, [])


class _OwnChecks:
    """Takes the outcomes that the notebook's own check cells have come to."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def start(self) -> None:
        """Be ready."""

    def begin(self, kept: list[tuple[str, bytes]]) -> None:
        """Read what the check cells have defined."""
        peer = Peer("examiner", lambda number, data: b"")
        for exercise, message in kept:
            try:
                self._kept[exercise] = peer.loads(message)
            except ExchangeError:
                self._kept[exercise] = {}

    def check(self, exercise: str, session: Session, seconds: float) -> dict[str, Any]:
        """Return the outcomes of an exercise's checks."""
        found = [value for value in self._kept.get(exercise, {}).values()
                 if isinstance(value, Checks) and value.exercise == exercise]  # fmt: skip
        outcomes = [
            {"text": o.text, "worth": o.worth, "passed": o.passed, "hidden": False,
             "reason": o.reason.removesuffix(o.hint), "hint": "" if o.passed else o.hint}
            for checks in found for o in checks.outcomes
        ]  # fmt: skip
        points = sum(o.worth for checks in found for o in checks.outcomes if o.passed)
        untouched = not outcomes
        error = "You have not started this exercise, or not all of it." if untouched else ""
        return {"points": points, "trouble": "", "error": error, "untouched": untouched,
                "outcomes": outcomes, "raised": []}  # fmt: skip


def _so_far(grade: Grade) -> Grade:
    """Say what is still open: the points that are checked only at grading."""
    worth = sum(outcome.worth for outcome in grade.outcomes)
    more = grade.max_points - worth
    if not grade.outcomes or more <= 0:
        return grade
    kind = "point is" if more == 1 else "points are"
    said = f"{grade.reason} {more:g} more {kind} checked only at grading."
    done = all(outcome.passed for outcome in grade.outcomes)
    status = "passed" if done else grade.status
    return replace(grade, max_points=worth, status=status, reason=said)
