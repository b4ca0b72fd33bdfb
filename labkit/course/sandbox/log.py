"""The last lines that a kernel's own process has written, for when it does not start."""

from __future__ import annotations

import os
import threading
from collections import deque

LINES = 40
"""How many of the last lines are kept."""

PATIENCE = 1.0
"""Seconds for the last lines to be read once the kernel is gone."""


class Log:
    """Keeps the last lines of what is written into its file descriptors."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lines: deque[str] = deque(maxlen=LINES)
        self._readers: list[threading.Thread] = []

    def append(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)

    def writable(self) -> int:
        """Return a file descriptor for a kernel's output; who gets it closes it."""
        read, write = os.pipe()

        def lines() -> None:
            with os.fdopen(read, errors="replace") as stream:
                while line := stream.readline(1000):
                    self.append(line.rstrip("\n"))

        self._readers.append(threading.Thread(target=lines, daemon=True))
        self._readers[-1].start()
        return write

    def text(self) -> str:
        """Return the lines of a kernel that is gone."""
        for reader in self._readers:
            reader.join(PATIENCE)
        return "\n".join(self._lines)
