"""The command of the kernelspec ``labkit-sandbox``: starts one kernel, and watches over it.

It is the process that Jupyter believes to be the kernel, so papermill, nbval, nbgrader
and every other client can use it. It ends when the kernel ends or has to, when the
client is gone, or when it is asked to; nothing of the kernel is left then.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil

from labkit.course.sandbox import bubblewrap
from labkit.course.sandbox.group import Group
from labkit.course.sandbox.log import Log
from labkit.course.sandbox.proxy import Proxy, inner_connection
from labkit.course.sandbox.settings import VARIABLE, Ending, Settings
from labkit.course.sandbox.starting import Started, start
from labkit.course.sandbox.watching import TICK, Watch
from labkit.paths import atomic_write

START = 300.0
"""Seconds for a kernel to listen; a loaded machine with a cold disk takes long."""

Events = queue.SimpleQueue[Ending]


def serve(connection_file: Path, settings: Settings, folder: Path, private: Path) -> Ending:
    """Run one kernel to its end and return how it ended."""
    events: Events = queue.SimpleQueue()
    log = Log()
    limits = settings.limits
    connection: dict[str, Any] = json.loads(connection_file.read_text(encoding="utf-8"))
    seen = bubblewrap.PRIVATE if settings.isolation == "bubblewrap" else str(private)
    inner = private / "connection.json"
    inner.write_text(json.dumps(inner_connection(connection, seen)), encoding="utf-8")
    said = Ending("output", f"It printed or drew more than {limits.output_mb:g} MB.")
    proxy = Proxy(connection, private, int(limits.output_mb * 1e6), lambda: events.put(said))
    _obey_signals(events)
    group = Group(limits)
    kernel = start(settings, folder, private, log, group)
    try:
        _when_over(kernel, events)
        ending = _await_start(proxy, events)
        if ending is None:
            watch = Watch(limits, (folder, private), kernel.census())
            proxy.open()
            ending = _await_end(watch, events)
        if ending.reason == "crashed" and group.memory_ran_out():
            ending = Ending("memory", f"It needed more than {limits.memory_gb:g} GB.")
    finally:
        kernel.kill()
        group.remove()
    return replace(ending, log=log.text())


def _obey_signals(events: Events) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: events.put(Ending("killed", "It was asked to end.")))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # interrupts come as messages


def _when_over(kernel: Started, events: Events) -> None:
    """Put an event when the kernel ends by itself."""

    def wait() -> None:
        events.put(_by_itself(kernel.wait()))

    threading.Thread(target=wait, daemon=True).start()


def _by_itself(status: int) -> Ending:
    if status == -signal.SIGXCPU:
        return Ending("cpu", "One of its processes used more CPU time than is allowed.")
    if status < 0:
        return Ending("crashed", f"It died from signal {-status} ({signal.strsignal(-status)}).")
    return Ending("exited", f"It ended with exit status {status}.")


def _await_start(proxy: Proxy, events: Events) -> Ending | None:
    """Wait until the kernel listens; return why it never will."""
    client = Client()
    until = time.monotonic() + START
    while not proxy.kernel_listens():
        if ending := _next(events, 0.01) or client.gone():
            return ending
        if time.monotonic() > until:
            return Ending("time", f"It was not ready after {START:g} s.")
    return None


def _await_end(watch: Watch, events: Events) -> Ending:
    client = Client()
    while True:
        if ending := _next(events, TICK) or client.gone() or watch.look():
            return ending


def _next(events: Events, seconds: float) -> Ending | None:
    try:
        return events.get(timeout=seconds)
    except queue.Empty:
        return None


class Client:
    """The program that has started this one; a kernel must not outlive it."""

    def __init__(self) -> None:
        """Note who it is; Jupyter tells it as well, in case another process is between."""
        self._parent = os.getppid()
        self._named = os.environ.get("JPY_PARENT_PID", "")

    def gone(self) -> Ending | None:
        """Return the ending when the client is gone."""
        named = self._named.isdecimal()
        if os.getppid() == self._parent and (not named or psutil.pid_exists(int(self._named))):
            return None
        return Ending("client", "The program that had started it was gone.")


def _private_folder(settings: Settings) -> Path:
    """Make the folder of sockets and temporary files; its name is short, as sockets need it.

    It stands beside the record where there is one: it goes with that folder then, even if
    this process is killed.
    """
    if settings.record is None:
        return Path(tempfile.mkdtemp(prefix="labkit-kernel-"))
    private = Path(settings.record).with_name("p")
    private.mkdir(mode=0o700)
    return private


def main() -> None:
    """Run as the kernelspec's command: ``... CONNECTION_FILE``; further words are ignored."""
    given = os.environ.pop(VARIABLE, "")
    settings = Settings.load(Path(given)) if given else Settings()
    private = _private_folder(settings)
    try:
        folder = Path(settings.folder) if settings.folder else private / "empty"
        folder.mkdir(exist_ok=True)
        ending = serve(Path(sys.argv[1]), settings, folder, private)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    if settings.record:
        with atomic_write(Path(settings.record)) as stream:
            stream.write(json.dumps(asdict(ending)).encode())
    sys.stdout.flush()
    os._exit(0 if ending.reason == "exited" else 1)  # threads may hang in a read
