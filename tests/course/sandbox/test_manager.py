"""The instructor's side: what a sandbox says about itself, and kernels for nbclient."""

from __future__ import annotations

import pytest

from labkit.course.sandbox import Limits, Sandbox, bubblewrap
from labkit.errors import CourseError


def test_a_notebook_runs(limited):
    done = limited("x = 20", "x + 1")
    assert done.text == "21\n"
    assert done.raised is None
    assert done.reason == "killed"


def test_without_bubblewrap_it_says_so(monkeypatch):
    monkeypatch.setattr(bubblewrap, "problem", lambda: "bubblewrap is not installed")
    sandbox = Sandbox(warm=False)
    assert sandbox.isolation == "rlimits"
    assert "not installed" in sandbox.warning
    assert "use the network" in sandbox.warning
    with pytest.raises(CourseError, match="cannot be isolated: bubblewrap is not installed"):
        Sandbox(isolation="bubblewrap")


def test_bad_input(tmp_path):
    with pytest.raises(CourseError, match=r"no isolation 'docker'.*'auto', 'bubblewrap'"):
        Sandbox(isolation="docker")  # type: ignore[arg-type]
    with pytest.raises(CourseError, match="limit memory_gb has to be above zero"):
        Limits(memory_gb=0)
    sandbox = Sandbox(isolation="rlimits", warm=False)
    with pytest.raises(CourseError, match="in a with statement"), sandbox.kernel(tmp_path):
        pass
    with (
        sandbox,
        pytest.raises(CourseError, match="is not a folder"),
        sandbox.kernel(tmp_path / "missing"),
    ):
        pass
