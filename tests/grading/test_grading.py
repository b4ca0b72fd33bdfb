"""A batch of the light assignment: tables, feedback, gradebook, resuming, bad input."""

import csv
import html
import html.parser
import itertools
import os
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import light
import pytest
import requests
from nbformat.v4 import new_code_cell

from labkit.course.grading.batch import Settings
from labkit.course.grading.command import grade_folder
from labkit.course.grading.selfcheck import check_notebook
from labkit.errors import CourseError

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("LABKIT_KILLS", "3"))

SHOW = """import matplotlib.pyplot as plt
from labkit import plots
figure, axis = plt.subplots()
plots.Picture(figure, "A <b>line</b> that rises")"""
ATTACK = '"><script>alert(1)</script>'
COPIED = """def scale(images):
    total = np.asarray(images, dtype="float64")
    low, high = float(total.min()), float(total.max())
    if high < low:
        raise ValueError("no picture")
    wide = total.reshape(total.shape)
    return wide / (250.0 + 5.0)"""


def grade(source, root, out="out", **more):
    return grade_folder(
        root / "submissions", root / out, assignment=str(source), seconds=60,
        progress=False, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def batch(light_source, tmp_path_factory):
    """Five submissions, graded once."""
    root = tmp_path_factory.mktemp("batch")
    right = light.answered()
    right.cells.append(new_code_cell(SHOW))
    wrong = f"def scale(images):\n    raise ValueError({ATTACK!r})"
    renamed = re.sub(r"\b(total|low|high|wide)\b", r"\1_2", COPIED)
    for student, notebook in {
        "ann": right,
        "bob": light.answered(scale=wrong, rate="learning_rate = 0.5"),
        "cid": light.released(),
        "dan": light.answered(scale=COPIED),
        "eve": light.answered(scale=renamed),
    }.items():
        light.hand_in(root / "submissions", student, notebook)
    assert grade(light_source, root)
    return root


def rows(root, name="grades.csv", out="out"):
    with (root / out / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def of(root, student):
    return {r["exercise"]: r for r in rows(root) if r["student"] == student}


def test_grades_and_summary_have_the_columns_of_the_contract(batch):
    assert list(rows(batch)[0]) == [
        "student", "assignment", "exercise", "points", "max_points", "status", "reason"
    ]  # fmt: skip
    summary = {row["student"]: row for row in rows(batch, "summary.csv")}
    assert list(summary["ann"]) == [
        "student", "assignment", "points", "max_points", "status", "reason", "seconds"
    ]  # fmt: skip
    assert (summary["ann"]["points"], summary["ann"]["max_points"]) == ("6", "7")
    assert summary["ann"]["status"] == "passed"
    assert summary["bob"]["status"] == "error"
    assert [row["exercise"] for row in rows(batch)[:4]] == ["scale", "head", "rate", "why"]


def test_every_point_has_a_reason(batch):
    bob = of(batch, "bob")
    assert bob["scale"]["status"] == "error"
    assert "ValueError" in bob["scale"]["reason"]
    assert (bob["rate"]["status"], bob["rate"]["points"]) == ("partial", "0.5")
    assert "1 of 2 checks passed; 1 runs only at grading" in bob["rate"]["reason"]
    assert {row["reason"] for row in of(batch, "cid").values() if row["exercise"] != "why"} <= {
        "You have not started this exercise, or not all of it.",
        "You have not started this exercise.",
    }


class Page(html.parser.HTMLParser):
    """Notes the tags of a page, and their attributes."""

    def __init__(self, file):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_feedback_is_one_page_without_anything_active(batch):
    for student in ("ann", "bob", "cid"):
        page = Page(batch / "out" / "feedback" / student / f"{light.NAME}.html")
        assert "script" not in {tag for tag, _ in page.tags}
        assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
        assert all(a["src"].startswith("data:image/png;") for t, a in page.tags if t == "img")
        assert ("html", {"lang": "en"}) in page.tags
        assert "width=device-width" in str(page.tags)
        for hidden in ("secret", "BEGIN HIDDEN", "np.array([[0, 51]"):
            assert hidden not in page.text
    assert ATTACK in Page(batch / "out" / "feedback" / "bob" / f"{light.NAME}.html").text


def test_feedback_keeps_figures_with_the_text_that_stands_for_them(batch):
    page = Page(batch / "out" / "feedback" / "ann" / f"{light.NAME}.html")
    assert "A <b>line</b> that rises" in [a.get("alt") for tag, a in page.tags if tag == "img"]


def test_feedback_says_what_hidden_tests_check(batch):
    text = Page(batch / "out" / "feedback" / "bob" / f"{light.NAME}.html").text
    assert "it is small enough for fine-tuning (0 of 0.5, run only at grading)" in text
    assert "Hint: Divide." in text


def test_learning_platforms_get_a_row_a_student(batch):
    moodle = {row["Username"]: row[light.NAME] for row in rows(batch, "moodle.csv")}
    assert moodle["ann"] == "6"
    canvas = rows(batch, "canvas.csv")
    assert canvas[0]["Student"].strip() == "Points Possible"
    assert [row["SIS Login ID"] for row in canvas[1:]] == ["ann", "bob", "cid", "dan", "eve"]


def test_nbgraders_own_export_opens_the_gradebook(batch):
    target = batch / "export.csv"
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "export", f"--to={target}"],
        cwd=batch / "out", check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    with target.open(newline="") as stream:
        found = {row["student_id"]: float(row["score"]) for row in csv.DictReader(stream)}
    summary = {row["student"]: float(row["points"]) for row in rows(batch, "summary.csv")}
    assert found == summary


def test_formgrader_opens_the_gradebook_and_a_submission(batch):
    port = _free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root",
         f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
         "--ServerApp.jpserver_extensions={'nbgrader.server_extensions.formgrader': True}"],
        cwd=batch / "out", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}/formgrader"
        (assignment,) = _wait_for(f"{address}/api/assignments").json()
        assert (assignment["name"], assignment["max_score"]) == (light.NAME, 7)
        listed = requests.get(f"{address}/api/submitted_notebooks/{light.NAME}/{light.NAME}")
        scores = {one["student"]: (one["score"], one["id"]) for one in listed.json()}
        assert scores["bob"][0] == 3.5
        page = requests.get(f"{address}/submissions/{scores['bob'][1]}/")
        assert page.status_code == 200
        assert "def scale" in html.unescape(re.sub("<[^>]*>", "", page.text))
    finally:
        server.terminate()
        server.wait()


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def _wait_for(address):
    end = time.monotonic() + 180
    while True:
        try:
            return requests.get(address)
        except requests.ConnectionError:
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.2)


def test_a_persons_grade_in_the_gradebook_is_kept(batch, light_source):
    from labkit.course.grading.gradebook import open_gradebook

    url = f"sqlite:///{batch / 'out' / 'gradebook.db'}"
    with open_gradebook(url) as book:
        book.find_grade("why", light.NAME, light.NAME, "ann").manual_score = 1
        book.db.commit()
    grade(light_source, batch, resume=True)
    with open_gradebook(url) as book:
        assert book.find_submission(light.NAME, "ann").score == 7
        assert book.find_grade("why", light.NAME, light.NAME, "bob").needs_manual_grade


def test_similarity_ranks_the_copy_first_and_leaves_out_the_starter(batch):
    text = (batch / "out" / "similarity.html").read_text()
    first = re.search(r'<td>(\w+)</td><td>(\w+)</td><td><a href="#pair-1">(\d+) %', text)
    assert {first[1], first[2]} == {"dan", "eve"}
    assert int(first[3]) == 100
    assert "not a verdict" in text


def test_a_run_that_was_killed_goes_on_where_it_was(batch, light_source, tmp_path):
    """Killed at random moments, resumed and killed again; a new run when one has come through."""
    wanted = (batch / "out" / "grades.csv").read_bytes()
    moments, killed = random.Random(KILLS), 0
    for number in itertools.count():
        out = tmp_path / f"out-{number}"
        command = [
            sys.executable, "-m", "labkit.cli", "grade", str(batch / "submissions"),
            "-o", str(out), "--assignment", str(light_source), "--timeout", "60",
        ]  # fmt: skip
        while True:
            more = ["--resume"] if (out / "run.json").exists() else []
            patience = moments.uniform(0, 15) if killed < KILLS else 600
            try:
                done = subprocess.run(
                    [*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    timeout=patience,
                )  # fmt: skip
            except subprocess.TimeoutExpired:  # it was sent SIGKILL
                assert killed < KILLS, "the run hangs"
                killed += 1
            else:
                assert done.returncode == 0
                break
        assert (out / "grades.csv").read_bytes() == wanted
        if killed == KILLS:
            break


def test_two_dask_workers_give_the_same_grades(batch, light_source):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        grade(light_source, batch, out="dask", jobs=2, scheduler=cluster.scheduler_address)
    wanted = (batch / "out" / "grades.csv").read_bytes()
    assert (batch / "dask" / "grades.csv").read_bytes() == wanted


def test_a_scheduler_that_does_not_answer_is_named(batch, light_source):
    refuse("No Dask scheduler answers at 'tcp://127.0.0.1:1'", light_source, batch, out="dead",
           scheduler="tcp://127.0.0.1:1")  # fmt: skip


# Bad input: one line, nothing overwritten


def refuse(match, source, root, **more):
    with pytest.raises(CourseError, match=match) as caught:
        grade(source, root, **more)
    assert "\n" not in str(caught.value)


def test_results_of_another_run_are_not_overwritten(batch, light_source):
    before = (batch / "out" / "grades.csv").read_bytes()
    refuse("has results already", light_source, batch)
    refuse("of another run, with other 'memory'", light_source, batch, resume=True, memory=2)
    assert (batch / "out" / "grades.csv").read_bytes() == before
    (batch / "notes").mkdir()
    (batch / "notes" / "mine.txt").write_text("keep")
    refuse("files that no grading run has written", light_source, batch, out="notes")
    refuse("nothing to resume", light_source, batch, out="empty", resume=True)
    refuse("lies among the submissions", light_source, batch, out="submissions/out")


def test_a_wrong_layout_is_refused(light_source, tmp_path):
    refuse("is not a folder", light_source, tmp_path)
    (tmp_path / "submissions").mkdir()
    refuse("no student in it", light_source, tmp_path)
    (tmp_path / "submissions" / "light.ipynb").write_text("{}")
    refuse(r"'light.ipynb' lies in it", light_source, tmp_path)


def test_a_student_twice_is_refused(light_source, tmp_path):
    for name in ("Zoë", "zoe\u0308"):
        light.hand_in(tmp_path / "submissions", name, light.released())
    refuse("is there twice", light_source, tmp_path)


def test_an_unknown_assignment_is_refused(tmp_path):
    light.hand_in(tmp_path / "submissions", "ann", light.released())
    with pytest.raises(CourseError, match="no assignment of this course"):
        grade_folder(tmp_path / "submissions", tmp_path / "out")
    with pytest.raises(CourseError, match="There is no notebook 'heavy'"):
        grade_folder(tmp_path / "submissions", tmp_path / "out", assignment="heavy")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_refused(light_source, tmp_path):
    light.hand_in(tmp_path / "submissions", "ann", light.released())
    (tmp_path / "file").write_text("")
    refuse("is a file", light_source, tmp_path, out="file")
    refuse("Cannot write to", light_source, tmp_path, out="file/out")


def test_a_source_that_fails_is_named(tmp_path):
    source = light.source()
    source.cells[light.place(source, "rate")].source = "learning_rate = 1 / 0"
    import nbformat

    file = tmp_path / "light.ipynb"
    nbformat.write(source, file)
    light.hand_in(tmp_path / "submissions", "ann", light.released())
    with pytest.raises(CourseError, match=r"light.ipynb cannot be graded.*ZeroDivisionError"):
        grade(file, tmp_path)


def test_a_student_checks_a_notebook_with_the_same_words(batch):
    file = batch / "submissions" / "bob" / light.NAME / f"{light.NAME}.ipynb"
    found = {one.exercise: one for one in check_notebook(file, Settings(seconds=60)).grades}
    assert found["scale"].reason.startswith("0 of 1 checks passed. Not yet: white is 1.")
    assert (found["rate"].status, found["rate"].max_points) == ("passed", 0.5)
    assert "0.5 more points are checked only at grading" in found["rate"].reason
    assert found["why"].status == "manual"


def test_a_notebook_without_checks_cannot_be_checked(tmp_path):
    import nbformat

    file = tmp_path / "own.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[new_code_cell("1")]), file)
    with pytest.raises(CourseError, match="has no checks"):
        check_notebook(file, Settings())
    with pytest.raises(CourseError, match="There is no notebook"):
        check_notebook(Path(tmp_path / "no.ipynb"), Settings())
