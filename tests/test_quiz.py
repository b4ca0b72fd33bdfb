"""Quiz questions: right, wrong with a reason, several right, damaged seals, nothing readable."""

import pytest

from labkit.errors import CourseError
from labkit.quiz import Question, seal

ANSWERS = {
    "a": (True, "Nothing of it was seen before."),
    "b": (False, "a frozen layer does not learn."),
    "c": (True, ""),
}
OPTIONS = {"a": "the head", "b": "a frozen block", "c": "an unfrozen block"}


def question(**changes):
    given = {"name": "learns", "text": "What learns?", "options": OPTIONS,
             "sealed": seal("learns", ANSWERS)}  # fmt: skip
    return Question(**(given | changes))


@pytest.mark.parametrize("answer", ["ac", "CA", ["a", "c"], "a, c", {"c", "a"}])
def test_a_right_answer_in_any_form(answer):
    assert question().verdict(answer).right
    question().check(answer)


def test_a_wrong_answer_says_why():
    with pytest.raises(AssertionError, match="Try again, because a frozen layer does not learn"):
        question().check("ab")
    assert "more than you have chosen" in question().verdict("a").text


@pytest.mark.parametrize("answer", ["d", "", [], "a frozen block"])
def test_an_answer_that_is_no_option(answer):
    with pytest.raises(CourseError, match="made of 'a', 'b', 'c'"):
        question().verdict(answer)


@pytest.mark.parametrize("changes", [
    {"sealed": ""}, {"sealed": "x" * 50}, {"name": "other"}, {"options": {"a": "the head"}},
])  # fmt: skip
def test_a_damaged_seal_is_said(changes):
    with pytest.raises(CourseError, match="answers"):
        question(**changes).verdict("a")


def test_the_seal_is_not_readable_and_the_text_form_tells_nothing():
    assert "frozen" not in question().sealed
    assert "several are right" in str(question())
    assert "does not learn" not in str(question())
