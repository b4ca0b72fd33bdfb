"""Writes the page that a student gets: points, and per exercise the message first.

One file that needs nothing else, without scripts; all text of the student's is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from labkit.course.grading.folders import text
from labkit.course.grading.kernels import CellRun
from labkit.course.grading.results import Graded, Status
from labkit.paths import atomic_write

MOST_FIGURES = 6_000_000
"""Characters of all figures of a page, in base64."""

WORDS: dict[Status, str] = {
    "passed": "All right",
    "partial": "Partly right",
    "failed": "Not yet",
    "error": "An error",
    "timeout": "Took too long",
    "memory": "Used too much memory",
    "missing": "Missing",
    "tampered": "A locked cell was edited",
    "manual": "Read by a person",
}
NO_ALT = "A figure without a description."


def write_feedback(graded: Graded, runs: Mapping[int, CellRun], out: Path) -> Path:
    """Write ``feedback/<student>/<assignment>.html``; return the file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    page = environment.get_template("feedback.html.j2").render(
        graded=graded, student=text(graded.student), words=WORDS, figures=list(_figures(runs)),
        number=lambda value: f"{value:g}",
    )  # fmt: skip
    file = out / "feedback" / graded.student / f"{graded.assignment}.html"
    with atomic_write(file) as stream:
        stream.write(page.encode("utf-8", "backslashreplace"))
    return file


def _figures(runs: Mapping[int, CellRun]) -> Iterator[dict[str, str]]:
    """Yield the pictures that the cells have shown, with the text that stands for them."""
    left = MOST_FIGURES
    for _, run in sorted(runs.items()):
        for output in run.outputs:
            data: Any = output.get("data", {})
            if "image/png" in data and len(data["image/png"]) <= left:
                left -= len(data["image/png"])
                said = str(data.get("text/plain", "")).strip()
                plain = not said or said.startswith("<")  # the repr of a figure says nothing
                yield {"png": data["image/png"], "alt": NO_ALT if plain else said}
