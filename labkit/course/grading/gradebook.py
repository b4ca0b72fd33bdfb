"""Keeps results in an nbgrader gradebook, which nbgrader's own commands open.

The output folder is a course folder of nbgrader's: start ``nbgrader export`` or a server
with formgrader in it.
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.course.grading.assignment import load_assignment
from labkit.course.grading.folders import text
from labkit.course.grading.results import Graded
from labkit.paths import atomic_write

_CONFIG = """# This folder is a course of nbgrader's: start `nbgrader export` or Jupyter in it.
c = get_config()
c.CourseDirectory.root = {root!r}
"""


@contextmanager
def open_gradebook(url: str) -> Iterator[Any]:
    """nbgrader's gradebook at a database address.

    nbgrader starts ``alembic`` by name when it makes a new one. That program lies beside this
    interpreter, in a folder that PATH does not name where the environment is not activated.
    """
    from nbgrader.api import Gradebook

    path = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])
    try:
        with Gradebook(url) as book:
            yield book
    finally:
        os.environ["PATH"] = path


def write_gradebook(results: Sequence[Graded], sources: Mapping[str, Path], out: Path) -> Path:
    """Write or update ``gradebook.db``; what a person has graded in it is kept.

    Args:
        results: of all submissions.
        sources: the instructor's notebooks by assignment.
        out: the course folder; the sources are copied into it.
    """
    file = out / "gradebook.db"
    url = f"sqlite:///{file}"
    with atomic_write(out / "nbgrader_config.py") as stream:
        stream.write(_CONFIG.format(root=str(out)).encode())
    with open_gradebook(url) as book:
        for name in sources:
            book.update_or_create_assignment(name)
    for name, source in sources.items():
        _save_cells(name, source, out, url)
    # SQLAlchemy warns about the way in which nbgrader adds rows.
    with open_gradebook(url) as book, warnings.catch_warnings(action="ignore"):
        for graded in results:
            _save_grades(book, graded)
        book.db.commit()
    return file


def _save_cells(name: str, source: Path, out: Path, url: str) -> None:
    """Copy a source into the course folder and note its graded cells."""
    from nbgrader.preprocessors import ComputeChecksums, SaveCells

    target = out / "source" / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    resources = {"nbgrader": {"assignment": name, "notebook": name, "db_url": url}}
    notebook = load_assignment(source).source
    for preprocessor in (ComputeChecksums(), SaveCells()):
        notebook, resources = preprocessor.preprocess(notebook, resources)


def _save_grades(book: Any, graded: Graded) -> None:
    """Note the points of one submission; nbgrader adds up."""
    student, name = text(graded.student), graded.assignment
    book.update_or_create_student(student)
    book.update_or_create_submission(name, student)
    for grade in graded.grades:
        found = book.find_grade(grade.grade_id, name, name, student)
        if grade.status == "manual":
            found.needs_manual_grade = found.manual_score is None
        else:
            found.auto_score = grade.points
            found.needs_manual_grade = False
    notebook = book.find_submission_notebook(name, name, student)
    notebook.failed_tests = any(grade.points < grade.max_points for grade in graded.grades)
