"""Sandboxes for the tests, one of each kind for a whole run, and how notebooks run in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

from labkit.course.sandbox import Limits, Sandbox
from labkit.course.sandbox.bubblewrap import problem

LIMITS = Limits(
    memory_gb=1.5, processes=150, file_mb=20, disk_mb=40, cpu_seconds=60, output_mb=5, seconds=120
)

KINDS = {"warm": ("bubblewrap", True), "cold": ("bubblewrap", False), "rlimits": ("rlimits", False)}

Run = Callable[..., SimpleNamespace]


def skip_without_bubblewrap(kind: str) -> None:
    if KINDS[kind][0] == "bubblewrap" and problem():
        pytest.skip(problem())


@pytest.fixture(scope="session")
def sandboxes() -> Iterator[Callable[[str], Sandbox]]:
    """A function that opens the sandbox of a kind, once."""
    opened: dict[str, Sandbox] = {}

    def get(kind: str) -> Sandbox:
        skip_without_bubblewrap(kind)
        if kind not in opened:
            isolation, warm = KINDS[kind]
            opened[kind] = Sandbox(LIMITS, isolation=isolation, warm=warm).__enter__()  # type: ignore[arg-type]
        return opened[kind]

    yield get
    for sandbox in opened.values():
        sandbox.__exit__(None, None, None)


def execute(sandbox: Sandbox, folder: Path, *cells: str, timeout: float = 60) -> SimpleNamespace:
    """Run cells; tell their text, how the kernel ended and what nbclient raised for that."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    raised: Exception | None = None
    with sandbox.kernel(folder) as kernel:
        client = NotebookClient(notebook, km=kernel.manager, timeout=timeout, allow_errors=True)
        try:
            client.execute()
        except (DeadKernelError, CellTimeoutError) as error:
            raised = error
    assert kernel.ending is not None
    return SimpleNamespace(
        text="".join(_text(output) for cell in notebook.cells for output in cell.outputs),
        notebook=notebook, reason=kernel.ending.reason, ending=kernel.ending, raised=raised,
    )  # fmt: skip


def _text(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}\n"
    return str(output.data.get("text/plain", "")) + "\n"


@pytest.fixture(params=["warm", "cold"])
def isolated(
    request: pytest.FixtureRequest, sandboxes: Callable[[str], Sandbox], tmp_path: Path
) -> Run:
    """A function that runs cells in namespaces; all ways to start a kernel have to pass."""
    sandbox = sandboxes(request.param)
    folder = tmp_path / "work"
    folder.mkdir()
    return lambda *cells, **more: execute(sandbox, folder, *cells, **more)


@pytest.fixture(params=[*KINDS])
def limited(
    request: pytest.FixtureRequest, sandboxes: Callable[[str], Sandbox], tmp_path: Path
) -> Run:
    """A function that runs cells in any sandbox, namespaces or not."""
    sandbox = sandboxes(request.param)
    folder = tmp_path / "work"
    folder.mkdir()
    return lambda *cells, **more: execute(sandbox, folder, *cells, **more)


def read(file: Path) -> Any:
    return nbformat.read(file, as_version=4)
