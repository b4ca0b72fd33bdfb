"""What an instructor's source says about an assignment: exercises, checks, given cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from labkit.course.grading import code
from labkit.course.run import read_notebook
from labkit.errors import CourseError

_HIDDEN = re.compile(r"^(\s*)### (BEGIN|END) HIDDEN TESTS.*$", re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    """One exercise that earns points.

    Attributes:
        name: its stable name.
        grade_id: of the cell that nbgrader gives the points to.
        points: that it is worth.
        manual: whether a person grades it.
        names: what a student has to define, and the checks look at.
        defines: all that the solution cell defines; a cell that does so is an answer to it.
        solution_id: grade_id of the solution cell; "" where there is none.
        check: the check cell's code, hidden tests included; "" for a manual one.
    """

    name: str
    grade_id: str
    points: float
    manual: bool
    names: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    solution_id: str = ""
    check: str = ""

    @cached_property
    def visible_check(self) -> str:
        """The check cell as students have it."""
        parts = re.split(r"(?m)^\s*### (?:BEGIN|END) HIDDEN TESTS.*$", self.check)
        return "".join(parts[::2])

    @cached_property
    def marked_check(self) -> str:
        """The check with calls of ``__mark__`` where hidden tests begin and end."""
        return _HIDDEN.sub(lambda m: f"{m[1]}__mark__({m[2] == 'BEGIN'})", self.check)


@dataclass(frozen=True)
class Assignment:
    """An assignment: its exercises in order, and the cells that every student is given.

    Attributes:
        name: of the assignment, and of the notebook.
        source: the instructor's notebook, format 4.
        released: the student version of it.
        exercises: in the order of the notebook.
    """

    name: str
    source: Any
    released: Any
    exercises: tuple[Exercise, ...]
    cells: dict[str, Any] = field(default_factory=dict)

    @property
    def max_points(self) -> float:
        """All points, a person's included."""
        return sum(exercise.points for exercise in self.exercises)

    @cached_property
    def locked(self) -> dict[str, Any]:
        """The released cells that students should leave alone, by grade_id."""
        return {gid: cell for gid, cell in self.cells.items() if settings(cell).get("locked")}

    @cached_property
    def given(self) -> list[str]:
        """The code of released cells that belong to no exercise."""
        return [cell.source for cell in self.released.cells
                if cell.cell_type == "code" and not settings(cell)]  # fmt: skip

    @cached_property
    def checks_are_needed(self) -> bool:
        """Whether a cell that is no check uses something that only check cells define."""
        others = [cell for cell in self._code if not is_check(cell)]
        return bool(self._only_in_checks & _union(code.used, others))

    @cached_property
    def _code(self) -> list[Any]:
        return [cell for cell in self.source.cells if cell.cell_type == "code"]

    @cached_property
    def _only_in_checks(self) -> set[str]:
        checks = [cell for cell in self._code if is_check(cell)]
        others = [cell for cell in self._code if not is_check(cell)]
        return _union(code.defined, checks) - _union(code.defined, others)


def _union(names: Any, cells: list[Any]) -> set[str]:
    return set().union(*(names(cell.source) for cell in cells))


def settings(cell: Any) -> dict[str, Any]:
    """Return nbgrader's settings of a cell; empty for a cell that it knows nothing about."""
    found = cell.metadata.get("nbgrader", {})
    return found if isinstance(found, dict) and found.get("grade_id") else {}


def is_check(cell: Any) -> bool:
    """Tell whether a cell of a source holds checks."""
    found = settings(cell)
    return bool(cell.cell_type == "code" and found.get("grade") and not found.get("solution"))


def load_assignment(file: Path) -> Assignment:
    """Read an instructor's source; CourseError when nothing in it can be graded."""
    from labkit.course.release import student_version

    source = read_notebook(file)
    exercises = tuple(find_exercises(source.cells))
    if not exercises:
        raise CourseError(f"{file} has no graded cells: is it an instructor's source?")
    names = [exercise.name for exercise in exercises]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CourseError(f"{file} has two exercises called {twice[0]!r}: rename one.")
    released = student_version(source)
    cells = {settings(c)["grade_id"]: c for c in released.cells if settings(c)}
    return Assignment(file.stem, source, released, exercises, cells)


def find_exercises(cells: list[Any]) -> Iterator[Exercise]:
    """Yield the exercises; the solutions that a check belongs to stand before it."""
    open_solutions: list[Any] = []
    for cell in cells:
        found = settings(cell)
        manual = bool(found.get("grade") and found.get("solution")) or bool(found.get("task"))
        if found.get("solution") and not manual and cell.cell_type == "code":
            open_solutions.append(cell)
        if not (found.get("grade") or found.get("task")):
            continue
        points = float(found.get("points", 0))
        if manual:
            yield Exercise(found["grade_id"], found["grade_id"], points, True)
        elif cell.cell_type == "code":
            yield _checked(cell, open_solutions, points)
            open_solutions = []


def _checked(cell: Any, solutions: list[Any], points: float) -> Exercise:
    gid = settings(cell)["grade_id"]
    name = gid.removesuffix("-checks")
    own = [s for s in solutions if settings(s)["grade_id"] == name] or solutions
    defines = _union(code.defined, own)
    names = defines & code.used(cell.source) or defines
    return Exercise(
        name, gid, points, False, tuple(sorted(names)), tuple(sorted(defines)),
        settings(own[-1])["grade_id"] if own else "", cell.source,
    )  # fmt: skip
