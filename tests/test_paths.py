"""Where things are kept, and that nothing half-written is ever seen."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import platformdirs
import pytest

from labkit.errors import LabkitError
from labkit.paths import atomic_write, cache_folder, file_sha256, real_data_folder


def test_the_cache_is_where_it_is_said(own_cache: Path) -> None:
    assert cache_folder("a", "b") == own_cache / "a" / "b"
    assert (own_cache / "a" / "b").is_dir()


def test_the_cache_is_the_system_s_own_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABKIT_CACHE")
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    assert cache_folder() == tmp_path / "labkit"


def test_home_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LABKIT_CACHE", "~/kept")
    assert cache_folder() == tmp_path / "kept"


def test_a_cache_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(LabkitError, match="Set LABKIT_CACHE to a folder") as error:
        cache_folder("pixels")
    assert str(tmp_path / "file") in str(error.value)


def test_real_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert real_data_folder() is None
    monkeypatch.setenv("LABKIT_DATA", "")
    assert real_data_folder() is None
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    assert real_data_folder() == tmp_path
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "nothing"))
    with pytest.raises(LabkitError, match="is not a folder"):
        real_data_folder()


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.txt"
    with atomic_write(file) as stream:
        stream.write(b"hello")
        assert not file.exists()
    assert file.read_bytes() == b"hello"
    assert [f.name for f in file.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"old")

    def interrupted() -> None:
        with atomic_write(file) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(error):
        interrupted()
    assert file.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(LabkitError, match="The disk is full") as error,
        atomic_write(tmp_path / "a"),
    ):
        raise OSError(number, "full")
    assert str(tmp_path / "a") in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_write(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "no")


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    with atomic_write(tmp_path / ("x" * 250)) as stream:
        stream.write(b"1")
    assert len(list(tmp_path.iterdir())) == 1


def test_checksum(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert file_sha256(tmp_path / "a") == known


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_written_file_can_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        with atomic_write(tmp_path / "a.txt") as stream:
            stream.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644
