"""Control groups: which are made, with what limits; on copies of the system's files."""

from __future__ import annotations

import os

import pytest

from labkit.course.sandbox import group as module
from labkit.course.sandbox.group import PREFIX, Group
from labkit.course.sandbox.settings import Limits


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A function that writes what the kernel says of this process's groups."""
    monkeypatch.setattr(module, "MOUNT", tmp_path / "mount")
    monkeypatch.setattr(module, "MEMBERSHIP", tmp_path / "membership")

    def write(text, *folders):
        (tmp_path / "membership").write_text(text)
        for folder in folders:
            (tmp_path / "mount" / folder).mkdir(parents=True)
        return tmp_path / "mount"

    return write


def test_version_1_makes_one_below_the_own(system):
    mount = system("8:pids:/user\n4:memory:/else\n0::/\n", "pids/user")
    group = Group(Limits(processes=100))
    assert [place.name for place in (mount / "pids" / "user").iterdir()] == [
        f"{PREFIX}{os.getpid()}"
    ]
    group.add(4711)
    made = mount / "pids" / "user" / f"{PREFIX}{os.getpid()}"
    assert (made / "cgroup.procs").read_text() == "4711"
    with group.joined():
        assert (made / "cgroup.procs").read_text() == str(os.getpid())
    assert (mount / "pids" / "user" / "cgroup.procs").read_text() == str(os.getpid())


def test_version_2_makes_one_beside_the_own(system, monkeypatch):
    mount = system("0::/user.slice/app/run-1.scope\n", "user.slice/app/run-1.scope")
    (mount / "cgroup.controllers").write_text("memory pids")
    make = module.Path.mkdir

    def mkdir(self, *args, **options):  # the kernel fills a new group with its files
        make(self, *args, **options)
        for file in ("pids.max", "memory.max", "memory.swap.max", "cgroup.procs"):
            (self / file).write_text("max")

    monkeypatch.setattr(module.Path, "mkdir", mkdir)
    group = Group(Limits(processes=100, memory_gb=2))
    made = mount / "user.slice" / "app" / f"{PREFIX}{os.getpid()}"
    assert (made / "pids.max").read_text() == "150"
    assert (made / "memory.max").read_text() == "2200000000"
    assert (made / "memory.swap.max").read_text() == "0"
    assert not group.memory_ran_out()
    (made / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n")
    assert group.memory_ran_out()


def test_groups_of_stubs_that_were_killed_are_removed(system):
    mount = system("8:pids:/\n", f"pids/{PREFIX}999999999", f"pids/{PREFIX}1")
    Group(Limits()).remove()
    assert [place.name for place in (mount / "pids").iterdir()] == [f"{PREFIX}1"]


@pytest.mark.parametrize("text", ["", "0::/\n", "9:name=systemd:/\n"])
def test_where_none_can_be_made_nothing_depends_on_it(system, text):
    system(text)
    group = Group(Limits())
    with group.joined():
        group.add(os.getpid())
    assert not group.memory_ran_out()
    group.remove()
