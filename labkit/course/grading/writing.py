"""Turns a value into a message of plain data."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.course.grading.wire import (
    DEEPEST,
    KINDS,
    LARGEST_MESSAGE,
    LONGEST_ITERATOR,
    RECORDS,
    ExchangeError,
    Foreign,
)  # fmt: skip

if TYPE_CHECKING:
    from labkit.course.grading.exchange import Peer


class Writer:
    """Turns one value into a message."""

    def __init__(self, peer: Peer) -> None:
        """Begin an empty message."""
        self.peer = peer
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.size = 0

    def message(self, value: object) -> bytes:
        """Return the message; ExchangeError when the value is too large or too deep."""
        tree = self.tree(value, 0)
        shapes = [(array.dtype.str, array.shape) for array in self.arrays]
        header = json.dumps({"tree": tree, "arrays": shapes}).encode()
        parts = [struct.pack("<Q", len(header)), header, *(a.tobytes() for a in self.arrays)]
        return b"".join(parts)

    def array(self, array: np.ndarray[Any, Any]) -> int:
        """Add an array to the message; return its number in it."""
        self.size += array.nbytes
        if self.size > LARGEST_MESSAGE:
            raise ExchangeError(f"A value of over {LARGEST_MESSAGE // 10**6} MB is too large.")
        self.arrays.append(np.ascontiguousarray(array) if array.ndim else array)
        return len(self.arrays) - 1

    def tree(self, value: Any, depth: int) -> Any:
        """Return the node of a value that is ``depth`` levels down."""
        if depth > DEEPEST:
            raise ExchangeError(f"Lists in lists in lists, over {DEEPEST} deep, are too deep.")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return int.__int__(value)
        if isinstance(value, float) and not isinstance(value, np.generic):
            return _number(float.__float__(value))
        if isinstance(value, Foreign):
            return {"$": "foreign", "type": value.type_name}
        for rule in (self._plain, self._numpy, self._labkit, self._keras, self._other):
            found = rule(value, depth + 1)
            if found is not None:
                return found
        return {"$": "foreign", "type": type(value).__name__[:80]}

    def _plain(self, value: Any, depth: int) -> Any:
        for kind in (list, tuple, set, frozenset):
            if isinstance(value, kind):
                return {"$": kind.__name__, "of": [self.tree(item, depth) for item in value]}
        if isinstance(value, Mapping):
            pairs = [[self.tree(k, depth), self.tree(v, depth)] for k, v in value.items()]
            return {"$": "dict", "of": pairs}
        if isinstance(value, range):
            return {"$": "range", "of": [value.start, value.stop, value.step]}
        if isinstance(value, bytes | bytearray):
            return {"$": "bytes", "of": self.array(np.frombuffer(value, np.uint8))}
        if isinstance(value, complex) and not isinstance(value, np.generic):
            return {"$": "complex", "of": [_number(value.real), _number(value.imag)]}
        if isinstance(value, Path):
            return {"$": "path", "of": str(value)}
        return None

    def _numpy(self, value: Any, depth: int) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            array = np.asarray(value)
            if array.dtype.kind == "V":  # bfloat16 and its like
                array = array.astype(np.float32)
            if array.dtype.kind == "O":
                return self.tree(array.tolist(), depth)
            if array.dtype.kind not in KINDS:
                return None
            kind = "array" if isinstance(value, np.ndarray) else "scalar"
            return {"$": kind, "of": self.array(array)}
        module = type(value).__module__
        if module.startswith(("tensorflow.", "keras.")) and hasattr(value, "numpy"):
            return {"$": "tensor", "of": self.array(np.asarray(value.numpy()))}
        if module.split(".")[0] == "pandas" and type(value).__name__ in ("DataFrame", "Series"):
            return self._pandas(value, depth)
        return None

    def _pandas(self, value: Any, depth: int) -> Any:
        frame = value if type(value).__name__ == "DataFrame" else value.to_frame()
        columns = [[name, frame[name].tolist()] for name in frame.columns]
        data = {"columns": columns, "index": frame.index.tolist()}
        kind = "frame" if frame is value else "series"
        return {"$": kind, "of": self.tree(data, depth)}

    def _labkit(self, value: Any, depth: int) -> Any:
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        if name in RECORDS:
            fields = {f.name: self.tree(getattr(value, f.name), depth)
                      for f in dataclasses.fields(value)}  # fmt: skip
            return {"$": "record", "class": name, "of": fields}
        if name == "labkit.data.cards.DatasetCard":
            return {"$": "card", "of": value.name}
        if name == "labkit.data.pixels.PixelStore":
            paths = sorted(value.row, key=value.row.__getitem__)
            return {"$": "store", "file": value.file.name, "image_size": value.image_size,
                    "paths": [str(path) for path in paths]}  # fmt: skip
        return None

    def _keras(self, value: Any, depth: int) -> Any:
        if is_keras(value, "Operation") or any(map(_is(value), ("Optimizer", "Loss", "Metric"))):
            return self.peer.models.write(value, self)
        return None

    def _other(self, value: Any, depth: int) -> Any:
        if callable(value) and not isinstance(value, type):
            name = str(getattr(value, "__name__", "function"))[:80]
            number = getattr(value, "labkit_number", None)
            if isinstance(number, int):  # a stand-in goes home
                return {"$": "yours", "of": number}
            return {"$": "function", "of": self.peer.offer(value), "name": name}
        if isinstance(value, Iterator):
            items = [item for item, _ in zip(value, range(LONGEST_ITERATOR), strict=False)]
            return {"$": "iterator", "of": [self.tree(item, depth) for item in items]}
        return None


def _is(value: object) -> Callable[[str], bool]:
    return lambda kind: is_keras(value, kind)


def is_keras(value: object, kind: str) -> bool:
    """Tell whether a value is a Keras object of a kind, without importing Keras for it."""
    return any(
        base.__name__ == kind and base.__module__.startswith("keras.")
        for base in type(value).__mro__
    )


def _number(value: float) -> Any:
    """Return a float as JSON has it; infinities and nan have no form there."""
    return value if math.isfinite(value) else {"$": "float", "of": repr(value)}
