"""Watches how much memory this process holds while something runs."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil


class PeakMemory:
    """A ``with`` block after which ``peak_mb`` is the most that the process held in it.

    Resident memory, looked at 20 times a second: what lives for less may be missed.
    """

    peak_mb: float = 0.0

    def __enter__(self) -> PeakMemory:
        """Begin to watch."""
        self._over = threading.Event()
        self._look()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self._look()

    def _look(self) -> None:
        self.peak_mb = max(self.peak_mb, psutil.Process().memory_info().rss / 1e6)
