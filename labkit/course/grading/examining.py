"""The grader's side of an examiner: starts it, passes calls on, replaces it when it dies."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from labkit.course.grading.examiner import receive, send
from labkit.course.grading.exchange import Peer
from labkit.course.grading.kernels import KernelLost, Session, Trouble
from labkit.errors import CourseError

PREPARING_SECONDS = 1800
"""How long an instructor's source may run."""

READING_SECONDS = 120
"""How long the examiner may take to read one answer."""


GROWTH = 2 * 10**9
"""Bytes that an examiner may grow by before it is replaced: TensorFlow keeps some of every model
that is trained."""

_BUSY = Peer("examiner", lambda *_: b"").dumps({
    "raised": {
        "names": ["RuntimeError"], "lines": [],
        "text": "a check's function that a student's function has called cannot call one itself",
    },
    "models": [],
})  # fmt: skip


class ExaminerLost(Exception):  # noqa: N818 - it says what happened
    """The examiner died or took too long over one exercise; it has been stopped."""

    def __init__(self, trouble: Trouble, exercise: str = "") -> None:
        """Keep what happened, and whose answer it was."""
        super().__init__(exercise)
        self.trouble: Trouble = trouble
        self.exercise = exercise


class Examining:
    """An examiner of one assignment, kept for many submissions."""

    def __init__(self, file: Path, parameters: dict[str, Any]) -> None:
        """Take the instructor's source; the process starts when it is needed."""
        self.file = file.resolve()
        self.parameters = parameters
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._memory = 0

    def __enter__(self) -> Examining:
        """Start nothing yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the process."""
        self.stop()

    def start(self) -> None:
        """Start the process and have it run the source.

        Raises CourseError when the source's own code fails.
        """
        if self._process is not None:
            return
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labkit.course.grading.examiner", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self._connection = Connection(ours.detach())
        order = {"file": str(self.file), "parameters": self.parameters}
        send(self._connection, order)
        try:
            said, _ = self._receive(PREPARING_SECONDS)
        except ExaminerLost:
            said = {"failed": "the process that runs it died"}
        if "failed" in said:
            self.stop()
            raise CourseError(f"{self.file} cannot be graded against: {said['failed']}")
        self._memory = self._size()

    def renew(self) -> None:
        """Have the process ready for the next submission: a new one, where it has grown."""
        if self._process is not None and self._size() > self._memory + GROWTH:
            self.stop()
        self.start()

    def _size(self) -> int:
        """Return the bytes of memory that the process has."""
        assert self._process is not None
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(self._process.pid).memory_info().rss)
        return 0

    def stop(self) -> None:
        """Stop the process."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        self._process = self._connection = None

    def begin(self, kept: list[tuple[str, bytes]]) -> None:
        """Tell what a student's kernel has defined, by exercise, in the order of its cells.

        Raises ExaminerLost with the exercise whose answer could not be read.
        """
        self.start()
        assert self._connection is not None
        exercise = ""
        try:
            send(self._connection, {"do": "begin"})
            for exercise, message in kept:
                send(self._connection, {"do": "keep", "exercise": exercise}, message)
                self._receive(READING_SECONDS)
        except (OSError, ExaminerLost) as error:
            self.stop()
            raise ExaminerLost(getattr(error, "trouble", "memory"), exercise) from None

    def check(self, exercise: str, session: Session, seconds: float) -> dict[str, Any]:
        """Have an exercise checked; calls of the student's functions go to the session.

        Raises:
            ExaminerLost: it died, or took longer than ``seconds`` beyond the calls.
        """
        assert self._connection is not None
        try:
            send(self._connection, {"do": "check", "exercise": exercise})
            end = time.monotonic() + seconds
            while True:
                said, data = self._receive(end - time.monotonic())
                if "checked" in said:
                    return said["checked"]  # type: ignore[no-any-return]
                try:
                    answer = session.call(said["call"], data, self._back(end))
                    send(self._connection, {"returned": True}, answer)
                except KernelLost as error:
                    send(self._connection, {"lost": error.trouble})
        except OSError:
            raise self._lost() from None

    def _back(self, end: float) -> Callable[[int, bytes], bytes]:
        """Return how a call that a student's function makes is passed to the examiner."""

        def back(number: int, data: bytes) -> bytes:
            assert self._connection is not None
            send(self._connection, {"back": number}, data)
            while True:
                said, answer = self._receive(end - time.monotonic())
                if "call" not in said:
                    return answer
                # The student's kernel waits for this answer, so it cannot take another call.
                send(self._connection, {"returned": True}, _BUSY)

        return back

    def _receive(self, seconds: float) -> tuple[dict[str, Any], bytes]:
        assert self._connection is not None
        try:
            if self._connection.poll(max(seconds, 0.0)):
                return receive(self._connection)
        except (OSError, EOFError):
            raise self._lost() from None
        raise self._lost("timeout")

    def _lost(self, trouble: Trouble = "memory") -> ExaminerLost:
        """Stop the process; where it ended by itself, its memory was used up."""
        self.stop()
        return ExaminerLost(trouble)
