"""Every exercise: wrong answers lose points, right ones written differently lose none."""

import importlib.util
from pathlib import Path

import lessons
import pytest

FOLDER = Path(__file__).with_name("answers")


def answers(name):
    spec = importlib.util.spec_from_file_location(f"answers_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(kind):
    return [
        pytest.param(name, exercise, answer, id=f"{name[:2]}-{exercise}-{number}")
        for name in lessons.lessons()
        for exercise, given in getattr(answers(name), kind).items()
        for number, answer in enumerate(given)
    ]


@pytest.mark.parametrize("name", lessons.lessons())
def test_every_exercise_has_answers(name):
    exercises = set(lessons.check_cells(name))
    given = answers(name)
    assert exercises == set(given.WRONG) == set(given.RIGHT)
    assert min(map(len, given.WRONG.values())) >= 3
    assert min(map(len, given.RIGHT.values())) >= 2


@pytest.mark.parametrize(("name", "exercise", "answer"), cases("WRONG"))
def test_a_wrong_answer_loses_points(name, exercise, answer, capsys):
    worth = lessons.settings(lessons.check_cells(name)[exercise])["points"]
    assert lessons.points_for(name, exercise, answer) < worth
    assert "not yet" in capsys.readouterr().out  # the reason that the student reads


@pytest.mark.parametrize(("name", "exercise", "answer"), cases("RIGHT"))
def test_a_right_answer_written_differently_gets_all_points(name, exercise, answer, capsys):
    worth = lessons.settings(lessons.check_cells(name)[exercise])["points"]
    assert lessons.points_for(name, exercise, answer) == worth, capsys.readouterr().out


@pytest.mark.parametrize("name", lessons.lessons())
def test_a_stub_raises_not_implemented_and_nothing_else(name):
    from labkit.course.release import student_version

    released = {
        lessons.settings(cell)["grade_id"]: cell
        for cell in student_version(lessons.notebook(name)).cells
        if lessons.settings(cell)
    }
    for exercise in lessons.solution_cells(name):
        names = dict(lessons.solved(name))
        names.pop("my_prediction", None)
        with pytest.raises(NotImplementedError):  # noqa: PT012 - the stub or its check raises
            lessons.run_cell(released[exercise].source, names)
            lessons.run_cell(released[f"{exercise}-checks"].source, names)
