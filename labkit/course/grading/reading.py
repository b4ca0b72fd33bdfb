"""Turns a message into its value, whoever sent it: only plain data comes out of it."""

from __future__ import annotations

import importlib
import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.course.grading.wire import KINDS, LARGEST_MESSAGE, RECORDS, ExchangeError, Foreign

if TYPE_CHECKING:
    from labkit.course.grading.exchange import Peer

Rule = Callable[["Reader", Any], Any]

_RULES: dict[str, Rule] = {}


def _reads(*kinds: str) -> Callable[[Rule], Rule]:
    """Name the kinds of nodes that a function turns into values."""

    def keep(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return keep


class Reader:
    """One message: its tree of values, and the arrays that the tree points to."""

    def __init__(self, peer: Peer, message: bytes) -> None:
        """Take a message apart; ExchangeError when it is none."""
        self.peer = peer
        if len(message) > LARGEST_MESSAGE:
            raise ExchangeError(f"A message of over {LARGEST_MESSAGE // 10**6} MB is too large.")
        try:
            (length,) = struct.unpack_from("<Q", message)
            header = json.loads(message[8 : 8 + length])
            self.arrays = list(_arrays(header["arrays"], memoryview(message)[8 + length :]))
            self.header = header["tree"]
        except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ExchangeError(f"A message cannot be read ({type(error).__name__}).") from None

    def value(self) -> Any:
        """Return the value of the whole message."""
        try:
            return self.tree(self.header)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as e:
            raise ExchangeError(f"A message cannot be read ({type(e).__name__}: {e}).") from None

    def tree(self, node: Any) -> Any:
        """Return the value of a node."""
        if not isinstance(node, dict):
            return node
        rule = _RULES.get(str(node["$"]))
        if rule is None:
            raise ExchangeError(f"A message holds something unknown: {str(node['$'])[:40]!r}.")
        return rule(self, node)

    def items(self, node: Any) -> list[Any]:
        """Return the values of a node's elements."""
        return [self.tree(item) for item in node["of"]]

    def array(self, number: int) -> np.ndarray[Any, Any]:
        """Return an array of the message, as a copy that can be written to."""
        found: np.ndarray[Any, Any] = self.arrays[number].copy()
        return found


def _arrays(shapes: Any, data: memoryview) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the arrays that follow a header; ValueError when they do not fit the data."""
    place = 0
    for name, shape in shapes:
        dtype = np.dtype(str(name))
        if dtype.kind not in KINDS or dtype.hasobject or not dtype.itemsize:
            raise ValueError("an array of objects")
        count = math.prod(_size(side) for side in shape)
        end = place + count * dtype.itemsize
        if end > len(data):
            raise ValueError("cut short")
        yield np.frombuffer(data[place:end], dtype, count).reshape(shape)
        place = end


def _size(side: Any) -> int:
    if not isinstance(side, int) or side < 0:
        raise ValueError("no size")
    return side


# Python's own types

_FLOATS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}

_reads("list")(lambda reader, node: reader.items(node))
_reads("tuple")(lambda reader, node: tuple(reader.items(node)))
_reads("set")(lambda reader, node: set(reader.items(node)))
_reads("frozenset")(lambda reader, node: frozenset(reader.items(node)))
_reads("iterator")(lambda reader, node: iter(reader.items(node)))
_reads("dict")(lambda reader, node: {reader.tree(k): reader.tree(v) for k, v in node["of"]})
_reads("range")(lambda reader, node: range(*(int(number) for number in node["of"])))
_reads("complex")(lambda reader, node: complex(*(float(part) for part in reader.items(node))))
_reads("float")(lambda reader, node: _FLOATS[node["of"]])
_reads("path")(lambda reader, node: Path(str(node["of"])))
_reads("foreign")(lambda reader, node: Foreign(str(node["type"])[:80]))

# Functions: a stand-in for one of the other side, or one of this side that comes back

_reads("function")(lambda reader, node: reader.peer.stand_in(int(node["of"]), str(node["name"])))
_reads("yours")(lambda reader, node: reader.peer.offered(int(node["of"])))

# Arrays and tables

_reads("array")(lambda reader, node: reader.array(node["of"]))
_reads("scalar")(lambda reader, node: reader.array(node["of"])[()])
_reads("bytes")(lambda reader, node: reader.array(node["of"]).tobytes())


@_reads("tensor")
def _tensor(reader: Reader, node: Any) -> Any:
    from labkit.engine import tf

    return tf.constant(reader.array(node["of"]))


@_reads("frame", "series")
def _frame(reader: Reader, node: Any) -> Any:
    import pandas as pd

    data = reader.tree(node["of"])
    frame = pd.DataFrame(dict(data["columns"]), index=data["index"])
    return frame if node["$"] == "frame" else frame[frame.columns[0]]


# labkit's own


@_reads("record")
def _record(reader: Reader, node: Any) -> Any:
    if node["class"] not in RECORDS:
        raise ExchangeError(f"Objects of {str(node['class'])[:80]!r} do not travel.")
    module, name = node["class"].rsplit(".", 1)
    record = getattr(importlib.import_module(module), name)
    return record(**{str(key): reader.tree(value) for key, value in node["of"].items()})


@_reads("card")
def _card(reader: Reader, node: Any) -> Any:
    from labkit.data.cards import list_cards, load_card

    return load_card(node["of"]) if node["of"] in list_cards() else None


@_reads("store")
def _store(reader: Reader, node: Any) -> Any:
    """Open pixels of labkit's cache; a name that leaves the folder is refused."""
    from labkit.data.pixels import PixelStore, read_index
    from labkit.paths import cache_folder

    name, size = str(node["file"]), int(node["image_size"])
    if Path(name).name != name or not name.endswith(".pixels"):
        raise ExchangeError("Pixels travel as a file of labkit's cache, and this is none.")
    file = cache_folder("pixels") / name
    index = read_index(file, size)
    if index is None or len(index["digests"]) != len(node["paths"]):
        raise ExchangeError("The images of a dataset that your code made are not at hand here.")
    rows = {Path(path): row for row, path in enumerate(node["paths"])}
    return PixelStore(file, size, rows, tuple(index["digests"]), ())


@_reads("model", "layer", "keras")
def _keras(reader: Reader, node: Any) -> Any:
    return reader.peer.models.read(node, reader)
