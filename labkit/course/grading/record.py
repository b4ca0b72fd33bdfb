"""Writes what one submission came to: its feedback, its executed notebook, its result."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from labkit.course.grading.assignment import Assignment, settings
from labkit.course.grading.feedback import write_feedback
from labkit.course.grading.kernels import CellRun
from labkit.course.grading.results import Graded
from labkit.paths import atomic_write


def write_record(
    graded: Graded, notebook: Any, runs: Mapping[int, CellRun], assignment: Assignment, out: Path
) -> None:
    """Write everything of a submission; the result comes last and says that all is there."""
    write_feedback(graded, runs, out)
    executed = executed_notebook(notebook, runs, assignment)
    file = out / "autograded" / graded.student / graded.assignment / f"{graded.assignment}.ipynb"
    with atomic_write(file) as stream:
        stream.write(nbformat.writes(executed).encode("utf-8", "backslashreplace"))
    graded.write(out / "results" / graded.student / f"{graded.assignment}.json")


def executed_notebook(notebook: Any, runs: Mapping[int, CellRun], assignment: Assignment) -> Any:
    """Return a submission as nbgrader's formgrader wants to show it.

    Each graded cell is there once, under its own id and with the source's settings; what
    the student's cells have shown is in it as text and pictures.
    """
    originals = {settings(c)["grade_id"]: c for c in assignment.source.cells if settings(c)}
    cells = []
    for place, cell in enumerate(notebook.cells if notebook is not None else ()):
        shown = copy.deepcopy(cell)
        if shown.cell_type == "code" and place in runs:
            shown.outputs = runs[place].outputs
        original = originals.pop(settings(cell).get("grade_id", ""), None)
        cells.append(_restored(shown, original))
    cells += [_absent(original) for original in originals.values()]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return nbformat.v4.new_notebook(cells=cells, metadata=assignment.source.metadata)


def _restored(cell: Any, original: Any) -> Any:
    """Give a cell the settings of the source's; a locked or retyped one is the source's."""
    if cell.cell_type == "markdown":  # a page that shows it must not run what is in it
        cell.source = _without_scripts(cell.source)
    if original is None:
        cell.metadata = {}
        return cell
    if original.cell_type != cell.cell_type or settings(original).get("locked"):
        return _absent(original) if settings(original).get("solution") else copy.deepcopy(original)
    cell.metadata = copy.deepcopy(original.metadata)
    return cell


def _without_scripts(text: str) -> str:
    """Return a student's text in which all but simple HTML is shown as it was written."""
    from nbconvert.preprocessors.sanitize import SanitizeHTML

    tags = ["b", "br", "code", "em", "i", "li", "ol", "p", "pre", "strong", "sub", "sup", "ul"]
    clean = SanitizeHTML(tags=tags, attributes={}, strip=False)
    return str(clean.sanitize_html_tags(text))


def _absent(original: Any) -> Any:
    """Return a graded cell that the student's notebook has not."""
    cell = copy.deepcopy(original)
    if settings(original).get("solution"):
        cell.source = "# no answer" if cell.cell_type == "code" else "*No answer.*"
    if cell.cell_type == "code":
        cell.outputs = []
    return cell
