"""Starts a kernel's processes, in bubblewrap or plain, and ends all of them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Protocol

import psutil

from labkit.course.sandbox import bubblewrap, places
from labkit.course.sandbox.settings import Settings

PR_SET_CHILD_SUBREAPER = 36
LOG_LINES = 40


class Started(Protocol):
    """A kernel that was started."""

    def wait(self) -> int:
        """Return its exit status once it is over: negative for a signal."""

    def processes(self) -> list[psutil.Process]:
        """Return those of its processes that are alive."""

    def kill(self) -> None:
        """End all of it; returns when nothing is left."""


class Cold:
    """A kernel in a new interpreter.

    Args:
        settings: of the kernel.
        folder: its working folder.
        private: its private folder, with the connection file in it.
        log: gets the last lines of the kernel's own stderr.
    """

    def __init__(self, settings: Settings, folder: Path, private: Path, log: deque[str]) -> None:
        """Start it."""
        limits = json.dumps(asdict(settings.limits))
        isolated = settings.isolation == "bubblewrap"
        seen = bubblewrap.PRIVATE if isolated else str(private)
        command = [
            sys.executable, "-P", "-m", "labkit.course.sandbox.inside",
            f"{seen}/connection.json", limits,
        ]  # fmt: skip
        environment = None if isolated else places.environment(seen)
        if isolated:
            readable = places.readable_paths(settings.readable)
            command = [*bubblewrap.arguments(folder, private, readable), "--", *command]
        else:
            _adopt_orphans()
        self._process = subprocess.Popen(
            command, env=environment, cwd=folder, start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
        )  # fmt: skip
        assert self._process.stdout is not None
        keep_log(self._process.stdout, log)

    def wait(self) -> int:
        """Return the exit status: negative for a signal, as bubblewrap says it or not."""
        status = self._process.wait()
        return 128 - status if 128 < status < 192 else status

    def processes(self) -> list[psutil.Process]:
        """Return everything below this process."""
        return list(psutil.Process().children(recursive=True))

    def kill(self) -> None:
        """Kill until nothing is left; in bubblewrap the first death takes the rest along."""
        end_all(self.processes)


class Warm:
    """A kernel that the warm parent forks into namespaces that bubblewrap has made.

    Raises OSError when the parent does not answer.
    """

    def __init__(self, settings: Settings, folder: Path, private: Path, log: deque[str]) -> None:
        """Make the namespaces, and ask the parent for a kernel in them."""
        assert settings.warm is not None
        self._parent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._parent.connect(settings.warm)
        self._holder = _hold_namespaces(settings, folder, private)
        target = psutil.Process(self._holder.pid).children(recursive=True)[-1]
        read, write = os.pipe()
        keep_log(os.fdopen(read, errors="replace"), log)
        handles = [os.pidfd_open(target.pid), write]
        request = json.dumps(asdict(settings.limits)).encode()
        socket.send_fds(self._parent, [request], handles)
        for handle in handles:
            os.close(handle)
        self._kernel = psutil.Process(self._answer())

    def _answer(self) -> int:
        answer = self._parent.recv(100)
        if not answer:
            raise ConnectionError("the warm parent did not start a kernel")
        return int(json.loads(answer))

    def wait(self) -> int:
        """Return the exit status that the parent tells; it is gone without one when killed."""
        try:
            return self._answer()
        except OSError:
            return -signal.SIGKILL

    def processes(self) -> list[psutil.Process]:
        """Return the kernel with what it started, and the orphans below bubblewrap."""
        found = list(psutil.Process().children(recursive=True))
        with contextlib.suppress(psutil.Error):
            found += [self._kernel, *self._kernel.children(recursive=True)]
        return found

    def kill(self) -> None:
        """Kill until nothing is left; the namespaces take the kernel along."""
        end_all(self.processes)


def _hold_namespaces(settings: Settings, folder: Path, private: Path) -> subprocess.Popen[bytes]:
    """Start bubblewrap around ``cat``, and wait until its namespaces are complete."""
    readable = places.readable_paths(settings.readable)
    holder = subprocess.Popen(
        [*bubblewrap.arguments(folder, private, readable), "--", "/bin/cat"], bufsize=0,
        start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(b"?")
    if holder.stdout.read(1) != b"?":
        raise ConnectionError("bubblewrap did not start")
    return holder


def end_all(processes: Callable[[], list[psutil.Process]]) -> None:
    """Kill what ``processes()`` returns until all of it is dead."""
    while left := [process for process in processes() if _alive(process)]:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.01)


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def keep_log(stream: IO[str], log: deque[str]) -> None:
    """Read a kernel's own output to its end, in a thread; ``log`` keeps the last of it."""

    def read() -> None:
        while line := stream.readline(1000):
            log.append(line.rstrip("\n"))

    threading.Thread(target=read, daemon=True).start()


def _adopt_orphans() -> None:
    """Become the parent of what a kernel leaves behind, so that it can be found (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(settings: Settings, folder: Path, private: Path, log: deque[str]) -> Started:
    """Start a kernel the way that its settings ask for."""
    (private / "tmp").mkdir()
    if settings.warm and settings.isolation == "bubblewrap":
        try:
            return Warm(settings, folder, private, log)
        except (OSError, psutil.Error, IndexError) as error:
            log.append(f"No warm start: {error}")
            end_all(psutil.Process().children)
    return Cold(settings, folder, private, log)
