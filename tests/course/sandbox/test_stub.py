"""The kernelspec with other programs, and what is left when somebody is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.course.sandbox.kernel import SPEC, command

from .conftest import skip_without_bubblewrap

CELL = "import os\nprint(sorted(os.listdir('.')), os.getcwd(), os.path.exists('/etc/passwd'))"


@pytest.fixture
def jupyter(tmp_path, monkeypatch):
    """A folder with a notebook, and Jupyter finding the kernelspec of this very labkit."""
    skip_without_bubblewrap("cold")
    spec = json.loads(SPEC.read_text(encoding="utf-8")) | {"argv": command()}
    place = tmp_path / "jupyter" / "kernels" / "labkit-sandbox"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    folder = tmp_path / "lesson"
    folder.mkdir()
    (folder / "solution.txt").write_text("42")
    (folder / "json.py").write_text("raise SystemExit('imported from the student')")
    write(folder / "lesson.ipynb", CELL)
    return folder


def write(file: Path, *cells: str) -> None:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    made = [new_code_cell(cell, id=f"cell-{i}") for i, cell in enumerate(cells)]
    nbformat.write(new_notebook(cells=made, metadata=kernel), file)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", *words], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_papermill(jupyter, tmp_path):
    done = run(jupyter, "-m", "papermill", "-k", "labkit-sandbox", "lesson.ipynb", "out.ipynb")
    assert done.returncode == 0, done.stderr
    outputs = nbformat.read(jupyter / "out.ipynb", as_version=4).cells[0].outputs
    assert outputs[0].text == "[] /submission False\n"
    assert list((tmp_path / "tmp").glob("labkit-*")) == []


def test_nbval(jupyter):
    options = ("--nbval-lax", "--nbval-kernel-name", "labkit-sandbox", "-p", "no:cacheprovider")
    done = run(jupyter, "-m", "pytest", "-q", *options, "lesson.ipynb")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_nbconvert_as_nbgrader_uses_it(jupyter):
    options = ("--to", "notebook", "--execute", "--ExecutePreprocessor.kernel_name=labkit-sandbox")
    done = run(jupyter, "-m", "nbconvert", *options, "--output", "out", "lesson.ipynb")
    assert done.returncode == 0, done.stderr
    assert "/submission False" in (jupyter / "out.ipynb").read_text(encoding="utf-8")


def test_the_spec_that_pip_installs_calls_the_same_stub():
    spec = json.loads(SPEC.read_text(encoding="utf-8"))
    assert spec["argv"][1:3] == ["-I", "-c"]  # isolated: no module of the student's folder
    assert spec["argv"][3] in command()[3]
    assert spec["interrupt_mode"] == "message"


CLIENT = """
import sys, time
from labkit.course.sandbox import Sandbox
with Sandbox(isolation=sys.argv[1], warm=sys.argv[3] == "warm") as sandbox:
    with sandbox.kernel(sys.argv[2]) as kernel:
        client = kernel.client()
        code = "import subprocess; subprocess.Popen(['sleep', '654']); open('ready', 'w')"
        client.execute(code)
        print(kernel.manager.provisioner.pid, flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["client", "stub"])
@pytest.mark.parametrize("start", ["warm", "cold", "plain"])
def test_nothing_is_left_when_the_grader_or_the_stub_is_killed(tmp_path, victim, start):
    isolation = "rlimits" if start == "plain" else "bubblewrap"
    if isolation == "rlimits" and victim == "stub":
        pytest.skip("without namespaces the stub itself has to end what it started")
    skip_without_bubblewrap("rlimits" if start == "plain" else "cold")
    words = [sys.executable, "-c", CLIENT, isolation, str(tmp_path), start]
    client = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    stub = int(client.stdout.readline())
    below = _await(lambda: (tmp_path / "ready").exists() and _family(client.pid, tmp_path))
    os.kill(stub if victim == "stub" else client.pid, signal.SIGKILL)
    if victim == "stub":  # the client lives on, and its warm parent with it
        below = {p for p in below if p.pid != client.pid and "sandbox.parent" not in _line(p)}
    assert _await(lambda: not [p for p in below if _runs(p)])
    client.kill()
    client.wait()
    client.stdout.close()


def _family(pid, folder):
    """The client, all below it, and the processes that work in the folder."""
    found = {psutil.Process(pid), *psutil.Process(pid).children(recursive=True)}
    for process in psutil.process_iter():
        try:
            if process.cmdline() == ["sleep", "654"] and process.cwd() == str(folder):
                found.add(process)
        except psutil.Error:
            continue
    return found


def _line(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _runs(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _await(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return value


def test_bubblewrap_that_breaks_is_told(jupyter, monkeypatch, tmp_path):
    """A kernel that cannot start ends at once, and says why."""
    from labkit.course.sandbox import Sandbox
    from labkit.errors import CourseError

    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "bwrap").write_text("#!/bin/sh\necho no namespaces today >&2\nexit 1\n")
    (broken / "bwrap").chmod(0o755)
    with Sandbox(isolation="bubblewrap", warm=False) as sandbox:
        monkeypatch.setenv("PATH", f"{broken}:{os.environ['PATH']}")
        with (
            pytest.raises(CourseError, match=r"did not start.*no namespaces today"),
            sandbox.kernel(tmp_path / "lesson") as kernel,
        ):
            kernel.client()
