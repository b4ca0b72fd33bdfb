"""Runs the measurements of ``benchmarks/`` and shows them beside their targets."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from labkit.errors import CourseError, choices
from labkit.paths import atomic_write


def find_benchmarks() -> dict[str, Path]:
    """Return the files of the measurements by name; a file with a ``run`` is one."""
    folder = Path(__file__).parents[2] / "benchmarks"
    files = sorted(folder.glob("*.py"))
    return {f.stem: f for f in files if "\ndef run(" in f.read_text(encoding="utf-8")}


def run_benchmarks(names: Sequence[str], out: Path, console: Console) -> bool:
    """Run measurements by name, all when none is named; tell whether all targets were reached.

    Writes ``<out>/<name>.json``. Raises CourseError for an unknown name.
    """
    known = find_benchmarks()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CourseError(f"There is no benchmark {unknown[0]!r}. Choose from {choices(known)}.")
    reached = True
    for name in names or known:
        module = _load(known[name])
        console.print(f"[bold]{name}[/]: {module.QUESTION}")
        result = {**module.run(), **machine()}
        with atomic_write(out / f"{name}.json") as stream:
            stream.write(json.dumps(result, indent=1).encode())
        console.print(_table(result, module.TARGETS))
        reached &= _reached(result, module.TARGETS)
    return reached


def machine() -> dict[str, Any]:
    """Return what a measurement depends on: versions, cores, the day."""
    names = ("tensorflow", "keras", "numpy", "scikit-learn", "pillow")
    return {
        "versions": {name: importlib.metadata.version(name) for name in names},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "day": f"{datetime.now():%Y-%m-%d}",
    }


def _reached(result: dict[str, Any], targets: dict[str, float]) -> bool:
    ratios = result.get("ratios", {})
    return all(ratios.get(name, 0) >= least for name, least in targets.items()) and all(
        row["reached"] for row in result.get("properties", ())
    )


def _load(file: Path) -> Any:
    root = str(file.parents[1])
    if root not in sys.path:  # the files share benchmarks/harness.py
        sys.path.insert(0, root)
    return importlib.import_module(f"benchmarks.{file.stem}")


def _table(result: dict[str, Any], targets: dict[str, float]) -> Table:
    table = Table("measured", "value", "95 % interval", "target", "", box=None)
    for name, row in result.get("measured", {}).items():
        table.add_row(name, f"{row['median']:.3g} s", "", "", "")
    for name, ratio in result.get("ratios", {}).items():
        least = targets.get(name)
        mark = "" if least is None else "reached" if ratio >= least else "missed"
        wanted = "" if least is None else f"at least {least:g}"
        table.add_row(name, f"{ratio:.2f} times", "", wanted, mark)
    for row in result.get("properties", ()):
        wide = "" if row["runs"] < 2 else f"{row['low']:.3f} to {row['high']:.3f}"
        mark = "reached" if row["reached"] else "missed"
        table.add_row(row["name"], f"{row['mean']:.3f}", wide, row["target"], mark)
    return table
