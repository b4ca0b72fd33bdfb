"""The store of decoded pixels: decoded once, whole or not there, small in memory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit.data import pixels
from labkit.data.images import load_square
from labkit.data.pixels import KEPT, open_store
from labkit.errors import DataError, LabkitError

DrawFolder = Callable[..., Path]


@pytest.fixture
def files(tmp_path: Path, own_cache: Path, draw_folder: DrawFolder) -> list[Path]:
    return sorted(draw_folder(tmp_path / "pictures", {"cat": 5, "dog": 4}).rglob("*.png"))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that have been decoded, in time."""
    seen: list[Path] = []

    def decode(path: Path, size: int) -> Any:
        seen.append(path)
        return load_square(path, size)

    monkeypatch.setattr(pixels, "load_square", decode)
    return seen


def open_it(files: list[Path], size: int = 32) -> pixels.PixelStore:
    return open_store(files, size, name="test")


def test_the_pixels_are_those_of_the_files(files: list[Path]) -> None:
    store = open_it(files)
    rows = [store.row[file] for file in reversed(files)]
    expected = np.stack([load_square(file, 32) for file in reversed(files)])
    np.testing.assert_array_equal(store.read(rows), expected)
    assert len(set(store.digests)) == len(files)
    assert store.read([]).shape == (0, 32, 32, 3)


def test_each_file_is_decoded_once(files: list[Path], decoded: list[Path]) -> None:
    first = open_it(files)
    assert sorted(decoded) == files
    again = open_it(files)
    assert len(decoded) == len(files)
    assert (again.file, again.row, again.digests) == (first.file, first.row, first.digests)


def test_another_size_is_another_store(files: list[Path]) -> None:
    assert open_it(files, 16).read([0]).shape == (1, 16, 16, 3)
    assert open_it(files, 32).read([0]).shape == (1, 32, 32, 3)


def test_a_changed_file_is_read_anew(files: list[Path], decoded: list[Path]) -> None:
    before = open_it(files).digests
    files[0].write_bytes(files[1].read_bytes())
    after = open_it(files).digests
    assert len(decoded) == 2 * len(files)
    assert after[0] == after[1] == before[1] != before[0]


def test_a_store_in_use_keeps_its_pixels_when_the_folder_changes(files: list[Path]) -> None:
    store = open_it(files)
    before = store.read(range(9))
    open_it(files[3:])
    files[0].write_bytes(files[1].read_bytes())
    open_it(files)
    np.testing.assert_array_equal(store.read(range(9)), before)


def test_old_stores_are_dropped(files: list[Path], own_cache: Path) -> None:
    first = open_it(files)
    for time in range(KEPT + 2):
        os.utime(files[0], (time, time))
        open_it(files)
    assert len(list((own_cache / "pixels").iterdir())) == KEPT
    with pytest.raises(DataError, match="load it again"):
        first.read([0])


@pytest.mark.parametrize("keep", [0, 1, 15, 16, 5000, -1, -16, -200])
def test_a_damaged_store_is_built_anew(files: list[Path], decoded: list[Path], keep: int) -> None:
    store = open_it(files)
    whole = store.file.read_bytes()
    store.file.write_bytes(whole[:keep])
    assert open_it(files).file.read_bytes() == whole
    assert len(decoded) == 2 * len(files)


def test_a_store_whose_index_is_garbage_is_built_anew(files: list[Path]) -> None:
    store = open_it(files)
    whole = store.file.read_bytes()
    store.file.write_bytes(whole[:-100] + b"\xff" * 60 + whole[-40:])
    assert open_it(files).file.read_bytes() == whole


def test_bad_files_are_problems_and_remembered(files: list[Path], decoded: list[Path]) -> None:
    files[2].write_bytes(b"")
    files[4].write_bytes(files[4].read_bytes()[:100])
    for _ in range(2):
        store = open_it(files)
        assert [p.path for p in store.problems] == [files[2], files[4]]
        assert str(store.problems[0]) == f"{files[2]}: the file is empty"
        assert len(store.row) == 7
        np.testing.assert_array_equal(
            store.read([store.row[files[5]]])[0], load_square(files[5], 32)
        )
    assert len(decoded) == 9


def test_a_full_disk_is_said_and_leaves_nothing(
    files: list[Path], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A stream on a disk that has room for 5,000 bytes."""

        def __init__(self, stream: Any) -> None:
            self.stream, self.room = stream, 5_000

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def write(self, data: Any) -> int:
            self.room -= len(bytes(data))
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return int(self.stream.write(data))

    fdopen = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda handle, mode: Full(fdopen(handle, mode)))
    with pytest.raises(LabkitError, match="The disk is full") as error:
        open_it(files)
    assert "LABKIT_CACHE" in str(error.value)
    assert "\n" not in str(error.value)
    assert list((own_cache / "pixels").iterdir()) == []
    monkeypatch.undo()


IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from labkit.data.pixels import open_store
files = sorted(Path(sys.argv[1]).rglob("*.png"))
for _ in range(20):
    store = open_store(files, 32, name="test")
    store.file.unlink(missing_ok=True) if sys.argv[2] == "drop" else None
print(*open_store(files, 32, name="test").digests)
"""


def test_two_processes_at_once(files: list[Path]) -> None:
    """One of them keeps deleting the store: the other must never see half of one."""
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(files[0].parents[1])]
    running = [
        subprocess.Popen(
            [*command, role], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for role in ("drop", "use")
    ]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert said[0][0] == said[1][0] == " ".join(open_it(files).digests) + "\n"


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
from labkit.data.pixels import open_store
files = sorted(Path(sys.argv[1]).iterdir())
open_store(files[:2], 256, name="warm-up").read([0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store = open_store(files, 256, name="test")
for start in range(0, len(files), 32):
    store.read(np.arange(start, min(start + 32, len(files))))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_stays_small(tmp_path: Path, own_cache: Path, draw_folder: DrawFolder) -> None:
    """1,300 images are 255 MB of pixels: the process must not grow by half of that."""
    drawn = sorted(draw_folder(tmp_path / "few", {"a": 10}, size=60).rglob("*.png"))
    (tmp_path / "many").mkdir()
    for number in range(1300):
        (tmp_path / "many" / f"{number:04d}.png").symlink_to(drawn[number % 10])
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "many")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    size = sum(f.stat().st_size for f in (own_cache / "pixels").iterdir()) / 2**20
    assert size > 240
    assert int(said.stdout) < 128
