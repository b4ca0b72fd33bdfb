"""The hostile corpus: each submission gets the rows it should, and nothing else is touched."""

import csv
import os
import sys
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cases
import light

from labkit.course.grading.command import grade_folder
from labkit.course.sandbox import bubblewrap

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(bubblewrap.problem()), reason=f"isolation: {bubblewrap.problem()}"),
]
JOBS = int(os.environ.get("LABKIT_HOSTILE_JOBS", "2"))
SECONDS = float(os.environ.get("LABKIT_HOSTILE_SECONDS", "15"))


running: set[int] = set()
"""Numbers of the processes that ran before the batch."""


@pytest.fixture(scope="module")
def graded(light_source, tmp_path_factory):
    """Grade all cases in one batch; return cases and rows by student, and the folder."""
    running.update(psutil.pids())
    root = tmp_path_factory.mktemp("hostile")
    students = cases.write_all(root / "submissions")
    os.environ["LABKIT_HOSTILE_SECRET"] = "visible"
    try:
        grade_folder(
            root / "submissions", root / "out", assignment=str(light_source), jobs=JOBS,
            seconds=SECONDS, memory=3, require_sandbox=True, progress=False,
        )  # fmt: skip
    finally:
        del os.environ["LABKIT_HOSTILE_SECRET"]
    rows = {}
    with (root / "out" / "grades.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            rows.setdefault(row["student"], []).append(row)
    return students, rows, root


def test_there_are_at_least_forty_cases():
    assert len({case.name for case in cases.CASES}) == len(cases.CASES) >= 40


NAMES = [
    *(case.student or case.name for case in cases.CASES), *cases.ORDINARY,
    "link to a file", "link to a folder", "folder, not file",
]  # fmt: skip


@pytest.mark.parametrize("student", NAMES)
def test_a_case_gets_the_rows_it_should(graded, student):
    students, rows, _ = graded
    found = {r["exercise"]: (r["status"], float(r["points"])) for r in rows[student]}
    reasons = {r["exercise"]: r["reason"] for r in rows[student]}
    assert found == students[student].expected, reasons
    assert all(reason and "\n" not in reason for reason in reasons.values())
    assert all("secret_" not in reason for reason in reasons.values())


def test_nothing_is_left_running(graded):
    left = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        if process.pid in running:
            continue
        words = " ".join(process.info["cmdline"] or [])
        if cases.SLEEP in words or ("labkit.course" in words and _is_below(process, os.getpid())):
            left.append(words)
    assert not left


def _is_below(process, ancestor):
    try:
        return ancestor in [parent.pid for parent in process.parents()]
    except psutil.Error:
        return False


def test_nothing_is_written_outside(graded):
    _, _, root = graded
    repository = Path(__file__).parents[3]
    places = [Path("/"), Path("/etc"), Path("/tmp"), Path("/var/tmp"), Path.home(), Path("/root"),
              Path("/dev/shm"), Path(sys.prefix), repository, repository / "labkit"]  # fmt: skip
    found = [place for place in places if _exists(place / cases.MARK)]
    found += [path for path in root.rglob("*") if cases.MARK in path.name]
    assert not found


def _exists(path):
    try:
        return path.exists()
    except PermissionError:
        return False


def test_the_submissions_are_as_they_were(graded):
    _, _, root = graded
    files = sorted(path for path in (root / "submissions").rglob("*") if path.is_file())
    assert {path.name for path in files} == {f"{light.NAME}.ipynb"}
