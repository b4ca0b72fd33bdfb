"""What grading gives: points, a status and a reason for each exercise; and its form on disk."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from labkit.paths import atomic_write

Status = Literal[
    "passed", "partial", "failed", "error", "timeout", "memory", "missing", "tampered", "manual"
]


@dataclass(frozen=True)
class CheckOutcome:
    """One check of an exercise: what is checked, whether it was passed, why not, what to do."""

    text: str
    worth: float
    passed: bool
    reason: str
    hint: str
    hidden: bool


@dataclass(frozen=True)
class Grade:
    """What one exercise came to.

    Attributes:
        exercise: its name.
        grade_id: of the cell that nbgrader gives its points to.
        points: earned, 0..max_points.
        max_points: that can be earned.
        status: see ``Status``; "tampered" when a locked cell was edited, which costs nothing.
        reason: a sentence for the student.
        outcomes: of its checks.
        traceback: of the error, if there was one; empty otherwise.
    """

    exercise: str
    grade_id: str
    points: float
    max_points: float
    status: Status
    reason: str
    outcomes: tuple[CheckOutcome, ...] = ()
    traceback: str = ""


@dataclass(frozen=True)
class Graded:
    """One graded submission.

    Attributes:
        student: name of the student's folder.
        assignment: name of the assignment.
        grades: one an exercise, in the assignment's order.
        status: of the whole: the exercises' worst, or "passed".
        reason: a sentence for the student.
        seconds: wall time.
        notes: what was repaired in the notebook, in plain words.
        digest: SHA-256 of the notebook's file; empty where there is none.
    """

    student: str
    assignment: str
    grades: tuple[Grade, ...]
    status: Status
    reason: str
    seconds: float
    notes: tuple[str, ...] = ()
    digest: str = ""

    @property
    def points(self) -> float:
        """Points of all exercises."""
        return round(sum(grade.points for grade in self.grades), 4)

    @property
    def max_points(self) -> float:
        """Points that can be earned, those that a person gives included."""
        return sum(grade.max_points for grade in self.grades)

    def write(self, file: Path) -> None:
        """Write it as JSON, whole or not at all."""
        with atomic_write(file) as stream:
            stream.write(json.dumps(dataclasses.asdict(self), indent=1).encode())


def read_graded(file: Path) -> Graded | None:
    """Return what ``Graded.write`` wrote; None where there is no whole file."""
    try:
        data: dict[str, Any] = json.loads(file.read_bytes())
        grades = [
            Grade(**{**grade, "outcomes": tuple(CheckOutcome(**o) for o in grade["outcomes"])})
            for grade in data.pop("grades")
        ]
        notes = tuple(data.pop("notes"))
        return Graded(**data, grades=tuple(grades), notes=notes)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def summed_up(student: str, assignment: str, grades: list[Grade], seconds: float,
              notes: list[str]) -> Graded:  # fmt: skip
    """Put the grades of a submission together, with a status and a reason for the whole."""
    automatic = [grade for grade in grades if grade.status != "manual"]
    good = [grade for grade in automatic if grade.points >= grade.max_points]
    points = sum(grade.points for grade in automatic)
    most = sum(grade.max_points for grade in automatic)
    manual = sum(grade.max_points for grade in grades if grade.status == "manual")
    reason = f"{len(good)} of {len(automatic)} exercises have all points: {points:g} of {most:g}."
    if manual:
        reason += f" A person gives up to {manual:g} more."
    return Graded(
        student, assignment, tuple(grades), _worst(automatic, points, most), reason, seconds,
        tuple(notes),
    )  # fmt: skip


def _worst(grades: list[Grade], points: float, most: float) -> Status:
    if points >= most:
        return "passed"
    kinds = {grade.status for grade in grades}
    loud: list[Status] = [status for status in ("timeout", "memory", "error") if status in kinds]
    return loud[0] if loud else "partial" if points else "failed"


def not_graded(student: str, assignment: str, exercises: Any, status: Status, reason: str,
               seconds: float) -> Graded:  # fmt: skip
    """Return no points at all, for a submission that cannot be read or run."""
    grades = tuple(Grade(e.name, e.grade_id, 0.0, e.points, status, reason) for e in exercises)
    return Graded(student, assignment, grades, status, reason, seconds)
