"""What runs inside a student's kernel for the grader: hands out answers, takes calls.

Nothing here is trusted by the grader. A student who changes it changes their own answers.
Everything travels over the kernel's channel for input: a prompt goes out, a reply comes in.
"""

from __future__ import annotations

import base64
from typing import Any

from labkit.course.grading.exchange import Peer, describe
from labkit.course.grading.wire import ExchangeError, Foreign

_peer: Peer | None = None
_token = ""


def _the_peer() -> Peer:
    global _peer
    if _peer is None:
        _peer = Peer("student", lambda number, data: _prompt(f"call {number}", data))
    return _peer


def _prompt(kind: str, data: bytes = b"") -> bytes:
    """Send something to the grader and return its reply."""
    from IPython import get_ipython

    kernel = get_ipython().kernel
    text = base64.b64encode(data).decode()
    return base64.b64decode(kernel.raw_input(f"{_token} {kind} {text}"))


def keep(token: str, names: list[str]) -> None:
    """Hand out what the student's cells have defined under some names, as it is now."""
    from IPython import get_ipython

    global _token
    _token = token
    known = get_ipython().user_ns
    found = {name: known[name] for name in names if name in known}
    _prompt("kept", _message(found))


def _message(found: dict[str, Any]) -> bytes:
    peer = _the_peer()
    try:
        return peer.dumps(found)
    except ExchangeError:
        return peer.dumps({name: _or_foreign(value) for name, value in found.items()})


def _or_foreign(value: object) -> object:
    try:
        _the_peer().dumps(value)
    except ExchangeError:
        return Foreign(type(value).__name__)
    return value


def serve(token: str) -> None:
    """Take one call of a student's function from the grader, and answer it."""
    global _token
    _token = token
    number, _, request = _prompt("ready").partition(b" ")
    peer = _the_peer()
    try:
        answer = peer.answer(int(number), request)
    except ExchangeError as error:
        answer = peer.dumps({"raised": describe(error)})
    _prompt("done", answer)
