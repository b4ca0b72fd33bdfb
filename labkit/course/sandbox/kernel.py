"""One isolated kernel, as Jupyter's programs see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import signal
import sys
import time
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_async, run_sync

from labkit.course.sandbox import places
from labkit.course.sandbox.settings import Ending
from labkit.errors import CourseError

SPEC = Path(__file__).with_name("kernelspec") / "kernel.json"
"""The kernelspec that comes with labkit; pip installs a copy where Jupyter looks."""

GRACE = 10.0
"""Seconds that a kernel's stub gets to end everything before it is killed itself."""

LARGEST_FRAME = 300_000_000
"""Bytes of a part of a message; the connection of a kernel that sends more is closed unread."""


class Manager(AsyncKernelManager):
    """Jupyter's manager of the kernelspec ``labkit-sandbox``, of this very labkit.

    Args:
        own: a folder for the connection file and the client's sockets.
        environment: variables for the stub.
    """

    def __init__(self, own: Path, environment: dict[str, str]) -> None:
        """Prepare; the kernel is started by whoever uses the manager."""
        super().__init__(
            kernel_name="labkit-sandbox", transport="ipc", ip=str(own / "client"),
            connection_file=str(own / "connection.json"), shutdown_wait_time=GRACE,
        )  # fmt: skip
        self._kernel_spec = KernelSpec.from_resource_dir(str(SPEC.parent))
        self._kernel_spec.argv = command()
        self._kernel_spec.env = environment
        self.clients: list[Any] = []

    def client(self, **options: Any) -> Any:
        """Return a new client; its sockets are closed when the kernel ends."""
        self.clients.append(super().client(**options))
        return self.clients[-1]


def command() -> list[str]:
    """Return the stub's command for this very labkit, safe in a student's folder."""
    code = f"import sys; sys.path.insert(0, {str(places.ROOT)!r})\n"
    code += "from labkit.course.sandbox.stub import main; main()"
    return [sys.executable, "-I", "-c", code, "{connection_file}"]


def _answered(client: BlockingKernelClient, question: str) -> bool:
    """Tell whether a question's reply comes within a second, and the end of its outputs."""
    channels = (client.get_shell_msg, "kernel_info_reply"), (client.get_iopub_msg, "idle")
    for receive, last in channels:
        said = None
        while said != last:
            try:
                message = receive(timeout=1)
            except queue.Empty:
                return False
            if message["parent_header"].get("msg_id") == question:
                said = message["content"].get("execution_state", message["msg_type"])
    return True


class Kernel:
    """A kernel for one notebook.

    Attributes:
        manager: an AsyncKernelManager, not started yet. ``NotebookClient(notebook,
            km=kernel.manager)`` starts it; nothing else is needed. A kernel that was
            ended shows as nbclient's DeadKernelError.
    """

    def __init__(self, manager: Manager, record: Path) -> None:
        """Take a manager whose kernel writes its ending to ``record``."""
        self.manager = manager
        self._record = record
        self._ending: Ending | None = None

    @property
    def ending(self) -> Ending | None:
        """How the kernel ended; None while it runs, and when it was never started."""
        if self._ending is None:
            with contextlib.suppress(FileNotFoundError):
                self._ending = Ending(**json.loads(self._record.read_text(encoding="utf-8")))
        return self._ending

    def client(self, timeout: float = 60) -> BlockingKernelClient:
        """Start the kernel and return a client with open channels, for use without nbclient.

        Raises CourseError when the kernel is not ready within ``timeout`` seconds.
        """
        run_sync(self.manager.start_kernel)()
        client = BlockingKernelClient(parent=self.manager)
        client.context.setsockopt(zmq.MAXMSGSIZE, LARGEST_FRAME)
        client.load_connection_info(self.manager.get_connection_info())
        client.start_channels()
        try:
            self._await_answers(client, time.monotonic() + timeout)
        except TimeoutError as error:
            client.stop_channels()
            self.kill()
            log = self.ending.log if self.ending else ""
            raise CourseError(f"The kernel did not start ({error}). {log}".strip()) from error
        return client

    def _await_answers(self, client: BlockingKernelClient, end: float) -> None:
        """Ask until one question is answered on both channels: replies and outputs arrive then.

        jupyter_client's ``wait_for_ready`` also waits until nothing has come for 0.2 s.
        """
        while not _answered(client, client.kernel_info()):
            if not self.is_alive():
                raise TimeoutError("it died")
            if time.monotonic() > end:
                raise TimeoutError("it did not answer in time")

    def is_alive(self) -> bool:
        """Whether the kernel runs."""
        return self.ending is None and bool(run_sync(self.manager.is_alive)())

    def kill(self) -> None:
        """End the kernel and everything that it started; returns when nothing is left."""
        run_sync(self._end)()

    async def _end(self) -> None:
        """Ask the stub to end everything; kill it when it does not."""
        provisioner = self.manager.provisioner
        if provisioner is not None and provisioner.has_process:
            await provisioner.send_signal(signal.SIGTERM)
            end = time.monotonic() + GRACE
            while await provisioner.poll() is None and time.monotonic() < end:
                await asyncio.sleep(0.01)
            await self.manager.shutdown_kernel(now=True)
        if self.manager.kernel_id and self.ending is None:
            self._ending = Ending("killed", "It was killed from outside.")
        for client in self.manager.clients:
            client.stop_channels()
        await ensure_async(self.manager.cleanup_resources())
