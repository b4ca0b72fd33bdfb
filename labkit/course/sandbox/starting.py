"""Starts a kernel's processes, in bubblewrap or plain, and ends all of them."""

from __future__ import annotations

import contextlib
import ctypes
import json
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
    return Cold(settings, folder, private, log)
