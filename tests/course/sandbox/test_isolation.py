"""What a notebook in namespaces can see, change and reach: its folder, and no more."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest

import labkit

ROOT = Path(labkit.__file__).parents[1]
LABKIT_FILES = os.environ["LABKIT_CACHE"]


def test_of_the_disk_it_sees_what_it_needs(isolated, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "hidden-answers.csv").write_text("secret")
    hidden = [str(tmp_path / "other"), str(ROOT / "notebooks"), str(ROOT / "tests"), "/etc/passwd"]
    done = isolated(
        f"""
import os
print(sorted(os.listdir("/")))
print(os.getcwd(), os.listdir("."))
print([path for path in {hidden} if os.path.exists(path)])
print([d for d, _, files in os.walk("/") if "hidden-answers.csv" in files])
"""
    )
    top, place, seen, found = done.text.splitlines()
    system = {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "usr"}
    needed = {Path(path).parts[1] for path in (sys.prefix, sys.base_prefix, ROOT, LABKIT_FILES)}
    assert set(eval(top)) <= system | needed | {"run", "submission"}
    assert place == "/submission []"
    assert seen == "[]"
    assert found == "[]"


def test_it_writes_to_its_folder_alone(isolated, tmp_path):
    done = isolated(
        """
import os, tempfile
tried, wrote = set(), []
for top in ("/", "/dev", "/etc", "/usr", "/run", "/proc", "/root", "/submission"):
    tried.add(top)
    for folder, names, _ in os.walk(top):
        if folder.count("/") > 3 or folder.startswith("/proc/"):
            names[:] = []
        tried.add(folder)
for folder in sorted(tried):
    try:
        with open(os.path.join(folder, "written"), "x"):
            wrote.append(folder)
    except OSError:
        pass
print(wrote)
import labkit
for path in (labkit.__file__, os.environ["LABKIT_CACHE"] + "/../../../etc/x", "/dev/sda"):
    try:
        os.chmod(path, 0o777); open(path, "a").close(); print("changed", path)
    except OSError:
        pass
"""
    )
    wrote = eval(done.text.splitlines()[0])
    assert "/submission" in wrote
    private = ("/submission", "/run/kernel", "/dev/shm")  # the last two end with the kernel
    assert [folder for folder in wrote if not folder.startswith(private)] == []
    assert "changed" not in done.text
    assert (tmp_path / "work" / "written").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_mounts_cannot_be_changed(isolated):
    done = isolated(
        """
import ctypes, os, subprocess
libc = ctypes.CDLL(None, use_errno=True)
MS_REMOUNT, MS_BIND = 32, 4096
print(libc.mount(b"none", b"/usr", None, MS_REMOUNT | MS_BIND, None), ctypes.get_errno())
print(libc.mount(b"none", b"/submission", b"tmpfs", 0, None), ctypes.get_errno())
print(libc.umount2(b"/proc", 2), ctypes.get_errno())
print(libc.chroot(b"/submission"), ctypes.get_errno())
"""
    )
    assert [line.split()[0] for line in done.text.splitlines()] == ["-1"] * 4, done.text


def test_rights_are_gone_for_good(isolated):
    done = isolated(
        """
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
print([int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")])
print(status["NoNewPrivs"])
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
NEWUSER, NEWNS, NEWPID = 0x10000000, 0x20000, 0x20000000
print([libc.unshare(flag) for flag in (NEWUSER, NEWNS, NEWPID, NEWUSER | NEWNS)])
print(os.getuid(), os.geteuid())
for call in (lambda: os.setuid(0), lambda: os.nice(-10), lambda: os.kill(1, 9)):
    try:
        call(); print("done")
    except OSError:
        print("refused")
"""
    )
    caps, privileges, unshared, who, *refused = done.text.splitlines()
    assert caps == "[0, 0, 0, 0, 0]"
    assert privileges == "1"
    assert unshared == "[-1, -1, -1, -1]"
    assert who == "1000 1000"
    assert refused[:2] == ["refused", "refused"]
    assert done.reason == "killed"  # by the test: signal 9 to process 1 did nothing


def test_nothing_of_the_user_is_in_its_environment(isolated, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    done = isolated(
        """
import os
everything = dict(os.environ)
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        try:
            everything[pid + name] = open(f"/proc/{pid}/{name}").read()
        except OSError:
            pass
print("hunter2" in str(everything), sorted(os.environ))
"""
    )
    assert done.text.startswith("False"), done.text
    names = {"SECRET_TOKEN", "SSH_AUTH_SOCK", "JPY_PARENT_PID", "LABKIT_SANDBOX", "OLDPWD"}
    assert not names.intersection(eval(done.text.removeprefix("False ")))
    assert str(Path.home()) not in done.text or str(Path.home()) in str(ROOT)


def test_no_process_of_the_machine_is_seen(isolated):
    done = isolated(
        f"""
import os
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
print(len(pids) < 10, {os.getpid()} in pids)
try:
    os.kill({os.getpid()}, 0); print("reached")
except OSError:
    print("out of reach")
"""
    )
    assert done.text.splitlines() == ["True False", "out of reach"]


@pytest.mark.parametrize("family", ["tcp", "abstract", "file"])
def test_no_socket_of_the_machine_is_reached(isolated, tmp_path, family):
    if family == "tcp":
        server = socket.create_server(("127.0.0.1", 0))
        name = server.getsockname()
    else:
        server = socket.socket(socket.AF_UNIX)
        name = f"\0{tmp_path}" if family == "abstract" else str(tmp_path / "socket")
        server.bind(name)
        server.listen()
    reached = []
    threading.Thread(target=lambda: reached.append(server.accept()), daemon=True).start()
    kind = "AF_INET" if family == "tcp" else "AF_UNIX"
    done = isolated(
        f"""
import socket
client = socket.socket(socket.{kind})
client.settimeout(5)
try:
    client.connect({name!r}); print("connected")
except OSError as error:
    print("refused")
"""
    )
    server.close()
    assert done.text == "refused\n"
    assert reached == []


def test_the_network_is_not_there(isolated):
    done = isolated(
        """
import os, socket
print([name for _, name in socket.if_nameindex()])
for address in (("1.1.1.1", 53), ("169.254.169.254", 80), ("10.0.0.1", 22)):
    try:
        socket.create_connection(address, timeout=5); print("connected")
    except OSError as error:
        print(type(error).__name__)
try:
    socket.getaddrinfo("example.org", 80); print("resolved")
except OSError:
    print("no name")
"""
    )
    assert done.text.splitlines()[0] == "['lo']"
    assert "connected" not in done.text
    assert "no name" in done.text


def test_a_kernel_does_not_see_another_one(sandboxes, tmp_path):
    """Two at the same time: neither processes nor files, shared memory or semaphores."""
    from .conftest import execute

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    sandbox = sandboxes("cold")
    put = """
import ctypes, os, pathlib
pathlib.Path("mine").write_text("x"); pathlib.Path("/dev/shm/mine").write_text("x")
"""
    with sandbox.kernel(tmp_path / "one") as first:
        client = first.client()
        client.execute_interactive(put, timeout=60)
        done = execute(
            sandbox,
            tmp_path / "two",
            "import os; print(os.listdir('.'), os.listdir('/dev/shm'))",
        )
        client.stop_channels()
    assert done.text == "[] []\n"


def test_a_link_in_the_folder_leads_nowhere(isolated, tmp_path):
    (tmp_path / "secret").write_text("hidden test")
    (tmp_path / "work" / "link").symlink_to(tmp_path / "secret")
    done = isolated("import os; print(os.path.exists('link')); open('link').read()")
    assert done.text.startswith("False\nFileNotFoundError")


def test_only_what_the_instructor_adds_is_added(tmp_path):
    from labkit.course.sandbox import Sandbox

    from .conftest import execute, skip_without_bubblewrap

    skip_without_bubblewrap("cold")
    for name in ("data", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "a.txt").write_text("given")
    with Sandbox(readable=[tmp_path / "data"], isolation="bubblewrap", warm=False) as sandbox:
        done = execute(
            sandbox,
            tmp_path / "work",
            f"print(open({str(tmp_path / 'data' / 'a.txt')!r}).read())",
            f"open({str(tmp_path / 'data' / 'b.txt')!r}, 'w')",
        )
    assert done.text.startswith("given\nOSError")
