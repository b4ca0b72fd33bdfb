"""Writes the tables of a batch: grades, a summary, and what learning platforms import."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from labkit.course.grading.folders import text
from labkit.course.grading.results import Graded
from labkit.paths import atomic_write

GRADES = ("student", "assignment", "exercise", "points", "max_points", "status", "reason")
SUMMARY = ("student", "assignment", "points", "max_points", "status", "reason", "seconds")


def write_tables(results: Sequence[Graded], out: Path) -> None:
    """Write ``grades.csv``, ``summary.csv``, and points by student for Moodle and Canvas."""
    _write(out / "grades.csv", GRADES, (
        (one.student, one.assignment, g.exercise, g.points, g.max_points, g.status, g.reason)
        for one in results for g in one.grades
    ))  # fmt: skip
    _write(out / "summary.csv", SUMMARY, (
        (one.student, one.assignment, one.points, one.max_points, one.status, one.reason,
         f"{one.seconds:.1f}") for one in results
    ))  # fmt: skip
    _write_platforms(results, out)


def _write_platforms(results: Sequence[Graded], out: Path) -> None:
    """Write a row a student, a column an assignment, in the words of each platform."""
    assignments = sorted({one.assignment for one in results})
    students = sorted({one.student for one in results})
    points = {(one.student, one.assignment): one.points for one in results}
    most = {one.assignment: one.max_points for one in results}
    _write(out / "moodle.csv", ("Username", *assignments), (
        (student, *(points.get((student, name), "") for name in assignments))
        for student in students
    ))  # fmt: skip
    # https://community.canvaslms.com: the import wants these columns, and a row of points
    head = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", *assignments)
    possible = ("    Points Possible", "", "", "", "", *(most[name] for name in assignments))
    rows = ((student, "", "", student, "", *(points.get((student, a), "") for a in assignments))
            for student in students)  # fmt: skip
    _write(out / "canvas.csv", head, (possible, *rows))


def _write(file: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    with atomic_write(file) as target:
        target.write(stream.getvalue().encode())


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return text(value) if isinstance(value, str) else str(value)
