"""What happens inside, before the notebook's first line: giving up rights, then the kernel.

Cold, this is the process that bubblewrap starts; warm, it is called in the child that
the warm parent forked. Both ways run the same lines.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import sys
from pathlib import Path

from labkit.course.sandbox.settings import Limits

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522

ROOM = 2.0
"""GB of private memory that one process may reserve beyond the limit on what is used:
TensorFlow and thread stacks reserve more than they touch."""


def begin(limits: Limits) -> None:
    """Confine this process and prepare its private folder."""
    confine(limits)
    if shared := os.environ.pop("LABKIT_SHARED_CACHE", ""):
        link_cache(shared, os.environ["LABKIT_CACHE"])


def confine(limits: Limits) -> None:
    """Lower this process's limits and give up every right that it could use."""
    million = 1_000_000
    most = {
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 1024,
        "RLIMIT_FSIZE": limits.file_mb * million,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_DATA": (limits.memory_gb + ROOM) * 1000 * million,
        "RLIMIT_NPROC": limits.most_processes,
    }
    for name, value in most.items():
        _lower(getattr(resource, name), int(value))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if sys.platform == "linux":
        _give_up_capabilities()


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS has limits that cannot be set
        resource.setrlimit(kind, (value, value))


def _give_up_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):  # those above the kernel's last one are refused
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel's rights could not be given up")
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def link_cache(shared: str, own: str) -> None:
    """Fill a private cache folder with links to a shared one that may only be read.

    labkit's cache has files or folders at its second level, and files in those.
    """
    for kind in _entries(shared):
        for entry in _entries(kind.path):
            place = Path(own, kind.name, entry.name)
            parts = _entries(entry.path) if entry.is_dir() else None
            (place if entry.is_dir() else place.parent).mkdir(parents=True, exist_ok=True)
            for source in [entry] if parts is None else parts:
                target = place if parts is None else place / source.name
                with contextlib.suppress(FileExistsError):
                    target.symlink_to(source.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.endswith(".lock")]
    return []


def run_kernel(connection_file: str) -> None:
    """Serve as an IPython kernel until asked to stop."""
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize(["-f", connection_file, "--HistoryManager.enabled=False", "--quiet"])
    app.start()


def main() -> None:
    """Run as the kernel's process: ``python -P -m ... CONNECTION_FILE LIMITS_AS_JSON``."""
    connection_file, limits = sys.argv[1:]
    sys.argv = sys.argv[:1]
    begin(Limits(**json.loads(limits)))
    run_kernel(connection_file)


if __name__ == "__main__":
    main()
