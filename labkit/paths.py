"""Where labkit keeps and finds things on disk.

One cache folder (``LABKIT_CACHE`` or the system's own), and at most one folder of
real images that somebody put there (``LABKIT_DATA``). Writing is atomic: a reader
sees the old file or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import platformdirs

from labkit.errors import LabkitError


def cache_folder(*parts: str) -> Path:
    """Return a folder inside labkit's cache, made if it is missing.

    The cache is ``LABKIT_CACHE`` where that is set, else the user's cache folder.
    Raises LabkitError when the folder cannot be made or is not writable.
    """
    root = os.environ.get("LABKIT_CACHE") or platformdirs.user_cache_dir("labkit")
    folder = Path(root).expanduser().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabkitError(
            f"Cannot make the cache folder {folder} ({error.strerror}). "
            "Set LABKIT_CACHE to a folder that you can write to."
        ) from error
    return folder


def real_data_folder() -> Path | None:
    """Return ``LABKIT_DATA`` as a path, or None where it is not set.

    Raises LabkitError when it is set to something that is not a folder.
    """
    value = os.environ.get("LABKIT_DATA")
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise LabkitError(
            f"LABKIT_DATA is {value!r}, which is not a folder. "
            "Set it to the folder that holds the datasets, or unset it."
        )
    return folder


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path``; rename it to ``path`` when all went well.

    Nothing is left behind on an error. Raises LabkitError on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(f".{path.name[:40]}-{secrets.token_hex(6)}")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    handle = os.open(name, flags, 0o666)  # unlike tempfile's, readable by who the umask allows
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        os.replace(name, path)
    except BaseException as error:
        name.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabkitError(
                f"The disk is full: {path} could not be written. Free some space, or set "
                "LABKIT_CACHE to a folder on a larger disk; nothing half-written was kept."
            ) from error
        raise


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
