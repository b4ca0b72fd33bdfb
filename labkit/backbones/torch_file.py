"""Reads the arrays of an old-format PyTorch ``.pth`` file, without PyTorch.

The format (before 2020, not a zip): three pickles (magic number, version, system), the
state dict whose tensors point to storages by key, the list of keys, then each storage
as an 8-byte count and raw little-endian values. Only what a state dict needs is
unpickled; anything else in the file is refused.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from labkit.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}


class _Storage:
    """A run of values in the file; filled after the pickles have been read."""

    def __init__(self, dtype: np.dtype[Any], count: int) -> None:
        self.dtype = dtype
        self.count = count
        self.values: NDArray[Any] = np.empty(0, dtype)


class _Tensor:
    """A view on a storage: the saved strides matter, tensors are not contiguous."""

    def __init__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> NDArray[Any]:
        if min((self.offset, *self.shape, *self.strides)) < 0:
            raise WeightsError("a tensor begins before its storage")
        if math.prod(self.shape) > self.storage.values.size:
            raise WeightsError("a tensor is larger than its storage")
        values = self.storage.values[self.offset :]
        last = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if last >= values.size:
            raise WeightsError("a tensor reaches beyond its storage")
        strides = tuple(s * values.itemsize for s in self.strides)
        view = np.lib.stride_tricks.as_strided(values, self.shape, strides)
        return np.ascontiguousarray(view).reshape(self.shape)


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


class _StateDictUnpickler(pickle.Unpickler):
    """An unpickler that knows four names and refuses all others."""

    _KNOWN = {  # noqa: RUF012 - a constant table
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch", "FloatStorage"): "FloatStorage",
        ("torch", "LongStorage"): "LongStorage",
    }

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what a global name in the pickle stands for; refuse unknown ones."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise WeightsError(f"the file asks for {module}.{name}, which is refused") from None

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a persistent id ("storage", type, key, device, count) names."""
        _, kind, key, _, count = pid[:5]
        return self.storages.setdefault(key, _Storage(_DTYPES[kind], count))


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a ``.pth`` state dict by name, in the file's order.

    Raises WeightsError when the file is no such file, is cut short or asks for more.
    """
    try:
        with path.open("rb") as stream:
            return _read(io.BytesIO(stream.read()))
    except WeightsError as error:
        raise WeightsError(f"{path} cannot be read as PyTorch weights: {error}.") from None
    except Exception as error:  # a damaged pickle raises nearly any type
        raise WeightsError(f"{path} cannot be read as PyTorch weights: {error!r}.") from None


def _read(stream: BinaryIO) -> dict[str, NDArray[Any]]:
    if _StateDictUnpickler(stream).load() != MAGIC:
        raise WeightsError("it does not start with the magic number of that format")
    for _ in ("version", "system"):
        _StateDictUnpickler(stream).load()
    unpickler = _StateDictUnpickler(stream)
    tensors: dict[str, _Tensor] = unpickler.load()
    for key in _StateDictUnpickler(stream).load():
        storage = unpickler.storages[key]
        count = int.from_bytes(stream.read(8), "little")
        data = stream.read(count * storage.dtype.itemsize)
        if count != storage.count or len(data) != count * storage.dtype.itemsize:
            raise WeightsError("it ends in the middle of an array")
        storage.values = np.frombuffer(data, storage.dtype)
    return {name: tensor.array() for name, tensor in tensors.items()}
