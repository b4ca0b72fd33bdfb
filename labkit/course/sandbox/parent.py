"""The warm parent: imports TensorFlow once, then forks a kernel for each request.

A request brings a process that bubblewrap has put into new namespaces; the fork joins
them (setns) and becomes a kernel there. The parent imports and never computes: one
TensorFlow operation starts threads, and a fork has none of its parent's threads. So it
serves only while it has exactly one.

A request is JSON with the kernel's limits and two file descriptors: a pidfd of a process
in the namespaces, and where the kernel's own output goes. The answers are the kernel's
process id, and later its exit status.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

import psutil

from labkit.course.sandbox import bubblewrap, inside
from labkit.course.sandbox.settings import Limits

PRELOADED = (
    "labkit.engine", "labkit.training", "labkit.plots", "labkit.quadrants.comparing",
    "labkit.data.loading", "ipykernel.kernelapp", "ipywidgets", "pandas", "matplotlib.pyplot",
)  # fmt: skip
"""What a kernel of the course imports sooner or later. Never the backend of inline
figures: IPython connects it to its display when it is first imported."""

NAMESPACES = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x20000
"""CLONE_NEW: CGROUP, UTS, IPC, USER, PID, NET and NS (mounts)."""

PATIENCE = 5.0
"""Seconds for a stub that has connected to send its request."""


def main() -> None:
    """Run as the warm parent: ``python -P -m ... SOCKET CLIENT_PID``; writes a line when ready."""
    address, client = sys.argv[1], os.pidfd_open(int(sys.argv[2]))
    sys.argv = sys.argv[:1]
    for name in PRELOADED:
        importlib.import_module(name)
    threads = psutil.Process().num_threads()
    if threads != 1:
        sys.exit(f"{threads} threads are running after the imports, a fork needs exactly one")
    gc.collect()
    gc.freeze()  # collections in the kernels leave the shared pages alone
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks here
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.umask(0o177)
    listener.bind(address)
    os.umask(0o022)
    listener.listen(64)
    print("ready", flush=True)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)  # the end of what the sandbox reads
    os.dup2(nothing, 2)
    while client not in select.select([listener.fileno(), client], [], [])[0]:
        with suppress(OSError):  # a stub that went away, or no memory for a fork
            _serve(listener, client)


def _serve(listener: socket.socket, client: int) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(PATIENCE)
        data, handles, _, _ = socket.recv_fds(connection, 1 << 16, 2)
        try:
            if os.fork() == 0:
                listener.close()
                os.close(client)
                _join(connection, Limits(**json.loads(data)), *handles)
        finally:
            for handle in handles:
                os.close(handle)


def _join(connection: socket.socket, limits: Limits, target: int, log: int) -> NoReturn:
    """Enter the namespaces, fork the kernel there, tell how it ended. Never returns.

    Entering a PID namespace holds for children only, hence the second fork.
    """
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(target, NAMESPACES):
            raise OSError(ctypes.get_errno(), "the namespaces could not be entered")
        kernel = os.fork()
        if kernel == 0:
            connection.close()
            os.close(target)
            _become_kernel(limits, log)
        connection.send(json.dumps(kernel).encode())
        _, status = os.waitpid(kernel, 0)
        connection.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
    finally:
        os._exit(0)


def _become_kernel(limits: Limits, log: int) -> NoReturn:
    status = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.chdir(bubblewrap.FOLDER)
        _reseed()
        inside.begin(limits)
        inside.run_kernel(f"{bubblewrap.PRIVATE}/connection.json")
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _reseed() -> None:
    """Give each kernel random numbers of its own, as a new interpreter has them."""
    import numpy as np

    random.seed()
    np.random.seed()


if __name__ == "__main__":
    main()
