"""Every lesson executed by papermill, as ``labkit run`` does: points, figures, the same verdicts.

The verdicts are compared with those of ``lessons.solved``, which ran in this process and with
an empty cache, so that neither the run nor what a cache holds decides about points.
"""

import lessons
import nbformat
import pytest
from test_markup import pictures_without_text

from labkit.course.run import run_notebook

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("name", lessons.lessons())]

_runs = {}


@pytest.fixture
def run(name, tmp_path_factory):
    """Execute a lesson once for all tests."""
    if name not in _runs:
        lessons.solved(name)
        folder = tmp_path_factory.mktemp("executed")
        settings = {"profile": "smoke", "data": "simulated", "progress": False}
        _runs[name] = run_notebook(lessons.source_file(name), folder, **settings)
    return _runs[name]


def outputs(run):
    for cell in nbformat.read(run.file, 4).cells:
        for output in cell.get("outputs", []):
            yield cell, output


def test_it_runs_and_the_solutions_get_all_points(name, run):
    assert run.status == "passed", run.reason
    assert run.points == run.max_points > 0


def test_a_second_run_gives_the_same_verdicts(name, run):
    second = {
        lessons.settings(cell)["grade_id"].removesuffix("-checks"): output.data["text/plain"]
        for cell, output in outputs(run)
        if lessons.settings(cell).get("grade") and output.output_type == "display_data"
    }
    first = {exercise: said for (lesson, exercise), said in lessons.verdicts.items() if lesson == name}
    assert second == first
    assert set(first) == set(lessons.check_cells(name))


def test_every_figure_has_a_text_that_stands_for_it(name, run):
    for cell, output in outputs(run):
        data = output.get("data", {})
        assert not [kind for kind in data if kind.startswith("image/")], (
            f"a figure without alt text, show it as a labkit.plots.Picture: {cell.source[:80]}"
        )
        assert not pictures_without_text(str(data.get("text/html", ""))), cell.source[:80]
