"""The instructor's side: a sandbox, and the kernels in it as Jupyter's kernel managers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from labkit.course.sandbox import bubblewrap, places
from labkit.course.sandbox.kernel import Kernel, Manager
from labkit.course.sandbox.settings import VARIABLE, Isolation, Limits, Settings
from labkit.errors import CourseError, choices
from labkit.paths import cache_folder

if TYPE_CHECKING:
    from types import TracebackType


class Sandbox:
    """Kernels that see little, may use little and leave nothing; a context manager.

    Args:
        limits: what each kernel may use.
        readable: paths that the kernels may read, beside Python, labkit, weights, images
            and the feature cache.
        isolation: "bubblewrap" insists on Linux namespaces, "rlimits" does without them,
            "auto" takes bubblewrap where it works.
        warm: whether to import TensorFlow once and fork the kernels.

    Attributes:
        isolation: what it came to, "bubblewrap" or "rlimits".
        warning: a sentence for the instructor, or "".

    Raises:
        CourseError: bubblewrap was asked for and does not work here.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        readable: Sequence[str | Path] = (),
        isolation: Literal["auto", "bubblewrap", "rlimits"] = "auto",
        warm: bool = True,
    ) -> None:
        """Find out how kernels can be kept apart here."""
        if isolation not in ("auto", "bubblewrap", "rlimits"):
            allowed = choices(("auto", "bubblewrap", "rlimits"))
            raise CourseError(f"There is no isolation {isolation!r}: take one of {allowed}.")
        problem = "" if isolation == "rlimits" else bubblewrap.problem()
        if problem and isolation == "bubblewrap":
            raise CourseError(f"The notebooks cannot be isolated: {problem}.")
        self.limits = limits or Limits()
        self.isolation: Isolation = "bubblewrap"
        self.warning = ""
        if problem or isolation == "rlimits":
            self.isolation = "rlimits"
            self.warning = (
                f"{problem or 'bubblewrap was not asked for'}: notebooks are limited in memory, "
                "time and processes, but they can read and write what you can, and use the network"
            )
        self._readable = tuple(str(Path(path).absolute()) for path in readable)
        self._folder: Path | None = None
        self._warm = warm and self.isolation == "bubblewrap"
        self._parent: subprocess.Popen[str] | None = None
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Sandbox:
        """Make the folder of the sandbox's own files."""
        made = tempfile.TemporaryDirectory(prefix="labkit-sandbox-", ignore_cleanup_errors=True)
        self._folder = Path(self._cleanup.enter_context(made))
        if self._warm:
            self._parent = _start_parent(self._folder / "parent")
            self._cleanup.callback(_stop, self._parent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End what the sandbox has started."""
        self._cleanup.close()
        self._folder = None

    @contextlib.contextmanager
    def kernel(self, folder: str | Path) -> Iterator[Kernel]:
        """Give a kernel that may write to one folder alone; it is gone at the exit.

        Use it with nbclient so::

            with sandbox.kernel(folder) as kernel:
                client = NotebookClient(notebook, km=kernel.manager, timeout=60)
                try:
                    client.execute()
                except DeadKernelError:
                    ...
            kernel.ending.reason  # "memory", "output", "exited", "killed", ...

        Args:
            folder: the kernel's working folder. It sees it as ``/submission`` in bubblewrap.
        """
        if self._folder is None:
            raise CourseError("The sandbox is not open: use it in a with statement.")
        folder = Path(folder).absolute()
        if not folder.is_dir():
            raise CourseError(f"{folder} is not a folder: make it before a kernel works in it.")
        self._await_parent()
        with tempfile.TemporaryDirectory(prefix="k-", dir=self._folder) as own:
            kernel = self._kernel(folder, Path(own))
            try:
                yield kernel
            finally:
                kernel.kill()

    def _await_parent(self) -> None:
        """Wait until the warm parent is ready; without it the kernels start cold."""
        if self._parent is None:
            return
        assert self._parent.stdout is not None
        said = self._parent.stdout.read()  # one line when it is ready, or why it is not
        self._parent.stdout.close()
        if not said.endswith("ready\n"):
            self._warm = False
            self.warning = f"Kernels start one by one, which takes longer: {said.strip()[-300:]}"
        self._parent = None

    def _kernel(self, folder: Path, own: Path) -> Kernel:
        settings = Settings(
            limits=self.limits, readable=self._readable, isolation=self.isolation,
            folder=str(folder), warm=str(own.parent / "parent") if self._warm else None,
            record=str(own / "ending.json"),
        )  # fmt: skip
        settings.save(own / "settings.json")
        manager = Manager(own, {VARIABLE: str(own / "settings.json")})
        return Kernel(manager, own / "ending.json")


def _start_parent(address: Path) -> subprocess.Popen[str]:
    """Start the process that imports TensorFlow and forks the kernels; see ``parent``."""
    fonts = {"MPLCONFIGDIR": str(cache_folder("matplotlib"))}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", f"{__package__}.parent", str(address), str(os.getpid())],
        env=places.environment(bubblewrap.PRIVATE) | fonts, cwd="/", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
