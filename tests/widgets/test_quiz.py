"""Quiz: choosing, checking, tries, the line of code; nothing that was not chosen is told."""

import pytest

from labkit.errors import CourseError
from labkit.quiz import Question, seal
from labkit.widgets.quiz import Quiz


def one():
    answers = {"a": (False, "<it> is more."), "b": (True, "Two.")}
    return Question("sum", "1 + 1?", {"a": "1", "b": "2"}, seal("sum", answers))


def many():
    answers = {"a": (True, ""), "b": (False, "four is even."), "c": (True, "")}
    return Question("odd", "Odd?", {"a": "1", "b": "4", "c": "3"}, seal("odd", answers))


def say(quiz, control, value=""):
    quiz._receive(None, {"control": control, "value": value, "token": ""}, [])
    return quiz._parts


def test_wrong_then_right():
    quiz = Quiz(one())
    assert "Choose an option first" in say(quiz, "check-0")["told-0"]
    say(quiz, "0", "a")
    assert "Try again, because &lt;it&gt; is more." in say(quiz, "check-0")["told-0"]
    assert quiz.code() == 'my_sum = "a"  # not right, try 1'
    say(quiz, "0", "b")
    assert quiz.code() == 'my_sum = "b"'
    assert "✓ Right. Two." in say(quiz, "check-0")["told-0"]
    assert quiz.code() == 'my_sum = "b"  # right, try 2'
    assert [(t.question, t.answer, t.right) for t in quiz.tries] == [
        ("sum", "a", False), ("sum", "b", True),
    ]  # fmt: skip
    assert quiz._values == {"0": "b"}


def test_several_right_options_and_several_questions():
    quiz = Quiz([one(), many()], variable=["x", "y"])
    say(quiz, "1-a", True)
    say(quiz, "1-b", True)
    assert "four is even" in say(quiz, "check-1")["told-1"]
    say(quiz, "1-b", False)
    say(quiz, "1-c", True)
    assert "Right" in say(quiz, "check-1")["told-1"]
    assert quiz.code(1) == 'y = "ac"  # right, try 2'
    assert quiz.code(0) == 'x = ""'
    assert "several are right" in quiz._page
    assert str(quiz).count("?") == 2


def test_the_line_of_code_answers_the_question():
    quiz = Quiz(many())
    for letter in "ca":
        say(quiz, f"0-{letter}", True)
    names = {}
    exec(quiz.code(), names)
    many().check(names["my_odd"])


def test_neither_page_nor_plain_form_holds_answers():
    quiz = Quiz([one(), many()])
    for text in (quiz._page, str(quiz._parts), quiz.plain_html(), str(quiz)):
        assert "is more" not in text
        assert "even" not in text


def test_a_damaged_seal_is_a_sentence():
    quiz = Quiz(Question("sum", "1 + 1?", {"a": "1", "b": "2"}, "damaged"))
    assert "cannot be read" in quiz._page
    assert quiz._page.count("<input") == 0


@pytest.mark.parametrize(("questions", "variable"), [([], ()), ([one()], ["x", "y"])])
def test_questions_and_variables_have_to_fit(questions, variable):
    with pytest.raises(CourseError, match="a variable for each"):
        Quiz(questions, variable=variable)
