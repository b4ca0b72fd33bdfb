"""Checks of an exercise: what was looked at, what was right, why a point is missing.

A check never stops the notebook at the first fault. The last line of a graded cell is
``checks.points()``: a number that nbgrader takes as partial credit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

from labkit.errors import LabkitError


class NothingRightError(AssertionError):
    """Raised at the end of an exercise of which no check was passed."""


@dataclass
class Outcome:
    """One check: its points, whether it was passed, and the reason (hint included) if not."""

    text: str
    worth: float
    passed: bool
    reason: str = ""
    hint: str = ""


@dataclass
class Checks:
    """The checks of one exercise.

    Attributes:
        exercise: its name.
        max_points: what the checks are worth together.
    """

    exercise: str
    max_points: float
    outcomes: list[Outcome] = field(default_factory=list)

    def check(self, text: str, worth: float, test: Callable[[], object], *, hint: str = "") -> None:
        """Run one check; passed unless ``test`` raises or returns False.

        Args:
            text: what is checked, as a statement that is true of a right answer.
            worth: points.
            test: looks at what the student's code does. An AssertionError's message is the
                reason that the student reads.
            hint: what to look at again; added to the reason.

        Raises:
            NotImplementedError: the exercise has not been started.
        """
        reason = _failure(test)
        passed = reason is None
        told = " ".join(part for part in (reason, hint) if part) if not passed else ""
        self.outcomes.append(Outcome(text, worth, passed, told, hint))

    def points(self) -> float:
        """Show what was found and return the points.

        Raises NothingRightError when there are none, so that the cell is seen to have failed.
        """
        from IPython.display import display

        display(self)
        earned = sum(outcome.worth for outcome in self.outcomes if outcome.passed)
        if not earned:
            raise NothingRightError(f"{self.exercise}: {self.outcomes[0].reason}")
        return round(min(earned, self.max_points), 2)

    def __repr__(self) -> str:
        """Return the outcome of each check as a line of text."""
        lines = [f"{self.exercise}: {self._summary()}"]
        for outcome in self.outcomes:
            mark = "right " if outcome.passed else "not yet"
            reason = f": {outcome.reason}" if outcome.reason else ""
            lines.append(f"  {mark:<8}{outcome.text} ({outcome.worth:g}){reason}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'✓ right' if o.passed else '✗ not yet'}</td>"
            f"<td style='text-align:left'>{escape(o.text)}"
            + (f"<br><em>{escape(o.reason)}</em>" if o.reason else "")
            + f"</td><td>{o.worth if o.passed else 0:g} of {o.worth:g}</td></tr>"
            for o in self.outcomes
        )
        head = "<tr><th></th><th style='text-align:left'>check</th><th>points</th></tr>"
        title = f"<strong>{escape(self.exercise)}</strong>: {escape(self._summary())}"
        return f"<p>{title}</p><table><thead>{head}</thead><tbody>{rows}</tbody></table>"

    def _summary(self) -> str:
        passed = sum(outcome.passed for outcome in self.outcomes)
        worth = sum(outcome.worth for outcome in self.outcomes)
        text = f"{passed} of {len(self.outcomes)} checks passed"
        if worth < self.max_points:
            text += f"; {self.max_points - worth:g} more points are checked only at grading"
        return text


def _failure(test: Callable[[], object]) -> str | None:
    """Return why a test failed, in one sentence, or None when it passed."""
    try:
        return None if _holds(test()) else "It is not so."
    except NotImplementedError:
        raise
    except AssertionError as error:
        return str(error) or "It is not so."
    except LabkitError as error:
        return str(error)
    except Exception as error:  # a student's code may raise anything
        return f"Your code raised {type(error).__name__}: {error}"


def _holds(value: Any) -> bool:
    """Tell whether a test's answer is yes: None, or true in all of its elements."""
    import numpy as np

    return value is None or bool(np.all(np.asarray(value)))


def same(found: Any, expected: Any, what: str, *, tolerance: float = 0.0) -> None:
    """Assert that two numbers, shapes or arrays agree; the message names both."""
    import numpy as np

    try:
        agree = np.shape(found) == np.shape(expected) and np.allclose(
            found, expected, rtol=tolerance, atol=tolerance
        )
    except TypeError:
        agree = found == expected
    if not agree:
        raise AssertionError(f"{what} should be {_short(expected)}, yours is {_short(found)}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
