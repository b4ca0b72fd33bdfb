"""Finds, verifies and downloads the files that hold pretrained weights.

A file is used only after its checksum was right. A download goes to a folder of its
own, is verified there, and only then moved to where Keras keeps its weights: a bad
copy never takes the place of a good one.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import filelock

from labkit.backbones.catalogue import BackboneInfo, list_backbones
from labkit.errors import WeightsError
from labkit.paths import file_sha256


def weights_folder() -> Path:
    """Return the folder where Keras keeps downloaded weights (``KERAS_HOME`` or ~/.keras)."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "models"


def pretrained_file(info: BackboneInfo, *, include_top: bool = False) -> Path:
    """Return the verified ImageNet weights of a backbone, downloading them if need be.

    Raises WeightsError when the file is damaged, or absent with no way to fetch it.
    """
    if info.offline:
        return _packaged_file(info)
    record = info.weights["top" if include_top else "no_top"]
    path = weights_folder() / str(record["file"])
    if not path.exists():
        _download(info, record, path)
    verify(path, record)
    return path


def has_weights(info: BackboneInfo, *, include_top: bool = False) -> bool:
    """Tell whether a backbone's ImageNet weights are on this machine; nothing is downloaded."""
    if info.offline:
        return True
    name = info.weights["top" if include_top else "no_top"]["file"]
    return (weights_folder() / str(name)).is_file()


def weights_here() -> list[Path]:
    """Return the weight files that are on this machine, packaged and downloaded."""
    files = [pretrained_file(info) for info in list_backbones() if info.offline]
    for info in list_backbones():
        if not info.offline:
            names = (info.weights[kind]["file"] for kind in ("no_top", "top"))
            files += [path for name in names if (path := weights_folder() / name).is_file()]
    return files


def verify(path: Path, record: dict[str, Any]) -> None:
    """Raise WeightsError unless the file has the checksum (or size) of its record.

    Keras publishes MD5 sums. Where it publishes none, the size is compared, and the
    SHA-256 that the file had when it was first used.
    """
    for kind in ("sha256", "md5"):
        if kind in record:
            return _compare(path, kind, record[kind], _digest(path, kind))
    if "bytes" in record:
        _compare(path, "size in bytes", record["bytes"], path.stat().st_size)
    remembered = path.with_name(path.name + ".sha256")
    found = file_sha256(path)
    if remembered.exists():
        return _compare(path, "sha256", remembered.read_text().strip(), found)
    with contextlib.suppress(OSError):  # weights in a folder that may only be read
        remembered.write_text(found + "\n")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest()


def _compare(path: Path, kind: str, expected: object, found: object) -> None:
    if expected != found:
        raise WeightsError(
            f"The weight file {path} is damaged or another one: {kind} should be {expected}, "
            f"is {found}. Delete it and load again, or put a good copy in its place."
        )


def _packaged_file(info: BackboneInfo) -> Path:
    package, file = str(info.weights["package"]), str(info.weights["file"])
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.exists():
        raise WeightsError(
            f"The weights of {info.name} come with the package {package.replace('_', '-')}, which "
            "is not installed whole: pip install --force-reinstall -r requirements.txt."
        )
    verify(path, info.weights)
    return path


def _download(info: BackboneInfo, record: dict[str, Any], path: Path) -> None:
    """Fetch with Keras's own download into a private folder; verify; move into place."""
    from labkit.engine import keras

    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        filelock.FileLock(path.with_name(path.name + ".lock")),
        tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as folder,
    ):
        if path.exists():  # another process was faster
            return
        try:
            fetched = keras.utils.get_file(
                record["file"], info.weights["url"] + record["file"], cache_dir=folder
            )
        except Exception as error:  # Keras raises bare Exception when the network fails
            raise WeightsError(
                f"{record['file']} ({info.name}) could not be downloaded from "
                f"{info.weights['url']}: put a copy at {path}, or use "
                "'EfficientNetLite0', whose weights need no network."
            ) from error
        verify(Path(fetched), record)
        os.replace(fetched, path)
        _move_memory(Path(fetched), path)


def _move_memory(fetched: Path, path: Path) -> None:
    """Keep the first-use checksum that ``verify`` noted beside the downloaded file."""
    noted = fetched.with_name(fetched.name + ".sha256")
    if noted.exists():
        os.replace(noted, path.with_name(path.name + ".sha256"))
