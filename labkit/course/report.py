"""Writes one page about a run of the course: results, figures, points and times.

The page holds the outputs of the notebooks' cells tagged ``report``, and links to each
executed notebook as a page of its own. All of it opens without a network.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from labkit import plots
from labkit.course.run import NotebookRun, read_notebook
from labkit.data.images import square
from labkit.data.simulated.writing import RECIPES, draw_samples
from labkit.paths import atomic_write
from labkit.tables import html_table


def write_report(runs: Sequence[NotebookRun], out: Path, *, profile: str, data: str) -> Path:
    """Write ``index.html`` and a page for each notebook into ``out``; return the index."""
    import jinja2

    pages = {run.name: _notebook_page(run, out) for run in runs}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    html = environment.get_template("report.html.j2").render(
        runs=runs, pages=pages, titles={run.name: _title(run) for run in runs},
        sections={run.name: _report_cells(run) for run in runs},
        profile=profile, data=data, machine=_machine(), made=f"{datetime.now():%Y-%m-%d %H:%M}",
        earned=sum(run.points for run in runs), most=sum(run.max_points for run in runs),
        seconds=sum(run.seconds for run in runs), simulated=_simulated_images(),
    )  # fmt: skip
    index = out / "index.html"
    with atomic_write(index) as stream:
        stream.write(html.encode())
    return index


def _machine() -> str:
    import importlib.metadata as metadata

    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("tensorflow", "keras", "numpy"))
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def _simulated_images() -> list[str]:
    """Show the simulated images, and what was measured of them, as HTML.

    The numbers are those of ``labkit bench simulated``, kept with the course: measuring them
    takes longer than a run of the course.
    """
    parts = []
    for name, recipe in RECIPES.items():
        samples = draw_samples(name, 16 // len(recipe.classes) or 1)
        images = np.stack([square(Image.fromarray(pixels), 128) for _, pixels in samples])
        title = f"{name}, simulated: drawn by a program"
        parts.append(plots.picture_grid(images, [c for c, _ in samples], title=title)._repr_html_())
    measured = Path(__file__).parents[2] / "benchmarks" / "results" / "simulated.json"
    if measured.exists():
        parts.append(_property_table(json.loads(measured.read_text(encoding="utf-8"))))
    return parts


def _property_table(measured: dict[str, Any]) -> str:
    rows = [
        (
            row["name"],
            f"{row['mean']:.3f}",
            "" if row["runs"] < 2 else f"{row['low']:.3f} to {row['high']:.3f}",
            row["runs"],
            row["target"],
            "reached" if row["reached"] else "missed",
        )
        for row in measured["properties"]
    ]
    header = ("measured, EfficientNetLite0 at 96 px", "mean", "95 % interval", "drawings",
              "target", "")  # fmt: skip
    caption = f"The simulated images, measured on {measured['day']} ({measured['cores']} cores)"
    return html_table(rows, header=header, caption=caption)


def _notebook_page(run: NotebookRun, out: Path) -> str | None:
    """Turn an executed notebook into a page; return its name, or None where there is none."""
    if not run.file.exists():
        return None
    from nbconvert import HTMLExporter

    # No scripts from other hosts: the page has to work without a network.
    exporter = HTMLExporter(
        template_name="lab", require_js_url="", mathjax_url="", jquery_url="", mermaid_js_url=""
    )
    html, _ = exporter.from_notebook_node(read_notebook(run.file))
    page = out / f"{run.name}.html"
    page.write_text(html, encoding="utf-8")
    return page.name


def _title(run: NotebookRun) -> str:
    """Return a notebook's first heading, or its name."""
    cells = read_notebook(run.file).cells if run.file.exists() else []
    return next(iter(_headings(cells, 1).values()), run.name)


def _headings(cells: Sequence[Any], level: int) -> dict[int, str]:
    """Return the headings of one level by the number of the cell that they stand in."""
    pattern = re.compile(rf"^{'#' * level} (.+)$", re.MULTILINE)
    return {
        place: found[1].strip().replace("`", "")
        for place, cell in enumerate(cells)
        if cell.cell_type == "markdown" and (found := pattern.search(cell.source))
    }


def _report_cells(run: NotebookRun) -> list[tuple[str, list[str]]]:
    """Return the outputs, as HTML, of the cells tagged ``report``, by the section they are in."""
    cells = read_notebook(run.file).cells if run.file.exists() else []
    headings = _headings(cells, 2)
    sections: list[tuple[str, list[str]]] = [("", [])]
    for place, cell in enumerate(cells):
        if place in headings:
            sections.append((headings[place], []))
        if "report" in cell.metadata.get("tags", []):
            shown = (_output_html(output) for output in cell.get("outputs", []))
            sections[-1][1].extend(html for html in shown if html)
    return [section for section in sections if section[1]]


def _output_html(output: Any) -> str:
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:  # a progress bar
        return ""
    if "text/html" in data:
        return str(data["text/html"])
    if "text/plain" in data:
        return f"<pre>{_escape(data['text/plain'])}</pre>"
    return f"<pre>{_escape(output['text'])}</pre>" if output.get("name") == "stdout" else ""


def _escape(text: str) -> str:
    from html import escape

    return escape(text)
