"""The course's own lessons are graded right: what their exercises need can travel."""

import functools
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "notebooks"))

import lessons
import light

from labkit.course.grading.assignment import load_assignment
from labkit.course.grading.command import grade_folder
from labkit.course.grading.examiner import Examiner
from labkit.course.grading.exchange import Peer
from labkit.course.grading.results import read_graded
from labkit.course.release import student_version

pytestmark = pytest.mark.slow
LESSON = "02_cats_vs_dogs_frozen"


class InThisProcess(Examiner):
    """An examiner whose student is in this process, and still at the other end of messages."""

    def __init__(self, assignment, names):
        super().__init__(assignment, None)
        self._names = names
        self.student = Peer("student", lambda number, data: self._peer.answer(number, data))

    def _call(self, number, request):
        return self.student.answer(number, request)


@functools.cache
def examiner(name):
    assignment = load_assignment(lessons.source_file(name))
    return InThisProcess(assignment, lessons.solved(name))


EXERCISES = [(name, exercise) for name in lessons.lessons()
             for exercise in lessons.check_cells(name)]  # fmt: skip


@pytest.mark.parametrize(("name", "exercise"), EXERCISES)
def test_a_solution_gets_all_points_through_messages(name, exercise):
    judge = examiner(name)
    wanted = judge.exercises[exercise]
    answers = {key: lessons.solved(name)[key] for key in wanted.names}
    judge.keep(exercise, judge.student.dumps(answers))
    found = judge.check(exercise)
    failed = [outcome for outcome in found["outcomes"] if not outcome["passed"]]
    assert found["points"] == wanted.points, (failed, found["error"])


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Lesson 2 with the instructor's solutions, and with a wrong answer to each exercise."""
    import test_answers

    root = tmp_path_factory.mktemp("lesson")
    wrong = student_version(lessons.notebook(LESSON))
    for exercise, given in test_answers.answers(LESSON).WRONG.items():
        wrong.cells[light.place(wrong, exercise)].source = given[0]
    for student, notebook in (("right", lessons.notebook(LESSON)), ("wrong", wrong)):
        file = root / "submissions" / student / LESSON / f"{LESSON}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(notebook, file)
    grade_folder(root / "submissions", root / "out", data="simulated", progress=False, seconds=300)
    return {s: read_graded(root / "out" / "results" / s / f"{LESSON}.json")
            for s in ("right", "wrong")}  # fmt: skip


def test_the_instructors_solutions_get_all_points(graded):
    assert [g.reason for g in graded["right"].grades
            if g.status not in ("passed", "manual")] == []  # fmt: skip
    assert (graded["right"].points, graded["right"].max_points) == (18, 20)


def test_every_wrong_answer_loses_points_and_says_why(graded):
    for grade in graded["wrong"].grades:
        if grade.status != "manual":
            assert grade.points < grade.max_points, grade.exercise
            assert "Not yet" in grade.reason
