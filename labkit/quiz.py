"""Questions with one or several right options; why an option is wrong is sealed until it is chosen.

Sealed means not readable in the notebook. It keeps nobody from trying every option, which
a quiz allows anyway: what counts is that a wrong choice tells what to think about.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from labkit.errors import CourseError, choices


@dataclass(frozen=True)
class Verdict:
    """What an answer came to: whether it is right, and a sentence that says why."""

    right: bool
    text: str


@dataclass(frozen=True)
class Question:
    """One question of a quiz.

    Attributes:
        name: its stable name; also what its answers are sealed with.
        text: the question.
        options: letter to text, in the order in which they are shown.
        sealed: what ``seal`` made: which options are right, and what to say to each.
    """

    name: str
    text: str
    options: Mapping[str, str]
    sealed: str

    def verdict(self, answer: str | Iterable[str]) -> Verdict:
        """Judge an answer: one letter, or the letters of all options that are right.

        Raises CourseError for what is no option, or where the seal is damaged.
        """
        given = {letter.strip().lower() for letter in answer} - {"", ","}
        strange = sorted(given - set(self.options))
        if strange or not given:
            said = choices(strange) if strange else "nothing"
            raise CourseError(
                f"{self.name}: an answer is made of {choices(self.options)}. Received: {said}."
            )
        right = {letter for letter, (is_right, _) in self._answers.items() if is_right}
        if given == right:
            return Verdict(True, f"Right. {self._why(given)}".strip())
        wrong = given - right
        if wrong:
            return Verdict(False, f"Try again, because {self._why(wrong)}".strip())
        return Verdict(False, "Try again, because there is more than you have chosen.")

    def check(self, answer: str | Iterable[str]) -> None:
        """Raise AssertionError with the reason unless an answer is right."""
        verdict = self.verdict(answer)
        if not verdict.right:
            raise AssertionError(verdict.text)

    @property
    def has_several(self) -> bool:
        """Whether more than one option is right."""
        return sum(is_right for is_right, _ in self._answers.values()) > 1

    @cached_property
    def _answers(self) -> dict[str, tuple[bool, str]]:
        try:
            text = zlib.decompress(_mix(base64.b85decode(self.sealed), self.name))
            found = {letter: (bool(r), str(why)) for letter, r, why in json.loads(text)}
        except (ValueError, TypeError, zlib.error) as error:
            raise CourseError(
                f"The answers to {self.name!r} cannot be read: get the lesson's file again."
            ) from error
        if set(found) != set(self.options):
            raise CourseError(f"The sealed answers to {self.name!r} are those of other options.")
        return found

    def _why(self, letters: set[str]) -> str:
        first, *others = (self._answers[letter][1] for letter in sorted(letters))
        return " ".join([first, *(reason[:1].upper() + reason[1:] for reason in others)])

    def __str__(self) -> str:
        """Return question and options as text."""
        note = " (several are right)" if self.has_several else ""
        options = [f"  {letter}) {text}" for letter, text in self.options.items()]
        return "\n".join([f"{self.text}{note}", *options])


def seal(name: str, answers: Mapping[str, tuple[bool, str]]) -> str:
    """Return the answers to a question in a form that nobody reads by accident.

    Args:
        name: of the question.
        answers: for each option whether it is right, and what to say when it is chosen; of
            a wrong one the rest of the sentence "Try again, because ...".

    >>> text = seal("sum", {"a": (False, "1 + 1 is more."), "b": (True, "")})
    >>> Question("sum", "1 + 1?", {"a": "1", "b": "2"}, text).verdict("a").text
    'Try again, because 1 + 1 is more.'
    """
    rows = [(letter, right, why) for letter, (right, why) in answers.items()]
    return base64.b85encode(_mix(zlib.compress(json.dumps(rows).encode(), 9), name)).decode()


def _mix(data: bytes, name: str) -> bytes:
    """Combine bytes with a stream that the name decides; doing it twice gives them back."""
    stream = hashlib.shake_256(f"labkit quiz {name}".encode()).digest(len(data))
    return bytes(a ^ b for a, b in zip(data, stream, strict=True))
