"""What a kernel may use, how it ended, and the file by which the stub is told."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from labkit.errors import CourseError

Isolation = Literal["bubblewrap", "rlimits"]

Reason = Literal[
    "exited", "crashed", "memory", "processes", "disk", "output", "cpu", "time", "client", "killed"
]

VARIABLE = "LABKIT_SANDBOX"
"""Environment variable with the path of a settings file; without it the defaults hold."""


def _default_processes() -> int:
    return 192 + 8 * (os.cpu_count() or 1)  # TensorFlow starts several threads a core


@dataclass(frozen=True)
class Limits:
    """What one kernel may use, with all the processes that it starts.

    Attributes:
        memory_gb: memory in GB (10^9 bytes); shared pages count once.
        processes: processes and threads.
        file_mb: size of one file in MB (10^6 bytes).
        disk_mb: all files that it wrote, in MB.
        cpu_seconds: CPU time of one process.
        output_mb: everything that it says to its client, figures included, in MB.
        seconds: wall time from start to end.
    """

    memory_gb: float = 4.0
    processes: int = field(default_factory=_default_processes)
    file_mb: float = 256
    disk_mb: float = 1024
    cpu_seconds: int = 3600
    output_mb: float = 64
    seconds: float = 7200

    @property
    def most_processes(self) -> int:
        """Processes and threads that the system refuses; before that the kernel is ended."""
        return self.processes + self.processes // 2

    def as_json(self) -> str:
        """Return the limits as one line, for ``Limits(**json.loads(line))``."""
        return json.dumps(asdict(self))

    def __post_init__(self) -> None:
        """Raise CourseError for a limit that is not a positive number."""
        for name, value in asdict(self).items():
            if not value > 0:
                raise CourseError(f"The limit {name} has to be above zero, it is {value}.")


@dataclass(frozen=True)
class Ending:
    """How a kernel ended.

    Attributes:
        reason: "exited" by itself or when asked to, "crashed" by a signal, ended because it
            took too much "memory", "processes", "disk", "output", "cpu" or "time", ended
            because its "client" was gone, or "killed" from outside.
        detail: a sentence with numbers.
        log: the last lines that the kernel's process wrote to its own stderr.
    """

    reason: Reason
    detail: str
    log: str = ""


@dataclass(frozen=True)
class Settings:
    """What the stub is told about one kernel.

    Attributes:
        limits: what the kernel may use.
        readable: further paths that it may read.
        isolation: how it is kept apart.
        folder: its working folder, the only one of the user's that it may write to; a new
            empty one when None.
        warm: socket of the warm parent; None starts a new interpreter.
        record: file that the ending is written to.
    """

    limits: Limits = Limits()
    readable: tuple[str, ...] = ()
    isolation: Isolation = "bubblewrap"
    folder: str | None = None
    warm: str | None = None
    record: str | None = None

    def save(self, file: Path) -> None:
        """Write as JSON."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Settings:
        """Read what ``save`` wrote."""
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        values["limits"] = Limits(**values["limits"])
        values["readable"] = tuple(values["readable"])
        return cls(**values)
