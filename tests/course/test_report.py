"""The report of a run: lessons by their titles, outputs under the headings they belong to."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labkit.course import report
from labkit.course.run import NotebookRun


def shown(html, **metadata):
    output = new_output("display_data", {"text/html": html, "text/plain": "plain"})
    return new_code_cell("x", metadata=metadata, outputs=[output], execution_count=1)


def lesson(tmp_path, *cells):
    file = tmp_path / "one.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), file)
    return NotebookRun("one", file, "passed", "", 1, 2, 0, 3.0, 1.0)


def test_outputs_stand_under_their_headings(tmp_path):
    run = lesson(
        tmp_path,
        new_markdown_cell("# Lesson `1`. One & all\n\ntext"),
        shown("<b>before</b>", tags=["report"]),
        new_markdown_cell("## 1. First\n\n### Exercise"),
        shown("<b>not shown</b>"),
        new_markdown_cell("text"),
        shown("<b>shown</b>", tags=["report"]),
        new_markdown_cell("## 2. Nothing to show"),
    )
    assert report._title(run) == "Lesson 1. One & all"
    assert report._report_cells(run) == [
        ("", ["<b>before</b>"]),
        ("1. First", ["<b>shown</b>"]),
    ]


def test_the_page_links_titles_to_sections_and_sections_to_notebooks(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_simulated_images", list)
    run = lesson(tmp_path, new_markdown_cell("# One & all"), shown("<i>x</i>", tags=["report"]))
    gone = NotebookRun("gone", tmp_path / "gone.ipynb", "failed", "it <hung>", 0, 2, 0, 0.0, 0.0)
    page = report.write_report([run, gone], tmp_path, profile="smoke", data="auto").read_text()
    assert '<a href="#one">One &amp; all</a>' in page
    assert '<h2 id="one">One &amp; all</h2>' in page
    assert '<a href="one.html">' in page
    assert "<i>x</i>" in page
    assert '<h2 id="gone">gone</h2>' in page
    assert "it &lt;hung&gt;" in page
    assert "gone.html" not in page
