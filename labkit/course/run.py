"""Executes the course's notebooks by papermill and counts their points."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nbformat

from labkit.errors import CourseError, choices

Profile = Literal["smoke", "cpu", "gpu"]
Status = Literal["passed", "failed"]

CELL_SECONDS = 1200
"""A cell that runs longer than this is stopped: something hangs."""


@dataclass(frozen=True)
class NotebookRun:
    """What executing one notebook came to.

    Attributes:
        name: of the assignment.
        file: the executed notebook, with its outputs.
        status: "failed" when a cell raised, hung, or the kernel died.
        reason: why it failed, one line.
        points: earned by the graded cells that were run.
        max_points: that can be earned automatically.
        manual_points: of free text, which a person grades.
        seconds: wall time, the kernel's start included.
        slowest: seconds of the slowest cell.
    """

    name: str
    file: Path
    status: Status
    reason: str
    points: float
    max_points: float
    manual_points: float
    seconds: float
    slowest: float


def notebooks_folder() -> Path:
    """Return the folder of the course's notebooks, beside the package."""
    folder = Path(__file__).parents[2] / "notebooks"
    if not folder.is_dir():
        raise CourseError(
            f"There are no notebooks at {folder}: install labkit from its checkout with "
            "'pip install -e .', or name the notebook files."
        )
    return folder


def find_notebooks(names: Sequence[str] = ()) -> list[Path]:
    """Return notebook files by assignment name or path; all of the course when none is named.

    Raises CourseError for a name that is neither.
    """
    if names and all(Path(name).is_file() for name in names):
        return [Path(name) for name in names]
    course = {path.stem: path for path in sorted(notebooks_folder().glob("*/*.ipynb"))}
    course = {name: path for name, path in course.items() if path.parent.name == name}
    if not names:
        return list(course.values())
    found = []
    for name in names:
        path = Path(name) if Path(name).is_file() else course.get(Path(name).stem)
        if path is None:
            raise CourseError(
                f"There is no notebook {name!r}. The course has {choices(course)}; a path of a "
                "file does as well."
            )
        found.append(path)
    return found


def run_notebook(
    source: Path,
    out: Path,
    *,
    profile: Profile,
    data: str,
    seed: int = 0,
    progress: bool = True,
    jobs: int = 1,
) -> NotebookRun:
    """Execute one notebook in a kernel of its own; the source is not changed.

    Args:
        source: the notebook.
        out: folder for the executed copy, which is kept on a failure too.
        profile: "smoke" (does it run), "cpu" (two cores) or "gpu" (224 px, full sets).
        data: "auto", "real" or "simulated".
        seed: parameter SEED of the notebook.
        progress: whether to show a bar of the cells.
        jobs: notebooks at the same time, each in a process of its own; they share the cores.
    """
    if jobs > 1:
        _take_a_share(jobs)
    out.mkdir(parents=True, exist_ok=True)
    target = out / source.name
    parameters = {"PROFILE": profile, "SEED": seed, "DATA": data}
    started = time.perf_counter()
    reason = _execute(source, target, parameters, progress and {"desc": source.stem})
    return _summary(source.stem, target, reason, time.perf_counter() - started)


def _execute(source: Path, target: Path, parameters: dict[str, Any], bar: Any) -> str:
    """Execute a notebook into another file; return why it failed, one line, or nothing."""
    # Slow to import, and not needed to name notebooks.
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernel
    try:
        papermill.execute_notebook(
            str(source), str(target), parameters, kernel_name="python3", language="python",
            cwd=str(source.parent), execution_timeout=CELL_SECONDS, progress_bar=bar,
            # Of the kernel, on its way to this terminal: to be ended is no error.
            extra_arguments=["--log-level=CRITICAL"],
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        return f"cell {error.exec_count} raised {error.ename}: {error.evalue}".splitlines()[0]
    except DeadKernelError:
        return "the kernel died: most often the memory was used up"
    except CellTimeoutError:
        return f"a cell ran longer than {CELL_SECONDS} s and was stopped"
    except Exception as error:  # not a notebook, no kernel, disk full: the next one goes on
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return ""


def _take_a_share(jobs: int) -> None:
    """Let the kernels of this process use their share of the cores.

    TensorFlow's threads wait by spinning: two networks that each train on all of two cores
    take about a fifth longer than on a core each (EfficientNet-Lite0 at 64 px).
    """
    import joblib

    share = str(max(1, joblib.cpu_count() // jobs))
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, share)


def _summary(name: str, file: Path, reason: str, seconds: float) -> NotebookRun:
    cells = read_notebook(file).cells if file.exists() else []
    earned, most, manual = points(cells)
    times = [cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in cells]
    status: Status = "failed" if reason else "passed"
    if not reason and earned < most:
        status, reason = "failed", f"{most - earned:g} points of the graded cells are missing"
    return NotebookRun(
        name, file, status, reason, earned, most, manual, seconds, max(times, default=0.0)
    )


def read_notebook(file: Path) -> Any:
    """Read a notebook as format 4; CourseError when it is none."""
    try:
        return nbformat.read(file, as_version=4)
    except Exception as error:  # nbformat raises many types on files that are no notebooks
        raise CourseError(f"{file} is not a notebook: {str(error)[:200]}") from None


def points(cells: Sequence[Any]) -> tuple[float, float, float]:
    """Return (earned, most, manual) points of graded cells, by nbgrader's rules."""
    earned = most = manual = 0.0
    for cell, settings in graded_cells(cells):
        worth = float(settings.get("points", 0))
        if settings.get("solution"):
            manual += worth
            continue
        most += worth
        earned += _cell_points(cell, worth)
    return earned, most, manual


def graded_cells(cells: Sequence[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield the cells that nbgrader gives points for, with their settings."""
    for cell in cells:
        settings = cell.metadata.get("nbgrader", {})
        if settings.get("grade"):
            yield cell, settings


def _cell_points(cell: Any, worth: float) -> float:
    """Return what a check cell gives: all if it ran, its last number if it shows one."""
    outputs = cell.get("outputs", [])
    if cell.get("execution_count") is None or any(o.output_type == "error" for o in outputs):
        return 0.0
    for output in outputs:
        if output.output_type == "execute_result":
            with contextlib.suppress(ValueError):
                return min(worth, float(output.data.get("text/plain", "")))
    return worth
