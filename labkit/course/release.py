"""Makes the student version of assignments: solutions and hidden tests are taken out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from labkit.course.run import read_notebook
from labkit.errors import CourseError
from labkit.paths import atomic_write

MARKS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS",
         "BEGIN MARK SCHEME", "END MARK SCHEME")  # fmt: skip
"""What encloses the parts that students do not get."""


@dataclass(frozen=True)
class Released:
    """One released file; ``state`` is "written", or "kept" where work was there already."""

    file: Path
    state: str


def release(sources: Sequence[Path], out: Path, *, overwrite: bool = False) -> list[Released]:
    """Write ``<out>/<assignment>/<assignment>.ipynb`` and ``<out>/<assignment>.zip``.

    Args:
        sources: the instructor's notebooks.
        out: folder for the student versions.
        overwrite: False keeps a notebook that is there already, since it may be a
            student's work.

    Raises:
        CourseError: a source is no notebook, or would be overwritten by its own release.
    """
    released = []
    for source in sources:
        text = _released_text(source)
        target = out / source.stem / source.name
        if target.resolve() == source.resolve():
            raise CourseError(f"{target} is the instructor's source: release into another folder.")
        if target.exists() and not overwrite:
            released.append(Released(target, "kept"))
            continue
        for file, content in (
            (target, text.encode()),
            (out / f"{source.stem}.zip", _zip(source, text)),
        ):
            with atomic_write(file) as stream:
                stream.write(content)
        released.append(Released(target, "written"))
    return released


def _released_text(source: Path) -> str:
    """Return the student version as text, with the assignment's name for the grader.

    Raises CourseError when a solution or a hidden test would be in it.
    """
    try:
        notebook = student_version(read_notebook(source))
    except RuntimeError as error:  # nbgrader: a region begins or ends twice
        raise CourseError(f"{source} cannot be released: {error}.") from None
    notebook.metadata["labkit"] = {"assignment": source.stem}
    text: str = nbformat.writes(notebook) + "\n"
    left = [mark for mark in MARKS if mark in text]
    if left:
        raise CourseError(
            f"{source} cannot be released: {left[0]!r} is in a cell that is not set up as "
            "a solution or a test in nbgrader's settings of the cell."
        )
    return text


def student_version(notebook: Any) -> Any:
    """Return a copy of an assignment as students get it, by nbgrader's own preprocessors."""
    from nbgrader.preprocessors import (
        ClearHiddenTests,
        ClearMarkScheme,
        ClearOutput,
        ClearSolutions,
        ComputeChecksums,
        LockCells,
    )

    copy = nbformat.from_dict(notebook)
    for preprocessor in (
        LockCells,
        ClearSolutions,
        ClearOutput,
        ClearHiddenTests,
        ClearMarkScheme,
        ComputeChecksums,
    ):
        copy, _ = preprocessor().preprocess(copy, {})
    return copy


def _zip(source: Path, text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        # A fixed date: the same notebook gives the same bytes.
        archive.writestr(zipfile.ZipInfo(f"{source.stem}/{source.name}"), text)
    return stream.getvalue()
