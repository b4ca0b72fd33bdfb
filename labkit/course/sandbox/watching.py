"""Looks at a kernel's processes and files from outside, and says when they are too much."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from labkit.course.sandbox.settings import Ending, Limits

TICK = 0.1
"""Seconds between two looks at the processes."""

FILES_TICK = 1.0
"""Seconds between two looks at the files."""

MOST_FILES = 20_000
"""Files and folders that a kernel may have; more cannot be looked at in time."""


class Watch:
    """Compares what one kernel uses with its limits.

    Args:
        limits: what it may use.
        folders: where it may write.
        processes: gives the kernel's processes that are alive.
    """

    def __init__(
        self,
        limits: Limits,
        folders: Iterable[Path],
        processes: Callable[[], list[psutil.Process]],
    ) -> None:
        """Note the time and what the folders hold already."""
        self._limits = limits
        self._folders = tuple(folders)
        self._processes = processes
        self._start = time.monotonic()
        self._files_due = self._start
        self._before = sum(_size(folder)[0] for folder in self._folders)

    def look(self) -> Ending | None:
        """Return why the kernel has to end now, or None."""
        now = time.monotonic()
        if now - self._start > self._limits.seconds:
            return Ending("time", f"It ran longer than {self._limits.seconds:g} s.")
        found = self._processes()
        if ending := self._too_many(found) or self._too_big(found):
            return ending
        if now < self._files_due:
            return None
        ending = self._too_full()
        self._files_due = time.monotonic() + FILES_TICK
        return ending

    def _too_many(self, processes: list[psutil.Process]) -> Ending | None:
        count = len(processes)
        if count <= self._limits.processes:
            count = sum(_ask(process.num_threads, 0) for process in processes)
        if count <= self._limits.processes:
            return None
        return Ending(
            "processes",
            f"It had {count} processes and threads, {self._limits.processes} are allowed.",
        )

    def _too_big(self, processes: list[psutil.Process]) -> Ending | None:
        most = self._limits.memory_gb * 1e9
        if sum(map(_resident, processes)) <= most:
            return None
        used = sum(map(_share, processes))  # slower to find, and counts shared pages once
        if used <= most:
            return None
        return Ending(
            "memory", f"It used {used / 1e9:.1f} GB, {self._limits.memory_gb:g} GB are allowed."
        )

    def _too_full(self) -> Ending | None:
        sizes = [_size(folder) for folder in self._folders]
        written = (sum(size for size, _ in sizes) - self._before) / 1e6
        if written > self._limits.disk_mb:
            said = f"It wrote {written:.0f} MB of files, {self._limits.disk_mb:g} MB are allowed."
            return Ending("disk", said)
        if any(count > MOST_FILES for _, count in sizes):
            said = f"It made more than {MOST_FILES} files, or folders that cannot be looked into."
            return Ending("disk", said)
        return None


def _ask(question: Callable[[], int], otherwise: int) -> int:
    """Return what psutil says of a process, or ``otherwise`` when it is gone meanwhile."""
    with contextlib.suppress(psutil.Error):
        return question()
    return otherwise


def _resident(process: psutil.Process) -> int:
    return _ask(lambda: int(process.memory_info().rss), 0)


def _share(process: psutil.Process) -> int:
    """Return a process's memory in bytes, with its share of what it shares (PSS)."""
    with contextlib.suppress(psutil.Error, AttributeError):  # AttributeError: not on Linux
        return int(process.memory_full_info().pss)
    return _resident(process)  # it does not let itself be read


def _size(folder: Path) -> tuple[int, int]:
    """Return the bytes on disk below a folder and the number of entries; never follows links.

    A folder that cannot be looked into, or is too deep, counts as too many entries.
    """
    size = count = 0
    stack = [str(folder)]
    while stack and count <= MOST_FILES:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
        except (FileNotFoundError, NotADirectoryError):  # gone meanwhile
            continue
        except OSError:
            return size, MOST_FILES + 1
    return size, count
