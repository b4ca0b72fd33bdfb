"""A control group around one kernel, where this user may make one: a bound without a gap.

The watch looks ten times a second; a control group refuses the process that is one too
many. That matters most for root, whom RLIMIT_NPROC does not bind. Nothing depends on it:
in many containers, and for many users, groups cannot be made.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from labkit.course.sandbox.settings import Limits

MOUNT = Path("/sys/fs/cgroup")
PREFIX = "labkit-kernel-"
MEMBERSHIP = Path("/proc/self/cgroup")


class Group:
    """The control groups of one kernel, one in each hierarchy that has a use and allows it."""

    def __init__(self, limits: Limits) -> None:
        """Make them, with the kernel's limits."""
        most = {
            "pids.max": limits.most_processes,
            "memory.max": int(limits.memory_gb * 1.1e9),  # the watch comes first, and says why
            "memory.swap.max": 0,
        }
        name = f"{PREFIX}{os.getpid()}"
        self._pairs: list[tuple[Path, Path]] = []
        for own, above in _hierarchies():
            _remove_stale(above)
            with contextlib.suppress(OSError):
                group = above / name
                group.mkdir()
                self._pairs.append((own, group))
                for file, value in most.items():
                    if (group / file).exists():
                        (group / file).write_text(str(value), encoding="ascii")

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Have this process in the group for a moment, so that what it starts is in it."""
        for _, group in self._pairs:
            _move(os.getpid(), group)
        try:
            yield
        finally:
            for own, _ in self._pairs:
                _move(os.getpid(), own)

    def add(self, pid: int) -> None:
        """Put a process into the group; it must not have started others yet."""
        for _, group in self._pairs:
            _move(pid, group)

    def memory_ran_out(self) -> bool:
        """Whether the system has killed a process because the group had no memory left."""
        for _, group in self._pairs:
            with contextlib.suppress(OSError):
                events = (group / "memory.events").read_text(encoding="ascii").split()
                return int(events[events.index("oom_kill") + 1]) > 0
        return False

    def remove(self) -> None:
        """Remove the groups once their processes have ended."""
        for _, group in self._pairs:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    group.rmdir()
                if not group.exists():
                    break
                time.sleep(0.02)


def _hierarchies() -> Iterator[tuple[Path, Path]]:
    """Yield (own group, where a new one can be made).

    In version 2 a group that has processes cannot have groups that are limited, so the
    new one stands beside the own one. In version 1 it stands below.
    """
    with contextlib.suppress(OSError):
        for line in MEMBERSHIP.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "pids":
                own = MOUNT / "pids" / path.lstrip("/")
                yield own, own
            elif controllers == "" and (MOUNT / "cgroup.controllers").exists():
                own = MOUNT / path.lstrip("/")
                yield own, own if own == MOUNT else own.parent


def _remove_stale(above: Path) -> None:
    """Remove the groups of stubs that were killed before they could."""
    for group in above.glob(f"{PREFIX}*"):
        if not psutil.pid_exists(int(group.name.removeprefix(PREFIX))):
            with contextlib.suppress(OSError):
                group.rmdir()


def _move(pid: int, group: Path) -> None:
    with contextlib.suppress(OSError):
        (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
