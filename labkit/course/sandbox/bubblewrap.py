"""The bubblewrap command: which namespaces, and what of the disk is in them."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDER = "/submission"
"""Where the kernel finds its working folder."""

PRIVATE = "/run/kernel"
"""Where the kernel finds its sockets, its home and its temporary files."""

SHARED_MEMORY = 64_000_000
"""Bytes in /dev/shm, for worker processes."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("alternatives", "fonts", "ld.so.cache", "localtime", "mime.types", "ssl/certs")


@functools.cache
def problem() -> str:
    """Return why bubblewrap cannot be used here, or "" when it can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)"
    try:
        tried = subprocess.run(
            ["bwrap", *_confined(), "--", "/usr/bin/env", "true"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work here ({error})"
    if tried.returncode == 0:
        return ""
    said = (tried.stderr.strip().splitlines() or [f"exit status {tried.returncode}"])[-1]
    return (
        f"bubblewrap does not work here ({said}); it has to be 0.8 or newer, and this system "
        "has to allow user namespaces"
    )


def arguments(folder: Path, private: Path, readable: Sequence[Path]) -> list[str]:
    """Return the options for ``bwrap``, to be followed by ``--`` and a command.

    The environment is not among them. bubblewrap has to be started with the kernel's own:
    what it had at its start can be read in /proc/1 by everything inside.

    Args:
        folder: the working folder, seen as ``FOLDER``.
        private: folder of sockets and temporary files, seen as ``PRIVATE``.
        readable: paths that are seen under their own names.
    """
    words = _confined()
    for path in readable:
        words += ["--ro-bind", str(path), str(path)]
    words += ["--bind", str(private), PRIVATE, "--bind", str(folder), FOLDER]
    return [*words, "--chdir", FOLDER, "--remount-ro", "/"]


@contextlib.contextmanager
def command(words: Sequence[str], *then: str) -> Iterator[tuple[list[str], int]]:
    """Give a command line of bubblewrap, and a file descriptor that it has to inherit.

    The options go through a file, since the command line shows inside, in /proc/1.
    """
    with tempfile.TemporaryFile() as file:
        file.write(b"".join(os.fsencode(word) + b"\0" for word in words))
        file.seek(0)
        yield (
            [shutil.which("bwrap") or "bwrap", "--args", str(file.fileno()), "--", *then],
            file.fileno(),
        )


def _confined() -> list[str]:
    """Return the part that is the same for every kernel: namespaces and the system."""
    words = [
        "--unshare-all", "--unshare-user", "--disable-userns", "--uid", "1000",
        "--gid", "1000", "--hostname", "sandbox", "--cap-drop", "ALL", "--new-session",
        "--die-with-parent",
    ]  # fmt: skip
    for path in _SYSTEM:
        if Path(path).is_symlink():
            words += ["--symlink", str(Path(path).readlink()), path]
        else:
            words += ["--ro-bind-try", path, path]
    for name in _SETTINGS:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    return [*words, "--size", str(SHARED_MEMORY), "--perms", "1777", "--tmpfs", "/dev/shm"]
