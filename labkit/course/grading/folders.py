"""Finds the submissions of a batch, and guards the folder that its results go to."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import CourseError, choices
from labkit.paths import atomic_write, file_sha256

LAYOUT = "SUBMISSIONS/<student>/<assignment>/<assignment>.ipynb"
_IGNORED = ("__MACOSX", "__pycache__")


@dataclass(frozen=True)
class Submission:
    """One student's notebook of one assignment, which may not be there."""

    student: str
    assignment: str
    folder: Path

    @property
    def file(self) -> Path:
        """The notebook."""
        return self.folder / f"{self.assignment}.ipynb"


def find_submissions(root: Path, known: Iterable[str], only: str | None = None) -> list[Submission]:
    """Return the submissions in a folder, by student, then by assignment.

    Args:
        root: laid out as ``LAYOUT``.
        known: names of the assignments that can be graded.
        only: the one to grade; a student without it is among the results too.

    Raises:
        CourseError: another layout, an unknown assignment, a student twice.
    """
    if not root.is_dir():
        raise CourseError(f"{root} is not a folder; submissions are in {LAYOUT}.")
    students = sorted(path for path in _visible(root) if path.is_dir())
    loose = [path.name for path in _visible(root) if path.suffix == ".ipynb"]
    if loose or not students:
        found = f"the notebook {loose[0]!r} lies in it" if loose else "there is no student in it"
        raise CourseError(f"{root} is not laid out as {LAYOUT}: {found}.")
    _refuse_twins(students)
    names = list(known)
    submissions = [s for student in students for s in _of_student(student, names, only)]
    if not submissions:
        raise CourseError(f"{root} is not laid out as {LAYOUT}: no student has a folder of an "
                          "assignment.")  # fmt: skip
    return submissions


def _visible(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if not p.name.startswith(".") and p.name not in _IGNORED]


def _of_student(student: Path, known: list[str], only: str | None) -> list[Submission]:
    if only is not None:
        return [Submission(student.name, only, student / only)]
    folders = sorted(path for path in _visible(student) if path.is_dir())
    for folder in folders:
        if folder.name not in known:
            raise CourseError(
                f"{folder} is no assignment of this course: it has {choices(known)}. Rename the "
                "folder, or say --assignment NAME to look at one assignment only."
            )
    return [Submission(student.name, folder.name, folder) for folder in folders]


def _refuse_twins(students: list[Path]) -> None:
    seen: dict[str, str] = {}
    for student in students:
        key = unicodedata.normalize("NFKC", student.name).casefold().strip()
        if key in seen:
            raise CourseError(
                f"The student {student.name!r} is there twice, also as {seen[key]!r}: which one "
                "counts? Remove the other."
            )
        seen[key] = student.name


def claim(out: Path, settings: Mapping[str, Any], submissions: Path, *, resume: bool) -> None:
    """Make sure that results may be written to a folder, and note what they are results of.

    Raises:
        CourseError: the folder has other results or files, or cannot be written to.
    """
    out, submissions = out.resolve(), submissions.resolve()
    if out == submissions or submissions in out.parents:
        raise CourseError(f"{out} lies among the submissions: choose another folder with -o.")
    note = out / "run.json"
    if out.exists() and not out.is_dir():
        raise CourseError(f"{out} is a file: choose a folder with -o.")
    if out.is_dir() and any(out.iterdir()):
        _compare(note, settings, resume=resume)
    elif resume and not note.exists():
        raise CourseError(f"There is nothing to resume in {out}: leave --resume out.")
    try:
        with atomic_write(note) as stream:
            stream.write(json.dumps(settings, indent=1, sort_keys=True).encode())
    except OSError as error:
        raise CourseError(f"Cannot write to {out} ({error.strerror}): choose another folder "
                          "with -o.") from None  # fmt: skip


def _compare(note: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    try:
        before = json.loads(note.read_bytes())
    except (OSError, ValueError):
        raise CourseError(
            f"{note.parent} has files that no grading run has written: choose an empty folder "
            "with -o; nothing was overwritten."
        ) from None
    if not resume:
        raise CourseError(
            f"{note.parent} has results already: say --resume to go on with them, or choose "
            "another folder with -o; nothing was overwritten."
        )
    different = [
        key for key in settings if before.get(key) != json.loads(json.dumps(settings[key]))
    ]
    if different:
        raise CourseError(
            f"{note.parent} has results of another run, with other {choices(different)}: choose "
            "another folder with -o; nothing was overwritten."
        )


def describe_sources(sources: Mapping[str, Path]) -> dict[str, str]:
    """Return a digest of each source, so that results of another version are told apart."""
    return {name: file_sha256(file) for name, file in sources.items()}


def text(name: str) -> str:
    """Return a file's name as text that can be written anywhere."""
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a character, which no file's name can hold
        return name.encode("utf-8", "backslashreplace").decode()
