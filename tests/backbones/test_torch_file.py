"""The reader of old PyTorch files: right numbers, and no way to run code."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.backbones.torch_file import MAGIC, read_state_dict
from labkit.errors import WeightsError


class Name:
    """Stands for a global name in a pickle, such as ``torch.FloatStorage``."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """Stands for the call of a global name in a pickle."""

    def __init__(self, name: Name, arguments: tuple[Any, ...]) -> None:
        self.name, self.arguments = name, arguments


class Storage:
    def __init__(self, key: str, kind: str, values: np.ndarray, count: int | None = None) -> None:
        self.key, self.kind, self.values = key, kind, values
        self.count = values.size if count is None else count


class Writer(pickle._Pickler):  # type: ignore[misc,name-defined]
    """Writes what PyTorch would have written, without PyTorch."""

    def persistent_id(self, thing: object) -> object:
        if isinstance(thing, Storage):
            return ("storage", Name("torch", thing.kind), thing.key, "cpu", thing.count, None)
        return None

    def save(self, thing: Any, save_persistent_id: bool = True) -> None:
        if isinstance(thing, Name):
            self.write(b"c" + f"{thing.module}\n{thing.name}\n".encode())
        elif isinstance(thing, Call):
            self.save(thing.name)
            self.save(thing.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(thing, save_persistent_id)


def tensor(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Call:
    rebuild = Name("torch._utils", "_rebuild_tensor_v2")
    return Call(rebuild, (storage, offset, shape, strides, False, OrderedDict()))


def old_file(state: object, storages: list[Storage], magic: int = MAGIC) -> bytes:
    stream = io.BytesIO()
    for part in (magic, 1001, {"little_endian": True}, state, [s.key for s in storages]):
        Writer(stream, 2).dump(part)
    for s in storages:
        stream.write(s.values.size.to_bytes(8, "little") + s.values.tobytes())
    return stream.getvalue()


FLOATS = Storage("100", "FloatStorage", np.arange(24, dtype="<f4"))
LONGS = Storage("200", "LongStorage", np.array([7], dtype="<i8"))


def example() -> bytes:
    state = OrderedDict(
        plain=tensor(FLOATS, 0, (2, 3), (3, 1)),
        turned=tensor(FLOATS, 6, (3, 2), (1, 3)),  # not contiguous: a transposed view
        every_second=tensor(FLOATS, 12, (4,), (2,)),
        repeated=tensor(FLOATS, 5, (2, 2), (0, 0)),
        scalar=tensor(LONGS, 0, (), ()),
    )
    return old_file(state, [FLOATS, LONGS])


def read(folder: Path, data: bytes) -> dict[str, np.ndarray]:
    file = folder / "weights.pth"
    file.write_bytes(data)
    return read_state_dict(file)


def test_tensors_come_back_with_their_strides(tmp_path: Path) -> None:
    state = read(tmp_path, example())
    assert list(state) == ["plain", "turned", "every_second", "repeated", "scalar"]
    np.testing.assert_array_equal(state["plain"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(state["turned"], [[6, 9], [7, 10], [8, 11]])
    np.testing.assert_array_equal(state["every_second"], [12, 14, 16, 18])
    np.testing.assert_array_equal(state["repeated"], [[5, 5], [5, 5]])
    assert state["plain"].dtype == np.float32
    assert (state["scalar"].shape, int(state["scalar"])) == ((), 7)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("torch", "load")],
)
def test_code_in_the_file_is_refused_and_not_run(tmp_path: Path, module: str, name: str) -> None:
    mark = tmp_path / "ran"
    evil = Call(Name(module, name), (f"touch {mark}",))
    for data in (old_file(OrderedDict(a=evil), []), old_file(OrderedDict(), [], magic=evil)):
        with pytest.raises(WeightsError, match=rf"asks for {module}\.{name}, which is refused"):
            read(tmp_path, data)
    assert not mark.exists()


def test_python_s_own_pickle_of_a_call_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    with pytest.raises(WeightsError, match="refused"):
        read(tmp_path, pickle.dumps(Evil()))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0, 1, 10, 60, 0.5, -1, -8, -97])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, keep: float) -> None:
    data = example()
    end = int(len(data) * keep) if isinstance(keep, float) else keep
    with pytest.raises(WeightsError, match=r"weights\.pth cannot be read as PyTorch weights"):
        read(tmp_path, data[:end])


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((25,), (1,), 0),
        ((24,), (1,), 1),
        ((2, 2), (23, 1), 0),
        ((3,), (-1,), 2),
        ((3,), (1,), -3),
        ((2,), (10**18,), 0),
        ((10**6, 10**6), (0, 0), 0),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    data = old_file(OrderedDict(a=tensor(FLOATS, offset, shape, strides)), [FLOATS])
    with pytest.raises(WeightsError, match="cannot be read"):
        read(tmp_path, data)


def test_a_count_that_lies_is_refused(tmp_path: Path) -> None:
    lying = Storage("1", "FloatStorage", np.zeros(4, "<f4"), count=8)
    data = old_file(OrderedDict(a=tensor(lying, 0, (4,), (1,))), [lying])
    with pytest.raises(WeightsError, match="middle of an array"):
        read(tmp_path, data)


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="magic number"):
        read(tmp_path, old_file(OrderedDict(), [], magic=5))
    with pytest.raises(WeightsError, match="cannot be read"):
        read(tmp_path, b"PK\x03\x04" + bytes(100))  # the newer format is a zip file


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_damaged_bytes_never_raise_anything_else(tmp_path: Path, seed: int) -> None:
    numbers = random.Random(seed)
    data = bytearray(example())
    for _ in range(numbers.randint(1, 4)):
        data[numbers.randrange(len(data) - 100)] = numbers.randrange(256)
    with contextlib.suppress(WeightsError):
        state = read(tmp_path, bytes(data))
        assert all(isinstance(array, np.ndarray) for array in state.values())
