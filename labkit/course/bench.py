"""Runs the measurements of ``benchmarks/`` and shows them beside their targets."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
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
        result = module.run()
        with atomic_write(out / f"{name}.json") as stream:
            stream.write(json.dumps(result, indent=1).encode())
        console.print(_table(result, module.TARGETS))
        reached &= all(result["ratios"].get(k, 0) >= v for k, v in module.TARGETS.items())
    return reached


def _load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"benchmarks.{file.stem}", file)
    if spec is None or spec.loader is None:
        raise CourseError(f"{file} cannot be loaded as a benchmark.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _table(result: dict[str, Any], targets: dict[str, float]) -> Table:
    table = Table("measured", "median", "target", box=None)
    for name, seconds in result["seconds"].items():
        table.add_row(name, f"{seconds:.3g} s", "")
    for name, ratio in result["ratios"].items():
        wanted = f"at least {targets[name]:g}" if name in targets else ""
        table.add_row(name, f"{ratio:.2f} times", wanted)
    return table
