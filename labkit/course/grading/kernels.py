"""Runs a student's cells in a kernel and calls the student's functions there.

A kernel may hang, die or shout: each costs the cell that did it. The kernel is then started
anew, and what had run before is run again without that cell.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import zmq
from nbformat.v4 import output_from_msg

if TYPE_CHECKING:
    from labkit.course.sandbox import Kernel

Trouble = Literal["timeout", "memory", "processes", "disk", "output", "died"]
TROUBLES: dict[str, Trouble] = {
    "memory": "memory", "processes": "processes", "disk": "disk", "output": "output",
    "cpu": "timeout", "time": "timeout",
}  # fmt: skip
"""What the sandbox's reasons for ending a kernel come to; all others are "died"."""

OUTPUT_LIMIT = 30_000_000
"""Bytes that a cell may show; one that shows more is stopped."""

KEPT_TEXT = 20_000
"""Characters of a text output that are kept for the feedback."""

_INTERRUPT_SECONDS = 5
_IDLE_SECONDS = 3
_SETTLE_SECONDS = 1.0
_POLL_MS = 250
START_SECONDS = 180
"""Within which a kernel has to be ready."""


_AGENT = '__import__("labkit.course.grading.agent", fromlist=["x"])'


OpenKernel = Callable[[], contextlib.AbstractContextManager["Kernel"]]


@dataclass
class CellRun:
    """What running one cell came to.

    Attributes:
        outputs: text and pictures that it showed.
        error: name and words of what it raised; empty when it went well.
        traceback: of the error, as text.
        trouble: why it was cut off, if it was.
    """

    outputs: list[Any] = field(default_factory=list)
    error: str = ""
    traceback: str = ""
    trouble: Trouble | None = None


class KernelLost(Exception):  # noqa: N818 - it says what happened
    """The kernel hung or died in the middle of something; it is gone."""

    def __init__(self, trouble: Trouble) -> None:
        """Keep what happened."""
        super().__init__(trouble)
        self.trouble = trouble


class Session:
    """One kernel at a time, and the calls into it."""

    def __init__(self, open_kernel: OpenKernel, seconds: float) -> None:
        """Take how kernels are started, and the seconds that a cell or a call may take."""
        self._open = open_kernel
        self.seconds = seconds
        self._stack = contextlib.ExitStack()
        self._kernel: Kernel | None = None
        self._client: Any = None

    def __enter__(self) -> Session:
        """Start nothing yet: the first cell does."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the kernel with all that it has started."""
        self.stop()

    @property
    def running(self) -> bool:
        """Whether there is a kernel."""
        return self._kernel is not None

    def start(self) -> None:
        """Start a kernel; what the last one knew is gone. CourseError when it does not start."""
        self.stop()
        self._kernel = self._stack.enter_context(self._open())
        self._client = self._kernel.client(timeout=START_SECONDS)
        self._stack.callback(self._client.stop_channels)

    def stop(self) -> None:
        """Stop the kernel."""
        self._kernel = self._client = None
        self._stack.close()

    def run(self, source: str) -> CellRun:
        """Run a cell. A trouble leaves no kernel, but for a loop that could be interrupted."""
        done = CellRun()
        shown = _Shown(done)
        try:
            reply = self._converse(source, shown.take, None, silent=False)
        except KernelLost as lost:
            done.trouble = lost.trouble
            return done
        if reply.get("status") == "error" and not done.error:
            done.error = _one_line(reply.get("ename"), reply.get("evalue"))
        payload = reply.get("payload")
        if isinstance(payload, list) and any("ask_exit" in str(part) for part in payload):
            done.trouble = "died"  # it ends after this cell
            self.stop()
        return done

    def settle(self) -> Trouble | None:
        """Wait a little; return why the kernel died in the meantime, if it did."""
        assert self._kernel is not None
        end = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < end:
            if not self._kernel.is_alive():
                cause = _cause(self._kernel)
                self.stop()
                return cause
            time.sleep(_SETTLE_SECONDS / 5)
        return None

    def keep(self, names: list[str]) -> bytes:
        """Return the message of what some names stand for now; KernelLost when there is none."""
        kept: list[bytes] = []

        def answer(kind: str, data: bytes) -> bytes:
            kept.append(data)
            return b""

        token = secrets.token_hex(8)
        self._converse(f"{_AGENT}.keep({token!r}, {names!r})", None, (token, answer))
        return kept[0] if kept else b""

    def call(self, number: int, request: bytes, back: Callable[[int, bytes], bytes]) -> bytes:
        """Call a function of the student's; ``back`` answers calls that it makes itself."""
        done: list[bytes] = []

        def answer(kind: str, data: bytes) -> bytes:
            if kind == "ready":
                return f"{number} ".encode() + request
            if kind == "done":
                done.append(data)
                return b""
            asked = kind.removeprefix("call ")
            return back(int(asked), data) if asked.isdecimal() else b""

        token = secrets.token_hex(8)
        self._converse(f"{_AGENT}.serve({token!r})", None, (token, answer))
        if not done:
            raise KernelLost("died")
        return done[0]

    def _converse(
        self,
        source: str,
        show: Callable[[Any], None] | None,
        answer: tuple[str, Callable[[str, bytes], bytes]] | None,
        silent: bool = True,
    ) -> Any:
        """Execute code, passing on outputs and prompts; return the content of the reply."""
        assert self._client is not None
        assert self._kernel is not None
        client = self._client
        sent = client.execute(
            source, silent=silent, store_history=False, allow_stdin=answer is not None,
            stop_on_error=False,
        )  # fmt: skip
        talk = _Talk(client, self._kernel, sent, show, answer)
        try:
            return talk.listen(self.seconds)
        except KernelLost as lost:
            if lost.trouble != "timeout" or silent or not talk.interrupt():
                self.stop()
            raise


class _Talk:
    """Waits for the end of one request."""

    def __init__(self, client: Any, kernel: Kernel, sent: str, show: Any, answer: Any) -> None:
        self.client, self.kernel, self.sent = client, kernel, sent
        self.show, self.answer = show, answer
        self.reply: Any = None
        self.idle = False
        self.bytes = 0
        self.poller = zmq.Poller()
        for channel in (client.shell_channel, client.iopub_channel, client.stdin_channel):
            self.poller.register(channel.socket, zmq.POLLIN)
        self.parting = client.iopub_channel.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.poller.register(self.parting, zmq.POLLIN)

    def listen(self, seconds: float) -> Any:
        """Return the reply; KernelLost when it does not come in time."""
        end = time.monotonic() + seconds
        while self.reply is None or not self.idle:
            left = end - time.monotonic()
            if left <= 0:
                if self.reply is not None:
                    break  # the message that nothing follows was lost in a flood of others
                raise KernelLost("timeout")
            ready = dict(self.poller.poll(min(_POLL_MS, int(left * 1000) + 1)))
            if not ready and not self.kernel.is_alive():
                raise KernelLost(_cause(self.kernel))
            self._read(ready)
            if self.reply is not None:
                if self.answer is not None:
                    break  # a call's outputs are not looked at
                end = min(end, time.monotonic() + _IDLE_SECONDS)
            if self.parting in ready:
                raise KernelLost(self._why_parted())
        return self.reply

    def interrupt(self) -> bool:
        """Interrupt a cell; tell whether it stopped and the kernel can be used on."""
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))
        try:
            self.listen(_INTERRUPT_SECONDS)
        except KernelLost:
            return False
        return True

    def _why_parted(self) -> Trouble:
        """Return why no more outputs come: the kernel died, or one was too large to be read."""
        end = time.monotonic() + _SETTLE_SECONDS
        while self.kernel.is_alive():
            if time.monotonic() > end:
                return "output"
            time.sleep(_SETTLE_SECONDS / 20)
        return _cause(self.kernel)

    def _read(self, ready: dict[Any, int]) -> None:
        client = self.client
        for channel, use in (
            (client.iopub_channel, self._iopub),
            (client.stdin_channel, self._stdin),
            (client.shell_channel, self._shell),
        ):
            if channel.socket in ready:
                message = _message(channel)
                if message and message["parent_header"].get("msg_id") == self.sent:
                    use(message)

    def _shell(self, message: Any) -> None:
        if message["msg_type"] == "execute_reply":
            self.reply = message["content"]

    def _iopub(self, message: Any) -> None:
        if message["msg_type"] == "status":
            self.idle = self.idle or message["content"].get("execution_state") == "idle"
        elif self.show is not None:
            self.bytes += _size(message["content"])
            if self.bytes > OUTPUT_LIMIT:
                raise KernelLost("output")
            with contextlib.suppress(Exception):  # forged, with parts of other types
                self.show(message)

    def _stdin(self, message: Any) -> None:
        reply = ""
        if self.answer is not None and message["msg_type"] == "input_request":
            token, answer = self.answer
            said, _, rest = str(message["content"].get("prompt", "")).partition(" ")
            kind, _, text = rest.rpartition(" ")
            data = _decoded(text) if said == token else None
            if data is not None:
                reply = base64.b64encode(answer(kind, data)).decode()
        self.client.input(reply)


def _message(channel: Any) -> Any:
    """Read one message; None when it is not one of the protocol."""
    try:
        message = channel.get_msg(timeout=0)
        parts = message["parent_header"], message["content"]
    except Exception:  # none is there, or a student's kernel has sent anything
        return None
    return message if all(isinstance(part, dict) for part in parts) else None


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text)
    except ValueError:  # a student's code has changed what the kernel says
        return None


def _size(content: Any) -> int:
    """Return about how many bytes an output has."""
    if isinstance(content, dict):
        return sum(_size(value) for value in content.values())
    if isinstance(content, list):
        return sum(_size(value) for value in content)
    return len(content) if isinstance(content, str) else 8


class _Shown:
    """Collects what a cell shows: text and PNG pictures, nothing that is active."""

    def __init__(self, run: CellRun) -> None:
        self.run = run
        self.text = 0

    def take(self, message: Any) -> None:
        """Keep an output."""
        kind, content = message["msg_type"], message["content"]
        if kind == "error":
            self.run.error = _one_line(content.get("ename"), content.get("evalue"))
            self.run.traceback = plain("\n".join(map(str, content.get("traceback", []))))
        elif kind == "stream":
            self._stream(str(content.get("name")), str(content.get("text")))
        elif kind in ("display_data", "execute_result"):
            self._display(message)

    def _stream(self, name: str, text: str) -> None:
        text = text[: max(KEPT_TEXT - self.text, 0)]
        self.text += len(text)
        outputs = self.run.outputs
        if outputs and outputs[-1].output_type == "stream" and outputs[-1].name == name:
            outputs[-1].text += text
        elif text and name in ("stdout", "stderr"):
            message = {"msg_type": "stream", "content": {"name": name, "text": text}}
            outputs.append(output_from_msg({"header": message, **message}))

    def _display(self, message: Any) -> None:
        from labkit.course.grading.pictures import safe_outputs

        data = message["content"].get("data", {})
        for safe in safe_outputs(data if isinstance(data, dict) else {}):
            if "text/plain" in safe:
                safe["text/plain"] = safe["text/plain"][: max(KEPT_TEXT - self.text, 0)]
                self.text += len(safe["text/plain"])
            content = {"data": safe, "metadata": {}}
            shown = {"msg_type": "display_data", "content": content}
            self.run.outputs.append(output_from_msg({"header": shown, **shown}))


def _one_line(name: Any, words: Any) -> str:
    first = (str(words).strip().splitlines() or [""])[0][:300]
    return f"{str(name)[:60]}: {first}" if first else str(name)[:60]


def plain(text: str) -> str:
    """Return text without colours and other terminal codes, not too long."""
    from nbconvert.filters import strip_ansi

    return str(strip_ansi(text))[:KEPT_TEXT]


def _cause(kernel: Kernel) -> Trouble:
    """Return why a kernel died, once the sandbox has said so."""
    end = time.monotonic() + _IDLE_SECONDS
    while kernel.ending is None and time.monotonic() < end:
        time.sleep(0.05)
    return TROUBLES.get(kernel.ending.reason, "died") if kernel.ending else "died"
