"""Looks at a kernel's processes and files from outside, and says when they are too much."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from labkit.course.sandbox.census import Census
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
        census: counts the kernel's processes.
    """

    def __init__(self, limits: Limits, folders: Iterable[Path], census: Census) -> None:
        """Note the time and what the folders hold already."""
        self._limits = limits
        self._folders = tuple(folders)
        self._census = census
        self._thread = ThreadPoolExecutor(1)
        self._share: Future[int] | None = None
        self._start = time.monotonic()
        self._files_due = self._start
        self._before = sum(_size(folder)[0] for folder in self._folders)

    def look(self) -> Ending | None:
        """Return why the kernel has to end now, or None."""
        now = time.monotonic()
        if now - self._start > self._limits.seconds:
            return Ending("time", f"It ran longer than {self._limits.seconds:g} s.")
        if ending := self._too_many():
            return ending
        if now < self._files_due:
            return None
        ending = self._too_full()
        self._files_due = time.monotonic() + FILES_TICK
        return ending

    def _too_many(self) -> Ending | None:
        limits = self._limits
        count, resident = self._census.look(limits.processes)
        if count > limits.processes:
            return Ending(
                "processes",
                f"It had {count} processes and threads, {limits.processes} are allowed.",
            )
        if resident <= limits.memory_gb * 1e9:
            return None
        return self._too_big()

    def _too_big(self) -> Ending | None:
        """Compare the exact use of memory; it is found out in a thread.

        Reading it waits for the processes, and while they fork without end that is long.
        """
        if self._share is None:
            self._share = self._thread.submit(self._census.share)
            return None
        if not self._share.done():
            return None
        used, self._share = self._share.result() / 1e9, None
        most = self._limits.memory_gb
        if used <= most:
            return None
        return Ending("memory", f"It used {used:.1f} GB, {most:g} GB are allowed.")

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
