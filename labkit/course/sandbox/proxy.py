"""Stands between a kernel and its client: carries their bytes, and counts them.

The kernel listens on Unix sockets in its private folder, the client connects to whatever
its connection file says, TCP ports or Unix sockets. What a kernel says is limited here,
outside the kernel, so nothing that a notebook does can lift the limit.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANNELS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
BLOCK = 1 << 16


def inner_connection(connection: dict[str, Any], private: str) -> dict[str, Any]:
    """Return the connection file's content for the kernel: the same keys, sockets of its own."""
    return connection | {"transport": "ipc", "ip": f"{private}/socket"}


class Proxy:
    """Carries the five channels of one kernel.

    Args:
        connection: the client's connection file.
        private: the kernel's private folder, as seen from here.
        most: bytes that the kernel may say.
        too_much: called once, when it has said more.
    """

    def __init__(
        self,
        connection: dict[str, Any],
        private: Path,
        most: int,
        too_much: Callable[[], None],
    ) -> None:
        """Listen for the client; carry nothing before ``open``."""
        self._left = most
        self._too_much = too_much
        self._lock = threading.Lock()
        self._inner = {name: private / f"socket-{connection[name]}" for name in CHANNELS}
        self._targets: dict[str, str] = {}
        self._ready = threading.Event()
        for name in CHANNELS:
            listener = _listen(connection, connection[name])
            _start(self._accept, name, listener)

    def kernel_listens(self) -> bool:
        """Whether the kernel has opened all its sockets."""
        return all(path.is_socket() for path in self._inner.values())

    def open(self) -> None:
        """Begin to carry.

        No line of the notebook has run at that time, so the sockets are the kernel's
        own. They are held: a name that a notebook puts in their place means nothing.
        """
        self._targets = {name: _hold(path) for name, path in self._inner.items()}
        self._ready.set()

    def _accept(self, name: str, listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            _start(self._connect, name, client)

    def _connect(self, name: str, client: socket.socket) -> None:
        self._ready.wait()
        kernel = socket.socket(socket.AF_UNIX)
        try:
            kernel.connect(self._targets[name])
        except OSError:  # the kernel has closed it
            client.close()
            return
        _start(self._carry, client, kernel, False)
        self._carry(kernel, client, True)

    def _carry(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(BLOCK):
                if counted and not self._count(len(data)):
                    return
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _count(self, size: int) -> bool:
        with self._lock:
            had, self._left = self._left, self._left - size
        if self._left < 0 <= had:
            self._too_much()
        return self._left >= 0


def _listen(connection: dict[str, Any], port: int) -> socket.socket:
    if connection.get("transport") != "ipc":
        return socket.create_server((connection["ip"], port))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{connection['ip']}-{port}")
    listener.listen()
    return listener


def _hold(path: Path) -> str:
    """Return a name that means this very socket for as long as this process runs."""
    if sys.platform != "linux":
        return str(path)
    return f"/proc/self/fd/{os.open(path, os.O_PATH | os.O_NOFOLLOW)}"


def _start(target: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=target, args=args, daemon=True).start()
