"""Carries values between the examiner and a student's kernel as plain data.

A message is a JSON header and the raw bytes of arrays, so reading one runs no code of the
other side, whatever it sends: no pickle, no archive, no class but those of ``RECORDS``.
Functions do not travel. The other side gets a stand-in that calls back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from labkit.course.grading.reading import Reader
from labkit.course.grading.wire import ExchangeError
from labkit.course.grading.writing import Writer, is_keras

_OWN = str(Path(__file__).parent)


class Peer:
    """One side's memory of what it has sent and got: functions, and models (``models``).

    Args:
        side: "examiner" or "student".
        call: asks the other side to call its function with a number; gets and returns bytes.
    """

    def __init__(self, side: str, call: Callable[[int, bytes], bytes]) -> None:
        """Begin without any memory."""
        self.side = side
        self._call = call
        self._functions: list[Callable[..., Any]] = []
        self._models: Any = None
        # A student's code may raise SystemExit as well; the examiner's is trusted.
        self._caught = BaseException if side == "student" else Exception

    @property
    def models(self) -> Any:
        """The models that both sides know; Keras is imported when the first one travels."""
        if self._models is None:
            from labkit.course.grading.models import Models

            self._models = Models(self.side)
        return self._models

    def dumps(self, value: object) -> bytes:
        """Return a value as a message."""
        before = self._models.memory() if self._models else None
        try:
            return Writer(self).message(value)
        except BaseException:
            if self._models:  # nothing was sent, so nothing was told
                self._models.forget_since(before)
            raise

    def loads(self, message: bytes) -> Any:
        """Return the value of a message; ExchangeError when it is none."""
        return Reader(self, message).value()

    def offer(self, function: Callable[..., Any]) -> int:
        """Remember a function of this side; return its number."""
        for number, known in enumerate(self._functions):
            if known is function:
                return number
        self._functions.append(function)
        return len(self._functions) - 1

    def offered(self, number: int) -> Callable[..., Any]:
        """Return the function of this side that has a number."""
        if not 0 <= number < len(self._functions):
            raise ExchangeError(f"There is no function number {number}.")
        return self._functions[number]

    def answer(self, number: int, message: bytes) -> bytes:
        """Call this side's function with the arguments in a message; return its result.

        What happens to a model among the arguments travels back, also when the call fails.
        """
        function = self.offered(number)
        arguments = self.loads(message)
        given = [*arguments["args"], *arguments["kwargs"].values()]
        try:
            outcome = {"value": function(*arguments["args"], **arguments["kwargs"])}
        except self._caught as error:
            outcome = {"raised": describe(error)}
        return self.dumps({**outcome, "models": list(models_in(given))})

    def stand_in(self, number: int, name: str) -> Callable[..., Any]:
        """Return a function that calls the other side's function of that number."""

        def call(*args: Any, **kwargs: Any) -> Any:
            request = self.dumps({"args": list(args), "kwargs": kwargs})
            outcome = self.loads(self._call(number, request))
            if "raised" in outcome:
                raise rebuilt(outcome["raised"])
            return outcome["value"]

        call.__name__ = call.__qualname__ = name
        call.labkit_number = number  # type: ignore[attr-defined]
        return call


def models_in(values: Iterable[object]) -> Iterator[object]:
    """Yield the Keras models among values, in lists and dictionaries as well."""
    for value in values:
        if is_keras(value, "Model"):
            yield value
        elif isinstance(value, Mapping):
            yield from models_in(value.values())
        elif isinstance(value, list | tuple):
            yield from models_in(value)


# Exceptions


def describe(error: BaseException) -> dict[str, Any]:
    """Return an exception as data: the names of its classes, what it says, where it was."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"line {frame.lineno} in {frame.name}: {frame.line or ''}" for frame in frames
             if not frame.filename.startswith(_OWN)]  # fmt: skip
    names = [base.__name__ for base in type(error).__mro__]
    return {"names": names, "text": _say(error)[:2000], "lines": lines[-12:]}


def _say(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # a student's own class may do anything here
        return ""


def rebuilt(description: Any) -> Exception:
    """Return an exception of the nearest class that this side has, with the same words."""
    import builtins

    from labkit import errors

    names, text = list(description["names"]), str(description["text"])
    for name in names:
        known = getattr(errors, name, None) or getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, Exception) and known is not Exception:
            try:
                found = known(text)
            except TypeError:  # UnicodeDecodeError and others want more than words
                continue
            found.labkit_raised = description  # type: ignore[attr-defined]
            return found
    made = type(str(names[0])[:60] if names else "Error", (Exception,), {})(text)
    made.labkit_raised = description
    return made  # type: ignore[no-any-return]
