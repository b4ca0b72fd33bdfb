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
from collections import deque
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil

from labkit.course.sandbox import bubblewrap
from labkit.course.sandbox.proxy import Proxy, inner_connection
from labkit.course.sandbox.settings import VARIABLE, Ending, Settings
from labkit.course.sandbox.starting import LOG_LINES, Started, start
from labkit.course.sandbox.watching import TICK, Watch
from labkit.paths import atomic_write

Events = queue.SimpleQueue[Ending]


def serve(connection_file: Path, settings: Settings, folder: Path, private: Path) -> Ending:
    """Run one kernel to its end and return how it ended."""
    events: Events = queue.SimpleQueue()
    log: deque[str] = deque(maxlen=LOG_LINES)
    limits = settings.limits
    connection: dict[str, Any] = json.loads(connection_file.read_text(encoding="utf-8"))
    seen = bubblewrap.PRIVATE if settings.isolation == "bubblewrap" else str(private)
    inner = private / "connection.json"
    inner.write_text(json.dumps(inner_connection(connection, seen)), encoding="utf-8")
    said = f"It printed or drew more than {limits.output_mb:g} MB."
    proxy = Proxy(
        connection, private, int(limits.output_mb * 1e6), lambda: events.put(Ending("output", said))
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: events.put(Ending("killed", "It was asked to end.")))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # interrupts come as messages
    kernel = start(settings, folder, private, log)
    try:
        _when_over(kernel, events)
        threading.Thread(target=proxy.open, args=(events.empty,), daemon=True).start()
        ending = _watch(Watch(limits, (folder, private), kernel.processes), events)
    finally:
        kernel.kill()
    return replace(ending, log="\n".join(log))


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


def _watch(watch: Watch, events: Events) -> Ending:
    client = os.getppid()
    named = os.environ.get("JPY_PARENT_PID", "")
    while True:
        try:
            return events.get(timeout=TICK)
        except queue.Empty:
            pass
        if os.getppid() != client or (named.isdecimal() and not psutil.pid_exists(int(named))):
            return Ending("client", "The program that had started it was gone.")
        if ending := watch.look():
            return ending


def main() -> None:
    """Run as the kernelspec's command: ``... CONNECTION_FILE``; further words are ignored."""
    given = os.environ.pop(VARIABLE, "")
    settings = Settings.load(Path(given)) if given else Settings()
    private = Path(tempfile.mkdtemp(prefix="labkit-kernel-"))
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
