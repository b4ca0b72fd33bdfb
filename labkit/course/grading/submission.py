"""Reads a student's notebook, whatever state it is in, and finds the exercises in it.

Exercises are found by the names that they define, then by nbgrader's id. So cells may be
moved, split, merged, duplicated or retyped, and saved by any editor.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from labkit.course.grading import code
from labkit.course.grading.assignment import Assignment, Exercise, settings
from labkit.errors import CourseError

LARGEST_NOTEBOOK = 200_000_000
"""Bytes; pictures of a whole course fit in a hundredth of it."""

_CHECKS = re.compile(r"""\bChecks\(\s*["'](\w+)["']""")
_HEADING = re.compile(r"Exercise `([^`]+)`")


class SubmissionError(CourseError):
    """A file cannot be graded at all; the message is for the student."""


@dataclass
class Step:
    """One cell that is run: its place in the notebook, its code, the exercises it answers."""

    place: int
    source: str
    answers: list[str] = field(default_factory=list)
    after: str = ""


@dataclass
class Plan:
    """What is run of a notebook, and what was found about its exercises.

    Attributes:
        notebook: the submission, outputs removed, retyped cells set right.
        steps: the cells to run, in order.
        found: exercises of which there is a cell.
        tampered: exercises whose locked cells were edited; the originals are used.
        written: answers in free text, by exercise.
        notes: what was repaired, in plain words.
    """

    notebook: Any
    steps: list[Step]
    found: set[str]
    tampered: set[str]
    written: dict[str, str]
    notes: list[str]


def read_submission(file: Path, folder: Path) -> Any:
    """Read a notebook of any format as format 4, without its outputs.

    Args:
        file: the notebook.
        folder: the submission's; a link that leads out of it is refused.

    Raises:
        SubmissionError: it cannot be read as a Python notebook.
    """
    if file.is_symlink() or folder.is_symlink():
        raise SubmissionError("The notebook is a link to another place, not a file.")
    if file.is_dir():
        raise SubmissionError("There is a folder where the notebook should be.")
    if not file.is_file():
        raise SubmissionError(f"There is no notebook {file.name}.")
    if file.stat().st_size > LARGEST_NOTEBOOK:
        raise SubmissionError(
            f"The notebook has {file.stat().st_size // 10**6} MB, at most "
            f"{LARGEST_NOTEBOOK // 10**6} are read: clear its outputs and hand it in again."
        )
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SubmissionError(f"The notebook cannot be read ({error.strerror}).") from None
    return _cleaned(_parsed(data))


def _parsed(data: bytes) -> Any:
    if not data.strip():
        raise SubmissionError("The file is empty.")
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SubmissionError("The file is not a notebook: it is not text in UTF-8.") from None
    except RecursionError:
        raise SubmissionError("The file is not a notebook: its JSON is nested too deep.") from None
    except ValueError as error:
        line = getattr(error, "lineno", "?")
        raise SubmissionError(
            f"The file is not a whole notebook: its JSON breaks off at line {line}."
        ) from None
    if not isinstance(content, dict) or not any(
        isinstance(content.get(key), list) for key in ("cells", "worksheets")
    ):
        raise SubmissionError("The file is JSON, but not a notebook: it has no cells.")
    try:
        content = _repaired(content)
        return nbformat.from_dict(nbformat.convert(nbformat.from_dict(content), 4))
    except Exception as error:  # nbformat raises many types on damaged notebooks
        raise SubmissionError(f"The notebook is damaged: {str(error)[:200]}") from None


def _repaired(content: dict[str, Any]) -> dict[str, Any]:
    """Give a notebook the fields that every notebook has, so that nbformat can go on."""
    content.setdefault("nbformat", 4 if "cells" in content else 3)
    content.setdefault("nbformat_minor", 0)
    if not isinstance(content.get("metadata"), dict):
        content["metadata"] = {}
    content["nbformat"] = min(max(int(content["nbformat"]), 1), 4)
    return content


def _cleaned(notebook: Any) -> Any:
    language = _language(notebook.metadata)
    if language not in ("", "python", "python3", "ipython"):
        raise SubmissionError(
            f"The notebook is written for the language {language[:30]!r}; this course is in Python."
        )
    cells = [_clean_cell(cell) for cell in notebook.get("cells", []) if isinstance(cell, dict)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel}
    released = notebook.metadata.get("labkit")
    if isinstance(released, dict) and isinstance(released.get("assignment"), str):
        metadata["labkit"] = {"assignment": released["assignment"][:100]}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def _language(metadata: Any) -> str:
    for key, name in (("kernelspec", "language"), ("language_info", "name")):
        part = metadata.get(key)
        if isinstance(part, dict) and isinstance(part.get(name), str):
            return str(part[name]).lower()
    return ""


def _clean_cell(cell: Any) -> Any:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(str(line) for line in source)
    source = str(source).replace("\r\n", "\n").replace("\r", "\n")
    source = source.encode("utf-8", "replace").decode()  # halves of characters become "?"
    metadata = cell.get("metadata")
    kept = {}
    given = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    if isinstance(given, dict) and isinstance(given.get("grade_id", ""), str):
        kept["nbgrader"] = dict(given)
    kind = cell.get("cell_type")
    made = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return made(source, metadata=kept)  # type: ignore[no-untyped-call]


def make_plan(notebook: Any, assignment: Assignment, parameters: dict[str, Any]) -> Plan:
    """Find the exercises of an assignment in a submission, and what has to be run.

    Args:
        notebook: as ``read_submission`` returns it.
        assignment: what it is a submission of.
        parameters: set after each cell that sets one of them, and at the beginning.
    """
    return _Planner(notebook, assignment, parameters).plan()


class _Planner:
    def __init__(self, notebook: Any, assignment: Assignment, parameters: dict[str, Any]) -> None:
        self.notebook, self.assignment = notebook, assignment
        self.setting = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
        self.parameters = set(parameters)
        self.notes: list[str] = []
        self.checks: dict[str, list[int]] = {}

    def plan(self) -> Plan:
        """Return what to run and what was found."""
        released_as = self.notebook.metadata.get("labkit", {}).get("assignment")
        if released_as not in (None, self.assignment.name):
            self.notes.append(f"This is a notebook of the assignment {released_as!r}.")
        self._find_checks()
        self._retype()
        steps = [Step(-1, self.setting), *self._steps()]
        found = {e.name for e in self.assignment.exercises if self._place(e, steps)}
        return Plan(
            self.notebook, steps, found, self._tampered(), self._written(), self.notes
        )  # fmt: skip

    def _find_checks(self) -> None:
        """Note which cells are check cells: by id, or by the exercise that they name."""
        by_id = {e.grade_id: e.name for e in self.assignment.exercises if not e.manual}
        known = set(by_id.values())
        for place, cell in enumerate(self.notebook.cells):
            name = by_id.get(settings(cell).get("grade_id", ""))
            match = _CHECKS.search(cell.source) if cell.cell_type == "code" else None
            if name is None and match and match[1] in known and not settings(cell).get("solution"):
                name = match[1]
            if name is not None:
                self.checks.setdefault(name, []).append(place)

    def _retype(self) -> None:
        """Turn answers back into code that were made text by mistake."""
        answers = {e.solution_id: e for e in self.assignment.exercises if e.solution_id}
        for place, cell in enumerate(self.notebook.cells):
            exercise = answers.get(settings(cell).get("grade_id", ""))
            if cell.cell_type == "code" or exercise is None:
                continue
            if code.defined(cell.source) & set(exercise.names):
                self.notebook.cells[place] = nbformat.v4.new_code_cell(
                    cell.source, metadata=cell.metadata
                )
                self.notes.append(f"The answer to {exercise.name!r} was a text cell; it was run.")

    def _steps(self) -> list[Step]:
        checks = {place for places in self.checks.values() for place in places}
        steps = []
        for place, cell in enumerate(self.notebook.cells):
            if cell.cell_type != "code":
                continue
            source = cell.source
            if place in checks:
                if not self._answers_too(place):
                    if not self.assignment.checks_are_needed:
                        continue
                    source = self._original(place) or source
            elif self._is_edited(cell):
                source = self.assignment.cells[settings(cell)["grade_id"]].source
            after = self.setting if code.defined(source) & self.parameters else ""
            steps.append(Step(place, source, after=after))
        return steps

    def _checked(self, place: int) -> Exercise:
        name = next(name for name, places in self.checks.items() if place in places)
        return next(e for e in self.assignment.exercises if e.name == name)

    def _original(self, place: int) -> str:
        return self._checked(place).visible_check

    def _answers_too(self, place: int) -> bool:
        """Tell whether an answer was put into the cell of its check."""
        exercise = self._checked(place)
        wanted = set(exercise.names) - code.defined(exercise.check)
        return bool(code.defined(self.notebook.cells[place].source) & wanted)

    def _is_edited(self, cell: Any) -> bool:
        """Tell whether a locked cell that is no check was changed."""
        original = self.assignment.locked.get(settings(cell).get("grade_id", ""))
        return original is not None and not code.same_code(original.source, cell.source)

    def _place(self, exercise: Exercise, steps: list[Step]) -> bool:
        """Note after which step an exercise is answered; tell whether there is one."""
        if exercise.manual:
            return self._text(exercise) is not None
        names = set(exercise.names)
        answers = [
            step for step in steps[1:]
            if names & code.defined(step.source) and not self._is_given(step)
        ]  # fmt: skip
        own = [step for step in steps[1:] if self._id(step) == exercise.solution_id != ""]
        limit = max(self.checks.get(exercise.name, [len(self.notebook.cells)]))
        before = [step for step in answers if step.place <= limit]
        chosen = before or answers or own
        if chosen:
            chosen[-1].answers.append(exercise.name)
        return bool(chosen)

    def _id(self, step: Step) -> str:
        return str(settings(self.notebook.cells[step.place]).get("grade_id", ""))

    def _is_given(self, step: Step) -> bool:
        return not self._id(step) and any(
            code.same_code(step.source, given) for given in self.assignment.given
        )

    def _tampered(self) -> set[str]:
        """Return the exercises whose check, or a locked cell before it, was edited."""
        found = set()
        for exercise in self.assignment.exercises:
            copies = [self.notebook.cells[place].source
                      for place in self.checks.get(exercise.name, [])]  # fmt: skip
            originals = (exercise.visible_check, exercise.check)
            if copies and not any(code.same_code(o, copy) for o in originals for copy in copies):
                found.add(exercise.name)
        checks = {exercise.grade_id for exercise in self.assignment.exercises}
        for cell in self.notebook.cells:
            gid = settings(cell).get("grade_id", "")
            if gid not in checks and cell.cell_type == "code" and self._is_edited(cell):
                found |= self._next_exercise(gid)
        return found

    def _next_exercise(self, grade_id: str) -> set[str]:
        order = [settings(cell).get("grade_id") for cell in self.assignment.source.cells]
        later = set(order[order.index(grade_id) :])
        return {next((e.name for e in self.assignment.exercises if e.grade_id in later), "")} - {""}

    def _written(self) -> dict[str, str]:
        texts = {e.name: self._text(e) for e in self.assignment.exercises if e.manual}
        return {name: text for name, text in texts.items() if text is not None}

    def _text(self, exercise: Exercise) -> str | None:
        """Return a free-text answer, found by its id or by the heading above it."""
        cells = self.notebook.cells
        for cell in cells:
            if settings(cell).get("grade_id") == exercise.grade_id:
                return str(cell.source)
        for cell, following in itertools.pairwise(cells):
            if exercise.name in _HEADING.findall(cell.source):
                return str(following.source)
        return None
