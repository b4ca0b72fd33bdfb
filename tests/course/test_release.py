"""What students get: no line of a solution or a hidden test, and what the grader looks for."""

import json
import re
import zipfile

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.course.release import release
from labkit.course.run import find_notebooks, read_notebook
from labkit.errors import CourseError

REGIONS = re.compile(
    r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END (?:SOLUTION|HIDDEN TESTS)", re.DOTALL
)
LONG = 25
"""Characters; shorter lines, such as ``return results``, are in other places by chance."""


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    out = tmp_path_factory.mktemp("release")
    release(find_notebooks(), out)
    return out


def everything_in(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.parametrize("source", find_notebooks(), ids=lambda path: path.stem)
def test_no_line_of_a_solution_or_hidden_test_is_in_the_zip(released, source):
    files = everything_in(released / f"{source.stem}.zip")
    assert list(files) == [f"{source.stem}/{source.stem}.ipynb"]
    text = "\n".join(files.values())
    cells = {cell["id"]: cell["source"] for cell in read_notebook(source).cells}
    given = {cell["id"]: "".join(cell["source"]) for cell in json.loads(text)["cells"]}
    visible = {
        line.strip() for code in cells.values() for line in REGIONS.sub("", code).split("\n")
    }
    looked_at = 0
    for name, code in cells.items():
        for region in REGIONS.findall(code):
            for line in set(map(str.strip, region.splitlines())) - {""}:
                looked_at += 1
                assert line not in given[name].splitlines(), line
                if len(line) > LONG and line not in visible:  # not of a given cell by chance
                    assert json.dumps(line)[1:-1] not in text, line
    assert looked_at > 5
    for output in json.loads(text)["cells"]:
        assert not output.get("outputs")


def names(notebook):
    return [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]


@pytest.mark.parametrize("source", find_notebooks(), ids=lambda path: path.stem)
def test_a_released_notebook_has_what_the_grader_looks_for(released, source):
    notebook = nbformat.read(released / source.stem / source.name, 4)
    assert notebook.metadata.labkit.assignment == source.stem
    of_source = [
        c.metadata.get("nbgrader", {}).get("grade_id") for c in read_notebook(source).cells
    ]
    assert [c.metadata.get("nbgrader", {}).get("grade_id") for c in notebook.cells] == of_source


@pytest.mark.parametrize("what", ["SOLUTION", "HIDDEN TESTS"])
def test_a_solution_in_an_ordinary_cell_is_not_released(tmp_path, what):
    cell = new_code_cell(f"### BEGIN {what}\nsecret = 1\n### END {what}")
    file = tmp_path / "own.ipynb"
    nbformat.write(new_notebook(cells=[cell]), file)
    with pytest.raises(CourseError, match="cannot be released"):
        release([file], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_region_without_an_end_is_not_released(tmp_path):
    settings = {"grade": False, "solution": True, "locked": False, "grade_id": "a",
                "schema_version": 3, "task": False}  # fmt: skip
    cell = new_code_cell("### BEGIN SOLUTION\nx = 1", metadata={"nbgrader": settings})
    file = tmp_path / "own.ipynb"
    nbformat.write(new_notebook(cells=[cell]), file)
    with pytest.raises(CourseError, match="cannot be released"):
        release([file], tmp_path / "out")
    assert not (tmp_path / "out").exists()
