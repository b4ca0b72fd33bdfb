import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from labkit.course.report import write_report
from labkit.course.run import _take_a_share, find_notebooks, points, run_notebook
from labkit.errors import CourseError


def graded(source, worth, *, solution=False, **rest):
    settings = {"grade": True, "solution": solution, "points": worth, "grade_id": "x"}
    return new_code_cell(source, metadata={"nbgrader": settings}, **rest)


def write(path, *cells):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=list(cells), metadata=kernel), path)
    return path


def run(path, tmp_path):
    return run_notebook(path, tmp_path / "out", profile="smoke", data="simulated", progress=False)


def test_course_notebooks_are_found_by_name_and_by_path(tmp_path):
    names = [path.stem for path in find_notebooks()]
    assert "02_cats_vs_dogs_frozen" in names
    (found,) = find_notebooks(["02_cats_vs_dogs_frozen"])
    assert found.stem == "02_cats_vs_dogs_frozen"
    own = write(tmp_path / "own.ipynb")
    assert find_notebooks([str(own)]) == [own]
    with pytest.raises(CourseError, match=r"no notebook 'nothing'.*02_cats"):
        find_notebooks(["nothing"])


def test_points_follow_nbgraders_rules():
    def result(value):
        return [new_output("execute_result", {"text/plain": value}, execution_count=1)]

    cells = [
        graded("a", 3, outputs=result("1.5"), execution_count=1),  # partial credit
        graded("b", 2, execution_count=2),  # ran, shows no number: all points
        graded("c", 2, outputs=[new_output("error", ename="E")], execution_count=3),
        graded("d", 4),  # was never run
        graded("e", 1, outputs=result("9"), execution_count=4),  # no more than it is worth
        graded("f", 5, solution=True, execution_count=5),  # free text, graded by a person
    ]
    assert points(cells) == (1.5 + 2 + 1, 12, 5)


def test_a_notebook_gets_its_parameters_and_its_points(tmp_path):
    path = write(
        tmp_path / "good.ipynb",
        new_code_cell("PROFILE, SEED, DATA = 'cpu', 0, 'auto'", metadata={"tags": ["parameters"]}),
        new_code_cell("PROFILE, DATA", metadata={"tags": ["report"]}),
        graded("2.0", 2),
    )
    done = run(path, tmp_path)
    assert (done.status, done.points, done.max_points) == ("passed", 2, 2), done.reason
    assert "('smoke', 'simulated')" in done.file.read_text()
    index = write_report([done], tmp_path / "out", profile="smoke", data="simulated")
    page = index.read_text()
    assert "2 of 2" in page
    assert "smoke" in page
    assert "<script src=" not in page  # opens without a network
    assert (tmp_path / "out" / "good.html").exists()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import os; os._exit(1)", "the kernel died"),
    ],
)
def test_a_failing_notebook_says_why_and_is_kept(tmp_path, source, reason):
    done = run(write(tmp_path / "bad.ipynb", new_code_cell(source), graded("1", 1)), tmp_path)
    assert done.status == "failed"
    assert reason in done.reason
    assert "\n" not in done.reason
    assert done.points == 0
    write_report([done], tmp_path / "out", profile="smoke", data="simulated")


def test_a_file_that_is_no_notebook_fails_alone(tmp_path):
    path = tmp_path / "text.ipynb"
    path.write_text("this is no notebook")
    done = run(path, tmp_path)
    assert done.status == "failed"
    assert done.reason
    write_report([done], tmp_path / "out", profile="smoke", data="simulated")


def test_missing_points_fail_a_notebook_that_ran(tmp_path):
    done = run(write(tmp_path / "half.ipynb", graded("0.5", 1)), tmp_path)
    assert done.status == "failed"
    assert "0.5 points" in done.reason


def test_a_notebook_runs_in_its_own_folder(tmp_path):
    folder = tmp_path / "somewhere"
    folder.mkdir()
    before = os.getcwd()  # noqa: PTH109
    done = run(
        write(folder / "where.ipynb", new_code_cell("import os; print(os.getcwd())")), tmp_path
    )
    assert str(folder) in done.file.read_text()
    assert os.getcwd() == before  # noqa: PTH109


@pytest.mark.parametrize(("jobs", "threads"), [(2, "4"), (3, "2"), (16, "1")])
def test_notebooks_at_the_same_time_share_the_cores(monkeypatch, jobs, threads):
    settings = {"OMP_NUM_THREADS": "3"}  # what a user has set stays
    monkeypatch.setattr(os, "environ", settings)
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    _take_a_share(jobs)
    assert settings == {"OMP_NUM_THREADS": "3", "TF_NUM_INTRAOP_THREADS": threads}
