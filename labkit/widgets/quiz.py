"""Quiz: questions to answer in the page, with a reason for each answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from labkit.errors import CourseError
from labkit.quiz import Question
from labkit.widgets.panel import Panel, button, code_to_copy


@dataclass(frozen=True)
class Try:
    """One answer to a question: its letters, and whether they were right."""

    question: str
    answer: str
    right: bool


class Quiz(Panel):
    """Asks one or several questions; a wrong answer says what to think about.

    Which answers are right stays in the kernel: the page learns only what was said to the
    answers that a reader has tried. The line of code for the answer cell says at which try.

    Attributes:
        tries: every answer that was checked, in order.
    """

    title = "Quiz"

    def __init__(
        self, questions: Question | Sequence[Question], *, variable: str | Sequence[str] = ()
    ) -> None:
        """Ask questions; CourseError unless there is a variable for each.

        Args:
            questions: one, or several.
            variable: the name that the answer cell gives to the answer, one a question; None:
                "my_" and the question's name.
        """
        self.questions = (questions,) if isinstance(questions, Question) else tuple(questions)
        names = (variable,) if isinstance(variable, str) else tuple(variable)
        self.variables = names or tuple(f"my_{q.name}" for q in self.questions)
        if not self.questions or len(self.variables) != len(self.questions):
            raise CourseError(
                f"A quiz has at least one question, and a variable for each. Received: "
                f"{len(self.questions)} questions, {len(self.variables)} variables."
            )
        self.tries: list[Try] = []
        self._chosen: list[set[str]] = [set() for _ in self.questions]
        self._told = ["" for _ in self.questions]
        super().__init__()

    def page(self) -> str:
        """Return a group of options with a button for each question."""
        return "".join(self._question(i, question) for i, question in enumerate(self.questions))

    def _question(self, i: int, question: Question) -> str:
        several = question.has_several
        kind = f"type='checkbox' data-control='{i}-{{0}}'" if several else (
            f"type='radio' name='q{i}' value='{{0}}' data-control='{i}'")  # fmt: skip
        options = "".join(
            f"<div><label><input {kind.format(escape(letter))}> "
            f"<span>{escape(letter)}) {escape(text)}</span></label></div>"
            for letter, text in question.options.items()
        )
        note = " (several are right)" if several else ""
        return (
            f"<fieldset><legend>{escape(question.text)}{note}</legend>{options}"
            f"<p class='labkit-row'>{button(f'check-{i}', 'Check my answer')}</p>"
            f"<div data-part='told-{i}' role='status'></div>"
            f"{code_to_copy(f'code-{i}', 'For the answer cell:')}</fieldset>"
        )

    def parts(self) -> dict[str, str]:
        """Return what was said to each question, and its line of code."""
        told = {f"told-{i}": text for i, text in enumerate(self._told)}
        return told | {f"code-{i}": escape(self.code(i)) for i in range(len(self.questions))}

    def values(self) -> dict[str, Any]:
        """Return what is chosen."""
        chosen: dict[str, Any] = {}
        for i, question in enumerate(self.questions):
            if question.has_several:
                chosen |= {f"{i}-{x}": x in self._chosen[i] for x in question.options}
            else:
                chosen[f"{i}"] = next(iter(self._chosen[i]), "")
        return chosen

    def act(self, control: str, value: Any, files: Sequence[bytes]) -> None:
        """Note a choice, or judge the answer to a question."""
        if control.startswith("check-"):
            self._judge(int(control.removeprefix("check-")))
        elif "-" in control:
            number, letter = control.split("-", 1)
            chosen = self._chosen[int(number)]
            (chosen.add if value else chosen.discard)(letter)
        else:
            self._chosen[int(control)] = {value}

    def _judge(self, i: int) -> None:
        question, answer = self.questions[i], self.answer(i)
        if not answer:
            self._told[i] = "<p class='labkit-trouble'>Choose an option first.</p>"
            return
        verdict = question.verdict(answer)
        self.tries.append(Try(question.name, answer, verdict.right))
        mark, style = ("✓", "right") if verdict.right else ("✗", "trouble")
        self._told[i] = f"<p class='labkit-{style}'>{mark} {escape(verdict.text)}</p>"

    def answer(self, i: int = 0) -> str:
        """Return the letters that are chosen for a question."""
        return "".join(x for x in self.questions[i].options if x in self._chosen[i])

    def code(self, i: int = 0) -> str:
        """Return the line for the answer cell; it says which try the answer was."""
        mine = [t for t in self.tries if t.question == self.questions[i].name]
        line = f'{self.variables[i]} = "{self.answer(i)}"'
        if not mine or mine[-1].answer != self.answer(i):
            return line
        return f"{line}  # {'right' if mine[-1].right else 'not right'}, try {len(mine)}"

    def plain_html(self) -> str:
        """Return the questions with their options."""
        return "".join(self._plain_question(q) for q in self.questions)

    def _plain_question(self, question: Question) -> str:
        note = " (several are right)" if question.has_several else ""
        items = "".join(
            f"<li>{escape(letter)}) {escape(text)}</li>"
            for letter, text in question.options.items()
        )
        return (
            f"<p><strong>{escape(question.text)}</strong>{note}</p>"
            f"<ul style='list-style: none'>{items}</ul>"
        )

    def __str__(self) -> str:
        """Return the questions as text."""
        return "\n\n".join(str(question) for question in self.questions)
