"""Decodes the files of a dataset once and keeps the pixels on disk.

One cache file a list of files and image size: the raw pixels, then an index in JSON,
then the index's length. It is written whole or not at all and never written over with
other images, so that a dataset that is in use keeps its pixels when the folder changes.
It is read image by image: memory stays small however many images there are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from labkit.data.images import Pixels, load_square
from labkit.errors import DataError
from labkit.paths import atomic_write, cache_folder

_MAGIC = b"labkit-1"
_CHUNK = 256

KEPT = 4
"""Stores of one folder and image size that are kept; the ones not used for longest go."""


@dataclass(frozen=True)
class Problem:
    """A file that was left out of a dataset, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        """Return ``path: reason``."""
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, eq=False)
class PixelStore:
    """The decoded images of a folder.

    Attributes:
        file: the cache file.
        image_size: side of the square images in pixels.
        row: the place of each good file's image in the store, by its path.
        digests: of each image's pixels, by row; equal digests mean equal pictures.
        problems: the files that were left out.
    """

    file: Path
    image_size: int
    row: dict[Path, int]
    digests: tuple[str, ...]
    problems: tuple[Problem, ...]

    def read(self, rows: Sequence[int] | NDArray[np.int_]) -> Pixels:
        """Return the images of some rows, shape (n, size, size, 3), RGB, 0..255.

        Raises DataError when the cache file has been deleted.
        """
        shape = (self.image_size, self.image_size, 3)
        images = np.empty((len(rows), *shape), np.uint8)
        size = int(np.prod(shape))
        try:
            with self.file.open("rb", buffering=0) as stream:
                for image, row in zip(images, rows, strict=True):
                    stream.seek(int(row) * size)
                    stream.readinto(image.data)
        except FileNotFoundError:
            raise DataError(
                f"The pixels of this dataset are gone from the cache ({self.file}): load it again."
            ) from None
        return images


def open_store(paths: Sequence[Path], image_size: int, *, name: str) -> PixelStore:
    """Return the pixels of these files, from the cache or by decoding them now.

    Args:
        paths: the files; those that cannot be read become ``problems``.
        image_size: side to which images are cut and scaled.
        name: what the progress bar calls them.

    Raises:
        LabkitError: the disk is full.
    """
    fingerprint = _fingerprint(paths)
    key = hashlib.sha256(f"{os.path.commonpath(paths)}|{image_size}".encode()).hexdigest()[:24]
    file = cache_folder("pixels") / f"{key}-{fingerprint[:16]}.pixels"
    index = read_index(file, image_size)
    if index is None or index["fingerprint"] != fingerprint:
        decode = partial(_decode_all, paths, image_size, name=name)
        index = _write(file, fingerprint, decode)
        _drop_old_stores(file.parent, key)
    else:
        with contextlib.suppress(OSError):  # a cache that may only be read
            os.utime(file)
    rows = {paths[i]: row for row, i in enumerate(index["good"])}
    problems = tuple(Problem(paths[i], reason) for i, reason in index["problems"])
    return PixelStore(file, image_size, rows, tuple(index["digests"]), problems)


def keep_images(images: Pixels) -> PixelStore:
    """Return a store of images that no file holds, such as changed ones, row by row.

    Args:
        images: shape (n, size, size, 3), RGB, 0..255, uint8.

    Raises:
        DataError: the array has another shape or type.
        LabkitError: the disk is full.
    """
    square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
    if not square or images.dtype != np.uint8:
        raise DataError(
            "Images are an array (n, size, size, 3) of uint8. "
            f"Received: {images.shape} of {images.dtype}."
        )
    size = images.shape[1]
    fingerprint = hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
    file = cache_folder("pixels") / f"changed-{size}-{fingerprint[:24]}.pixels"
    index = read_index(file, size) or _write(file, fingerprint, lambda: enumerate(images))
    return PixelStore(file, size, {}, tuple(index["digests"]), ())


def _drop_old_stores(folder: Path, key: str) -> None:
    """Delete all but the last used stores of one folder and image size."""
    with contextlib.suppress(OSError):  # another process may be doing the same
        stores = sorted(folder.glob(f"{key}-*.pixels"), key=lambda file: file.stat().st_mtime_ns)
        for file in stores[:-KEPT]:
            file.unlink()


def _fingerprint(paths: Sequence[Path]) -> str:
    """Return a digest of names, sizes and times: it changes when the files do."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = path.stat()
            digest.update(f"{path}|{status.st_size}|{status.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(f"{path}|absent\n".encode())
    return digest.hexdigest()


def _decode_all(
    paths: Sequence[Path], image_size: int, *, name: str
) -> Iterator[tuple[int, Pixels | str]]:
    """Yield every file's number with its pixels, or with the reason why it has none."""

    def decode(path: Path) -> Pixels | str:
        try:
            return load_square(path, image_size)
        except DataError as error:
            return str(error)

    with (
        ThreadPoolExecutor(os.cpu_count()) as threads,  # Pillow decodes outside the GIL
        tqdm(total=len(paths), desc=f"reading {name}", unit="image", delay=2, leave=False) as bar,
    ):
        for start in range(0, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            yield from enumerate(threads.map(decode, chunk), start)
            bar.update(len(chunk))


def _write(
    file: Path, fingerprint: str, decode: Callable[[], Iterator[tuple[int, Pixels | str]]]
) -> dict[str, Any]:
    index: dict[str, Any] = {"fingerprint": fingerprint, "good": [], "digests": [], "problems": []}
    with atomic_write(file) as stream:
        for number, result in decode():
            if isinstance(result, str):
                index["problems"].append((number, result))
                continue
            stream.write(np.ascontiguousarray(result).data)
            index["good"].append(number)
            index["digests"].append(hashlib.blake2b(result.tobytes(), digest_size=16).hexdigest())
        text = json.dumps(index).encode()
        stream.write(text + len(text).to_bytes(8, "little") + _MAGIC)
    return index


def read_index(file: Path, image_size: int) -> dict[str, Any] | None:
    """Return the index of a store, or None where there is no whole one."""
    try:
        with file.open("rb") as stream:
            return _parse_index(stream, image_size)
    except (OSError, ValueError, KeyError):
        return None


def _parse_index(stream: IO[bytes], image_size: int) -> dict[str, Any]:
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(end - 16, 0))
    tail = stream.read(16)
    length = int.from_bytes(tail[:8], "little")
    if tail[8:] != _MAGIC or length > end - 16:
        raise ValueError("no store")
    stream.seek(end - 16 - length)
    index: dict[str, Any] = json.loads(stream.read(length))
    if len(index["good"]) * image_size**2 * 3 + length + 16 != end:
        raise ValueError("cut short")
    return index
