"""Counts a kernel's processes and their memory, quickly: a look has to be cheap under load."""

from __future__ import annotations

import contextlib
import os
from typing import Protocol

import psutil

PAGE = os.sysconf("SC_PAGE_SIZE")


class Census(Protocol):
    """Something that knows the processes of one kernel."""

    def look(self, most: int) -> tuple[int, int]:
        """Return (processes and threads, bytes of memory that they have resident).

        Shared pages count for each process. May stop counting above ``most`` processes.
        """

    def share(self) -> int:
        """Return the bytes of memory with shared pages counted once (Linux: PSS). Slow."""


class Namespace:
    """Everything in one PID namespace, by that namespace's own /proc.

    Args:
        pid: a process in it. No line of a notebook may have run yet: later a process can
            keep others from looking at it, and at its /proc.
    """

    def __init__(self, pid: int) -> None:
        """Open the namespace's /proc."""
        self._proc = os.open(f"/proc/{pid}/root/proc", os.O_RDONLY | os.O_DIRECTORY)

    def look(self, most: int) -> tuple[int, int]:
        """Read the one line that the kernel keeps for each process."""
        names = self._names()
        if len(names) > most:
            return len(names), 0
        tasks = resident = 0
        for name in names:
            fields = self._read(f"{name}/stat").rpartition(b")")[2].split()
            if fields:
                tasks += int(fields[17])
                resident += int(fields[21]) * PAGE
        return tasks, resident

    def share(self) -> int:
        """Add up PSS, and resident memory of processes that do not let themselves be read."""
        total = 0
        for name in self._names():
            for line in self._read(f"{name}/smaps_rollup").splitlines():
                if line.startswith(b"Pss:"):
                    total += int(line.split()[1]) * 1024
                    break
            else:
                pages = self._read(f"{name}/statm").split()
                total += int(pages[1]) * PAGE if pages else 0
        return total

    def _names(self) -> list[str]:
        with contextlib.suppress(OSError):  # the namespace is gone
            return [name for name in os.listdir(self._proc) if name.isdecimal()]  # noqa: PTH208
        return []

    def _read(self, file: str) -> bytes:
        with contextlib.suppress(OSError):  # the process is gone, or not to be read
            handle = os.open(file, os.O_RDONLY, dir_fd=self._proc)
            try:
                return os.read(handle, 4096)
            finally:
                os.close(handle)
        return b""


class Descendants:
    """Everything below this process, where there are no namespaces."""

    def look(self, most: int) -> tuple[int, int]:
        """Ask psutil."""
        tasks = resident = 0
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                tasks += process.num_threads()
                resident += process.memory_info().rss
        return tasks, resident

    def share(self) -> int:
        """Ask psutil for PSS; elsewhere than on Linux it is the resident memory."""
        total = 0
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                full = process.memory_full_info() if psutil.LINUX else process.memory_info()
                total += getattr(full, "pss", full.rss)
        return total
