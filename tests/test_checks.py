import numpy as np
import pytest

from labkit.checks import Checks, NothingRightError, same
from labkit.errors import ModelError


def fails(message):
    def test():
        raise AssertionError(message)

    return test


def test_partial_credit_comes_with_its_reason(capsys):
    checks = Checks("heads", 3)
    checks.check("the first is right", 2, lambda: True)
    checks.check("the second is right", 1, fails("It is 3."), hint="Look again.")
    assert checks.points() == 2
    shown = capsys.readouterr().out
    assert "1 of 2 checks passed" in shown
    assert "It is 3. Look again." in shown


def test_nothing_right_raises_with_the_first_reason(capsys):
    checks = Checks("heads", 1)
    checks.check("it is right", 1, lambda: False)
    with pytest.raises(NothingRightError, match="heads: It is not so"):
        checks.points()


def test_what_is_checked_at_grading_is_announced():
    checks = Checks("heads", 3)
    checks.check("the first is right", 1, lambda: None)
    assert "2 more points are checked only at grading" in repr(checks)
    assert "2 more points are checked only at grading" in checks._repr_html_()


def test_an_exercise_that_was_not_started_is_told_apart():
    def stub():
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        Checks("heads", 1).check("it is right", 1, stub)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZeroDivisionError("by zero"), "Your code raised ZeroDivisionError: by zero"),
        (ModelError("There is no block."), "There is no block."),
    ],
)
def test_an_error_of_the_students_code_is_a_reason(error, told):
    def test():
        raise error

    checks = Checks("heads", 1)
    checks.check("it is right", 1, test)
    assert checks.outcomes[0].reason == told


def test_html_escapes_what_a_student_wrote():
    checks = Checks("heads", 1)
    checks.check("it is right", 1, fails("<script>"))
    assert "<script>" not in checks._repr_html_()


@pytest.mark.parametrize(
    ("found", "expected", "tolerance", "agree"),
    [
        (2562, 2562, 0, True),
        (2562.0, 2562, 0, True),
        (2561, 2562, 0, False),
        ((None, 2), (None, 2), 0, True),
        ((None, 3), (None, 2), 0, False),
        (np.ones(3), [1, 1, 1], 0, True),
        (np.ones(2), [1, 1, 1], 0, False),
        (1.0001, 1, 1e-3, True),
        (None, None, 0, True),
        (5, None, 0, False),
        ("a", "a", 0, True),
        ("a", "b", 0, False),
        ({1, 2}, {2, 1}, 0, True),
        (["x"], ["y"], 0, False),
    ],
)
def test_same(found, expected, tolerance, agree):
    if agree:
        same(found, expected, "It", tolerance=tolerance)
    else:
        with pytest.raises(AssertionError, match="It should be"):
            same(found, expected, "It", tolerance=tolerance)
