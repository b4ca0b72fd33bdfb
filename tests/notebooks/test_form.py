"""The form of every lesson: cells, tags, hints, headings, sizes, what students get."""

import itertools
import re

import lessons
import nbformat
import pytest

from labkit.course.release import release, student_version

pytestmark = pytest.mark.parametrize("name", lessons.lessons())


def test_notebook_validates_and_is_small(name):
    nbformat.validate(lessons.notebook(name))
    assert lessons.source_file(name).stat().st_size < 500_000


def test_one_parameters_cell_sets_profile_seed_and_data(name):
    tagged = [c for c in lessons.notebook(name).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    names = {}
    exec(tagged[0].source, names)
    assert names["PROFILE"] == "cpu"
    assert names["SEED"] == 0
    assert names["DATA"] == "auto"


def test_only_deterministic_cells_keep_outputs(name):
    for cell in lessons.notebook(name).cells:
        if cell.cell_type == "code":
            kept = "nbval-check-output" in cell.metadata.get("tags", [])
            assert bool(cell.outputs) == kept, cell.source[:80]
            assert bool(cell.execution_count) == kept, "nbval compares cells that were run"
            assert all(output.output_type != "error" for output in cell.outputs)


def test_every_exercise_has_a_stub_checks_and_three_hints(name):
    cells = lessons.notebook(name).cells
    for exercise, cell in lessons.solution_cells(name).items():
        place = cells.index(cell)
        checks, hints = cells[place + 1], cells[place + 2]
        assert lessons.settings(checks)["grade_id"] == f"{exercise}-checks"
        assert lessons.settings(checks)["locked"]
        assert f"Exercise `{exercise}`" in cells[place - 1].source
        assert hints.source.count("<summary>Hint") == 3
        if not lessons.is_plain_answer(cell):
            assert "### BEGIN HIDDEN TESTS" in checks.source


def test_checks_are_worth_their_points(name):
    for exercise, cell in lessons.check_cells(name).items():
        stated = float(re.search(r'Checks\("\w+", ([\d.]+)\)', cell.source).group(1))
        worth = sum(
            float(w) for w in re.findall(r"checks\.check\(\s*\"[^\"]*\",\s*([\d.]+)", cell.source)
        )
        assert stated == lessons.settings(cell)["points"] == worth, exercise


def test_points_are_announced(name):
    cells = lessons.notebook(name).cells
    total = sum(lessons.settings(cell).get("points", 0) for cell in cells)
    assert f"There are {total:g} points" in cells[0].source
    for cell in cells:
        for exercise, points in re.findall(r"### Exercise `(\w+)` \((\d+) point", cell.source):
            given = [
                lessons.settings(c)["points"]
                for c in cells
                if lessons.settings(c).get("grade")
                and lessons.settings(c)["grade_id"] in (exercise, f"{exercise}-checks")
            ]
            assert given == [float(points)], exercise


def test_headings_do_not_skip_a_level(name):
    levels = [
        len(mark)
        for cell in lessons.notebook(name).cells
        if cell.cell_type == "markdown"
        for mark in re.findall(r"^(#+) ", cell.source, re.MULTILINE)
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_student_version_holds_no_solution(name, tmp_path):
    text = nbformat.writes(student_version(lessons.notebook(name)))
    assert "BEGIN SOLUTION" not in text
    assert "HIDDEN TESTS" not in text
    for cell in lessons.solution_cells(name).values():
        inside = re.search(r"### BEGIN SOLUTION\n(.*)### END SOLUTION", cell.source, re.DOTALL)
        for line in inside.group(1).splitlines():
            if len(line.strip()) > 25:
                assert line.strip() not in text, line


def test_release_keeps_a_students_work(name, tmp_path):
    source = lessons.source_file(name)
    (first,) = release([source], tmp_path)
    assert first.state == "written"
    first.file.write_text("a student's work")
    (second,) = release([source], tmp_path)
    assert second.state == "kept"
    assert first.file.read_text() == "a student's work"
    (third,) = release([source], tmp_path, overwrite=True)
    assert third.state == "written"
    nbformat.validate(nbformat.read(third.file, 4))
