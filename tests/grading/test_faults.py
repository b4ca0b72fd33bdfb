"""What must not spoil a batch: worn-out examiners, dying workers, scripts, old results."""

import copy
import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import light
import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from labkit.course.grading import batch, examining, grading
from labkit.course.grading.command import grade_folder
from labkit.course.release import student_version
from labkit.errors import CourseError

pytestmark = pytest.mark.slow

SLOW = "import time\ntime.sleep(4)"


def grade(source, root, **more):
    return grade_folder(
        root / "submissions",
        root / "out",
        assignment=str(source),
        seconds=60,
        progress=False,
        **more,
    )


def statuses(root):
    with (root / "out" / "grades.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {
        (row["student"], row["exercise"]): (row["status"], float(row["points"])) for row in rows
    }


def changed_source(folder, change):
    """Write another version of the light assignment; return it, and how it is answered."""
    source = light.source()
    change(source)
    for number, cell in enumerate(source.cells):
        cell["id"] = f"c{number:02d}"
    file = folder / "light.ipynb"
    nbformat.write(source, file)
    released = student_version(source)

    def answered(**answers):
        notebook = copy.deepcopy(released)
        for name, text in {**light.RIGHT, **answers}.items():
            notebook.cells[light.place(notebook, name)].source = text
        return notebook

    return file, answered


def before(code, **answers):
    notebook = light.answered(**answers)
    notebook.cells.insert(3, new_code_cell(code))
    return notebook


def test_a_helper_of_the_source_calls_the_students_function(tmp_path):
    """A check that goes through a given function must not grade the source's own solution."""

    def change(source):
        helper = "def prepared(images):\n    return scale(images) + 0"
        source.cells.insert(light.place(source, "scale"), new_code_cell(helper))
        check = source.cells[light.place(source, "scale-checks")]
        check.source = check.source.replace("same(scale(", "same(prepared(")

    file, answered = changed_source(tmp_path, change)
    light.hand_in(tmp_path / "submissions", "right", answered())
    wrong = answered(scale="def scale(images):\n    return 17")
    light.hand_in(tmp_path / "submissions", "wrong", wrong)
    assert grade(file, tmp_path)
    found = statuses(tmp_path)
    assert found["right", "scale"] == ("passed", 2)
    assert found["wrong", "scale"] == ("failed", 0)


def test_a_function_that_calls_back_into_the_student_costs_that_check_only(tmp_path):
    """The student's kernel waits for the check's function, so it cannot take another call."""

    def change(source):
        source.cells[light.place(source, "scale")].source = (
            light.SOLUTIONS["scale"]
            + """

def twice(f, x):
    ### BEGIN SOLUTION
    return f(f(x))
    ### END SOLUTION"""
        )
        source.cells[light.place(source, "scale-checks")].source = """checks = Checks("scale", 2)
checks.check("direct", 1, lambda: same(twice(scale, 255.0) < 1, True, "direct"))
checks.check("wrapped", 1, lambda: same(twice(lambda v: scale(v), 255.0) < 1, True, "wrapped"))
checks.points()"""

    file, answered = changed_source(tmp_path, change)
    right = light.RIGHT["scale"] + "\ndef twice(f, x):\n    return f(f(x))"
    light.hand_in(tmp_path / "submissions", "ann", answered(scale=right))
    light.hand_in(tmp_path / "submissions", "bob", answered(scale=right))
    assert grade(file, tmp_path)
    found = statuses(tmp_path)
    for student in ("ann", "bob"):
        assert found[student, "scale"] == ("partial", 1)
        assert found[student, "head"] == ("passed", 3)


def test_an_examiner_that_has_grown_is_replaced(light_source, monkeypatch, tmp_path):
    monkeypatch.setattr(examining, "GROWTH", -(10**12))  # every look finds it too large
    starts = []
    stop = examining.Examining.stop
    monkeypatch.setattr(examining.Examining, "stop", lambda self: starts.append(stop(self)))
    for student in ("ann", "bob"):
        light.hand_in(tmp_path / "submissions", student, light.answered())
    assert grade(light_source, tmp_path)
    assert len(starts) >= 2
    assert {value for (_, exercise), value in statuses(tmp_path).items() if exercise == "head"} == {
        ("passed", 3)
    }


def test_an_examiner_without_memory_is_no_verdict(tmp_path):
    """It says nothing about an answer; a new one looks again."""

    def change(source):
        check = source.cells[light.place(source, "rate-checks")]
        check.source = f"""import pathlib
checks = Checks("rate", 1)
def worn_out():
    mark = pathlib.Path({str(tmp_path / "mark")!r})
    if learning_rate == 0.25 and not mark.exists():
        mark.touch()
        raise MemoryError
checks.check("it is there", 1, worn_out)
checks.points()"""

    file, answered = changed_source(tmp_path, change)
    light.hand_in(tmp_path / "submissions", "ann", answered(rate="learning_rate = 0.25"))
    assert grade(file, tmp_path)
    assert statuses(tmp_path)["ann", "rate"] == ("passed", 1)


def test_an_error_of_the_graders_own_costs_one_submission(light_source, monkeypatch, tmp_path):
    for student in ("ann", "cid"):
        light.hand_in(tmp_path / "submissions", student, light.answered())
    whole, ordinary = batch.make_plan, len(light.answered().cells)

    def broken(notebook, assignment, parameters):
        if len(notebook.cells) > ordinary:
            raise KeyError("a fault of ours")
        return whole(notebook, assignment, parameters)

    more = light.answered()
    more.cells.append(new_code_cell("1"))
    light.hand_in(tmp_path / "submissions", "bob", more)
    monkeypatch.setattr(batch, "make_plan", broken)
    assert grade(light_source, tmp_path)
    found = statuses(tmp_path)
    assert found["bob", "head"] == ("error", 0)
    assert found["ann", "head"] == found["cid", "head"] == ("passed", 3)
    assert "a fault of ours" in (tmp_path / "out/errors/bob/light.txt").read_text()


def test_a_dead_worker_costs_only_who_killed_it(light_source, tmp_path):
    """One of two workers dies, again and again over one notebook; the neighbour is graded."""
    for student in ("a", "b"):
        light.hand_in(tmp_path / "submissions", student, before(SLOW))
    light.hand_in(tmp_path / "submissions", "c", light.answered())
    words = [sys.executable, "-m", "labkit.cli", "grade", str(tmp_path / "submissions"), "-o",
             str(tmp_path / "out"), "--assignment", str(light_source), "--jobs", "2"]  # fmt: skip
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed = 0
    while run.poll() is None and killed == 0:
        time.sleep(0.2)
        stubs = [p for p in psutil.Process(run.pid).children(recursive=True) if _is_stub(p)]
        if len(stubs) >= 2:
            os.kill(stubs[0].ppid(), signal.SIGKILL)
            killed += 1
    assert run.wait(300) == 0
    assert killed
    found = statuses(tmp_path)
    assert {found[student, "head"] for student in "abc"} == {("passed", 3)}


def _is_stub(process):
    try:
        return "sandbox.stub" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_a_notebook_that_is_given_up_has_its_row(light_source, monkeypatch, tmp_path):
    light.hand_in(tmp_path / "submissions", "ann", light.answered())
    light.hand_in(tmp_path / "submissions", "bob", light.answered())
    together = batch._work_together

    def dies(one, left, jobs, scheduler, processes=1):
        if [s.student for s in left] == ["ann"]:
            return left
        if len(left) == 2:
            return left[:1]
        return together(one, left, jobs, scheduler)

    monkeypatch.setattr(batch, "_work_together", dies)
    assert grade(light_source, tmp_path)
    found = statuses(tmp_path)
    assert found["ann", "head"] == ("error", 0)
    assert found["bob", "head"] == ("passed", 3)


def test_workers_end_when_their_run_is_killed(light_source, tmp_path):
    for number in range(6):
        light.hand_in(tmp_path / "submissions", f"s{number}", before(SLOW))
    words = [sys.executable, "-m", "labkit.cli", "grade", str(tmp_path / "submissions"), "-o",
             str(tmp_path / "out"), "--assignment", str(light_source), "--jobs", "2"]  # fmt: skip
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "out").glob("results/*/*.json")):
        assert run.poll() is None
        time.sleep(0.2)
    below = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(below, 40)
    assert [p for p in alive if "loky" in " ".join(p.cmdline())] == []
    assert len(list((tmp_path / "out").glob("results/*/*.json"))) < 6


def test_a_notebook_that_was_changed_is_graded_again(light_source, tmp_path):
    wrong = light.answered(rate="learning_rate = 0.5")
    light.hand_in(tmp_path / "submissions", "ann", wrong)
    light.hand_in(tmp_path / "submissions", "bob", light.answered())
    assert grade(light_source, tmp_path)
    assert statuses(tmp_path)["ann", "rate"] == ("partial", 0.5)
    untouched = tmp_path / "out/results/bob/light.json"
    kept = untouched.stat().st_mtime_ns
    changed = tmp_path / "submissions/ann/light/light.ipynb"
    nbformat.write(light.answered(), changed)
    assert grade(light_source, tmp_path, resume=True)
    assert statuses(tmp_path)["ann", "rate"] == ("passed", 1)
    assert untouched.stat().st_mtime_ns == kept


def test_two_runs_do_not_write_to_one_folder(light_source, tmp_path):
    light.hand_in(tmp_path / "submissions", "ann", light.answered())
    (tmp_path / "out").mkdir()
    with (
        batch._lock(tmp_path / "out"),
        pytest.raises(CourseError, match="Another run"),
        batch._lock(tmp_path / "out"),
    ):
        pass


def test_a_students_text_runs_nothing_in_a_page(light_source, tmp_path):
    """Formgrader shows a student's markdown to an instructor who is logged in."""
    notebook = light.answered()
    bad = "A <b>word</b>, 1 < 2.\n<script>go()</script><img src=x onerror=go()>"
    notebook.cells[light.place(notebook, "why")].source = bad
    notebook.cells.append(new_markdown_cell(bad))
    light.hand_in(tmp_path / "submissions", "ann", notebook)
    assert grade(light_source, tmp_path)
    kept = nbformat.read(tmp_path / "out/autograded/ann/light/light.ipynb", 4)
    shown = [cell.source for cell in kept.cells if "word" in cell.source]
    assert len(shown) == 2
    for text in shown:
        assert "<b>word</b>" in text
        assert "<script" not in text
        assert "<img" not in text


def test_a_notebook_has_a_deadline_as_a_whole(light_source, monkeypatch, tmp_path):
    """Each of its cells is quick enough, all of them together are not."""
    monkeypatch.setattr(grading, "MOST_TIMES", 0.1)  # 6 s
    notebook = light.answered()
    for _ in range(6):
        notebook.cells.insert(3, new_code_cell(SLOW))
    light.hand_in(tmp_path / "submissions", "ann", notebook)
    assert grade(light_source, tmp_path)
    assert statuses(tmp_path)["ann", "head"] == ("timeout", 0)


def test_a_notebook_that_nobody_may_read_has_its_row(light_source, monkeypatch, tmp_path):
    """Said by the file system, whoever runs the tests: root may read everything."""
    for student in ("ann", "bob"):
        light.hand_in(tmp_path / "submissions", student, light.answered())
    read = Path.read_bytes

    def refused(file):
        if "ann" in file.parts and "submissions" in file.parts:
            raise PermissionError(13, "Permission denied")
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert grade(light_source, tmp_path)
    found = statuses(tmp_path)
    assert found["ann", "head"] == ("error", 0)
    assert found["bob", "head"] == ("passed", 3)
    assert "Permission denied" in (tmp_path / "out/results/ann/light.json").read_text()


def test_workers_that_end_at_once_do_not_go_on_for_ever(light_source, monkeypatch, tmp_path):
    light.hand_in(tmp_path / "submissions", "ann", light.answered())
    tries = []

    def ends_at_once(*arguments):
        assert len(tries) < 5, "tried again and again"
        tries.append(arguments)

    monkeypatch.setattr(batch, "work", ends_at_once)
    grade(light_source, tmp_path)
    assert len(tries) == 1
