"""Taking too much ends one kernel, says why, and leaves nothing running."""

from __future__ import annotations

import contextlib
import os
import queue
import time

import psutil
import pytest

from labkit.course.sandbox import kernel
from labkit.course.sandbox.settings import Limits
from labkit.course.sandbox.watching import MOST_FILES, Watch

from .conftest import KINDS

LEFTOVER = f"labkit-leftover-{os.getpid()}"
"""An argument that marks processes which a notebook leaves behind."""

OTHERS = ("labkit.course.sandbox.parent", "chromium")
"""The warm parent is meant to stay; a Chromium of other tests comes and goes."""


class Nobody:
    """A census of no processes."""

    def look(self, most: int) -> tuple[int, int]:
        return 0, 0

    def share(self) -> int:
        return 0


@pytest.fixture(autouse=True)
def nothing_left():
    """After each test nothing runs that was not there before it."""
    before = _below()
    yield
    until = time.monotonic() + 5
    while left := [p for p in _below() - before if _runs(p)]:
        assert time.monotonic() < until, left
        time.sleep(0.05)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it ended just now
        return False


def _below() -> set[psutil.Process]:
    """What descends from here or bears the mark, but for ``OTHERS``."""
    below = set(psutil.Process().children(recursive=True))
    below |= {p for p in psutil.process_iter(["cmdline"]) if LEFTOVER in (p.info["cmdline"] or ())}
    return {p for p in below if not any(name in " ".join(_words(p)) for name in OTHERS)}


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_touching_too_much_memory(limited):
    done = limited(
        """
kept = []
while True:
    kept.append(b"1" * 50_000_000)
"""
    )
    assert done.reason == "memory", done.ending
    assert "1.5 GB are allowed" in done.ending.detail


def test_memory_of_many_processes_counts_together(limited):
    done = limited(
        """
import os, time
for _ in range(5):
    if os.fork() == 0:
        kept = b"1" * 500_000_000
        time.sleep(100)
time.sleep(100)
"""
    )
    assert done.reason == "memory", done.ending


def test_asking_for_too_much_memory_is_an_error_in_the_cell(limited):
    done = limited("import numpy as np; np.zeros(50_000_000_000, np.uint8)", "print('goes on')")
    assert "MemoryError" in done.text
    assert "goes on" in done.text


def test_shared_pages_count_once(limited):
    done = limited(
        """
import os, time
kept = b"1" * 400_000_000
children = []
for _ in range(6):
    child = os.fork()
    if child == 0:
        time.sleep(2)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
print("done")
"""
    )
    assert done.text == "done\n", done.ending


FORK_BOMB = """
import os, time
end = time.monotonic() + 20  # should all else fail
while time.monotonic() < end:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
"""

SHELL_BOMB = """
import subprocess
code = "b() { test $(date +%s) -lt $1 && (b $1 | b $1 &) ; }; b $(($(date +%s) + 20)); sleep 30"
subprocess.run(["sh", "-c", code])
"""


@pytest.mark.parametrize("bomb", [FORK_BOMB, SHELL_BOMB], ids=["python", "shell"])
def test_a_fork_bomb(isolated, bomb):
    done = isolated(bomb)
    assert done.reason in ("processes", "memory"), done.ending
    assert type(done.raised).__name__ == "DeadKernelError"


def test_many_threads(limited):
    done = limited(
        """
import threading, time
for _ in range(400):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
time.sleep(60)
"""
    )
    assert done.reason == "processes" or "can't start new thread" in done.text, done.ending


def test_a_file_too_large(limited, tmp_path):
    done = limited(
        "with open('large', 'wb') as file:\n    file.write(b'1' * 30_000_000)", "print('goes on')"
    )
    assert "File too large" in done.text
    assert "goes on" in done.text
    assert (tmp_path / "work" / "large").stat().st_size <= 20_000_000


def test_too_many_bytes_in_files(limited):
    done = limited(
        """
import time
for number in range(10):
    with open(f"file{number}", "wb") as file:
        file.write(b"1" * 15_000_000)
time.sleep(30)
"""
    )
    assert done.reason == "disk", done.ending


def test_output_without_end(limited):
    done = limited("while True: print('x' * 1000)")
    assert done.reason == "output"
    size = sum(len(str(output)) for cell in done.notebook.cells for output in cell.outputs)
    assert size < 6_000_000


def test_one_huge_output(limited):
    done = limited("print('x' * 200_000_000)")
    assert done.reason == "output", done.ending


def test_native_output_is_limited_as_well(limited):
    done = limited("import os\nwhile True: os.write(1, b'x' * 1000)")
    assert done.reason == "output", done.ending


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "import re; re.match('(a*)*b', 'a' * 100)",
        "import time; time.sleep(1e6)",
    ],
    ids=["python", "native", "sleep"],
)
def test_a_loop_without_end(limited, loop):
    done = limited(loop, timeout=3)
    assert type(done.raised).__name__ == "CellTimeoutError"
    assert done.reason == "killed"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os._exit(0)", "exited"),
        ("import os; os.kill(os.getpid(), 9)", "crashed"),
        ("import os; os.abort()", "crashed"),
        ("import ctypes; ctypes.string_at(0)", "crashed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "cpu"),
    ],
    ids=["exit", "kill", "abort", "segfault", "cpu"],
)
def test_a_kernel_that_dies(limited, code, reason):
    done = limited(code)
    assert type(done.raised).__name__ == "DeadKernelError"
    assert done.reason == reason, done.ending


def test_killing_everything_that_is_seen(isolated):
    done = isolated(
        """
import os
for pid in (os.getppid(), 1, 2, -1):
    try:
        os.kill(pid, 9)
    except OSError as error:
        print(error)
"""
    )
    assert done.reason in ("crashed", "exited", "killed")


DAEMON = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); "

LEAVE = f"""
import subprocess, sys, threading, time
for _ in range(3):
    subprocess.Popen([sys.executable, "-c", {DAEMON!r} + "time.sleep(600)", {LEFTOVER!r}])
threading.Thread(target=time.sleep, args=(600,)).start()
import signal, atexit
atexit.register(time.sleep, 600)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
time.sleep(1)
print("ready")
"""


@pytest.mark.parametrize("ends", ["", "import os; os._exit(0)"], ids=["stays", "exits"])
def test_nothing_outlives_the_kernel(limited, ends):
    assert "ready" in limited(LEAVE, ends).text


def test_files_that_cannot_be_counted(tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    watch = Watch(Limits(), [tmp_path], Nobody())
    assert watch.look() is None
    try:
        for _ in range(300):  # longer than a path may be
            os.mkdir("x" * 200, dir_fd=here)
            below = os.open("x" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    watch = Watch(Limits(), [tmp_path], Nobody())
    ending = watch.look()
    assert ending is not None
    assert ending.reason == "disk"
    assert str(MOST_FILES) in ending.detail


def test_time(tmp_path):
    ending = Watch(Limits(seconds=1e-9), [tmp_path], Nobody()).look()
    assert ending is not None
    assert ending.reason == "time"


@pytest.mark.parametrize("kind", [*KINDS])
def test_a_message_that_is_too_large_is_never_received(sandboxes, tmp_path, monkeypatch, kind):
    """What a kernel forges to fill its reader's memory; the kernel goes on and answers."""
    monkeypatch.setattr(kernel, "LARGEST_FRAME", 1_000_000)
    with sandboxes(kind).kernel(tmp_path) as running:
        client = running.client()
        shown = []
        for code in ("print('small')", "print('x' * 1_500_000)"):
            client.execute(code)
            client.get_shell_msg(timeout=60)
            with contextlib.suppress(queue.Empty):
                while True:
                    shown.append(client.get_iopub_msg(timeout=2)["content"].get("text", ""))
        client.execute("", user_expressions={"after": "6 * 7"})
        reply = client.get_shell_msg(timeout=60)
        client.stop_channels()
    assert reply["content"]["user_expressions"]["after"]["data"]["text/plain"] == "42"
    assert "".join(shown) == "small\n"
