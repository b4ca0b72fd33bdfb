"""Writes one page about a run of the course: results, figures, points and times.

The page holds the outputs of the notebooks' cells tagged ``report``, and links to each
executed notebook as a page of its own. All of it opens without a network.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from labkit.course.run import NotebookRun, read_notebook
from labkit.paths import atomic_write


def write_report(runs: Sequence[NotebookRun], out: Path, *, profile: str, data: str) -> Path:
    """Write ``index.html`` and a page for each notebook into ``out``; return the index."""
    import jinja2

    pages = {run.name: _notebook_page(run, out) for run in runs}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    html = environment.get_template("report.html.j2").render(
        runs=runs, pages=pages, sections={run.name: _report_cells(run) for run in runs},
        profile=profile, data=data, machine=_machine(), made=f"{datetime.now():%Y-%m-%d %H:%M}",
        earned=sum(run.points for run in runs), most=sum(run.max_points for run in runs),
        seconds=sum(run.seconds for run in runs),
    )  # fmt: skip
    index = out / "index.html"
    with atomic_write(index) as stream:
        stream.write(html.encode())
    index.chmod(0o644)
    return index


def _machine() -> str:
    import importlib.metadata as metadata

    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("tensorflow", "keras", "numpy"))
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


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


def _report_cells(run: NotebookRun) -> list[str]:
    """Return the outputs, as HTML, of the cells tagged ``report``."""
    cells = read_notebook(run.file).cells if run.file.exists() else []
    return [
        html
        for cell in cells
        if "report" in cell.metadata.get("tags", [])
        for output in cell.get("outputs", [])
        if (html := _output_html(output))
    ]


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
