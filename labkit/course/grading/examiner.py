"""The examiner: a process outside the sandbox that judges answers by the instructor's source.

It runs the source once, with its own solutions. For each exercise it then runs the source's
checks in a copy of that, in which the names that the exercise asks for stand for what the
student has: data, and stand-ins of functions that run in the student's kernel.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import gc
import io
import json
import os
import re
import sys
import types
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from labkit.checks import Checks, NothingRightError
from labkit.course.grading.assignment import (
    Assignment,
    Exercise,
    is_check,
    load_assignment,
    settings,
)
from labkit.course.grading.exchange import Peer, describe, models_in
from labkit.course.grading.wire import ExchangeError
from labkit.errors import CourseError

MEMORY = 8 * 10**9
"""Bytes that an examiner may use: a student's model must not take the machine."""

_WITHOUT_MEMORY = re.compile(r"(Your code raised|The check could not go on:) \w*MemoryError")

_TRAINING_STATE = (
    "optimizer", "loss", "compiled", "stop_training", "train_function", "test_function",
    "predict_function", "_compile_config", "_compile_loss", "_compile_metrics", "_loss_tracker",
)  # fmt: skip


class CallLost(BaseException):
    """The student's kernel hung or died in a call. No check may take it for an answer."""


class Examiner:
    """Holds the solved source and checks one student after the other.

    Args:
        assignment: what is graded.
        connection: to the grader, which passes calls on to the student's kernel.
    """

    def __init__(self, assignment: Assignment, connection: Connection) -> None:
        """Begin without having run the source."""
        self.assignment = assignment
        self.exercises = {exercise.name: exercise for exercise in assignment.exercises}
        self._connection = connection
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._models: list[_Saved] = []
        self._answers: dict[str, dict[str, Any]] = {}
        self._peer = Peer("examiner", self._call)
        self._raised: list[dict[str, Any]] = []
        self._unreadable: dict[str, str] = {}

    def prepare(self, parameters: dict[str, Any]) -> None:
        """Run the source with its solutions; its own checks have to give all points."""
        names = self._names
        for cell in self.assignment.source.cells:
            if cell.cell_type != "code":
                continue
            value = run_cell(cell.source, names)
            if is_check(cell) and _points(value, worth := settings(cell)["points"]) < worth:
                raise CourseError(f"{settings(cell)['grade_id']} takes points from the solution")
            if "parameters" in cell.metadata.get("tags", []):
                names |= parameters
        self._models = [_Saved(model) for model in models_in(list(names.values()))]
        gc.collect()
        gc.freeze()

    def begin(self) -> None:
        """Forget the last student's kernel."""
        self._answers, self._unreadable = {}, {}
        self._peer = Peer("examiner", self._call)
        gc.collect()  # what the source needs is frozen, so this looks at little

    def keep(self, exercise: str, message: bytes) -> None:
        """Keep what a student's cells have defined for an exercise."""
        try:
            found = self._peer.loads(message)
            self._answers[exercise] = found if isinstance(found, dict) else {}
        except ExchangeError as error:
            self._answers[exercise] = {}
            self._unreadable[exercise] = f"Your answer cannot be looked at: {error}"

    def check(self, name: str) -> dict[str, Any]:
        """Run the checks of an exercise on a student's answer; return what came of it."""
        exercise = self.exercises[name]
        names = _own_copy(self._names)
        for wanted in exercise.names:
            names.pop(wanted, None)
        names |= {key: value for key, value in self._answers.get(name, {}).items()
                  if key in exercise.names}  # fmt: skip
        marks: list[tuple[int, bool]] = []
        names["__mark__"] = lambda begins: marks.append((len(_outcomes(names)), begins))
        names.pop("checks", None)
        self._raised = []
        _seed()
        try:
            return self._judge(exercise, names, marks)
        finally:
            for saved in self._models:
                saved.restore()

    def _judge(self, exercise: Exercise, names: dict[str, Any], marks: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"points": 0.0, "trouble": "", "error": "", "untouched": False}
        before = set(map(id, _checks(names)))
        try:
            value = run_cell(exercise.marked_check, names)
            found["points"] = _points(value, exercise.points)
        except CallLost as lost:
            found["trouble"] = str(lost)
        except NotImplementedError:
            found["error"] = "You have not started this exercise, or not all of it."
            found["untouched"] = True
        except NothingRightError:
            pass
        except AssertionError as error:
            found["error"] = str(error) or "A check failed."
        except Exception as error:  # a check may stumble over whatever a student returns
            found["error"] = f"The check could not go on: {type(error).__name__}: {error}"
        own = [c for c in _checks(names) if id(c) not in before]
        found["outcomes"] = _describe(own, marks)
        found["raised"] = self._raised
        if not found["points"]:
            found["error"] = self._unreadable.get(exercise.name, found["error"])
        self._give_up_without_memory(found)
        return found

    def _give_up_without_memory(self, found: dict[str, Any]) -> None:
        """End this process when it ran out of memory itself: that says nothing about an answer."""
        said = [found["error"], *(outcome["reason"] for outcome in found["outcomes"])]
        by_student = any("MemoryError" in raised["names"] for raised in self._raised)
        if not by_student and any(map(_WITHOUT_MEMORY.match, said)):
            os._exit(1)

    def _call(self, number: int, request: bytes) -> bytes:
        """Have the grader call a student's function; answer the calls that it makes."""
        self._send({"call": number}, request)
        while True:
            said, data = self._receive()
            if "returned" in said:
                answer = self._peer.loads(data)
                if isinstance(answer, dict) and isinstance(answer.get("raised"), dict):
                    self._raised.append(_told(answer["raised"]))
                return data
            if "lost" in said:
                raise CallLost(said["lost"])
            self._send({"answer": True}, self._answer(int(said["back"]), data))

    def _answer(self, number: int, data: bytes) -> bytes:
        try:
            return self._peer.answer(number, data)
        except ExchangeError as error:
            return self._peer.dumps({"raised": describe(error), "models": []})

    def _send(self, header: dict[str, Any], data: bytes = b"") -> None:
        send(self._connection, header, data)

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        return receive(self._connection)


def _told(raised: dict[str, Any]) -> dict[str, Any]:
    """Return what a student's kernel says of an exception, of the right types and not too long."""

    def texts(key: str, most: int) -> list[str]:
        given = raised.get(key)
        return [str(one)[:500] for one in given[:most]] if isinstance(given, list) else []

    return {
        "names": texts("names", 20), "lines": texts("lines", 12),
        "text": str(raised.get("text", ""))[:2000],
    }  # fmt: skip


def send(connection: Connection, header: dict[str, Any], data: bytes = b"") -> None:
    """Send a header and raw bytes."""
    connection.send_bytes(json.dumps(header).encode())
    connection.send_bytes(data)


def receive(connection: Connection) -> tuple[dict[str, Any], bytes]:
    """Return the header and the bytes that come next."""
    header: dict[str, Any] = json.loads(connection.recv_bytes())
    return header, connection.recv_bytes()


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Execute a cell's code; return what its last line is worth, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if last is not None:
        tree.body.pop()
    exec(compile(tree, "<cell>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None


def _points(value: Any, most: float) -> float:
    """Return the points of a check cell by nbgrader's rules: its last number, or all."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return max(0.0, min(float(value), most))
    return most


def _checks(names: dict[str, Any]) -> list[Checks]:
    return [value for value in names.values() if isinstance(value, Checks)]


def _outcomes(names: dict[str, Any]) -> list[Any]:
    return [outcome for checks in _checks(names) for outcome in checks.outcomes]


def _describe(checks: list[Checks], marks: list[tuple[int, bool]]) -> list[dict[str, Any]]:
    """Return each check's outcome, and whether it is run only at grading."""
    found: list[dict[str, Any]] = []
    outcomes = [outcome for one in checks for outcome in one.outcomes]
    for place, outcome in enumerate(outcomes):
        inside = [begins for start, begins in marks if start <= place]
        found.append({
            "text": outcome.text, "worth": outcome.worth, "passed": outcome.passed,
            "reason": outcome.reason.removesuffix(outcome.hint)[:600],
            "hint": "" if outcome.passed else outcome.hint,
            "hidden": bool(inside and inside[-1]),
        })  # fmt: skip
    return found


# State that must not leak from one student to the next


class _Saved:
    """A model of the source as it was, to go back to after each check."""

    def __init__(self, model: Any) -> None:
        from labkit.course.grading.models import walk

        self.model = model
        self.weights = [weight.numpy() for weight in model.weights]
        self.flags = [(layer, bool(layer.trainable)) for _, layer in walk(model)]
        self.training = {key: model.__dict__.get(key) for key in _TRAINING_STATE}

    def restore(self) -> None:
        """Set back what has changed."""
        import numpy as np

        for layer, flag in self.flags:
            if layer.trainable != flag:
                layer.trainable = flag
        for weight, before in zip(self.model.weights, self.weights, strict=True):
            if not np.array_equal(weight.numpy(), before, equal_nan=True):
                weight.assign(before)
        for key, value in self.training.items():
            if key in self.model.__dict__:
                self.model.__dict__[key] = value


def _own_copy(names: dict[str, Any]) -> dict[str, Any]:
    """Copy names, and the lists, dictionaries and arrays among their values."""
    import numpy as np

    found = dict(names)
    for name, value in names.items():
        if isinstance(value, types.FunctionType) and value.__globals__ is names:
            found[name] = _moved(value, found)
        elif isinstance(value, np.ndarray):
            found[name] = value.copy()
        elif isinstance(value, list | dict | set) and name != "__builtins__":
            with contextlib.suppress(Exception):  # holds what cannot be copied
                found[name] = copy.deepcopy(value) if not _has_models(value) else copy.copy(value)
    return found


def _moved(function: types.FunctionType, names: dict[str, Any]) -> types.FunctionType:
    """Copy a function of the source so that it sees other names: the student's, not its own."""
    made = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__, made.__doc__ = function.__kwdefaults__, function.__doc__
    made.__dict__.update(function.__dict__)
    return made


def _has_models(value: Any) -> bool:
    return any(True for _ in models_in([value]))


def _seed() -> None:
    """Start random numbers and Keras's numbering of layers anew."""
    import random

    import numpy as np

    random.seed(0)
    np.random.seed(0)
    if "keras" in sys.modules:
        import keras

        keras.utils.set_random_seed(0)
        keras.backend.reset_uids() if hasattr(keras.backend, "reset_uids") else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def main() -> None:
    """Serve a grader over an inherited connection until it hangs up."""
    connection = Connection(int(sys.argv[1]))
    if sys.platform == "linux":  # a model may be as large as its configuration says
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    order, _ = receive(connection)
    os.environ.setdefault("MPLBACKEND", "agg")
    assignment = load_assignment(Path(order["file"]))
    examiner = Examiner(assignment, connection)
    os.chdir(Path(order["file"]).parent)
    with _quiet():
        try:
            examiner.prepare(order["parameters"])
        except Exception as error:  # the instructor's own code
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            return send(connection, {"failed": f"the source's own code raised {said}"})
        send(connection, {"ready": True})
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                _serve(examiner, connection, *receive(connection))


def _serve(examiner: Examiner, connection: Connection, order: Any, data: bytes) -> None:
    if order["do"] == "begin":
        examiner.begin()
    elif order["do"] == "keep":
        examiner.keep(order["exercise"], data)
        send(connection, {"kept": True})
    else:
        send(connection, {"checked": examiner.check(order["exercise"])})


if __name__ == "__main__":
    main()
