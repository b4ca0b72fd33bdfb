"""Runs a lesson's cells in this process, with answers put in place of the solutions."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

from labkit.course.grading.examiner import run_cell
from labkit.course.run import find_notebooks, read_notebook

verdicts: dict[tuple[str, str], str] = {}
"""What the checks of each (lesson, exercise) said when ``solved`` ran them, as text."""

SMOKE = {"PROFILE": "smoke", "SEED": 0, "DATA": "simulated"}


def lessons() -> list[str]:
    return [path.stem for path in find_notebooks()]


def source_file(name: str) -> Path:
    return next(path for path in find_notebooks() if path.stem == name)


@functools.cache
def notebook(name: str) -> Any:
    return read_notebook(source_file(name))


def settings(cell: Any) -> dict[str, Any]:
    return cell.metadata.get("nbgrader", {})


def solution_cells(name: str) -> dict[str, Any]:
    return {
        settings(cell)["grade_id"]: cell
        for cell in notebook(name).cells
        if settings(cell).get("solution") and cell.cell_type == "code"
    }


def check_cells(name: str) -> dict[str, Any]:
    """Check cells by the exercise that they belong to."""
    return {
        settings(cell)["grade_id"].removesuffix("-checks"): cell
        for cell in notebook(name).cells
        if settings(cell).get("grade") and cell.cell_type == "code"
    }


def is_plain_answer(cell: Any) -> bool:
    """Tell whether a solution is data alone: the answer to a quiz, a prediction.

    There is no fresh data that such an answer could be tried on.
    """
    body = ast.parse(cell.source).body
    try:
        return all(isinstance(s, ast.Assign) and bool([ast.literal_eval(s.value)]) for s in body)
    except ValueError:
        return False


@functools.cache
def solved(name: str) -> dict[str, Any]:
    """Run a whole lesson with its solutions; return the names that it defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook(name).cells:
        if cell.cell_type == "code":
            run_cell(cell.source, names)
            if settings(cell).get("grade"):
                exercise = settings(cell)["grade_id"].removesuffix("-checks")
                verdicts[name, exercise] = repr(names["checks"])
            if "parameters" in cell.metadata.get("tags", []):
                names |= SMOKE
    return names


def points_for(name: str, exercise: str, answer: str) -> float:
    """Return the points of an answer: the solution cell's code replaced, then the checks run."""
    names = dict(solved(name))
    try:
        run_cell(answer, names)
        return float(run_cell(check_cells(name)[exercise].source, names))
    except AssertionError:  # nothing right, or a stub of a check
        return 0.0
