"""A web server on 127.0.0.1 that misbehaves as told: cuts, lies, refuses, stalls.

``script[path]`` lists what to do for the first, second, ... request of a path; the last
entry is repeated. ``log`` keeps (path, Range header) of every request.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

Behaviour = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    server: LocalServer  # type: ignore[assignment]

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.log.append((self.path, asked))
        behaviours = self.server.script.get(self.path, [serve])
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        if self.path not in self.server.files:
            behaviour = status(404)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            behaviour(self, self.server.files.get(self.path, b""))
        self.close_connection = True

    def start(self) -> int:
        """Return the first byte that was asked for."""
        asked = self.headers.get("Range", "")
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0

    def head(self, code: int, length: int | None, **headers: str) -> None:
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing: the tests look at ``log``."""


class LocalServer(ThreadingHTTPServer):
    """Use as ``with LocalServer() as server: server.files["/x"] = b"..."``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.script: dict[str, list[Behaviour]] = {}
        self.log: list[tuple[str, str | None]] = []
        self.address = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> LocalServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()


def _partial(handler: Handler, data: bytes) -> tuple[int, bytes]:
    """Send the right head for the Range that was asked for; return status and body."""
    start = handler.start()
    if start >= len(data) and start:
        return 416, b""
    if start:
        shown = f"bytes {start}-{len(data) - 1}/{len(data)}"
        handler.head(206, len(data) - start, Content_Range=shown)
        return 206, data[start:]
    handler.head(200, len(data))
    return 200, data


def serve(handler: Handler, data: bytes) -> None:
    """Behave."""
    code, body = _partial(handler, data)
    if code == 416:
        handler.head(416, 0)
    handler.wfile.write(body)


def cut(after: int) -> Behaviour:
    """Promise everything, hang up after so many bytes."""

    def behave(handler: Handler, data: bytes) -> None:
        handler.wfile.write(_partial(handler, data)[1][:after])

    return behave


def status(code: int, **headers: str) -> Behaviour:
    """Answer with a status and nothing else."""
    return lambda handler, data: handler.head(code, 0, **headers)


def ignore_range(handler: Handler, data: bytes) -> None:
    """Send everything from the start, whatever was asked for."""
    handler.head(200, len(data))
    handler.wfile.write(data)


def wrong_range(handler: Handler, data: bytes) -> None:
    """Send the beginning as if it were the rest."""
    handler.head(206, len(data), Content_Range=f"bytes 0-{len(data) - 1}/{len(data)}")
    handler.wfile.write(data)


def wrong_bytes(handler: Handler, data: bytes) -> None:
    """Send as many bytes as were asked for, all of them wrong."""
    _, body = _partial(handler, data)
    handler.wfile.write(bytes(255 - byte for byte in body))


def lie(length: int) -> Behaviour:
    """Say another length than the file has, and send the file."""

    def behave(handler: Handler, data: bytes) -> None:
        handler.head(200, length)
        handler.wfile.write(data)

    return behave


def endless(handler: Handler, data: bytes) -> None:
    """Name no length and do not stop at the end of the file."""
    handler.head(200, None)
    for _ in range(200):
        handler.wfile.write(data)


def without_length(handler: Handler, data: bytes) -> None:
    """Name no length, send the file, hang up."""
    handler.head(200, None)
    handler.wfile.write(data)


def short_without_length(handler: Handler, data: bytes) -> None:
    """Name no length and hang up in the middle: nothing but the card can tell."""
    handler.head(200, None)
    handler.wfile.write(data[: len(data) // 2])


def labelled_gzip(handler: Handler, data: bytes) -> None:
    """Call a .gz file's own compression a Content-Encoding, as some servers do."""
    handler.head(200, len(data), Content_Encoding="gzip")
    handler.wfile.write(data)


def slow(handler: Handler, data: bytes) -> None:
    """Send the file in twenty pieces, 10 ms apart."""
    _, body = _partial(handler, data)
    piece = len(body) // 20 + 1
    for start in range(0, len(body), piece):
        handler.wfile.write(body[start : start + piece])
        handler.wfile.flush()
        time.sleep(0.01)


def stall(handler: Handler, data: bytes) -> None:
    """Send half of the file, then nothing for a second."""
    _, body = _partial(handler, data)
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    time.sleep(1.0)
