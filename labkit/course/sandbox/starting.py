"""Starts a kernel, in bubblewrap's namespaces or without, and ends all of it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import psutil

from labkit.course.sandbox import bubblewrap, places
from labkit.course.sandbox.census import Census, Descendants, Namespace
from labkit.course.sandbox.group import Group
from labkit.course.sandbox.log import Log
from labkit.course.sandbox.settings import Settings

PR_SET_CHILD_SUBREAPER = 36

PATIENCE = 60.0
"""Seconds for the warm parent to fork, on a loaded machine as well."""


class Started(Protocol):
    """A kernel that was started."""

    def wait(self) -> int:
        """Return its exit status once it is over: negative for a signal."""

    def census(self) -> Census:
        """Return who counts its processes; to be called once, before a notebook's first line."""

    def kill(self) -> None:
        """End it and all that it started; returns when nothing is left."""


def start(settings: Settings, folder: Path, private: Path, log: Log, group: Group) -> Started:
    """Start a kernel the way that its settings ask for.

    Args:
        settings: of the kernel.
        folder: its working folder.
        private: its private folder, with the connection file in it.
        log: gets the last lines of the kernel's own stderr.
        group: the control group that it is put into.
    """
    (private / "tmp").mkdir()
    with group.joined():
        if settings.isolation == "rlimits":
            return Plain(settings, folder, private, log)
        if settings.warm:
            try:
                return Warm(settings, folder, private, log, group)
            except OSError as error:
                log.append(f"No warm start: {error}")
        return Cold(settings, folder, private, log)


class Plain:
    """A kernel without namespaces, in a new interpreter."""

    def __init__(self, settings: Settings, folder: Path, private: Path, log: Log) -> None:
        """Start it; what it leaves behind becomes this process's child (Linux)."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        out = log.writable()
        self._process = subprocess.Popen(
            _kernel_command(settings, str(private)), env=places.environment(str(private)),
            cwd=folder, start_new_session=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
        os.close(out)

    def wait(self) -> int:
        """Return the exit status."""
        return self._process.wait()

    def census(self) -> Census:
        """Count everything below this process."""
        return Descendants()

    def kill(self) -> None:
        """Kill until nothing is left; what is stopped first starts nothing new meanwhile."""
        while left := [p for p in psutil.Process().children(recursive=True) if _alive(p)]:
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for process in left:
                    with contextlib.suppress(psutil.Error):
                        process.send_signal(number)
            time.sleep(0.01)


class Cold:
    """A kernel in namespaces, in a new interpreter."""

    def __init__(self, settings: Settings, folder: Path, private: Path, log: Log) -> None:
        """Start bubblewrap with it."""
        out = log.writable()
        command = _kernel_command(settings, bubblewrap.PRIVATE)
        self._bwrap = _isolate(settings, folder, private, command, subprocess.DEVNULL, out)
        os.close(out)

    def wait(self) -> int:
        """Return the exit status, which bubblewrap hands on: 128 and more are signals."""
        status = self._bwrap.wait()
        return 128 - status if 128 < status < 192 else status

    def census(self) -> Census:
        """Count everything in the namespace."""
        return Namespace(_first_inside(self._bwrap))

    def kill(self) -> None:
        """End the namespaces."""
        _end_namespaces(self._bwrap)


class Warm:
    """A kernel that the warm parent forks into namespaces that bubblewrap has made.

    Raises OSError when the parent does not answer, or bubblewrap does not start.
    """

    def __init__(
        self, settings: Settings, folder: Path, private: Path, log: Log, group: Group
    ) -> None:
        """Make the namespaces around ``cat``, and ask the parent for a kernel in them."""
        self._parent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._parent.settimeout(PATIENCE)
        self._parent.connect(settings.warm or "")
        read, write = os.pipe()
        self._bwrap = _isolate(settings, folder, private, ["/bin/cat"], subprocess.PIPE, write)
        os.close(write)
        try:
            self._holder = self._await_namespaces(read)
            group.add(self._ask_parent(settings, log.writable()))
        except OSError:
            _end_namespaces(self._bwrap)
            raise
        finally:
            os.close(read)
        self._parent.settimeout(None)

    def _await_namespaces(self, read: int) -> int:
        """Return the process id of ``cat``, once it echoes: all is in place then.

        Its input is a pipe from here, so it ends with this process in any case.
        """
        assert self._bwrap.stdin is not None
        self._bwrap.stdin.write(b"?")
        self._bwrap.stdin.flush()
        said = os.read(read, 1000)
        if said != b"?":
            raise ConnectionError(said.decode(errors="replace").strip() or "bubblewrap ended")
        return _first_inside(self._bwrap)

    def _ask_parent(self, settings: Settings, out: int) -> int:
        target = os.pidfd_open(self._holder)
        socket.send_fds(self._parent, [settings.limits.as_json().encode()], [target, out])
        os.close(target)
        os.close(out)
        return self._answer()

    def _answer(self) -> int:
        answer = self._parent.recv(100)
        if not answer:
            raise ConnectionError("the warm parent has hung up")
        return int(json.loads(answer))

    def wait(self) -> int:
        """Return the exit status that the parent tells."""
        try:
            return self._answer()
        except OSError:  # it could not tell
            return -signal.SIGKILL

    def census(self) -> Census:
        """Count everything in the namespace."""
        return Namespace(self._holder)

    def kill(self) -> None:
        """End the namespaces; the kernel is in them."""
        _end_namespaces(self._bwrap)


def _kernel_command(settings: Settings, private: str) -> list[str]:
    return [
        sys.executable, "-P", "-m", "labkit.course.sandbox.inside",
        f"{private}/connection.json", settings.limits.as_json(),
    ]  # fmt: skip


def _isolate(
    settings: Settings, folder: Path, private: Path, command: list[str], stdin: int, out: int
) -> subprocess.Popen[bytes]:
    """Start a command in namespaces of its own; its output goes to a file descriptor."""
    words = bubblewrap.arguments(folder, private, places.readable_paths(settings.readable))
    with bubblewrap.command(words, *command) as (line, options):
        return subprocess.Popen(
            line, env=places.environment(bubblewrap.PRIVATE), pass_fds=[options],
            start_new_session=True, stdin=stdin, stdout=out, stderr=out,
        )  # fmt: skip


def _first_inside(bwrap: subprocess.Popen[bytes]) -> int:
    """Return the process id of the command that bubblewrap has started.

    Between the two is bubblewrap's own process 1, which hides itself from other users' eyes.
    """
    below = psutil.Process(bwrap.pid).children(recursive=True)
    if len(below) < 2:
        raise ConnectionError("bubblewrap's command has ended")
    return int(below[1].pid)


def _end_namespaces(bwrap: subprocess.Popen[bytes]) -> None:
    """Kill bubblewrap's process 1: the system kills all the rest, however many they are.

    bubblewrap ends when that is done. Where it has no process 1 yet, it takes along what
    it has.
    """
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(bwrap.pid).children() or [bwrap]:
            process.kill()
    bwrap.wait()


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
